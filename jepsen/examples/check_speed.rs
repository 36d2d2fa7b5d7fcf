//! How long do the two heavy checkers take on histories of the sizes that runs have?
//!
//! `cargo run --release --example check_speed` builds histories of simulated correct stores, and
//! some with one wrong read near the end, and prints for each the time and the verdict.

use std::time::{Duration, Instant};

use jepsen::check::{Finding, elle, wgl};
use jepsen::history::{Event, History, Kind, Process, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PATIENCE: Duration = Duration::from_secs(60);

/// A store: it changes itself and answers.
trait Store {
    /// A random operation: its `f` and value.
    fn invent(&mut self, random: &mut StdRng) -> (&'static str, Value);
    /// Carries it out; `None` if it fails.
    fn apply(&mut self, f: &str, value: &Value) -> Option<Value>;
}

/// One in flight.
struct Open {
    process: u64,
    f: &'static str,
    value: Value,
    outcome: Option<(Kind, Value)>,
}

/// A history in which `processes` clients work at all times; of 1000 operations `unknown` end so.
fn simulate(store: &mut impl Store, operations: usize, processes: u64, unknown: u32) -> History {
    let random = &mut StdRng::seed_from_u64(7);
    let (mut events, mut open) = (Vec::new(), Vec::<Open>::new());
    let (mut idle, mut last): (Vec<u64>, u64) = ((0..processes).collect(), processes);
    let mut begun = 0;
    while begun < operations || !open.is_empty() {
        if begun < operations && !idle.is_empty() && (open.is_empty() || random.random()) {
            begun += 1;
            let process = idle.swap_remove(random.random_range(0..idle.len()));
            let (f, value) = store.invent(random);
            push(&mut events, Kind::Invoke, process, f, value.clone());
            open.push(Open { process, f, value, outcome: None });
            continue;
        }
        let at = random.random_range(0..open.len());
        if open[at].outcome.is_none() {
            let Open { f, value, .. } = &open[at];
            let failed = (Kind::Fail, value.clone());
            let done = store.apply(f, value).map_or(failed, |result| (Kind::Ok, result));
            let lost = random.random_ratio(unknown, 1000);
            open[at].outcome = Some(if lost { (Kind::Info, value.clone()) } else { done });
            continue;
        }
        let Open { process, f, outcome: Some((kind, value)), .. } = open.swap_remove(at) else {
            continue;
        };
        push(&mut events, kind, process, f, value);
        last += u64::from(kind == Kind::Info);
        idle.push(if kind == Kind::Info { last } else { process });
    }
    History { events }
}

fn push(events: &mut Vec<Event>, kind: Kind, process: u64, f: &str, value: Value) {
    let index = events.len();
    events.push(Event {
        index,
        kind,
        process: Process::Client(process),
        time: index as u64 * 1000,
        f: f.to_owned(),
        value,
        error: None,
        node: Some(process as u32 % 5 + 1),
    });
}

/// Registers that are given up for new ones after `turnover` operations each, on average.
struct Registers {
    held: Vec<Value>,
    live: usize,
    turnover: usize,
    begun: usize,
    /// Values below this, or each value once.
    values: Option<i64>,
}

impl Store for Registers {
    fn invent(&mut self, random: &mut StdRng) -> (&'static str, Value) {
        self.begun += 1;
        let first = self.begun / (self.turnover * self.live) * self.live;
        let key = first + random.random_range(0..self.live);
        let unique = self.begun as i64;
        let mut value = || Value::Int(self.values.map_or(unique, |v| random.random_range(0..v)));
        let (old, new) = (value(), value());
        let (f, argument) = match random.random_range(0..3) {
            0 => ("read", Value::Nil),
            1 => ("write", new),
            _ => ("cas", Value::List(vec![old, new])),
        };
        (f, Value::List(vec![Value::Int(key as i64), argument]))
    }

    fn apply(&mut self, f: &str, value: &Value) -> Option<Value> {
        let Value::List(pair) = value else { return None };
        let [Value::Int(key), argument] = pair.as_slice() else { return None };
        let place = *key as usize;
        self.held.resize(self.held.len().max(place + 1), Value::Nil);
        let held = &mut self.held[place];
        match (f, argument) {
            ("read", _) => return Some(Value::List(vec![Value::Int(*key), held.clone()])),
            ("cas", Value::List(change)) if change[0] == *held => *held = change[1].clone(),
            ("write", new) => *held = new.clone(),
            _ => return None,
        }
        Some(value.clone())
    }
}

/// Lists, `live` at a time, each given up for a new one after 128 appends.
struct Lists {
    held: Vec<Vec<Value>>,
    live: usize,
    appended: Vec<i64>,
    applied: usize,
    /// After so many transactions half of the last hundred appends of each list are lost, and a
    /// tenth of the reads are old.
    failover: usize,
}

impl Store for Lists {
    fn invent(&mut self, random: &mut StdRng) -> (&'static str, Value) {
        let micros = random.random_range(1..=4);
        let micro = |_| {
            let slot = random.random_range(0..self.live);
            let element = self.appended[slot];
            let key = Value::Int(element / 128 * self.live as i64 + slot as i64);
            if random.random() {
                return Value::List(vec![Value::Keyword("r".into()), key, Value::Nil]);
            }
            self.appended[slot] += 1;
            Value::List(vec![Value::Keyword("append".into()), key, Value::Int(element)])
        };
        ("txn", Value::List((0..micros).map(micro).collect()))
    }

    fn apply(&mut self, _: &str, value: &Value) -> Option<Value> {
        let Value::List(micros) = value else { return None };
        self.applied += 1;
        if self.applied.is_multiple_of(self.failover) {
            for list in &mut self.held {
                list.truncate(list.len() - list.len() % 100 / 2);
            }
        }
        micros.iter().map(|micro| self.step(micro)).collect::<Option<_>>().map(Value::List)
    }
}

impl Lists {
    fn step(&mut self, micro: &Value) -> Option<Value> {
        let Value::List(parts) = micro else { return None };
        let [verb, Value::Int(key), argument] = parts.as_slice() else { return None };
        let place = *key as usize;
        self.held.resize(self.held.len().max(place + 1), Vec::new());
        let seen = match argument {
            Value::Nil if self.held[place].is_empty() => Value::Nil,
            Value::Nil if self.failover < usize::MAX && self.applied.is_multiple_of(10) => {
                Value::List(self.held[place][..self.held[place].len() / 2].to_vec())
            }
            Value::Nil => Value::List(self.held[place].clone()),
            element => {
                self.held[place].push(element.clone());
                element.clone()
            }
        };
        Some(Value::List(vec![verb.clone(), Value::Int(*key), seen]))
    }
}

/// Changes what the last read but `skip` saw: a register to a value that is gone or never was, a
/// list to one without its last element.
fn spoil(mut history: History, skip: usize) -> History {
    let done = history.events.iter_mut().rev().filter(|event| event.kind == Kind::Ok);
    match done.filter_map(seen).nth(skip) {
        Some(Value::List(elements)) => drop(elements.pop()),
        Some(Value::Int(value)) => *value -= 1,
        _ => {}
    }
    history
}

/// What the operation saw, if it is a read of a register, or has one of a list that is not short.
fn seen(event: &mut Event) -> Option<&mut Value> {
    let Value::List(parts) = &mut event.value else { return None };
    match event.f.as_str() {
        "read" => parts.last_mut(),
        "txn" => parts.iter_mut().find_map(elements),
        _ => None,
    }
}

fn elements(micro: &mut Value) -> Option<&mut Value> {
    let Value::List(parts) = micro else { return None };
    let long = matches!(&parts[2], Value::List(elements) if elements.len() > 3);
    long.then(|| &mut parts[2])
}

fn time(name: &str, history: &History, check: fn(&History, Duration) -> Finding) {
    let start = Instant::now();
    let finding = check(history, PATIENCE);
    let took = start.elapsed();
    let summary = finding.summary.lines().next().unwrap_or_default();
    println!("{took:>9.1?}  {:?}  {name}: {summary}", finding.verdict);
}

fn registers(live: usize, turnover: usize, values: Option<i64>) -> Registers {
    Registers { held: Vec::new(), live, turnover, begun: 0, values }
}

fn main() {
    for (name, values) in [("5 values", Some(5)), ("unique values", None)] {
        let many = simulate(&mut registers(10, 300, values), 100_000, 10, 0);
        time(&format!("100 k operations, 300 a key, {name}"), &many, wgl::check);
        time("the same, one read changed", &spoil(many, 1000), wgl::check);
        let unsure = simulate(&mut registers(10, 300, values), 100_000, 10, 20);
        time("the same, 2 % unknown", &unsure, wgl::check);
        time("the same, one read changed", &spoil(unsure, 1000), wgl::check);
        let one = simulate(&mut registers(1, 1 << 30, values), 5_000, 10, 0);
        time(&format!("5 k operations on one key, {name}"), &one, wgl::check);
        time("the same, one read changed", &spoil(one, 100), wgl::check);
    }
    let bad = simulate(&mut registers(10, 300, Some(5)), 100_000, 10, 200);
    time("100 k operations, 20 % unknown", &bad, wgl::check);
    time("the same, one read changed", &spoil(bad, 1000), wgl::check);
    for operations in [10_000, 100_000] {
        let history = simulate(&mut lists(usize::MAX), operations, 10, 10);
        time(&format!("{operations} transactions"), &history, elle::check);
        time("the same, one read stale", &spoil(history.clone(), 100), elle::check);
        time("the same, an early read stale", &spoil(history, operations / 2), elle::check);
        let bad = simulate(&mut lists(500), operations, 10, 10);
        time("as many, of a store that loses and is stale", &bad, elle::check);
    }
}

fn lists(failover: usize) -> Lists {
    Lists { held: Vec::new(), live: 12, appended: vec![0; 12], applied: 0, failover }
}
