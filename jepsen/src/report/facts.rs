//! What all pictures and figures are taken from: a history and samples, read once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::Summary;
use super::faults::{self, Band};
use super::leadership::{self, Stretch};
use crate::check::{Finding, Verdict};
use crate::cluster::Sample;
use crate::history::{Event, History, Kind, Operation, Process, Value};

/// Outcomes, in the order in which they are counted and drawn.
pub const OUTCOMES: [Kind; 3] = [Kind::Ok, Kind::Fail, Kind::Info];

/// More threads than this are not looked for in a history that does not tell.
const THREADS_MAX: u64 = 10_000;

/// A history and what follows from it.
pub struct Facts<'a> {
    /// Operations of clients, by invocation.
    pub operations: Vec<Operation<'a>>,
    /// Faults, by their beginning.
    pub bands: Vec<Band>,
    /// What each node said over time, by node and then by time.
    pub stretches: Vec<Stretch>,
    /// The time of the latest event; at least a millisecond, so that it can be divided by.
    pub end: u64,
    /// Indexes of the events that the findings which are `invalid` accuse.
    pub accused: BTreeSet<usize>,
    /// Clients at a time: process `p` is the thread `p % threads`.
    pub threads: u64,
}

impl<'a> Facts<'a> {
    /// Reads a history; the run lasted at least until the last sample.
    pub fn new(history: &'a History, samples: &[Sample], summary: &Summary) -> Self {
        let threads =
            if summary.concurrency == 0 { threads_of(history) } else { summary.concurrency };
        let times = history.events.iter().map(|event| event.time);
        let end = times.chain(samples.iter().map(|it| it.time)).fold(1_000_000, u64::max);
        let bands = faults::bands(history, end);
        let accused = accused(&summary.findings, history.events.len());
        let stretches = leadership::stretches(samples, end);
        Self { operations: history.operations(), bands, stretches, end, accused, threads }
    }

    /// The names of what clients did, in order.
    pub fn functions(&self) -> Vec<&'a str> {
        let names: BTreeSet<&str> =
            self.operations.iter().map(|it| it.invoked.f.as_str()).collect();
        names.into_iter().collect()
    }

    /// Until when the operation lasted; if it never completed, until the end.
    pub fn until(&self, operation: &Operation<'_>) -> u64 {
        operation.completed.map_or(self.end, |event| event.time).max(operation.invoked.time)
    }

    /// How long the operation lasted.
    pub fn lasted(&self, operation: &Operation<'_>) -> u64 {
        self.until(operation) - operation.invoked.time
    }

    /// The thread of an operation's process, which the process that began it is named like.
    pub fn thread(&self, operation: &Operation<'_>) -> u64 {
        match operation.invoked.process {
            Process::Client(process) => process % self.threads,
            Process::Nemesis => 0,
        }
    }

    /// Whether a finding accuses the operation.
    pub fn is_accused(&self, operation: &Operation<'_>) -> bool {
        let completed = operation.completed.is_some_and(|it| self.accused.contains(&it.index));
        completed || self.accused.contains(&operation.invoked.index)
    }

    /// How many operations ended how: by `f`, in the order of [`OUTCOMES`].
    pub fn counts(&self) -> BTreeMap<&'a str, [usize; 3]> {
        let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for operation in &self.operations {
            counts.entry(&operation.invoked.f).or_default()[place(operation.outcome())] += 1;
        }
        counts
    }

    /// How long operations that ended `ok` lasted, by `f`, sorted.
    pub fn latencies(&self) -> BTreeMap<&'a str, Vec<u64>> {
        let mut latencies: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for operation in self.operations.iter().filter(|it| it.outcome() == Kind::Ok) {
            latencies.entry(&operation.invoked.f).or_default().push(self.lasted(operation));
        }
        latencies.values_mut().for_each(|times| times.sort_unstable());
        latencies
    }
}

/// The place of an outcome in [`OUTCOMES`].
pub fn place(outcome: Kind) -> usize {
    OUTCOMES.iter().position(|it| *it == outcome).unwrap_or(OUTCOMES.len() - 1)
}

/// How an outcome is written, in text and as a class.
pub fn word(outcome: Kind) -> &'static str {
    ["ok", "fail", "info"][place(outcome)]
}

/// The smallest value that a share `q` of all does not exceed.
pub fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Whether an operation changes what is stored, so that it needs a leader and a majority.
pub fn writes(invoked: &Event) -> bool {
    match invoked.f.strip_prefix("final-").unwrap_or(&invoked.f) {
        "read" | "digest" => false,
        "txn" => appends(&invoked.value),
        _ => true,
    }
}

fn appends(txn: &Value) -> bool {
    let Value::List(steps) = txn else { return false };
    steps.iter().any(|step| match step {
        Value::List(step) => step.first().is_some_and(|f| *f != Value::Keyword("r".to_string())),
        _ => false,
    })
}

/// How many clients worked at a time: the smallest number for which each later process follows one
/// that had ended in `info` before, since that is how a process gets its successor.
fn threads_of(history: &History) -> u64 {
    let (mut begun, mut retired) = (BTreeMap::new(), BTreeMap::new());
    for event in &history.events {
        let Process::Client(process) = event.process else { continue };
        begun.entry(process).or_insert(event.index);
        if event.kind == Kind::Info {
            retired.insert(process, event.index);
        }
    }
    let most = begun.keys().next_back().map_or(1, |last| last.saturating_add(1));
    let follows = |process: u64, threads: u64| {
        retired.get(&(process - threads)).is_some_and(|end| *end < begun[&process])
    };
    let fits =
        |threads: &u64| begun.range(*threads..).all(|(process, _)| follows(*process, *threads));
    (1..=most.min(THREADS_MAX)).find(fits).unwrap_or(most)
}

/// The indexes of events in the details of findings that are `invalid`, under the keys that the head
/// of `report` names.
fn accused(findings: &[Finding], events: usize) -> BTreeSet<usize> {
    let mut indexes = BTreeSet::new();
    for finding in findings.iter().filter(|finding| finding.verdict == Verdict::Invalid) {
        collect(&finding.details, &mut indexes);
    }
    indexes.retain(|index| *index < events);
    indexes
}

fn collect(json: &Json, indexes: &mut BTreeSet<usize>) {
    let number = |json: &Json| json.as_u64().and_then(|index| usize::try_from(index).ok());
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect(item, indexes)),
        Json::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("event" | "index", Json::Number(_)) => indexes.extend(number(value)),
                    ("events" | "indexes", Json::Array(items)) => {
                        indexes.extend(items.iter().filter_map(number));
                        collect(value, indexes);
                    }
                    _ => collect(value, indexes),
                }
            }
        }
        _ => {}
    }
}
