//! Registers: GET, SET, and compare-and-set through WATCH.
//!
//! Values are unique per key, so that a stale read is never excused by a later write of the same
//! value; what a compare-and-set expects is what was last seen, so that many of them succeed.

use super::keys::{Keys, Limits};
use super::values::{int, int_at, items, list, maybe, misshapen};
use super::{Invocation, Workload, held};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::sync::Mutex;

const LIMITS: Limits = Limits { active: 5, uses_max: 300, unknown_max: 8 };

/// See the module.
#[derive(Debug)]
pub struct Register {
    keys: Mutex<Keys>,
}

impl Default for Register {
    fn default() -> Self {
        Self { keys: Mutex::new(Keys::new(LIMITS)) }
    }
}

impl Workload for Register {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        let mut keys = held(&self.keys);
        let deed = rng.random_range(0..4);
        let key = keys.pick(rng);
        let id = key.id;
        let invocation = match (deed, key.seen) {
            (0 | 1, _) => Invocation::new("read", list([Value::Int(id), Value::Nil])),
            (2, Some(old)) => {
                let change = list([Value::Int(old), Value::Int(key.fresh_value())]);
                Invocation::new("cas", list([Value::Int(id), change]))
            }
            _ => {
                let value = Value::Int(key.fresh_value());
                Invocation::new("write", list([Value::Int(id), value]))
            }
        };
        keys.used(id);
        invocation
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let id = int_at(&operation.value, 0)?;
        let done = perform(seat, operation);
        let mut keys = held(&self.keys);
        match &done {
            Ok(seen) => keys.saw(id, *seen),
            Err(Trouble::Unknown(_)) => keys.unknown(id),
            Err(_) => {}
        }
        drop(keys);
        done.map(|seen| match operation.deed() {
            "read" => list([Value::Int(id), maybe(seen)]),
            _ => operation.value.clone(),
        })
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        let read = |id| Invocation::new("final-read", list([Value::Int(id), Value::Nil]));
        held(&self.keys).all().map(read).collect()
    }
}

/// The value that the register has then.
fn perform(seat: &mut Seat<'_>, operation: &Invocation) -> Result<Option<i64>, Trouble> {
    let [id, argument] = items(&operation.value)? else {
        return Err(misshapen(&operation.value));
    };
    let key = format!("register:{}", int(id)?);
    match operation.deed() {
        "read" => read(seat, &key),
        "write" => write(seat, &key, int(argument)?),
        _ => cas(seat, &key, int_at(argument, 0)?, int_at(argument, 1)?),
    }
}

fn read(seat: &mut Seat<'_>, key: &str) -> Result<Option<i64>, Trouble> {
    match seat.etcd() {
        None => seat.redis()?.read(&["GET", key])?.number(),
        Some(etcd) => {
            let text = etcd.get(key)?.map(String::into_bytes);
            text.map_or(Reply::Nil, Reply::Bulk).number()
        }
    }
}

fn write(seat: &mut Seat<'_>, key: &str, value: i64) -> Result<Option<i64>, Trouble> {
    let text = value.to_string();
    match seat.etcd() {
        None => seat.redis()?.write(&["SET", key, &text])?.expect_ok()?,
        Some(etcd) => etcd.put(key, &text)?,
    }
    Ok(Some(value))
}

fn cas(seat: &mut Seat<'_>, key: &str, old: i64, new: i64) -> Result<Option<i64>, Trouble> {
    match seat.etcd() {
        None => watched_cas(seat.redis()?, key, old, new)?,
        Some(etcd) if etcd.cas(key, &old.to_string(), &new.to_string())? => {}
        Some(_) => return Err(Trouble::Unmet(format!("not {old}"))),
    }
    Ok(Some(new))
}

fn watched_cas(client: &mut Client, key: &str, old: i64, new: i64) -> Result<(), Trouble> {
    client.watch(&[key])?;
    if client.read(&["GET", key])?.number()? != Some(old) {
        return Err(client.give_up(format!("not {old}")));
    }
    let replies = client.transact_unless_changed(&[words(&["SET", key, &new.to_string()])])?;
    replies.into_iter().try_for_each(Reply::expect_ok)
}
