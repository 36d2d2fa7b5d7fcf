//! Changes of one event that make a correct history certainly wrong.
//!
//! A change is only proposed where no order of the operations could explain it, whatever the unknown
//! ones did. That is why most concern things acknowledged before the changed operation began.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::models::ints;
use crate::check::shape::named;
use crate::history::{History, Kind, Operation, Value};

/// Spoils a history, and says how.
pub(super) type Mutate = fn(&mut History, u64) -> Option<String>;

/// What could be changed: by its kind, events and their new values.
type Changes = BTreeMap<&'static str, Vec<(usize, Value)>>;

/// Each kind of change is as likely, however many events it could concern.
fn choose(history: &mut History, seed: u64, changes: Changes) -> Option<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kinds: Vec<_> = changes.into_iter().filter(|(_, all)| !all.is_empty()).collect();
    if kinds.is_empty() {
        return None;
    }
    let (kind, mut all) = kinds.swap_remove(rng.random_range(0..kinds.len()));
    let (event, value) = all.swap_remove(rng.random_range(0..all.len()));
    let was = std::mem::replace(&mut history.events[event].value, value);
    Some(format!("{kind}: event {event} was {was}, is {}", history.events[event].value))
}

/// Successful operations of a name with the index of their completion.
fn succeeded<'a>(history: &'a History, verb: &str) -> Vec<(usize, Operation<'a>)> {
    let all = named(history, verb).into_iter();
    all.filter_map(|operation| Some((operation.ok()?, operation))).collect()
}

fn items(value: &Value) -> Vec<Value> {
    if let Value::List(values) = value { values.clone() } else { Vec::new() }
}

fn number(value: &Value) -> i64 {
    if let Value::Int(number) = value { *number } else { 0 }
}

fn pair(key: &Value, value: Value) -> Value {
    Value::List(vec![key.clone(), value])
}

fn with(values: &[Value], more: Value) -> Value {
    Value::List(values.iter().cloned().chain([more]).collect())
}

fn without(values: &[Value], place: usize) -> Value {
    let mut values = values.to_vec();
    values.remove(place);
    Value::List(values)
}

/// A successful operation with its values.
struct Span {
    start: usize,
    end: usize,
    values: Vec<Value>,
}

