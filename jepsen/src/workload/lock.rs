//! Locks that expire, and writes fenced by a token.
//!
//! A lock is a key set with NX and PX. Whoever pauses longer than that may think to hold it still, so
//! that two holders overlap by design; what must not happen is that a write with an older token lands
//! after one with a newer. The token is counted up in the transaction that takes the lock, and that is
//! guarded by WATCH, so that a token belongs to one acquisition.

use super::values::{int_at, items, list, misshapen};
use super::{Invocation, Workload, held};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const NAMES: [&str; 3] = ["red", "green", "blue"];
const LEASE_MS: &str = "1000";

/// See the module.
#[derive(Debug, Default)]
pub struct Lock {
    /// What each process believes to hold.
    held: Mutex<BTreeMap<u64, Held>>,
    acquisitions: AtomicU64,
}

#[derive(Debug, Clone)]
struct Held {
    name: String,
    token: i64,
    /// What the lock's key holds: it tells this acquisition from all others.
    owner: String,
}

impl Workload for Lock {
    fn next(&self, process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        match held(&self.held).get(&process) {
            None => acquire_of("acquire", NAMES[rng.random_range(0..NAMES.len())]),
            Some(mine) => {
                let f = if rng.random_bool(0.7) { "store" } else { "release" };
                Invocation::new(f, mine.value())
            }
        }
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let client = seat.redis()?;
        let done = match operation.deed() {
            "acquire" => return self.acquire(client, process, &operation.value),
            "release" => self.release(client, process, &operation.value),
            _ => store(client, &operation.value),
        };
        // Whoever was refused a store has lost the lock; after an error that is safe to assume too.
        if operation.deed() == "release" || done.is_err() {
            held(&self.held).remove(&process);
        }
        done.map(|()| operation.value.clone())
    }

    /// Tokens must go on where they were: a counter that was set back shows here.
    fn finals(&self, _last: bool) -> Vec<Invocation> {
        NAMES.iter().map(|name| acquire_of("final-acquire", name)).collect()
    }
}

fn acquire_of(f: &'static str, name: &str) -> Invocation {
    Invocation::new(f, Value::Text(name.to_owned()))
}

impl Held {
    fn value(&self) -> Value {
        list([Value::Text(self.name.clone()), Value::Int(self.token)])
    }
}

fn name_of(value: &Value) -> Result<String, Trouble> {
    match value {
        Value::Text(name) => Ok(name.clone()),
        Value::List(_) => items(value)?.first().map_or_else(|| Err(misshapen(value)), name_of),
        other => Err(misshapen(other)),
    }
}

impl Lock {
    fn acquire(&self, client: &mut Client, process: u64, value: &Value) -> Result<Value, Trouble> {
        let name = name_of(value)?;
        let (lock, counter) = (format!("lock:{name}"), format!("token:{name}"));
        let owner = format!("{process}-{}", self.acquisitions.fetch_add(1, Ordering::SeqCst));
        client.watch(&[&lock])?;
        if client.read(&["GET", &lock])?.text()?.is_some() {
            return Err(client.give_up("held"));
        }
        let set = words(&["SET", &lock, &owner, "NX", "PX", LEASE_MS]);
        let replies = client.transact_unless_changed(&[set, words(&["INCR", &counter])])?;
        let [taken, token] = <[Reply; 2]>::try_from(replies).expect("as many as commands");
        if taken == Reply::Nil {
            return Err(Trouble::Unmet("held".to_owned()));
        }
        taken.expect_ok()?;
        let mine = Held { name, token: token.integer()?, owner };
        let value = mine.value();
        held(&self.held).insert(process, mine);
        Ok(value)
    }

    fn release(&self, client: &mut Client, process: u64, value: &Value) -> Result<(), Trouble> {
        let lock = format!("lock:{}", name_of(value)?);
        let mine = held(&self.held).get(&process).map(|mine| mine.owner.clone());
        client.watch(&[&lock])?;
        if client.read(&["GET", &lock])?.text()? != mine {
            return Err(client.give_up("not held any more"));
        }
        client.transact_unless_changed(&[words(&["DEL", &lock])]).map(drop)
    }
}

fn store(client: &mut Client, value: &Value) -> Result<(), Trouble> {
    let fence = format!("fence:{}", name_of(value)?);
    let token = int_at(value, 1)?;
    client.watch(&[&fence])?;
    let newest = client.read(&["GET", &fence])?.number()?.unwrap_or(0);
    if newest > token {
        return Err(client.give_up(format!("token {newest} has stored before")));
    }
    let replies = client.transact_unless_changed(&[words(&["SET", &fence, &token.to_string()])])?;
    replies.into_iter().try_for_each(Reply::expect_ok)
}
