//! One counter that everybody adds to and takes from.

use super::values::int;
use super::{Invocation, Workload};
use crate::client::Trouble;
use crate::client::seat::Seat;
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// The most that is added or taken at once. So large that hardly two selections of unknown
/// additions have one sum: what was counted twice does not hide among what may not have counted.
const STEP_MAX: i64 = 1 << 40;

/// See the module.
#[derive(Debug)]
pub struct Counter;

impl Workload for Counter {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        if rng.random_bool(0.3) {
            return Invocation::new("read", Value::Nil);
        }
        let step = rng.random_range(1..=STEP_MAX);
        let sign = if rng.random_bool(0.6) { 1 } else { -1 };
        Invocation::new("add", Value::Int(sign * step))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let client = seat.redis()?;
        if operation.deed() == "read" {
            let sum = client.read(&["GET", "counter"])?.number()?;
            return Ok(Value::Int(sum.unwrap_or(0)));
        }
        let step = int(&operation.value)?;
        let command = if step < 0 { "DECRBY" } else { "INCRBY" };
        client.write(&[command, "counter", &step.abs().to_string()])?.integer()?;
        Ok(operation.value.clone())
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        vec![Invocation::new("final-read", Value::Nil)]
    }
}
