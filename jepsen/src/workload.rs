//! Workloads: what clients do to a cluster, and who judges it.
//!
//! A workload makes up operations from a seeded generator, carries them out, and knows what to read
//! when all is over. It keeps what its processes must share, such as which keys are in use, behind a
//! lock held for no I/O. [`ROWS`] is the one list of workloads, with their checkers.

pub mod append;
pub mod bank;
pub mod counter;
mod keys;
pub mod lock;
pub mod queue;
pub mod register;
pub mod set;
pub mod ttl;
mod values;
pub mod verify;

#[cfg(test)]
mod tests;

use crate::check::{Finding, Verdict, bank as check_bank, counter as check_counter, elle};
use crate::check::{digests, lock as check_lock, queue as check_queue, set as check_set};
use crate::check::{ttl as check_ttl, wgl};
use crate::client::seat::Seat;
use crate::client::{IMPOSSIBLE, Trouble};
use crate::history::{History, Value};
use rand::rngs::ChaCha8Rng;
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An operation to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What.
    pub f: &'static str,
    /// With what; `jepsen/README.md` has the shapes.
    pub value: Value,
}

impl Invocation {
    /// What and with what.
    pub fn new(f: &'static str, value: Value) -> Self {
        Self { f, value }
    }

    /// What it does; an operation of the final phase does the same as the one it is named after.
    pub fn deed(&self) -> &'static str {
        self.f.strip_prefix("final-").unwrap_or(self.f)
    }
}

/// What clients do.
pub trait Workload: Send + Sync {
    /// Writes what must be there first. It may be done twice.
    fn prepare(&self, _seat: &mut Seat<'_>) -> Result<(), Trouble> {
        Ok(())
    }

    /// The next operation of a process.
    fn next(&self, process: u64, rng: &mut ChaCha8Rng) -> Invocation;

    /// Carries it out; the value is that of the completion.
    fn perform(
        &self,
        seat: &mut Seat<'_>,
        process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble>;

    /// What every node is asked when all faults are healed, and, `last`, again after a restart.
    fn finals(&self, last: bool) -> Vec<Invocation>;
}

/// A workload by name.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// Whether it can be run against etcd.
    pub on_etcd: bool,
    /// A fresh one.
    pub make: fn() -> Box<dyn Workload>,
    judges: fn(&History, Duration) -> Vec<Finding>,
}

/// All workloads.
pub const ROWS: &[Row] = &[
    Row {
        name: "register",
        about: "GET, SET and compare-and-set through WATCH, linearizable per key",
        on_etcd: true,
        make: || Box::new(register::Register::default()),
        judges: |history, patience| vec![wgl::check(history, patience)],
    },
    Row {
        name: "append",
        about: "transactions of 1 to 4 APPEND and GET in MULTI, strictly serializable",
        on_etcd: false,
        make: || Box::new(append::Append::transactions()),
        judges: |history, patience| vec![elle::check(history, patience)],
    },
    Row {
        name: "single",
        about: "single APPEND and GET, strictly serializable",
        on_etcd: false,
        make: || Box::new(append::Append::single()),
        judges: |history, patience| vec![elle::check(history, patience)],
    },
    Row {
        name: "set",
        about: "one key an element: what was acknowledged is found",
        on_etcd: false,
        make: || Box::new(set::Set::default()),
        judges: |history, _| vec![check_set::check(history)],
    },
    Row {
        name: "counter",
        about: "INCRBY and DECRBY count exactly once",
        on_etcd: false,
        make: || Box::new(counter::Counter),
        judges: |history, _| vec![check_counter::check(history)],
    },
    Row {
        name: "bank",
        about: "transfers through WATCH and MULTI: money neither comes nor goes",
        on_etcd: false,
        make: || Box::new(bank::Bank),
        judges: |history, _| vec![check_bank::check(history, bank::TOTAL)],
    },
    Row {
        name: "queue",
        about: "what was enqueued is dequeued once",
        on_etcd: false,
        make: || Box::new(queue::Queue::default()),
        judges: |history, _| vec![check_queue::check(history)],
    },
    Row {
        name: "lock",
        about: "SET NX PX with a fencing token: fenced writes keep their order",
        on_etcd: false,
        make: || Box::new(lock::Lock::default()),
        judges: |history, _| vec![check_lock::check(history)],
    },
    Row {
        name: "ttl",
        about: "keys expire once, everywhere, in time",
        on_etcd: false,
        make: || Box::new(ttl::Ttl::default()),
        judges: |history, _| vec![check_ttl::check(history)],
    },
    Row {
        name: "verify",
        about: "transactions, keys that expire, and digests of all replicas meanwhile",
        on_etcd: false,
        make: || Box::new(verify::Verify::default()),
        judges: |history, patience| vec![elle::check(history, patience), check_ttl::check(history)],
    },
];

impl Row {
    /// A workload by its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// Everything that can be said of a history of this workload from the history alone.
    pub fn check(&self, history: &History, patience: Duration) -> Vec<Finding> {
        let mut findings = (self.judges)(history, patience);
        findings.extend(whatever(history));
        findings
    }

    /// The workload that made a history, by its operations; `None` if more than one could have.
    pub fn inferred(history: &History) -> Option<&'static Self> {
        let did = |f: &str| history.operations().iter().any(|o| deed(&o.invoked.f) == f);
        let name = match () {
            () if did("txn") => {
                if did("digest") && did("set") {
                    "verify"
                } else {
                    "append"
                }
            }
            () if did("write") || did("cas") => "register",
            () if did("transfer") => "bank",
            () if did("enqueue") || did("dequeue") => "queue",
            () if did("acquire") => "lock",
            () if did("set") => "ttl",
            () if did("add") => adder(history)?,
            () if did("digest") => "verify",
            () => return None,
        };
        Self::named(name)
    }
}

fn deed(f: &str) -> &str {
    f.strip_prefix("final-").unwrap_or(f)
}

/// Counter and set both `add`; what a read gives tells them apart.
fn adder(history: &History) -> Option<&'static str> {
    let operations = history.operations();
    let reads = operations.iter().filter(|operation| deed(&operation.invoked.f) == "read");
    reads.map(|operation| operation.value()).find_map(|value| match value {
        Value::List(_) => Some("set"),
        Value::Int(_) => Some("counter"),
        _ => None,
    })
}

/// What can be said of a history whatever made it.
pub fn whatever(history: &History) -> Vec<Finding> {
    let mut findings = vec![replies(history)];
    if history.events.iter().any(|event| event.f.ends_with("digest")) {
        findings.push(digests::check(history));
    }
    findings
}

/// Answers that no correct server gives, whatever the workload.
fn replies(history: &History) -> Finding {
    let of = |event: &crate::history::Event| {
        let error = event.error.as_deref()?.strip_prefix(IMPOSSIBLE)?;
        Some(format!("{}: {error}", event.index))
    };
    let found: Vec<String> = history.events.iter().filter_map(of).collect();
    let verdict = if found.is_empty() { Verdict::Valid } else { Verdict::Invalid };
    let summary = match found.first() {
        None => "every reply was one that can be".to_owned(),
        Some(first) => format!("{} impossible replies, the first at {first}", found.len()),
    };
    let shown = &found[..found.len().min(20)];
    Finding { checker: "replies", verdict, summary, details: json!({ "impossible": shown }) }
}

/// Nothing that is kept behind a lock here can be left half changed by a panic.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
