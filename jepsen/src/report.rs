//! Reports: a run so drawn and told that a person sees in ten seconds what happened.
//!
//! [`write()`] leaves `timeline.html`, `latency.svg`, `rate.svg`, `roles.svg` and `results.json` in
//! the run's directory; [`text()`] is for the terminal. They are functions of what they are given: the
//! same history gives the same bytes. Each file appears whole or not at all.
//!
//! Operations that a checker accuses are marked: those whose events stand in the details of an
//! `invalid` finding, at any depth, as the number under a key `event` or `index`, or in a list under
//! a key `events` or `indexes`.

mod chart;
mod facts;
mod faults;
mod latency;
mod leadership;
mod markup;
mod rate;
mod results;
mod roles;
mod scale;
pub mod table;
pub mod tabulate;
pub mod tally;
#[cfg(test)]
mod tests;
mod text;
mod timeline;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use serde::Serialize;

use self::tally::Figures;
pub use self::text::text;
use crate::check::{Finding, Verdict};
use crate::cluster::Sample;
use crate::cluster::server::Identity;
use crate::history::History;

/// What a run was and what came out of it, beside its history.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The judgement of the whole run.
    pub verdict: Verdict,
    /// The command that repeats it.
    pub command: String,
    /// The workload, such as `append`.
    pub workload: String,
    /// The faults asked for.
    pub nemeses: Vec<String>,
    /// How many nodes the cluster had; 0 if unknown.
    pub nodes: u32,
    /// Clients at a time; 0 if unknown, as for a history from elsewhere.
    pub concurrency: u64,
    /// The seed of workload and faults, if it is known.
    pub seed: Option<u64>,
    /// The server that ran.
    #[serde(flatten)]
    pub server: Identity,
    /// The settings it was given.
    pub settings: BTreeMap<String, String>,
    /// How long all of it took.
    #[serde(rename = "duration_s", serialize_with = "results::duration")]
    pub duration: Duration,
    /// How long its parts took, in order, such as `setup`, `load`, `final`, `check`.
    #[serde(rename = "phases_s", serialize_with = "results::phases")]
    pub phases: Vec<(String, Duration)>,
    /// What each checker found.
    pub findings: Vec<Finding>,
    /// What was asked for and could not be done here.
    pub skipped: Vec<String>,
    /// What the verdict does not cover, and why.
    pub unjudged: Vec<String>,
}

impl Summary {
    /// A run of which nothing is known yet but that it is not decided.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            command: command.into(),
            workload: String::new(),
            nemeses: Vec::new(),
            nodes: 0,
            concurrency: 0,
            seed: None,
            server: Identity::default(),
            settings: BTreeMap::new(),
            duration: Duration::ZERO,
            phases: Vec::new(),
            findings: Vec::new(),
            skipped: Vec::new(),
            unjudged: Vec::new(),
        }
    }

    /// Which run it is, in one line, as far as that is known.
    fn title(&self) -> String {
        let workload = if self.workload.is_empty() { "history" } else { &self.workload };
        let mut parts = vec![match (self.nemeses.is_empty(), self.seed) {
            (false, _) => format!("{workload} × {}", self.nemeses.join(",")),
            (true, Some(_)) => format!("{workload} × no faults"),
            (true, None) => workload.to_owned(),
        }];
        parts.extend((self.nodes > 0).then(|| format!("{} nodes", self.nodes)));
        parts.extend(self.seed.map(|seed| format!("seed {seed}")));
        if !self.duration.is_zero() {
            let duration = u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX);
            parts.push(scale::span(duration));
        }
        let server = self.server.to_string();
        parts.extend((!server.is_empty()).then_some(server));
        parts.join(" · ")
    }

    /// Findings, those that decide first.
    fn worst_first(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.verdict), finding.checker));
        findings
    }
}

/// Writes all files of a run into a directory, which is made if it is not there. What the run counts
/// for.
pub fn write(
    dir: &Path,
    history: &History,
    roles: &[Sample],
    summary: &Summary,
) -> io::Result<Figures> {
    fs::create_dir_all(dir)?;
    let facts = facts::Facts::new(history, roles, summary);
    let run = format!("{} · {}", verdict(summary.verdict).to_uppercase(), summary.title());
    let results = results::Results::new(&facts, summary);
    save(dir, "results.json", &results.json().map_err(io::Error::other)?)?;
    save(dir, "latency.svg", &latency::draw(&facts, &run))?;
    save(dir, "rate.svg", &rate::draw(&facts, &run))?;
    save(dir, "roles.svg", &roles::draw(&facts, summary.nodes, &run))?;
    save(dir, "timeline.html", &timeline::draw(&facts, summary))?;
    Ok(results.figures())
}

/// How a verdict is written.
fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Unknown => "unknown",
        Verdict::Invalid => "invalid",
    }
}

/// Writes a file under another name first, so that nobody reads half of it.
fn save(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let whole = dir.join(name);
    let partial = dir.join(format!("{name}.partial"));
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, &whole)).inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}
