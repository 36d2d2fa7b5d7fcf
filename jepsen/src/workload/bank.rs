//! Accounts between which money is moved; every read of all of them sees the same sum.
//!
//! A transfer watches both accounts and writes what it has computed, so that one that was overtaken
//! unnoticed changes the sum.

use super::values::{int_at, ints};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

const ACCOUNTS: usize = 8;
const BALANCE: i64 = 10;
const AMOUNT_MAX: i64 = 5;

/// All the money there is.
pub const TOTAL: i64 = BALANCE * ACCOUNTS as i64;

/// See the module.
#[derive(Debug)]
pub struct Bank;

impl Workload for Bank {
    fn prepare(&self, seat: &mut Seat<'_>) -> Result<(), Trouble> {
        // One that comes late, after money was moved, does nothing.
        let pairs = (0..ACCOUNTS).flat_map(|at| [key(at), BALANCE.to_string()]);
        let command: Vec<String> = std::iter::once("MSETNX".to_owned()).chain(pairs).collect();
        seat.redis()?.write(&command)?.integer().map(drop)
    }

    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        if rng.random_bool(0.4) {
            return Invocation::new("read", Value::Nil);
        }
        let accounts = ACCOUNTS as i64;
        let from = rng.random_range(0..accounts);
        let to = (from + rng.random_range(1..accounts)) % accounts;
        Invocation::new("transfer", ints([from, to, rng.random_range(1..=AMOUNT_MAX)]))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let client = seat.redis()?;
        if operation.deed() == "read" {
            let keys: Vec<String> = (0..ACCOUNTS).map(key).collect();
            return balances(client, &keys).map(ints);
        }
        let account = |place| Ok(format!("account:{}", int_at(&operation.value, place)?));
        transfer(client, [account(0)?, account(1)?], int_at(&operation.value, 2)?)?;
        Ok(operation.value.clone())
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        vec![Invocation::new("final-read", Value::Nil)]
    }
}

fn key(account: usize) -> String {
    format!("account:{account}")
}

fn balances(client: &mut Client, keys: &[String]) -> Result<Vec<i64>, Trouble> {
    let command: Vec<String> =
        std::iter::once("MGET".to_owned()).chain(keys.iter().cloned()).collect();
    let replies = client.read(&command)?.elements(keys.len())?;
    let balance = |reply: Reply| {
        let balance = reply.number()?;
        balance.ok_or_else(|| Trouble::Impossible("an account is gone".to_owned()))
    };
    replies.into_iter().map(balance).collect()
}

fn transfer(client: &mut Client, keys: [String; 2], amount: i64) -> Result<(), Trouble> {
    client.watch(&[&keys[0], &keys[1]])?;
    let balances = balances(client, &keys)?;
    if balances[0] < amount {
        return Err(client.give_up(format!("only {} there", balances[0])));
    }
    let commands = [
        words(&["SET", &keys[0], &(balances[0] - amount).to_string()]),
        words(&["SET", &keys[1], &(balances[1] + amount).to_string()]),
    ];
    client.transact_unless_changed(&commands)?.into_iter().try_for_each(Reply::expect_ok)
}
