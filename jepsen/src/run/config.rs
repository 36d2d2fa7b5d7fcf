//! What a run shall be, and what of it is possible here.

use crate::check::coverage;
use crate::client::seat::Service;
use crate::cluster::{Mode, Options, Sample, Target, lacks_root};
use crate::nemesis::{self, Plan};
use crate::workload::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Small logs and quick elections, so that a short run sees many snapshots, purges and leaders; and
/// answers that come before the client's patience ends, so that their class is tested and not only
/// silence.
const SETTINGS: &[(&str, &str)] = &[
    ("raft.election_timeout_min_ms", "300"),
    ("raft.election_timeout_max_ms", "600"),
    ("raft.write_timeout_ms", "3000"),
    ("raft.snapshot_log_bytes", "1mb"),
    ("raft.log_keep_bytes", "1mb"),
    ("raft.log_segment_bytes", "1mb"),
    ("storage.memtable_bytes", "1mb"),
];

/// What a run shall be.
#[derive(Debug, Clone)]
pub struct Config {
    /// What clients do.
    pub workload: &'static Row,
    /// What breaks.
    pub nemeses: Vec<String>,
    /// Nodes of the cluster.
    pub nodes: u32,
    /// Seconds under load.
    pub seconds: u64,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Where everything goes.
    pub dir: PathBuf,
    /// How nodes are kept apart.
    pub mode: Mode,
    /// What is run.
    pub target: Target,
    /// Operations a second and client.
    pub rate: f64,
    /// Clients a node.
    pub concurrency: u32,
    /// Whether faults leave a majority whole, so that service must go on.
    pub liveness: bool,
    /// Environment of the servers.
    pub env: Vec<(String, String)>,
}

impl Config {
    /// What of this can be run here, and what is left out; an error if nothing is to be had.
    pub fn possible(&self) -> Result<(Self, Vec<String>), String> {
        self.refuse_nonsense()?;
        let bare = Self { nemeses: Vec::new(), ..self.clone() };
        let lacking = bare.options().lacks();
        if !lacking.is_empty() {
            return Err(format!("this machine lacks {}", lacking.join(", ")));
        }
        let (mut config, mut skipped) = (bare, Vec::new());
        for name in &self.nemeses {
            match self.hindrance(name) {
                None => config.nemeses.push(name.clone()),
                Some(why) => skipped.push(format!("{name}: {why}")),
            }
        }
        if config.nemeses.is_empty() && !skipped.is_empty() {
            return Err(format!("none of the faults can be had here: {}", skipped.join("; ")));
        }
        Ok((config, skipped))
    }

    fn refuse_nonsense(&self) -> Result<(), String> {
        if self.target == Target::Etcd && !self.workload.on_etcd {
            return Err(format!("{} cannot be run against etcd", self.workload.name));
        }
        if self.nodes == 0 || self.concurrency == 0 || self.rate.is_nan() || self.rate <= 0.0 {
            return Err("nodes, concurrency and rate must be more than nothing".to_owned());
        }
        if self.dir.join("history.jsonl").exists() {
            return Err(format!("{} has a run in it already", self.dir.display()));
        }
        Ok(())
    }

    /// Why a fault cannot be had here.
    fn hindrance(&self, name: &str) -> Option<String> {
        let alone = Self { nemeses: vec![name.to_owned()], ..self.clone() };
        if let Err(why) = alone.plan() {
            return Some(why);
        }
        if let Some(lacking) = lacks_root().filter(|_| nemesis::requires(&alone.nemeses).root) {
            return Some(format!("needs {lacking}"));
        }
        let lacking = alone.options().lacks();
        (!lacking.is_empty()).then(|| format!("this machine lacks {}", lacking.join(", ")))
    }

    /// What breaks, and when.
    pub fn plan(&self) -> Result<Plan, String> {
        let length = Duration::from_secs(self.seconds);
        Plan::new(self.seed, &self.nemeses, length, self.nodes, self.liveness)
    }

    /// The cluster that this needs.
    pub fn options(&self) -> Options {
        let needs = nemesis::requires(&self.nemeses);
        let usual = SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // What a fault needs comes last, and counts.
        let settings: BTreeMap<String, String> = usual.chain(needs.settings).collect();
        Options {
            nodes: self.nodes,
            mode: self.mode,
            target: self.target.clone(),
            dir: self.nodes_dir(),
            settings: settings.into_iter().collect(),
            disk: needs.disk,
            clock: needs.clock,
            env: self.env.clone(),
        }
    }

    /// Where the nodes' data and logs are.
    pub fn nodes_dir(&self) -> PathBuf {
        self.dir.join("nodes")
    }

    /// How the nodes are talked to.
    pub fn service(&self) -> Service {
        match self.target {
            Target::Talus(_) => Service::Redis,
            Target::Sentinel => Service::Sentinel,
            Target::Etcd => Service::Etcd,
        }
    }

    /// Whether it is ours.
    pub fn is_talus(&self) -> bool {
        matches!(self.target, Target::Talus(_))
    }

    /// Clients at a time.
    pub fn lanes(&self) -> u64 {
        u64::from(self.nodes) * u64::from(self.concurrency)
    }

    /// Those, and whoever asks each node in the two final phases.
    pub fn all_lanes(&self) -> u64 {
        self.lanes() + 2 * u64::from(self.nodes)
    }

    /// What must have happened for the run to prove anything.
    pub fn expected(&self, roles: &[Sample]) -> coverage::Expected {
        let led = roles.iter().filter(|sample| sample.leader.is_some());
        let terms: BTreeSet<u64> = led.map(|sample| sample.term).collect();
        coverage::Expected {
            nodes: self.nodes,
            faults: self.nemeses.clone(),
            elections: self.is_talus().then_some(terms.len() as u64),
            operations_min: (self.seconds / 4).max(1),
        }
    }
}
