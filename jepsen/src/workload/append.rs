//! Lists that transactions append to and read: what Elle needs to recover the order of all writes.
//!
//! While the server has only strings, a list is a string of numbers, each with a comma after it;
//! APPEND and GET are then what RPUSH and LRANGE are to a list. Each element of a list is unique.
//! A transaction is a MULTI of one to four of them; `single` is the same without MULTI, one at a time.

use super::keys::{Key, Keys, Limits};
use super::values::{int, ints, items, list, misshapen, parse_list};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Reply, Trouble};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Only appends count as uses.
const LIMITS: Limits = Limits { active: 12, uses_max: 128, unknown_max: 32 };
/// Lists that one transaction of the final phase reads.
const FINAL_READS: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Append {
    longest: usize,
    keys: Keys,
}

impl Append {
    /// Transactions of several operations.
    pub fn transactions() -> Self {
        Self { longest: 4, keys: Keys::new(LIMITS) }
    }

    /// Single operations outside of any transaction.
    pub fn single() -> Self {
        Self { longest: 1, keys: Keys::new(LIMITS) }
    }

    fn step(&self, rng: &mut ChaCha8Rng) -> Value {
        self.keys.pick_skewed(
            rng,
            |key, rng| if rng.random() { read_of(key.id) } else { append_to(key) },
        )
    }
}

impl Workload for Append {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        let length = rng.random_range(1..=self.longest);
        Invocation::new("txn", list((0..length).map(|_| self.step(rng))))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let steps = steps(&operation.value)?;
        let done = perform(seat, &steps, self.longest > 1 || steps.len() > 1);
        if let Err(Trouble::Unknown(_)) = &done {
            steps.iter().for_each(|step| self.keys.unknown(step.key));
        }
        done
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        let all: Vec<i64> = self.keys.all().collect();
        let reads = |ids: &[i64]| list(ids.iter().copied().map(read_of));
        all.chunks(FINAL_READS).map(|ids| Invocation::new("final-txn", reads(ids))).collect()
    }
}

fn read_of(id: i64) -> Value {
    list([Value::Keyword("r".to_owned()), Value::Int(id), Value::Nil])
}

fn append_to(key: &mut Key) -> Value {
    key.used();
    let value = key.fresh_value();
    list([Value::Keyword("append".to_owned()), Value::Int(key.id), Value::Int(value)])
}

struct Step {
    key: i64,
    /// What it appends; a read if nothing.
    appended: Option<i64>,
}

fn steps(transaction: &Value) -> Result<Vec<Step>, Trouble> {
    items(transaction)?.iter().map(step).collect()
}

fn step(value: &Value) -> Result<Step, Trouble> {
    match items(value)? {
        [Value::Keyword(kind), key, argument] => {
            let appended = if kind == "append" { Some(int(argument)?) } else { None };
            Ok(Step { key: int(key)?, appended })
        }
        _ => Err(misshapen(value)),
    }
}

fn perform(seat: &mut Seat<'_>, steps: &[Step], in_multi: bool) -> Result<Value, Trouble> {
    let client = seat.redis()?;
    let commands: Vec<Vec<String>> = steps.iter().map(Step::command).collect();
    let replies = match commands.as_slice() {
        [command] if !in_multi => client.write(command).map(|reply| vec![reply]),
        commands => client.transact(commands).and_then(|replies| {
            replies
                .ok_or_else(|| Trouble::Impossible("EXEC gave nil and nothing is watched".into()))
        }),
    };
    let writes = steps.iter().any(|step| step.appended.is_some());
    let replies = if writes { replies? } else { replies.map_err(Trouble::of_read)? };
    let done: Vec<Value> = steps.iter().zip(replies).map(done).collect::<Result<_, _>>()?;
    Ok(Value::List(done))
}

impl Step {
    fn command(&self) -> Vec<String> {
        let key = format!("list:{}", self.key);
        match self.appended {
            None => vec!["GET".to_owned(), key],
            Some(value) => vec!["APPEND".to_owned(), key, format!("{value},")],
        }
    }
}

fn done((step, reply): (&Step, Reply)) -> Result<Value, Trouble> {
    let (kind, result) = match step.appended {
        Some(value) => {
            reply.integer()?;
            ("append", Value::Int(value))
        }
        None => match reply.text()? {
            None => ("r", Value::Nil),
            Some(text) => ("r", ints(parse_list(&text)?)),
        },
    };
    Ok(list([Value::Keyword(kind.to_owned()), Value::Int(step.key), result]))
}
