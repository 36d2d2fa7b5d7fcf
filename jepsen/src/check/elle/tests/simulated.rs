//! Stores of known isolation, and what one changed read does to a verdict.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::super::log::{Log, Micro};
use super::{PATIENCE, check, types};
use crate::check::Verdict;
use crate::check::scripted::{Script, cases, list};
use crate::history::{History, Kind, Value};

const LISTS: usize = 5;
const PROCESSES: u64 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    /// A transaction happens at once.
    StrictSerializable,
    /// It reads as of its beginning, and fails if a list that it appends to has changed since.
    Snapshot,
    /// Each read sees what is committed when it is done.
    ReadCommitted,
}

type Lists = [Vec<Value>; LISTS];

/// A transaction in flight.
struct Open {
    process: u64,
    steps: Vec<(usize, Option<i64>)>,
    /// What the steps done so far saw.
    seen: Vec<Value>,
    began: Option<Lists>,
    /// Its result, once it is over.
    outcome: Option<Kind>,
}

impl Open {
    fn append_all(&self, lists: &mut Lists) {
        for &(key, element) in &self.steps {
            lists[key].extend(element.map(Value::Int));
        }
    }

    /// What step `number` sees, of `lists` and the transaction's own appends.
    fn sees(&self, number: usize, lists: &Lists) -> Value {
        let (key, element) = self.steps[number];
        let own =
            self.steps[..number].iter().filter(|step| step.0 == key).filter_map(|step| step.1);
        let read = || list(lists[key].iter().cloned().chain(own.map(Value::Int)));
        element.map_or_else(read, Value::Int)
    }

    fn value(&self, kind: Kind) -> Value {
        list(self.steps.iter().enumerate().map(|(number, &(key, element))| {
            let verb = if element.is_some() { "append" } else { "r" };
            let seen = match element {
                None if kind == Kind::Ok => self.seen[number].clone(),
                None => Value::Nil,
                Some(element) => Value::Int(element),
            };
            list([Value::Keyword(verb.into()), Value::Int(key as i64), seen])
        }))
    }
}

struct Simulation {
    isolation: Isolation,
    random: StdRng,
    script: Script,
    lists: Lists,
    idle: Vec<u64>,
    open: Vec<Open>,
    /// Given up by their clients, but perhaps still to take effect.
    lost: Vec<Open>,
    processes: u64,
    elements: i64,
}

impl Simulation {
    fn run(isolation: Isolation, seed: u64) -> History {
        let mut simulation = Self {
            isolation,
            random: StdRng::seed_from_u64(seed),
            script: Script::default(),
            lists: Lists::default(),
            idle: (0..PROCESSES).collect(),
            open: Vec::new(),
            lost: Vec::new(),
            processes: PROCESSES,
            elements: 0,
        };
        (0..800).for_each(|_| simulation.step());
        while !simulation.open.is_empty() {
            simulation.proceed();
        }
        simulation.read_all();
        simulation.script.history
    }

    fn step(&mut self) {
        if let Some(late) = self.lost.pop_if(|_| self.random.random_bool(0.1)) {
            late.append_all(&mut self.lists);
        }
        if self.open.is_empty() || !self.idle.is_empty() && self.random.random_bool(0.3) {
            self.invoke();
        } else {
            self.proceed();
        }
    }

    fn invoke(&mut self) {
        let process = self.idle.swap_remove(self.random.random_range(0..self.idle.len()));
        let count = self.random.random_range(1..=4);
        let steps = (0..count).map(|_| {
            self.elements += 1;
            let append = self.random.random_bool(0.5).then_some(self.elements);
            (self.random.random_range(0..LISTS), append)
        });
        let steps = steps.collect();
        let open = Open { process, steps, seen: Vec::new(), began: None, outcome: None };
        self.script.event(process, Kind::Invoke, "txn", open.value(Kind::Invoke));
        self.open.push(open);
    }

