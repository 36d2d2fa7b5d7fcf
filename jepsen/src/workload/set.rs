//! A set of numbers, one key an element: what was acknowledged is found for ever.
//!
//! A read asks for every element anybody has tried to add. It is not atomic, and need not be: each
//! element is judged by itself. Reads become rarer as the set grows, so that the history grows with
//! the operations and not with their square.

use super::values::{int, ints};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::sync::atomic::{AtomicI64, Ordering};

/// Elements that the average operation reads.
const READ_PER_OPERATION: f64 = 40.0;
const KEYS_A_COMMAND: usize = 500;

/// See the module.
#[derive(Debug, Default)]
pub struct Set {
    attempted: AtomicI64,
}

impl Workload for Set {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        let attempted = self.attempted.load(Ordering::SeqCst);
        let chance = READ_PER_OPERATION / (attempted as f64 + 1.0);
        if rng.random_bool(chance.min(0.2)) {
            return Invocation::new("read", Value::Nil);
        }
        let value = self.attempted.fetch_add(1, Ordering::SeqCst);
        Invocation::new("add", Value::Int(value))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let client = seat.redis()?;
        if operation.deed() == "add" {
            client.write(&["SET", &key(int(&operation.value)?), "1"])?.expect_ok()?;
            return Ok(operation.value.clone());
        }
        let attempted: Vec<i64> = (0..self.attempted.load(Ordering::SeqCst)).collect();
        let chunks = attempted.chunks(KEYS_A_COMMAND).map(|values| present(client, values));
        Ok(ints(chunks.collect::<Result<Vec<_>, _>>()?.concat()))
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        vec![Invocation::new("final-read", Value::Nil)]
    }
}

fn key(value: i64) -> String {
    format!("set:{value}")
}

/// Those of the values that are in the set.
fn present(client: &mut Client, values: &[i64]) -> Result<Vec<i64>, Trouble> {
    let keys = values.iter().map(|value| key(*value));
    let command: Vec<String> = std::iter::once("MGET".to_owned()).chain(keys).collect();
    let replies = client.read(&command)?.elements(values.len())?;
    let mut found = Vec::new();
    for (value, reply) in values.iter().zip(replies) {
        match reply {
            Reply::Nil => {}
            Reply::Bulk(one) if one == b"1" => found.push(*value),
            other => return Err(Trouble::Impossible(format!("{other:?} for element {value}"))),
        }
    }
    Ok(found)
}