fn spans(operations: &[(usize, Operation<'_>)]) -> Vec<Span> {
    let span = |(end, one): &(usize, Operation<'_>)| Span {
        start: one.start(),
        end: *end,
        values: items(one.value()),
    };
    operations.iter().map(span).collect()
}

/// For each successful read, keyed values that were certainly replaced before it began.
fn outdated(
    history: &History,
    write: &str,
    reads: &[(usize, Operation<'_>)],
) -> Vec<(usize, Value, Value)> {
    let writes = spans(&succeeded(history, write));
    let mut found = Vec::new();
    for read in spans(reads) {
        let key = &read.values[0];
        let before = writes.iter().filter(|one| one.end < read.start && one.values[0] == *key);
        let newest = before.clone().map(|one| one.start).max().unwrap_or(0);
        let old = before.filter(|one| one.end < newest);
        found.extend(old.map(|one| (read.end, key.clone(), one.values[1].clone())));
    }
    found
}

pub(super) fn register(history: &mut History, seed: u64) -> Option<String> {
    let reads = succeeded(history, "read");
    let mut changes = Changes::new();
    let stale = outdated(history, "write", &reads).into_iter();
    changes.insert("stale", stale.map(|(end, key, old)| (end, pair(&key, old))).collect());
    let writes = succeeded(history, "write");
    for (end, read) in &reads {
        let key = items(read.value())[0].clone();
        changes.entry("invented").or_default().push((*end, pair(&key, Value::Int(-1))));
        let written = |(ok, write): &(usize, Operation<'_>)| {
            *ok < read.start() && items(write.value())[0] == key
        };
        if writes.iter().any(written) {
            changes.entry("lost").or_default().push((*end, pair(&key, Value::Nil)));
        }
    }
    choose(history, seed, changes)
}

/// Where a transaction reads a list that is not empty: completion, place in it, key, list.
fn list_reads(history: &History) -> Vec<(usize, usize, Value, Vec<Value>)> {
    let mut found = Vec::new();
    for (end, txn) in succeeded(history, "txn") {
        for (place, micro) in items(txn.value()).iter().enumerate() {
            let words = items(micro);
            if words[0] == Value::Keyword("r".to_owned()) && words[2] != Value::Nil {
                found.push((end, place, words[1].clone(), items(&words[2])));
            }
        }
    }
    found
}

/// The elements of transactions of that outcome, by key.
fn appended(history: &History, outcome: Kind) -> BTreeSet<(Value, Value)> {
    let txns = named(history, "txn").into_iter().filter(|txn| txn.outcome() == outcome);
    let micros = txns.flat_map(|txn| items(&txn.invoked.value)).map(|micro| items(&micro));
    let appends = micros.filter(|words| words[0] == Value::Keyword("append".to_owned()));
    appends.map(|words| (words[1].clone(), words[2].clone())).collect()
}

pub(super) fn list(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    let reads = list_reads(history);
    let (acknowledged, failed) = (appended(history, Kind::Ok), appended(history, Kind::Fail));
    for (end, place, key, list) in &reads {
        let mut propose = |kind, list| {
            let mut micros = items(&history.events[*end].value);
            micros[*place] = Value::List(vec![Value::Keyword("r".to_owned()), key.clone(), list]);
            changes.entry(kind).or_default().push((*end, Value::List(micros)));
        };
        propose("repeated", with(list, list[0].clone()));
        propose("invented", with(list, Value::Int(-1)));
        if let Some((_, element)) = failed.iter().find(|(of, _)| of == key) {
            propose("aborted", with(list, element.clone()));
        }
        let last = list.len() - 1;
        let seen_elsewhere = |other: &(usize, usize, Value, Vec<Value>)| {
            other.0 != *end && other.2 == *key && other.3.starts_with(list)
        };
        if last > 0 && reads.iter().any(seen_elsewhere) {
            let mut reordered = list.clone();
            reordered.swap(last - 1, last);
            propose("reordered", Value::List(reordered));
        }
        let is_final = history.events[*end].f == "final-txn";
        if is_final && acknowledged.contains(&(key.clone(), list[last].clone())) {
            propose("lost", without(list, last));
        }
    }
    choose(history, seed, changes)
}

pub(super) fn set(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    let adds = succeeded(history, "add").into_iter().map(|(ok, add)| (add.value(), ok));
    let adds: BTreeMap<_, _> = adds.collect();
    for (end, read) in succeeded(history, "read") {
        let seen = items(read.value());
        let mut propose = |kind, value| changes.entry(kind).or_default().push((end, value));
        propose("unexpected", with(&seen, Value::Int(-1)));
        for (place, element) in seen.iter().enumerate() {
            if adds.get(element).is_some_and(|ok| *ok < read.start()) {
                propose(if read.is_final() { "lost" } else { "stale" }, without(&seen, place));
            }
            propose("duplicated", with(&seen, element.clone()));
        }
    }
    choose(history, seed, changes)
}

pub(super) fn counter(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    let adds = named(history, "add");
    let reach = |unknown: bool| -> i64 {
        let some = adds.iter().filter(|add| !unknown || add.outcome() == Kind::Info);
        some.map(|add| number(&add.invoked.value).abs()).sum()
    };
    for (end, read) in succeeded(history, "read") {
        let value = number(read.value());
        let too_much = value + 1 + 2 * reach(read.is_final());
        let kind = if read.is_final() { "miscounted" } else { "out of bounds" };
        changes.entry(kind).or_default().push((end, Value::Int(too_much)));
    }
    choose(history, seed, changes)
}

pub(super) fn bank(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    for (end, read) in succeeded(history, "read") {
        let balances: Vec<i64> = items(read.value()).iter().map(number).collect();
        let [first, second, rest @ ..] = &balances[..] else { continue };
        let but = |first, second| ints([first, second].into_iter().chain(rest.iter().copied()));
        changes.entry("total").or_default().push((end, but(first + 1, *second)));
        changes.entry("negative").or_default().push((end, but(-1, second + first + 1)));
    }
    choose(history, seed, changes)
}

pub(super) fn queue(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    let mut taken = succeeded(history, "dequeue");
    let unknown =
        named(history, "dequeue").iter().filter(|one| one.outcome() == Kind::Info).count();
    taken.retain(|(_, dequeue)| *dequeue.value() != Value::Nil);
    for (place, (end, _)) in taken.iter().enumerate() {
        changes.entry("unexpected").or_default().push((*end, Value::Int(-1)));
        let other = taken[(place + 1) % taken.len()].1.value();
        if taken.len() > 1 {
            changes.entry("duplicated").or_default().push((*end, other.clone()));
        }
    }
    let enqueues = succeeded(history, "enqueue");
    let spans = enqueues.iter().map(|(ok, one)| (one.value(), (one.start(), *ok)));
    let spans: BTreeMap<_, _> = spans.collect();
    for (end, drain) in succeeded(history, "drain") {
        let all = items(drain.value());
        let (certain, doubtful): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|element| spans.contains_key(element));
        if let Some((_, rest)) = certain.split_at_checked(unknown + 1) {
            let rest = rest.iter().chain(&doubtful).cloned().collect();
            changes.entry("lost").or_default().push((end, Value::List(rest)));
        }
        for place in 1..all.len() {
            let (first, second) = (spans.get(&all[place - 1]), spans.get(&all[place]));
            if matches!((first, second), (Some(first), Some(second)) if first.1 < second.0) {
                let mut swapped = all.clone();
                swapped.swap(place - 1, place);
                changes.entry("overtaken").or_default().push((end, Value::List(swapped)));
            }
        }
    }
    choose(history, seed, changes)
}

pub(super) fn lock(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    for (verb, kind, less) in [("acquire", "repeated", 0), ("store", "unfenced", 1)] {
        let claims = succeeded(history, verb);
        for (end, claim) in &claims {
            let before = claims.iter().filter(|(ok, _)| *ok < claim.start());
            let claim = items(claim.value());
            changes.entry(kind).or_default().extend(before.map(|(_, earlier)| {
                let token = number(&items(earlier.value())[1]) - less;
                (*end, pair(&claim[0], Value::Int(token)))
            }));
        }
    }
    choose(history, seed, changes)
}

pub(super) fn ttl(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    let reads = succeeded(history, "read");
    let alive = |value: &Value| Value::List(vec![value.clone(), Value::Int(1)]);
    let stale = outdated(history, "set", &reads).into_iter();
    changes.insert("stale", stale.map(|(end, key, old)| (end, pair(&key, alive(&old)))).collect());
    let sets = spans(&succeeded(history, "set"));
    let reads = spans(&reads);
    for read in &reads {
        let key = &read.values[0];
        let mut propose = |kind, value: &Value| {
            changes.entry(kind).or_default().push((read.end, pair(key, alive(value))));
        };
        propose("unexpected", &Value::Int(-1));
        let before = reads.iter().filter(|other| other.end < read.start && other.values[0] == *key);
        let absent = before.filter(|other| other.values[1] == Value::Nil);
        let Some(absent) = absent.max_by_key(|other| other.start) else { continue };
        let gone = sets.iter().filter(|set| set.end < absent.start && set.values[0] == *key);
        gone.for_each(|set| propose("resurrected", &set.values[1]));
    }
    choose(history, seed, changes)
}

pub(super) fn digest(history: &mut History, seed: u64) -> Option<String> {
    let mut changes = Changes::new();
    for (end, digest) in succeeded(history, "digest") {
        let mut replicas = items(digest.value());
        let mut first = items(&replicas[0]);
        first[2] = Value::Text("bad".to_owned());
        replicas[0] = Value::List(first);
        changes.entry("diverged").or_default().push((end, Value::List(replicas)));
    }
    choose(history, seed, changes)
}
