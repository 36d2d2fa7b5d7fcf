//! Stores that do one thing at a time, and what clients ask of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::RngExt;
use rand::rngs::StdRng;

use super::simulate::Model;
use crate::history::Value;
use crate::workload::bank::TOTAL;

pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> Value {
    Value::List(values.into_iter().map(Value::Int).collect())
}

/// The integers of a value, for those of which it is certain that they are.
fn parts(value: &Value) -> Vec<i64> {
    let int = |value: &Value| if let Value::Int(number) = value { *number } else { 0 };
    match value {
        Value::List(values) => values.iter().map(int).collect(),
        one => vec![int(one)],
    }
}

/// Of each kind of value the next one: no two operations write the same.
#[derive(Default)]
struct Fresh(i64);

impl Fresh {
    fn next(&mut self) -> i64 {
        self.0 += 1;
        self.0
    }
}

#[derive(Default)]
pub(super) struct Registers {
    fresh: Fresh,
    values: BTreeMap<i64, i64>,
}

const KEYS: i64 = 4;

impl Registers {
    fn current(&self, key: i64) -> Value {
        self.values.get(&key).map_or(Value::Nil, |value| Value::Int(*value))
    }
}

impl Model for Registers {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        let key = rng.random_range(0..KEYS);
        let with = |value| Value::List(vec![Value::Int(key), value]);
        match rng.random_range(0..10) {
            0..5 => ("read", with(Value::Nil)),
            5..8 => ("write", with(Value::Int(self.fresh.next()))),
            _ => {
                let change = vec![self.current(key), Value::Int(self.fresh.next())];
                match change[0] {
                    Value::Nil => ("read", with(Value::Nil)),
                    _ => ("cas", with(Value::List(change))),
                }
            }
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        let Value::List(pair) = value else { return None };
        let key = parts(value)[0];
        match (f, &pair[1]) {
            ("read", _) => return Some(Value::List(vec![Value::Int(key), self.current(key)])),
            ("write", Value::Int(new)) => self.values.insert(key, *new),
            (_, change) => {
                let change = parts(change);
                (self.values.get(&key) == Some(&change[0])).then_some(())?;
                self.values.insert(key, change[1])
            }
        };
        Some(value.clone())
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        let read = |key| ("final-read", Value::List(vec![Value::Int(key), Value::Nil]));
        (0..KEYS).map(read).collect()
    }
}

#[derive(Default)]
pub(super) struct Lists {
    fresh: Fresh,
    lists: BTreeMap<i64, Vec<i64>>,
}

fn micro(verb: &str, key: i64, value: Value) -> Value {
    Value::List(vec![Value::Keyword(verb.to_owned()), Value::Int(key), value])
}

impl Model for Lists {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        let mut micros = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            let key = rng.random_range(0..KEYS);
            micros.push(match rng.random_bool(0.5) {
                true => micro("append", key, Value::Int(self.fresh.next())),
                false => micro("r", key, Value::Nil),
            });
        }
        ("txn", Value::List(micros))
    }

    fn apply(&mut self, _: &str, value: &Value, _: u64) -> Option<Value> {
        let Value::List(micros) = value else { return None };
        let mut results = Vec::new();
        for one in micros {
            let [_, key, element] = parts(one)[..] else { return None };
            if matches!(one, Value::List(words) if words[0] == Value::Keyword("append".to_owned()))
            {
                self.lists.entry(key).or_default().push(element);
                results.push(one.clone());
            } else {
                let list = self.lists.get(&key).map_or(Value::Nil, |list| ints(list.clone()));
                results.push(micro("r", key, list));
            }
        }
        Some(Value::List(results))
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        let reads = (0..KEYS).map(|key| micro("r", key, Value::Nil)).collect();
        vec![("final-txn", Value::List(reads))]
    }
}

#[derive(Default)]
pub(super) struct Set {
    fresh: Fresh,
    elements: BTreeSet<i64>,
}

impl Model for Set {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        match rng.random_bool(0.2) {
            true => ("read", Value::Nil),
            false => ("add", Value::Int(self.fresh.next())),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        if f == "read" {
            return Some(ints(self.elements.iter().copied()));
        }
        self.elements.extend(parts(value));
        Some(value.clone())
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        vec![("final-read", Value::Nil)]
    }
}

#[derive(Default)]
pub(super) struct Counter(i64);

impl Model for Counter {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        match rng.random_bool(0.3) {
            true => ("read", Value::Nil),
            false => ("add", Value::Int(rng.random_range(-2..6))),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        if f == "read" {
            return Some(Value::Int(self.0));
        }
        self.0 += parts(value)[0];
        Some(value.clone())
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        vec![("final-read", Value::Nil)]
    }
}

const ACCOUNTS: usize = 4;

pub(super) struct Bank([i64; ACCOUNTS]);

impl Default for Bank {
    fn default() -> Self {
        Self([TOTAL / ACCOUNTS as i64; ACCOUNTS])
    }
}

