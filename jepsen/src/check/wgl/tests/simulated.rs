//! Registers that are linearizable by construction, and what happens to a verdict if one event of
//! their history is changed.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::{PATIENCE, check, list};
use crate::check::Verdict;
use crate::check::scripted::{Script, cases};
use crate::history::{History, Kind, Operation, Value};

/// What clients do, and how often it goes wrong.
struct Setting {
    operations: usize,
    keys: i64,
    processes: u64,
    /// Values below this, or each value once.
    values: Option<i64>,
    /// Of 300 steps of operations those at which a client gives up.
    unknown: u32,
}

/// An operation in flight.
struct Open {
    process: u64,
    f: &'static str,
    key: i64,
    arguments: [i64; 2],
    /// The completion's kind and value, once it took effect or did not.
    outcome: Option<(Kind, Value)>,
}

impl Open {
    /// Takes effect now.
    fn apply(&self, registers: &mut HashMap<i64, i64>) -> (Kind, Value) {
        let held = registers.get(&self.key).copied();
        let [first, second] = self.arguments;
        match self.f {
            "read" => {
                let seen = held.map_or(Value::Nil, Value::Int);
                return (Kind::Ok, list([Value::Int(self.key), seen]));
            }
            "cas" if held != Some(first) => return (Kind::Fail, self.value()),
            "cas" => registers.insert(self.key, second),
            _ => registers.insert(self.key, first),
        };
        (Kind::Ok, self.value())
    }

    fn value(&self) -> Value {
        let [first, second] = self.arguments.map(Value::Int);
        let argument = match self.f {
            "read" => Value::Nil,
            "cas" => list([first, second]),
            _ => first,
        };
        list([Value::Int(self.key), argument])
    }
}

struct Simulation<'s> {
    setting: &'s Setting,
    random: StdRng,
    script: Script,
    registers: HashMap<i64, i64>,
    idle: Vec<u64>,
    open: Vec<Open>,
    /// Given up by their clients, but perhaps still to take effect.
    lost: Vec<Open>,
    processes: u64,
    written: i64,
}

impl<'s> Simulation<'s> {
    fn run(setting: &'s Setting, seed: u64) -> History {
        let mut simulation = Self {
            setting,
            random: StdRng::seed_from_u64(seed),
            script: Script::default(),
            registers: HashMap::new(),
            idle: (0..setting.processes).collect(),
            open: Vec::new(),
            lost: Vec::new(),
            processes: setting.processes,
            written: 0,
        };
        (0..setting.operations * 3).for_each(|_| simulation.step());
        simulation.script.history
    }

    fn step(&mut self) {
        let late = self.lost.pop_if(|_| self.random.random_ratio(1, 20));
        late.map(|late| late.apply(&mut self.registers));
        if self.open.is_empty() || !self.idle.is_empty() && self.random.random_ratio(1, 3) {
            return self.invoke();
        }
        let gives_up = self.random.random_ratio(self.setting.unknown, 300);
        let place = self.random.random_range(0..self.open.len());
        if gives_up || self.open[place].outcome.is_some() {
            return self.complete(place, gives_up);
        }
        let open = &mut self.open[place];
        open.outcome = Some(open.apply(&mut self.registers));
    }

    fn invoke(&mut self) {
        let process = self.idle.swap_remove(self.random.random_range(0..self.idle.len()));
        let open = Open {
            process,
            f: ["read", "write", "cas"].choose(&mut self.random).unwrap(),
            key: self.random.random_range(0..self.setting.keys),
            arguments: [self.value(), self.value()],
            outcome: None,
        };
        self.script.event(process, Kind::Invoke, open.f, open.value());
        self.open.push(open);
    }

    fn value(&mut self) -> i64 {
        self.written += 1;
        self.setting.values.map_or(self.written, |values| self.random.random_range(1..=values))
    }

    fn complete(&mut self, place: usize, gives_up: bool) {
        let open = self.open.swap_remove(place);
        self.processes += u64::from(gives_up);
        self.idle.push(if gives_up { self.processes } else { open.process });
        match open.outcome.clone().filter(|_| !gives_up) {
            Some((kind, value)) => self.script.event(open.process, kind, open.f, value),
            None => self.script.event(open.process, Kind::Info, open.f, open.value()),
        }
        if open.outcome.is_none() {
            self.lost.push(open);
        }
    }
}

fn setting(kind: u8) -> Setting {
    let few = Setting { operations: 300, keys: 4, processes: 5, values: Some(4), unknown: 4 };
    match kind {
        0 => few,
        1 => Setting { values: None, unknown: 10, ..few },
        2 => Setting { operations: 1500, keys: 1, processes: 10, values: None, unknown: 0 },
        _ => Setting { operations: 1500, keys: 1, processes: 10, values: Some(5), unknown: 0 },
    }
}

/// Replaces what the read that completed with event `index` saw.
fn tamper(history: &mut History, index: usize, seen: Value) {
    let Value::List(pair) = &mut history.events[index].value else { panic!() };
    pair[1] = seen;
}

/// A read and a value that was certainly replaced before it began; each value is written once.
fn stale(operations: &[Operation<'_>]) -> Option<(usize, Value)> {
    let known = |f: &'static str| {
        let done = move |o: &&Operation<'_>| o.outcome() == Kind::Ok && o.invoked.f == f;
        operations.iter().filter(done)
    };
    known("read").rev().find_map(|read| {
        let key = |operation: &Operation<'_>| pair(operation).0;
        let before = |end: usize| {
            known("write").filter(move |w| w.ended() < Some(end) && key(w) == key(read))
        };
        let last = before(read.invoked.index).next_back()?;
        let replaced = before(last.invoked.index).next_back()?;
        Some((read.ended()?, pair(replaced).1))
    })
}

fn pair(operation: &Operation<'_>) -> (Value, Value) {
    let Value::List(pair) = operation.value() else { panic!() };
    (pair[0].clone(), pair[1].clone())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_linearizable_register_is_valid(kind in 0_u8..4, seed: u64) {
        let finding = check(&Simulation::run(&setting(kind), seed), PATIENCE);
        prop_assert_eq!(finding.verdict, Verdict::Valid, "{}", finding.summary);
    }

    #[test]
    fn a_value_that_was_never_written_is_found(kind in 0_u8..4, seed: u64) {
        let mut history = Simulation::run(&setting(kind), seed);
        let reads = history.operations().into_iter();
        let mut reads = reads.filter(|o| o.outcome() == Kind::Ok && o.invoked.f == "read");
        let index = reads.next_back().unwrap().ended().unwrap();
        tamper(&mut history, index, Value::Int(-1));
        prop_assert_eq!(check(&history, PATIENCE).verdict, Verdict::Invalid);
    }

    #[test]
    fn a_stale_read_is_found(kind in 1_u8..3, seed: u64) {
        let mut history = Simulation::run(&setting(kind), seed);
        let (index, seen) = stale(&history.operations()).unwrap();
        tamper(&mut history, index, seen);
        prop_assert_eq!(check(&history, PATIENCE).verdict, Verdict::Invalid);
    }
}
