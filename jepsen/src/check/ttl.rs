//! Keys with a deadline: gone at that time, for everybody and for good.
//!
//! Talus lets the log's clock decide what has expired, so that no two nodes and no skewed clock can
//! disagree. Each `set` writes a value of its own, so a read tells which `set` it saw.
//!
//! * `unexpected`: a value that nobody had begun to set, or whose `set` certainly failed.
//! * `resurrected`: seen again by a read that began after another had found the key absent, on any
//!   node, although that value was certainly set before both.
//! * `stale`: seen again after a later value was seen, or after a later `set` was acknowledged.
//! * `early`, `late`: absent before, or visible after its deadline, by more than [`ERROR_MAX_MS`].
//! * `remaining`: a remaining time above the one it was set with, or none at all.
//!
//! Deadlines are only judged while clocks are left alone: log time follows the leader's clock, and
//! once that has jumped forward it stays ahead. The rest must hold under any clock.

use std::collections::{BTreeMap, HashMap};

use super::shape::{self, Odd};
use super::{Case, Finding, faults};
use crate::history::{Event, History, Operation, Value};

/// So much later or earlier than its deadline a key may go, in milliseconds.
pub const ERROR_MAX_MS: i64 = 1000;

/// Checks operations `set` and `read`.
pub fn check(history: &History) -> Finding {
    Case::run("ttl", |case| {
        let keys = keys(history)?;
        let mut errors = Errors::default();
        for key in keys.values() {
            key.known(case);
            key.order(case);
            key.deadlines(&mut errors);
        }
        let clocks = faults::of(history).iter().any(|fault| fault.name == "clock");
        errors.report(clocks, case);
        let reads = keys.values().map(|key| key.reads.len()).sum::<usize>();
        if reads == 0 {
            case.doubt("no read succeeded");
        }
        case.figure("keys", keys.len());
        case.figure("reads", reads);
        let expiries = keys.values().map(Key::expiries).sum::<usize>();
        if expiries == 0 {
            case.doubt("no key was seen to have expired");
        }
        case.figure("expiries", expiries);
        Ok(())
    })
}

struct Set<'a> {
    operation: Operation<'a>,
    value: &'a Value,
    lifetime_ms: i64,
}

impl Set<'_> {
    fn possible(&self) -> bool {
        self.operation.possible()
    }

    /// Milliseconds from its beginning and from its certain end on in which the deadline lies.
    fn deadline(&self) -> (i64, Option<i64>) {
        let from = millis(self.operation.invoked) + self.lifetime_ms;
        (from, self.operation.done().map(|done| millis(done) + self.lifetime_ms))
    }
}

struct Read<'a> {
    invoked: &'a Event,
    completed: &'a Event,
    /// The value and the remaining time, if the key was there.
    seen: Option<(&'a Value, i64)>,
}

/// Sets and reads are in the order of their invocations.
#[derive(Default)]
struct Key<'a> {
    name: Option<&'a Value>,
    sets: Vec<Set<'a>>,
    places: HashMap<&'a Value, usize>,
    reads: Vec<Read<'a>>,
    sightings: HashMap<&'a Value, Sightings>,
}

/// When a value was seen.
struct Sightings {
    /// The first completion of a read that saw it.
    first: usize,
    /// The last read that did, by its place.
    last: usize,
}

/// Rounded down, which is far below what is judged.
fn millis(event: &Event) -> i64 {
    i64::try_from(event.time / 1_000_000).unwrap_or(i64::MAX / 2)
}

