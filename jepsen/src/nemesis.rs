//! Whoever breaks things: faults, planned from a seed and carried out on a cluster.
//!
//! A [`Plan`] says which [`Fault`] begins and ends when, and on whom; it is data and knows of no
//! cluster. [`conduct`] carries it out, each fault in a thread of its own, and records what happened
//! as `start-NAME` and `stop-NAME`, with the targets as their value. What could not be done is
//! recorded too, with the reason, and everything else goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::cluster::means::Means;
use crate::cluster::{Cluster, Disk, Mode};
use crate::history::{Kind, Process, Recorder, Value};

mod ballast;
mod disks;
mod draw;
mod effect;
mod fault;
mod links;
mod members;
mod plan;
mod processes;
mod snapshots;

pub use effect::{Effect, Until, install};
pub use fault::{Churn, Clock, Damage, Fault, Partition, Snapshots, Who, listed};
pub use plan::{Plan, Step};

/// Names of all faults.
pub fn names() -> &'static [&'static str] {
    &fault::NAMES
}

/// Names of all faults, and what they do, for people.
pub fn kinds() -> &'static [(&'static str, &'static str)] {
    &fault::KINDS
}

/// What a cluster must have so that faults can be done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// What the machine must have.
    pub means: BTreeSet<Means>,
    /// Settings without which a fault shows nothing.
    pub settings: Vec<(String, String)>,
}

impl Needs {
    /// What its nodes keep their data on.
    pub fn disk(&self) -> Disk {
        if self.means.contains(&Means::Disks) { Disk::Ext4 } else { Disk::Plain }
    }

    /// Whether their clocks can be moved.
    pub fn clock(&self) -> bool {
        self.means.contains(&Means::Clocks)
    }

    /// What this machine lacks for the faults, beside what every cluster needs.
    pub fn lacks(&self, mode: Mode) -> Vec<String> {
        self.means.iter().flat_map(|means| means.lacks(mode)).collect()
    }
}

/// What of a machine the fault needs.
fn means(fault: &str) -> Option<Means> {
    match fault {
        "power" | "disk-full" => Some(Means::Disks),
        "clock" => Some(Means::Clocks),
        "cpu" => Some(Means::Shares),
        "fsync-error" | "slow-fsync" => Some(Means::Traces),
        "delay" => Some(Means::Queues),
        _ => None,
    }
}

/// What a cluster must have for these faults.
pub fn requires(faults: &[String]) -> Needs {
    /// A log that soon needs another file, and is soon gone.
    const SHORT_LOG: [(&str, &str); 4] = [
        ("raft.log_segment_bytes", "1mb"),
        ("raft.log_keep_bytes", "1mb"),
        ("raft.snapshot_log_bytes", "1mb"),
        ("raft.log_cache_bytes", "256kb"),
    ];
    /// Snapshots take their time.
    const SLOW_SNAPSHOTS: [(&str, &str); 1] = [("raft.snapshot_bytes_per_s", "1mb")];
    let any = |names: &[&str]| faults.iter().any(|fault| names.contains(&fault.as_str()));
    let settings = match (any(&["snapshot"]), any(&["disk-full"])) {
        (true, _) => [&SHORT_LOG[..], &SLOW_SNAPSHOTS].concat(),
        (false, true) => SHORT_LOG.to_vec(),
        (false, false) => Vec::new(),
    };
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Needs {
        means: faults.iter().filter_map(|fault| means(fault)).collect(),
        settings: settings.iter().map(owned).collect(),
    }
}

/// Carries out the plan, and returns when all its faults have ended. If `stop` becomes true, those
/// that last are undone, and no others begin.
pub fn conduct(cluster: &Cluster, plan: &Plan, recorder: &Recorder, stop: &AtomicBool) {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for step in &plan.steps {
            let until = Until { end: begun + step.start, stop };
            until.wait();
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let until = Until { end: begun + step.end, stop };
            scope.spawn(move || carry_out(cluster, &step.fault, recorder, &until));
        }
    });
}

fn carry_out(cluster: &Cluster, fault: &Fault, recorder: &Recorder, until: &Until<'_>) {
    let record = |verb: &str, value: Value, error: Option<String>| {
        let f = format!("{verb}-{}", fault.name());
        recorder.record(Kind::Info, Process::Nemesis, &f, value, error, None);
    };
    match install(fault, cluster) {
        Ok(effect) => {
            let on = effect.on().clone();
            record("start", on.clone(), None);
            let outcome = effect.last(until);
            record("stop", on, outcome.err());
        }
        Err(problem) => {
            record("start", Value::Nil, Some(problem.to_string()));
            record("stop", Value::Nil, None);
        }
    }
}
