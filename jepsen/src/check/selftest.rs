//! The checkers are checked: what must pass passes, what must fail fails.
//!
//! * Golden histories, `histories/CHECKER-VERDICT-what.edn`: small, with one anomaly or none.
//! * Recorded histories of servers with known bugs, trimmed.
//! * Simulated correct systems, seeded, must always pass.
//! * The same histories with one event changed so that it certainly is an anomaly must always fail.

use std::time::Duration;

use super::{
    Finding, Verdict, availability, bank, counter, coverage, digests, elle, lock, queue, set, ttl,
    wgl,
};
use crate::history::History;
use crate::workload::bank::TOTAL;

mod golden;
mod models;
mod mutate;
mod recorded;
mod simulate;

/// Checkers that judge a history, by the name that golden histories carry.
const CHECKERS: &[(&str, Check)] = &[
    ("set", set::check),
    ("counter", counter::check),
    ("bank", |history| bank::check(history, TOTAL)),
    ("queue", queue::check),
    ("lock", lock::check),
    ("ttl", ttl::check),
    ("digests", digests::check),
    ("availability", |history| availability::check(history, golden::NODES, false)),
    ("liveness", |history| availability::check(history, golden::NODES, true)),
    ("coverage", |history| coverage::check(history, &golden::expected())),
    ("installs", |history| coverage::check(history, &golden::expected_installs())),
    ("elections", |history| coverage::check(history, &golden::expected_elections())),
    ("wgl", |history| wgl::check(history, PATIENCE)),
    ("elle", |history| elle::check(history, PATIENCE)),
];

/// Every history here is small; more means that a checker hangs.
const PATIENCE: Duration = Duration::from_secs(30);

type Check = fn(&History) -> Finding;

/// So many seeds of each simulation are run.
const SEEDS: u64 = 20;

/// What became of one test.
#[derive(Debug)]
pub struct Outcome {
    /// The test: a golden history's file name, or a simulation and its seed.
    pub name: String,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// Runs all tests of the checkers.
pub fn selftest() -> Vec<Outcome> {
    let mut outcomes = golden::all();
    outcomes.extend(recorded::all());
    for workload in simulate::WORKLOADS {
        let Some(check) = checker(workload.checker) else { continue };
        for seed in 0..SEEDS {
            outcomes.push(passes(workload, seed, check));
            outcomes.push(fails(workload, seed, check));
        }
    }
    outcomes
}

fn checker(name: &str) -> Option<Check> {
    CHECKERS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
}

fn passes(workload: &simulate::Workload, seed: u64, check: Check) -> Outcome {
    let finding = check(&simulate::run(workload, seed));
    let name = format!("{} simulated, seed {seed}", workload.name);
    Outcome { name, failure: differs(&finding, Verdict::Valid) }
}

/// A history in which there is nothing to change proves nothing, so that is a failure too.
fn fails(workload: &simulate::Workload, seed: u64, check: Check) -> Outcome {
    let mut history = simulate::run(workload, seed);
    let name = format!("{} mutated, seed {seed}", workload.name);
    let failure = match (workload.mutate)(&mut history, seed) {
        None => Some("nothing could be changed".to_owned()),
        Some(change) => differs(&check(&history), Verdict::Invalid)
            .map(|difference| format!("{change}: {difference}")),
    };
    Outcome { name, failure }
}

fn differs(finding: &Finding, wanted: Verdict) -> Option<String> {
    let Finding { verdict, summary, .. } = finding;
    (*verdict != wanted).then(|| format!("{verdict:?} instead of {wanted:?}: {summary}"))
}

#[cfg(test)]
mod tests;
