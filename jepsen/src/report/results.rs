//! `results.json`: the whole result of a run for programs, and for the text that people read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::Summary;
use super::facts::{Facts, quantile};
use super::faults::{self, Band, Cost};
use super::leadership::{Leader, Learner, leaders, learners};
use super::tally::Figures;
use crate::check::Verdict;

/// All of it.
#[derive(Serialize)]
pub struct Results<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    operations: BTreeMap<&'a str, Counts>,
    latency_ms: BTreeMap<&'a str, Latency>,
    faults: Vec<Fault<'a>>,
    faults_installed: usize,
    faults_carried_out: usize,
    faults_survived: usize,
    leader_changes: usize,
    leaders: Vec<Leader>,
    learners: Vec<Learner>,
}

/// Operations of one `f`, by outcome.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    ok: usize,
    fail: usize,
    info: usize,
}

/// Milliseconds that operations of one `f` took which ended `ok`.
#[derive(Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// A fault, and what it cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fault<'a> {
    /// Its name, such as `partition`.
    pub name: Cow<'a, str>,
    /// What it was done to, as the nemesis wrote it.
    pub targets: Cow<'a, str>,
    /// When it began,
    pub from_s: f64,
    /// and when it was undone.
    pub until_s: f64,
    /// Why it could not be installed.
    pub error: Option<Cow<'a, str>>,
    /// Why it did not do what it was to do, although it was installed.
    failed: Option<Cow<'a, str>>,
    /// Why it could not be undone.
    undone: Option<Cow<'a, str>>,
    survived: bool,
    /// The longest time without any write that ended `ok` while the fault lasted.
    pub unavailable_ms: Option<f64>,
    /// From its end to the next write that ended `ok`.
    pub recovery_ms: Option<f64>,
}

/// What of it counts beside other runs. Whatever else is in the file is of no concern, so that those
/// of other builds can be read.
#[derive(Debug, Deserialize)]
pub struct Finished {
    /// The judgement of the run.
    pub verdict: Verdict,
    /// The command that repeats it.
    pub command: String,
    /// The faults asked for.
    pub nemeses: Vec<String>,
    /// How many nodes the cluster had.
    pub nodes: u32,
    /// The seed of workload and faults.
    pub seed: u64,
    /// What was broken.
    pub faults: Vec<Fault<'static>>,
    operations: BTreeMap<String, Counts>,
    faults_survived: usize,
    leader_changes: usize,
}

impl Finished {
    /// Reads it; an error says where it is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// What the run counts for.
    pub fn figures(&self) -> Figures {
        Figures {
            operations: self.operations.values().map(Counts::all).sum(),
            faults_survived: self.faults_survived,
            leader_changes: self.leader_changes,
        }
    }
}

impl<'a> Results<'a> {
    /// Puts it together.
    pub fn new(facts: &'a Facts<'_>, summary: &'a Summary) -> Self {
        let costs = faults::costs(facts);
        let faults: Vec<Fault<'_>> =
            facts.bands.iter().zip(&costs).map(|(band, cost)| fault(band, cost)).collect();
        let counts = facts.counts().into_iter().map(|(f, counts)| (f, Counts::from(counts)));
        let latencies = facts.latencies();
        let leaders = leaders(&facts.stretches);
        Self {
            summary,
            operations: counts.collect(),
            latency_ms: latencies.iter().filter_map(|it| Some((*it.0, latency(it.1)?))).collect(),
            faults_installed: faults.iter().filter(|fault| fault.error.is_none()).count(),
            faults_carried_out: facts.bands.iter().filter(|band| band.is_carried_out()).count(),
            faults_survived: faults.iter().filter(|fault| fault.survived).count(),
            faults,
            leader_changes: leaders.len().saturating_sub(1),
            leaders,
            learners: learners(&facts.stretches),
        }
    }

    /// As it is written.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// What the run counts for beside others.
    pub fn figures(&self) -> Figures {
        Figures {
            operations: self.operations.values().map(Counts::all).sum(),
            faults_survived: self.faults_survived,
            leader_changes: self.leader_changes,
        }
    }
}

impl Counts {
    fn all(&self) -> usize {
        self.ok + self.fail + self.info
    }
}

impl From<[usize; 3]> for Counts {
    fn from([ok, fail, info]: [usize; 3]) -> Self {
        Self { ok, fail, info }
    }
}

fn latency(sorted: &[u64]) -> Option<Latency> {
    let at = |q| quantile(sorted, q).map(milliseconds);
    Some(Latency { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)?, max: at(1.0)? })
}

fn fault<'a>(band: &'a Band, cost: &Cost) -> Fault<'a> {
    Fault {
        name: Cow::Borrowed(&band.name),
        targets: Cow::Borrowed(&band.targets),
        from_s: seconds(band.from),
        until_s: seconds(band.until),
        error: band.error.as_deref().map(Cow::Borrowed),
        failed: band.failed.as_deref().map(Cow::Borrowed),
        undone: band.undone.as_deref().map(Cow::Borrowed),
        survived: cost.survived,
        unavailable_ms: cost.silence.filter(|_| band.error.is_none()).map(milliseconds),
        recovery_ms: cost.recovery.filter(|_| band.error.is_none()).map(milliseconds),
    }
}

/// To a microsecond.
fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1e3).round() / 1e3
}

/// Seconds, to a microsecond.
fn seconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1e3).round() / 1e6
}

/// How a duration is written: as seconds.
pub fn duration<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(rounded(duration))
}

/// How the durations of phases are written: by their names, in order.
pub fn phases<S: Serializer>(phases: &[(String, Duration)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(phases.iter().map(|(name, duration)| (name, rounded(duration))))
}

/// Seconds, to a millisecond.
fn rounded(duration: &Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
