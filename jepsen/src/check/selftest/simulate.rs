//! A correct system, simulated: clients of a store that does one thing at a time.
//!
//! Each operation takes effect at one moment between its invocation and its completion. Of an unknown
//! one nobody hears the result: it may have taken effect before, may do so long after, or never; its
//! process is not used again. A failed one never takes effect. A *crash* makes all open operations
//! unknown at once. Everything follows from the seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{models, mutate};
use crate::history::{Event, History, Kind, Process, Value};

/// What is simulated, who judges it, and how its history is spoilt.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) checker: &'static str,
    pub(super) model: fn() -> Box<dyn Model>,
    pub(super) mutate: mutate::Mutate,
}

pub(super) const WORKLOADS: &[Workload] = &[
    workload("register", "wgl", || Box::new(models::Registers::default()), mutate::register),
    workload("append", "elle", || Box::new(models::Lists::default()), mutate::list),
    workload("set", "set", || Box::new(models::Set::default()), mutate::set),
    workload("counter", "counter", || Box::new(models::Counter::default()), mutate::counter),
    workload("bank", "bank", || Box::new(models::Bank::default()), mutate::bank),
    workload("queue", "queue", || Box::new(models::Queue::default()), mutate::queue),
    workload("lock", "lock", || Box::new(models::Locks::default()), mutate::lock),
    workload("ttl", "ttl", || Box::new(models::Expiring::default()), mutate::ttl),
    workload("verify", "digests", || Box::new(models::Replicas::default()), mutate::digest),
];

const fn workload(
    name: &'static str,
    checker: &'static str,
    model: fn() -> Box<dyn Model>,
    mutate: mutate::Mutate,
) -> Workload {
    Workload { name, checker, model, mutate }
}

/// A store and what its clients ask of it.
pub(super) trait Model {
    /// What a client does next.
    fn next(&mut self, process: u64, rng: &mut StdRng) -> (&'static str, Value);
    /// The one moment of an operation: its result, or `None` if it is refused without an effect.
    fn apply(&mut self, f: &str, value: &Value, time: u64) -> Option<Value>;
    /// A client hears the result.
    fn heard(&mut self, _process: u64, _f: &str, _result: &Value) {}
    /// What is asked in the end.
    fn last(&self) -> Vec<(&'static str, Value)>;
}

const CLIENTS: u64 = 5;
const OPERATIONS: usize = 300;
const NODES: u64 = 3;
const MILLISECOND: u64 = 1_000_000;

/// The history of a correct system.
pub(super) fn run(workload: &Workload, seed: u64) -> History {
    let mut world = World {
        rng: StdRng::seed_from_u64(seed),
        model: (workload.model)(),
        agenda: BinaryHeap::new(),
        open: Vec::new(),
        history: History::default(),
        now: 0,
    };
    (0..CLIENTS).for_each(|client| world.plan(client, Step::Invoke(client)));
    world.crash_sometimes();
    while let Some(Reverse((time, _, step))) = world.agenda.pop() {
        world.now = time;
        world.go(step);
    }
    world.finish();
    world.history
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A process begins an operation.
    Invoke(u64),
    /// An operation takes effect.
    Effect(usize),
    /// An operation ends for its client.
    Complete(usize, Ending),
    /// All open operations become unknown.
    Crash,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// As the effect was.
    Answered,
    /// Certainly without an effect.
    Failed,
    /// The client does not know.
    Unknown,
}

struct Open {
    process: u64,
    f: &'static str,
    value: Value,
    /// The result, from the effect on; inside, `None` if it was refused.
    result: Option<Option<Value>>,
    completed: bool,
}

struct World {
    rng: StdRng,
    model: Box<dyn Model>,
    /// By time, then by the order in which they were planned.
    agenda: BinaryHeap<Reverse<(u64, u64, Step)>>,
    open: Vec<Open>,
    history: History,
    now: u64,
}

impl World {
    fn plan(&mut self, delay: u64, step: Step) {
        let order = self.rng.random();
        self.agenda.push(Reverse((self.now + delay, order, step)));
    }

    /// Mostly short, sometimes long.
    fn latency(&mut self) -> u64 {
        let slow = if self.rng.random_bool(0.1) { 20 } else { 2 };
        self.rng.random_range(1..slow * MILLISECOND)
    }

    fn crash_sometimes(&mut self) {
        for _ in 0..self.rng.random_range(0..3) {
            let at = self.rng.random_range(1..400 * MILLISECOND);
            self.plan(at, Step::Crash);
        }
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Invoke(process) => {
                if self.open.len() < OPERATIONS {
                    let (f, value) = self.model.next(process, &mut self.rng);
                    self.invoke(process, f, value);
                }
            }
            Step::Effect(at) => {
                let Open { f, value, .. } = &self.open[at];
                self.open[at].result = Some(self.model.apply(f, value, self.now));
            }
            Step::Complete(at, ending) => self.complete(at, ending),
            Step::Crash => {
                let open = (0..self.open.len()).filter(|at| !self.open[*at].completed);
                open.collect::<Vec<_>>().into_iter().for_each(|at| {
                    self.complete(at, Ending::Unknown);
                });
            }
        }
    }

    fn invoke(&mut self, process: u64, f: &'static str, value: Value) {
        self.record(Kind::Invoke, process, f, value.clone());
        let at = self.open.len();
        self.open.push(Open { process, f, value, result: None, completed: false });
        let (before, after) = (self.latency(), self.latency());
        match self.rng.random_range(0..100) {
            0..94 => {
                self.plan(before, Step::Effect(at));
                self.plan(before + after, Step::Complete(at, Ending::Answered));
            }
            94..97 => self.plan(before, Step::Complete(at, Ending::Failed)),
            97 => self.plan(before, Step::Complete(at, Ending::Unknown)),
            _ => {
                let late = self.rng.random_range(1..30) * before;
                self.plan(late, Step::Effect(at));
                self.plan(before, Step::Complete(at, Ending::Unknown));
            }
        }
    }

    fn complete(&mut self, at: usize, ending: Ending) {
        let open = &mut self.open[at];
        if std::mem::replace(&mut open.completed, true) {
            return;
        }
        let (process, f) = (open.process, open.f);
        let (kind, value) = match (ending, open.result.clone().flatten()) {
            (Ending::Unknown, _) => (Kind::Info, open.value.clone()),
            (Ending::Answered, Some(result)) => (Kind::Ok, result),
            (Ending::Answered | Ending::Failed, _) => (Kind::Fail, open.value.clone()),
        };
        if kind == Kind::Ok {
            self.model.heard(process, f, &value);
        }
        self.record(kind, process, f, value);
        let again = if kind == Kind::Info { process + CLIENTS } else { process };
        let pause = self.latency();
        self.plan(pause, Step::Invoke(again));
    }

    /// What is asked in the end is answered at once: all effects have happened.
    fn finish(&mut self) {
        let process = 1_000_000;
        for (f, value) in self.model.last() {
            self.now += MILLISECOND;
            self.record(Kind::Invoke, process, f, value.clone());
            let result = self.model.apply(crate::check::shape::verb(f), &value, self.now);
            self.record(Kind::Ok, process, f, result.unwrap_or(value));
        }
    }

    fn record(&mut self, kind: Kind, process: u64, f: &str, value: Value) {
        let node = u32::try_from(process % NODES + 1).ok();
        self.history.events.push(Event {
            index: self.history.events.len(),
            kind,
            process: Process::Client(process),
            time: self.now,
            f: f.to_owned(),
            value,
            error: None,
            node,
        });
    }
}