impl Model for Bank {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        let from = rng.random_range(0..4);
        let to = (from + rng.random_range(1..4)) % 4;
        match rng.random_bool(0.4) {
            true => ("read", Value::Nil),
            false => ("transfer", ints([from, to, rng.random_range(1..20)])),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        if f == "read" {
            return Some(ints(self.0));
        }
        let [from, to, amount] = parts(value)[..] else { return None };
        let [from, to] = [usize::try_from(from).ok()?, usize::try_from(to).ok()?];
        self.0[from] = Some(self.0[from] - amount).filter(|rest| *rest >= 0)?;
        self.0[to] += amount;
        Some(value.clone())
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        vec![("final-read", Value::Nil)]
    }
}

#[derive(Default)]
pub(super) struct Queue {
    fresh: Fresh,
    elements: VecDeque<i64>,
}

impl Model for Queue {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        match rng.random_bool(0.4) {
            true => ("dequeue", Value::Nil),
            false => ("enqueue", Value::Int(self.fresh.next())),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        match f {
            "dequeue" => Some(self.elements.pop_front().map_or(Value::Nil, Value::Int)),
            "drain" => Some(ints(self.elements.drain(..))),
            _ => {
                self.elements.extend(parts(value));
                Some(value.clone())
            }
        }
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        vec![("final-drain", Value::Nil)]
    }
}

#[derive(Default)]
pub(super) struct Locks {
    token: i64,
    /// The holder's token, and until when.
    held: Option<(i64, u64)>,
    stored: i64,
    /// What each process believes to hold; nobody tells it that its lease is over.
    believed: BTreeMap<u64, i64>,
}

const LEASE: u64 = 15_000_000;

impl Locks {
    fn claim(token: i64) -> Value {
        Value::List(vec![Value::Text("door".to_owned()), Value::Int(token)])
    }
}

impl Model for Locks {
    fn next(&mut self, process: u64, rng: &mut StdRng) -> (&'static str, Value) {
        match self.believed.get(&process).copied() {
            None => ("acquire", Value::Text("door".to_owned())),
            Some(token) if rng.random_bool(0.3) => {
                self.believed.remove(&process);
                ("release", Self::claim(token))
            }
            Some(token) => ("store", Self::claim(token)),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, time: u64) -> Option<Value> {
        if f == "acquire" {
            if self.held.is_some_and(|(_, until)| time < until) {
                return None;
            }
            self.token += 1;
            self.held = Some((self.token, time + LEASE));
            return Some(Self::claim(self.token));
        }
        let token = parts(value)[1];
        if f == "release" {
            self.held.take_if(|held| held.0 == token);
        } else if token < self.stored {
            return None;
        } else {
            self.stored = token;
        }
        Some(value.clone())
    }

    fn heard(&mut self, process: u64, f: &str, result: &Value) {
        if f == "acquire" {
            self.believed.insert(process, parts(result)[1]);
        }
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

#[derive(Default)]
pub(super) struct Expiring {
    fresh: Fresh,
    /// Value and deadline.
    values: BTreeMap<i64, (i64, u64)>,
}

const MILLISECOND: u64 = 1_000_000;

impl Model for Expiring {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        let key = rng.random_range(0..KEYS);
        match rng.random_bool(0.7) {
            true => ("read", Value::List(vec![Value::Int(key), Value::Nil])),
            false => ("set", ints([key, self.fresh.next(), rng.random_range(5..60)])),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, time: u64) -> Option<Value> {
        let parts = parts(value);
        if f == "set" {
            let deadline = time + parts[2].unsigned_abs() * MILLISECOND;
            self.values.insert(parts[0], (parts[1], deadline));
            return Some(value.clone());
        }
        let there = self.values.get(&parts[0]).filter(|(_, deadline)| time < *deadline);
        let seen = there.map_or(Value::Nil, |(value, deadline)| {
            ints([*value, i64::try_from((deadline - time) / MILLISECOND).unwrap_or(i64::MAX)])
        });
        Some(Value::List(vec![Value::Int(parts[0]), seen]))
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        let read = |key| ("final-read", Value::List(vec![Value::Int(key), Value::Nil]));
        (0..KEYS).map(read).collect()
    }
}

/// What matters of replicas here is that equal indexes have equal digests.
#[derive(Default)]
pub(super) struct Replicas {
    index: i64,
}

impl Model for Replicas {
    fn next(&mut self, _: u64, rng: &mut StdRng) -> (&'static str, Value) {
        match rng.random_bool(0.2) {
            true => ("digest", Value::Nil),
            false => ("write", ints([rng.random_range(0..KEYS), rng.random_range(0..9)])),
        }
    }

    fn apply(&mut self, f: &str, value: &Value, _: u64) -> Option<Value> {
        if f == "write" {
            self.index += 1;
            return Some(value.clone());
        }
        let replica = |(node, behind): (i64, i64)| {
            let index = (self.index - behind).max(0);
            let digest = Value::Text(format!("{:08x}", index * 7919));
            Value::List(vec![Value::Int(node), Value::Int(index), digest])
        };
        let behind = self.index % 3 % 2;
        Some(Value::List([(1, 0), (2, 0), (3, behind)].map(replica).to_vec()))
    }

    fn last(&self) -> Vec<(&'static str, Value)> {
        vec![("final-digest", Value::Nil)]
    }
}
