//! One run: a cluster, clients at work while things break, and the judgement.
//!
//! The phases are start, load with faults, healing under load, convergence, final reads on every node
//! and digests, a clean restart, and the final reads again. What was seen until a phase failed is
//! judged all the same; the failure is one more finding.
//!
//! Invariants
//! * A run says `valid` only if every phase was passed and every checker found it so.
//! * The history is on disk, line by line, before anybody looks at it.
//! * Data directories and logs outlive the run only if it was not valid.

pub mod account;
pub mod again;
pub mod clients;
pub mod command;
mod config;
mod excuses;
pub mod finals;
pub mod mutants;
pub mod soak;
mod stage;
pub mod stop;
pub mod suite;

#[cfg(test)]
mod tests;

use crate::check::{Finding, Verdict, availability, coverage, crashes};
use crate::cluster::server::Identity;
use crate::cluster::{Cluster, Problem, Sample};
use crate::history::{History, Recorder};
use crate::nemesis::Plan;
use crate::report::tally::Figures;
use crate::report::{self, Summary};
use crate::tell;
pub use config::{Config, setting};
use stage::Stage;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long a checker may think.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The worst of the findings.
    pub verdict: Verdict,
    /// All of them.
    pub findings: Vec<Finding>,
    /// What was run.
    pub server: Identity,
    /// What it counts for beside others.
    pub figures: Figures,
    /// From start to judgement.
    pub duration: Duration,
    /// Where the report is.
    pub dir: PathBuf,
    /// What a person is told.
    pub text: String,
}

/// Why there was no run.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be, or not here.
    Impossible(String),
    /// The cluster did not start.
    Cluster(Problem),
    /// The files of the run.
    Files(io::Error),
    /// The harness itself fell over.
    Panicked,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Impossible(what) => f.write_str(what),
            Self::Cluster(problem) => write!(f, "the cluster did not start: {problem}"),
            Self::Files(error) => write!(f, "the files of the run: {error}"),
            Self::Panicked => f.write_str("the harness itself panicked"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

/// The whole run; `stop` ends it early and in order.
pub fn run(asked: &Config, stop: &AtomicBool) -> Result<Outcome, Failure> {
    let (config, skipped) = asked.possible().map_err(Failure::Impossible)?;
    skipped.iter().for_each(|what| tell::aside(format_args!("skipped: {what}")));
    let plan = config.plan().map_err(Failure::Impossible)?;
    // Asked for now: who builds meanwhile has another when the run is over.
    let server = config.target.identity();
    let mut clock = Clock::start();
    let ran = play(&config, &plan, stop, &mut clock)?;
    let findings = judge(&config, &ran);
    clock.lap("check");
    let mut summary = Summary {
        workload: config.workload.name.to_owned(),
        nemeses: config.nemeses.clone(),
        nodes: config.nodes,
        concurrency: config.all_lanes(),
        seed: Some(config.seed),
        server,
        settings: config.options().settings.into_iter().collect(),
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown),
        duration: clock.begun.elapsed(),
        phases: clock.laps,
        findings,
        skipped,
        ..Summary::new(command::of(asked))
    };
    conclude(&config, &ran, &mut summary)
}

/// How long the phases take.
struct Clock {
    begun: Instant,
    last: Instant,
    laps: Vec<(String, Duration)>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, laps: Vec::new() }
    }

    fn lap(&mut self, name: &str) {
        self.laps.push((name.to_owned(), self.last.elapsed()));
        self.last = Instant::now();
    }
}

/// What is left of the cluster when it is gone.
struct Remains {
    history: History,
    logs: Vec<(u32, String)>,
    roles: Vec<Sample>,
    /// What is to be said of the phases.
    findings: Vec<Finding>,
}

fn play(
    config: &Config,
    plan: &Plan,
    stop: &AtomicBool,
    clock: &mut Clock,
) -> Result<Remains, Failure> {
    fs::create_dir_all(&config.dir)?;
    let file = File::create(config.dir.join("history.jsonl"))?;
    let cluster = Cluster::start(config.options()).map_err(Failure::Cluster)?;
    clock.lap("setup");
    let began = Instant::now();
    let recorder = Recorder::new(BufWriter::new(file));
    let workload = (config.workload.make)();
    let stage = Stage { config, cluster: &cluster, workload: &*workload, recorder: &recorder };
    let findings = stage.play(plan, stop, clock);
    let (logs, roles) = (cluster.logs(), cluster.roles(began));
    cluster.stop();
    clock.lap("stop");
    Ok(Remains { history: recorder.finish(), logs, roles, findings })
}

/// Everything that is said of a finished run; the checkers of the workload are in its row.
fn judge(config: &Config, ran: &Remains) -> Vec<Finding> {
    let mut findings = ran.findings.clone();
    findings.extend(config.workload.check(&ran.history, PATIENCE));
    findings.push(availability::check(&ran.history, config.nodes, config.liveness));
    if config.is_talus() {
        findings.push(crashes::check(&ran.logs, &excuses::of(&config.nemeses)));
    }
    findings.push(coverage::check(&ran.history, &config.expected(&ran.roles)));
    findings
}

/// Writes the report, and throws away what nobody will look at.
fn conclude(config: &Config, ran: &Remains, summary: &mut Summary) -> Result<Outcome, Failure> {
    ran.history.write_edn(&mut BufWriter::new(File::create(config.dir.join("history.edn"))?))?;
    let figures = report::write(&config.dir, &ran.history, &ran.roles, summary)?;
    if summary.verdict == Verdict::Valid {
        let _ = fs::remove_dir_all(config.nodes_dir());
    }
    Ok(Outcome {
        verdict: summary.verdict,
        figures,
        duration: summary.duration,
        server: summary.server.clone(),
        dir: config.dir.clone(),
        text: report::text(summary, &ran.history),
        findings: std::mem::take(&mut summary.findings),
    })
}