fn keys(history: &History) -> Result<BTreeMap<&Value, Key<'_>>, Odd> {
    let mut keys: BTreeMap<&Value, Key<'_>> = BTreeMap::new();
    for set in shape::named(history, "set") {
        let [name, value, lifetime] = shape::tuple(&set, &set.invoked.value)?;
        let lifetime_ms = shape::int(&set, lifetime)?;
        let key = keys.entry(name).or_default();
        key.name = Some(name);
        if key.places.insert(value, key.sets.len()).is_some() {
            return Err(shape::odd(&set, &format!("{value} is not unique for its key")));
        }
        key.sets.push(Set { operation: set, value, lifetime_ms });
    }
    for read in shape::named(history, "read") {
        let Some(completed) = read.done() else { continue };
        let [name, seen] = shape::tuple(&read, &completed.value)?;
        let seen = match seen {
            Value::Nil => None,
            seen => {
                let [value, remaining] = shape::tuple(&read, seen)?;
                Some((value, shape::int(&read, remaining)?))
            }
        };
        let key = keys.entry(name).or_default();
        key.name = Some(name);
        if let Some((value, _)) = seen {
            let (end, last) = (completed.index, key.reads.len());
            let sightings = key.sightings.entry(value).or_insert(Sightings { first: end, last });
            *sightings = Sightings { first: sightings.first.min(end), last };
        }
        key.reads.push(Read { invoked: read.invoked, completed, seen });
    }
    Ok(keys)
}

impl<'a> Key<'a> {
    fn name(&self) -> &Value {
        self.name.unwrap_or(&Value::Nil)
    }

    fn seen(&self, read: &Read<'_>) -> Option<(&Set<'a>, i64)> {
        let (value, remaining) = read.seen?;
        Some((&self.sets[*self.places.get(value)?], remaining))
    }

    /// What is seen was set.
    fn known(&self, case: &mut Case) {
        for read in &self.reads {
            let Some((value, remaining)) = read.seen else { continue };
            let (key, end) = (self.name(), read.completed.index);
            let Some((set, _)) = self.seen(read) else {
                let what = format!("key {key} had {value} in the read at {end}; nobody set it");
                case.accuse("unexpected", &[end], what);
                continue;
            };
            let start = set.operation.start();
            if !set.possible() || start > end {
                let what = format!(
                    "key {key} had {value} in the read at {end}, but its set at {start} {}",
                    if start > end { "began later" } else { "failed" }
                );
                case.accuse("unexpected", &[start, end], what);
            }
            if !(0..=set.lifetime_ms).contains(&remaining) {
                let what = format!(
                    "key {key}, set at {start} for {} ms, had {remaining} ms left at {end}",
                    set.lifetime_ms
                );
                case.accuse("remaining", &[start, end], what);
            }
        }
    }

    /// What was gone or replaced does not come back.
    fn order(&self, case: &mut Case) {
        for set in &self.sets {
            let Some(sightings) = self.sightings.get(set.value) else { continue };
            let known = set.operation.ok().map_or(sightings.first, |ok| ok.min(sightings.first));
            let last = &self.reads[sightings.last];
            let again = last.invoked.index;
            let sees = |read: &Read<'_>| read.seen.is_some_and(|(value, _)| value == set.value);
            let between = self.reads_after(known).iter();
            let mut between = between.take_while(|read| read.invoked.index < again);
            let other = between.find(|read| read.completed.index < again && !sees(read));
            if let Some(other) = other {
                let name = if other.seen.is_some() { "stale" } else { "resurrected" };
                let found = other.seen.map_or(&Value::Nil, |(value, _)| value);
                self.accuse(name, (set, known), (found, other.completed.index), last, case);
            } else if let Some((by, ok)) = self.replaced(set, again) {
                self.accuse("stale", (set, known), (by.value, ok), last, case);
            }
        }
    }

    fn reads_after(&self, index: usize) -> &[Read<'a>] {
        &self.reads[self.reads.partition_point(|read| read.invoked.index <= index)..]
    }

    /// A set that certainly came after that one and before an index, and its completion.
    fn replaced(&self, set: &Set<'_>, before: usize) -> Option<(&Set<'a>, usize)> {
        let ok = set.operation.ok()?;
        let later = self.sets.partition_point(|by| by.operation.start() <= ok);
        let later = self.sets[later..].iter().take_while(|by| by.operation.start() < before);
        let mut done = later.filter_map(|by| Some((by, by.operation.ok()?)));
        done.find(|(_, ok)| *ok < before)
    }

