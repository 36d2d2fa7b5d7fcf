//! Registers: GET, SET, and compare-and-set through WATCH.
//!
//! Values are unique per key, so that a stale read is never excused by a later write of the same
//! value; what a compare-and-set expects is what was last seen, so that many of them succeed.

use super::keys::{Key, Keys, Limits};
use super::values::{int, int_at, ints, items, list, maybe, misshapen};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Client, Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

const LIMITS: Limits = Limits { active: 5, uses_max: 300, unknown_max: 8 };

/// See the module.
#[derive(Debug)]
pub struct Register {
    keys: Keys,
}

impl Default for Register {
    fn default() -> Self {
        Self { keys: Keys::new(LIMITS) }
    }
}

impl Workload for Register {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        let deed = rng.random_range(0..4);
        self.keys.pick(rng, |key, _| operation(deed, key))
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let id = int_at(&operation.value, 0)?;
        let done = perform(seat, operation);
        match &done {
            Ok(seen) => self.keys.saw(id, *seen),
            Err(Trouble::Unknown(_)) => self.keys.unknown(id),
            Err(_) => {}
        }
        done.map(|seen| match operation.deed() {
            "read" => list([Value::Int(id), maybe(seen)]),
            _ => operation.value.clone(),
        })
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        self.keys.final_reads()
    }
}

/// What shall be done to a key, of four deeds; two of them are reads.
fn operation(deed: u32, key: &mut Key) -> Invocation {
    key.used();
    let (f, argument) = match (deed, key.seen) {
        (0 | 1, _) => ("read", Value::Nil),
        (2, Some(old)) => ("cas", ints([old, key.fresh_value()])),
        _ => ("write", Value::Int(key.fresh_value())),
    };
    Invocation::new(f, list([Value::Int(key.id), argument]))
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