    /// One of those in flight does its next step, or completes.
    fn proceed(&mut self) {
        let place = self.random.random_range(0..self.open.len());
        let open = &mut self.open[place];
        let gives_up = self.random.random_bool(0.01);
        if gives_up || open.outcome.is_some() {
            return self.complete(place, gives_up);
        }
        let began = open.began.get_or_insert_with(|| self.lists.clone());
        let began =
            if self.isolation == Isolation::Snapshot { began.clone() } else { self.lists.clone() };
        let steps =
            if self.isolation == Isolation::StrictSerializable { open.steps.len() } else { 1 };
        for number in (0..open.steps.len()).skip(open.seen.len()).take(steps) {
            let seen = open.sees(number, &began);
            open.seen.push(seen);
        }
        if open.seen.len() == open.steps.len() {
            let conflict = |(key, element): &(usize, Option<i64>)| {
                element.is_some() && self.lists[*key].len() != began[*key].len()
            };
            let refused = open.steps.iter().any(conflict) || self.random.random_bool(0.05);
            open.outcome = Some(if refused { Kind::Fail } else { Kind::Ok });
            if !refused {
                open.append_all(&mut self.lists);
            }
        }
    }

    fn complete(&mut self, place: usize, gives_up: bool) {
        let open = self.open.swap_remove(place);
        self.processes += u64::from(gives_up);
        self.idle.push(if gives_up { self.processes } else { open.process });
        let kind = open.outcome.filter(|_| !gives_up).unwrap_or(Kind::Info);
        self.script.event(open.process, kind, "txn", open.value(kind));
        if open.outcome.is_none() && self.isolation == Isolation::StrictSerializable {
            self.lost.push(open);
        }
    }

    fn read_all(&mut self) {
        let steps = (0..LISTS).map(|key| (key, None)).collect();
        let process = self.processes + 1;
        let mut open = Open { process, steps, seen: Vec::new(), began: None, outcome: None };
        open.seen = (0..LISTS).map(|key| open.sees(key, &self.lists)).collect();
        self.script.event(process, Kind::Invoke, "final-txn", open.value(Kind::Invoke));
        self.script.event(process, Kind::Ok, "final-txn", open.value(Kind::Ok));
    }
}

/// A read that is the only step of its transaction on its list: which completion, which step, which
/// list, what it saw.
#[derive(Debug, Clone)]
struct Read {
    event: usize,
    id: usize,
    step: usize,
    key: u32,
    seen: Vec<Value>,
}

fn reads(log: &Log<'_>) -> Vec<Read> {
    let mut reads = Vec::new();
    for (id, transaction) in log.transactions.iter().enumerate() {
        let key = |micro: &Micro<'_>| match *micro {
            Micro::Append(key, _) | Micro::Read(key, _) => key,
        };
        for (step, micro) in transaction.micros.iter().enumerate() {
            let alone = transaction.micros.iter().filter(|m| key(m) == key(micro)).count() == 1;
            if let (Micro::Read(key, seen), true) = (micro, alone) {
                let event = transaction.operation.ended().unwrap();
                reads.push(Read { event, id, step, key: *key, seen: seen.to_vec() });
            }
        }
    }
    reads
}

/// The history with `read` having seen something else.
fn tampered(history: &History, read: &Read, seen: Vec<Value>) -> History {
    let mut history = history.clone();
    let Value::List(micros) = &mut history.events[read.event].value else { panic!() };
    let Value::List(micro) = &mut micros[read.step] else { panic!() };
    micro[2] = Value::List(seen);
    history
}

/// Whether another transaction read more of the list than `length`.
fn others_saw(reads: &[Read], read: &Read, length: usize) -> bool {
    reads.iter().any(|other| {
        (other.key, other.id != read.id) == (read.key, true) && other.seen.len() > length
    })
}

