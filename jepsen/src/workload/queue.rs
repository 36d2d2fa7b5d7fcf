//! A queue: what was enqueued is dequeued once, and in the end nothing is left.
//!
//! While the server has only strings it is a string of numbers, each with a comma after it. Enqueuing
//! is one APPEND; dequeuing watches the string and writes the rest of it. Producers pause while the
//! queue is long, because a dequeue copies it.

use super::values::{int, ints, maybe, parse_list};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const KEY: &str = "queue";
const LENGTH_MAX: usize = 300;

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    next: AtomicI64,
    /// How long it was when somebody last looked.
    length: AtomicUsize,
}

impl Workload for Queue {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        let is_long = self.length.load(Ordering::SeqCst) > LENGTH_MAX;
        if is_long || rng.random_bool(0.6) {
            return Invocation::new("dequeue", Value::Nil);
        }
        Invocation::new("enqueue", Value::Int(self.next.fetch_add(1, Ordering::SeqCst)))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let client = seat.redis()?;
        match operation.deed() {
            "enqueue" => {
                let element = format!("{},", int(&operation.value)?);
                client.write(&["APPEND", KEY, &element])?.integer()?;
                Ok(operation.value.clone())
            }
            "drain" => self.take(client, usize::MAX).map(ints),
            _ => self.take(client, 1).map(|taken| maybe(taken.first().copied())),
        }
    }

    /// Drained once only, after the restart: until then it proves that elements outlive it.
    fn finals(&self, last: bool) -> Vec<Invocation> {
        if last { vec![Invocation::new("final-drain", Value::Nil)] } else { Vec::new() }
    }
}

impl Queue {
    /// Takes so many elements, or all, off the front.
    fn take(&self, client: &mut Client, count: usize) -> Result<Vec<i64>, Trouble> {
        client.watch(&[KEY])?;
        let text = client.read(&["GET", KEY])?.text()?.unwrap_or_default();
        let mut elements = parse_list(&text)?;
        self.length.store(elements.len(), Ordering::SeqCst);
        if elements.is_empty() {
            // A read tells that it is empty, and a read is linearizable.
            let _ = client.give_up("empty");
            return Ok(elements);
        }
        let rest = elements.split_off(count.min(elements.len()));
        let rest: String = rest.iter().map(|element| format!("{element},")).collect();
        let replies = client.transact_unless_changed(&[words(&["SET", KEY, &rest])])?;
        replies.into_iter().try_for_each(Reply::expect_ok)?;
        Ok(elements)
    }
}