    fn accuse(
        &self,
        name: &'static str,
        (set, known): (&Set<'_>, usize),
        (other, at): (&Value, usize),
        last: &Read<'_>,
        case: &mut Case,
    ) {
        let (key, value, start) = (self.name(), set.value, set.operation.start());
        let end = last.completed.index;
        let what = format!(
            "key {key}: {value}, set at {start}, was there at {known}; at {at} it was {other}; the \
             read at {}, {end} has {value} again",
            last.invoked.index
        );
        case.accuse(name, &[start, known, at, last.invoked.index, end], what);
    }

    /// How far from its deadline a key was absent or visible at best.
    fn deadlines(&self, errors: &mut Errors) {
        for read in &self.reads {
            let (from, to) = (millis(read.invoked), millis(read.completed));
            match self.seen(read) {
                Some((set, remaining)) => {
                    let (earliest, latest) = set.deadline();
                    let late = latest.map_or(0, |latest| from - latest).max(0);
                    let drawn = latest.map_or(0, |latest| from + remaining - latest).max(0);
                    errors.note("late", late.max(drawn), self, set, read);
                    errors.note("early", (earliest - to - remaining).max(0), self, set, read);
                }
                None if read.seen.is_none() => {
                    if let Some((set, early)) = self.absent(read) {
                        errors.note("early", early, self, set, read);
                    }
                }
                None => {}
            }
        }
    }

    /// The set whose expiry explains best why a read found nothing, and by how much it was early;
    /// `None` if perhaps nothing had been set yet.
    fn absent(&self, read: &Read<'_>) -> Option<(&Set<'a>, i64)> {
        let (start, end) = (read.invoked.index, read.completed.index);
        let done = self.sets.iter().filter(|set| set.operation.ok().is_some_and(|ok| ok < start));
        let newest = done.map(|set| set.operation.start()).max()?;
        let begun = |set: &&Set<'_>| set.possible() && set.operation.start() < end;
        let replaced = |set: &Set<'_>| set.operation.ok().is_some_and(|ok| ok < newest);
        let last = self.sets.iter().filter(begun).filter(|set| !replaced(set));
        let early = last.map(|set| (set, (set.deadline().0 - millis(read.completed)).max(0)));
        early.min_by_key(|(_, early)| *early)
    }

    /// How many of its values were certainly seen to have gone.
    fn expiries(&self) -> usize {
        let gone = |set: &&Set<'_>| {
            let known = set.operation.ok();
            known
                .is_some_and(|known| self.reads_after(known).iter().any(|read| read.seen.is_none()))
        };
        self.sets.iter().filter(gone).count()
    }
}

/// Errors of deadlines in milliseconds, and those that are too large.
#[derive(Default)]
struct Errors {
    largest: BTreeMap<&'static str, i64>,
    broken: Vec<(&'static str, [usize; 3], String)>,
}

impl Errors {
    fn note(
        &mut self,
        name: &'static str,
        error_ms: i64,
        key: &Key<'_>,
        set: &Set<'_>,
        read: &Read<'_>,
    ) {
        let largest = self.largest.entry(name).or_default();
        *largest = error_ms.max(*largest);
        if error_ms > ERROR_MAX_MS {
            let events = [set.operation.start(), read.invoked.index, read.completed.index];
            let seen = read.seen.map_or("absent".to_owned(), |(value, left)| {
                format!("{value} with {left} ms left")
            });
            let what = format!(
                "key {}, set to {} at {} for {} ms, is {seen} in the read at {}, {}: {error_ms} ms \
                 {name}",
                key.name(),
                set.value,
                events[0],
                set.lifetime_ms,
                events[1],
                events[2]
            );
            self.broken.push((name, events, what));
        }
    }

    fn report(self, clocks: bool, case: &mut Case) {
        for (name, largest) in self.largest {
            case.figure(&format!("{name}_max_ms"), largest);
        }
        case.figure("deadlines_judged", !clocks);
        if !clocks {
            for (name, events, what) in self.broken {
                case.accuse(name, &events, what);
            }
        }
    }
}