/// Changes one read as `change` tells and judges: the types of anomaly found.
fn judge_changed(
    seed: u64,
    change: impl Fn(&mut StdRng, &Log<'_>, &[Read], &Read) -> Option<Vec<Value>>,
) -> Vec<String> {
    let random = &mut StdRng::seed_from_u64(!seed);
    let history = Simulation::run(Isolation::StrictSerializable, seed);
    let log = Log::read(&history).unwrap();
    let reads = reads(&log);
    let changed = reads.iter().filter_map(|read| Some((read, change(random, &log, &reads, read)?)));
    let changed: Vec<_> = changed.collect();
    let (read, seen) = changed.choose(random).unwrap();
    let finding = check(&tampered(&history, read, seen.clone()), PATIENCE);
    assert_eq!(finding.verdict, Verdict::Invalid, "{read:?} changed to {seen:?}");
    types(&finding)
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn a_strictly_serializable_store_is_valid(seed: u64) {
        let finding = check(&Simulation::run(Isolation::StrictSerializable, seed), PATIENCE);
        prop_assert_eq!(finding.verdict, Verdict::Valid, "{}", finding.summary);
    }

    #[test]
    fn an_element_dropped_from_a_read_is_found(seed: u64) {
        let types = judge_changed(seed, |random, _, reads, read| {
            let place = random.random_range(0..read.seen.len().max(2) - 1);
            let told = read.seen.len() > 1 && others_saw(reads, read, place);
            let mut seen = read.seen.clone();
            told.then(|| drop(seen.remove(place))).map(|()| seen)
        });
        prop_assert!(types.contains(&"incompatible-order".to_owned()), "{:?}", types);
    }

    #[test]
    fn two_elements_swapped_in_a_read_are_found(seed: u64) {
        let types = judge_changed(seed, |random, _, reads, read| {
            let place = random.random_range(0..read.seen.len().max(2) - 1);
            let told = read.seen.len() > 1 && others_saw(reads, read, place);
            let mut seen = read.seen.clone();
            told.then(|| seen.swap(place, place + 1)).map(|()| seen)
        });
        prop_assert!(types.contains(&"incompatible-order".to_owned()), "{:?}", types);
    }

    /// Without its last element, whose append had completed before the read began.
    #[test]
    fn a_stale_read_is_found(seed: u64) {
        let types = judge_changed(seed, |_, log, _, read| {
            let operation = |id: usize| &log.transactions[id].operation;
            let appended = |(key, element): (u32, &Value)| {
                key == read.key && Some(element) == read.seen.last()
            };
            let writer = log.transactions.iter().position(|t| t.appends().any(appended))?;
            let ended = operation(writer).ended()?;
            let stale = ended < operation(read.id).invoked.index;
            stale.then(|| read.seen[..read.seen.len() - 1].to_vec())
        });
        prop_assert!(types.iter().any(|name| name.starts_with("G-single")), "{:?}", types);
    }

    #[test]
    fn a_read_of_what_failed_is_found(seed: u64) {
        let types = judge_changed(seed, |_, log, _, read| {
            let failed = log.transactions.iter().filter(|t| t.outcome == Kind::Fail);
            let mut appends = failed.flat_map(|transaction| transaction.appends());
            let (_, element) = appends.find(|(key, _)| *key == read.key)?;
            Some(read.seen.iter().chain([element]).cloned().collect())
        });
        prop_assert!(types.contains(&"G1a".to_owned()), "{:?}", types);
    }

    /// Every cycle that snapshot isolation allows has two rw dependencies in a row; real time too,
    /// as a snapshot is of the transaction's beginning.
    #[test]
    fn snapshot_isolation_has_write_skew_and_nothing_stronger(seed: u64) {
        let types = types(&check(&Simulation::run(Isolation::Snapshot, seed), PATIENCE));
        prop_assert!(types.iter().all(|name| name.starts_with("G2-item")), "{:?}", types);
    }

    #[test]
    fn read_committed_has_read_skew_and_lost_updates_too(seed: u64) {
        let types = types(&check(&Simulation::run(Isolation::ReadCommitted, seed), PATIENCE));
        let forbidden = ["G0", "G1", "garbage-read", "duplicate-elements", "dirty-update"];
        let is_allowed = |name: &String| !forbidden.iter().any(|prefix| name.starts_with(prefix));
        prop_assert!(types.iter().all(is_allowed), "{:?}", types);
    }
}

/// Of 20 histories of a store most show what its isolation allows.
#[test]
fn weaker_stores_are_found_to_be_weaker() {
    let shown = |isolation, name: &str| {
        let histories = (0..20).map(|seed| Simulation::run(isolation, seed));
        let found = histories.map(|history| types(&check(&history, PATIENCE)));
        found.filter(|types| types.iter().any(|found| found == name)).count()
    };
    assert!(shown(Isolation::Snapshot, "G2-item") > 10);
    assert!(shown(Isolation::ReadCommitted, "G-single") > 10);
    assert!(shown(Isolation::ReadCommitted, "lost-update") > 2);
}
