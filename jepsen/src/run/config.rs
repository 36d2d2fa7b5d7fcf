//! What a run shall be, and what of it is possible here.

use crate::check::coverage;
use crate::client::seat::Service;
use crate::cluster::{Mode, Options, Problem, Sample, Target};
use crate::nemesis::{self, Plan};
use crate::workload::Row;
use std::collections::BTreeMap;
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

/// Those that the harness cannot do without, whatever is asked for.
const OWN: &[&str] = &["admin.token", "server.protected_mode"];

/// A setting as it is asked for, `KEY=VALUE`. Whether there is one of that name the server knows.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
    if key.is_empty() || !key.chars().all(plain) {
        return Err("KEY must be the name of a setting, such as raft.write_timeout_ms".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("VALUE must not have control characters".to_owned());
    }
    if OWN.contains(&key) {
        return Err(format!("{key} is the harness's own"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

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
    /// Settings of the servers, above all others.
    pub settings: Vec<(String, String)>,
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
        if let Some(why) = self.refused() {
            return Err(format!("the server refuses its settings: {why}"));
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
        if !self.is_talus() && !self.settings.is_empty() {
            return Err("settings can only be given to Talus".to_owned());
        }
        if self.nodes == 0 || self.concurrency == 0 || self.rate.is_nan() || self.rate <= 0.0 {
            return Err("nodes, concurrency and rate must be more than nothing".to_owned());
        }
        if self.dir.join("history.jsonl").exists() {
            return Err(format!("{} has a run in it already", self.dir.display()));
        }
        Ok(())
    }

    /// Why the server would not start with the settings that were asked for beside all others.
    fn refused(&self) -> Option<Problem> {
        let asked = !self.settings.is_empty();
        asked.then(|| self.target.refuses(&self.options().settings)).flatten()
    }

    /// Why a fault cannot be had here.
    fn hindrance(&self, name: &str) -> Option<String> {
        let alone = Self { nemeses: vec![name.to_owned()], ..self.clone() };
        if let Err(why) = alone.plan() {
            return Some(why);
        }
        let lacking = nemesis::requires(&alone.nemeses).lacks(self.mode);
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
        // What comes last counts: what a fault needs, and above all what was asked for.
        let settings = usual.chain(needs.settings.clone()).chain(self.settings.iter().cloned());
        let settings: BTreeMap<String, String> = settings.collect();
        Options {
            nodes: self.nodes,
            mode: self.mode,
            target: self.target.clone(),
            dir: self.nodes_dir(),
            settings: settings.into_iter().collect(),
            disk: needs.disk(),
            clock: needs.clock(),
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
        self.target.is_talus()
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
        let snapshots = self.nemeses.iter().any(|name| name == "snapshot");
        coverage::Expected {
            nodes: self.nodes,
            faults: self.nemeses.clone(),
            // Of fewer nodes none can be away for long enough.
            installs: snapshots && self.nodes > 2,
            roles: self.is_talus().then(|| roles.to_vec()),
            operations_min: (self.seconds / 4).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::run::Failure;
    use crate::run::command;
    use crate::run::suite::tests::line;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn config() -> Config {
        line(Err(Failure::Panicked)).config
    }

    #[test]
    fn a_setting_that_is_none_is_refused() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(setting("raft.write_timeout_ms=5"), pair("raft.write_timeout_ms", "5"));
        assert_eq!(setting("log.level=a=b"), pair("log.level", "a=b"));
        for wrong in ["", "raft.x", "=5", "--set=5", "raft.x y=5", "a=\u{1b}", "admin.token=x"] {
            assert!(setting(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_asked_for_comes_above_the_harness_and_what_faults_need() {
        let mut config = Config { nemeses: vec!["snapshot".to_owned()], ..config() };
        let set =
            [setting("raft.election_timeout_min_ms=400"), setting("raft.log_cache_bytes=9mb")];
        config.settings = set.into_iter().map(Result::unwrap).collect();
        let settings: BTreeMap<_, _> = config.options().settings.into_iter().collect();
        assert_eq!(settings["raft.election_timeout_min_ms"], "400");
        assert_eq!(settings["raft.election_timeout_max_ms"], "600");
        assert_eq!(settings["raft.log_cache_bytes"], "9mb");
        let command = command::of(&config);
        let told = " --set raft.election_timeout_min_ms=400 --set raft.log_cache_bytes=9mb ";
        assert!(command.contains(told), "{command}");
        assert!(config.possible().unwrap_err().contains("only be given to Talus"));
    }

    #[test]
    fn a_setting_that_the_server_does_not_know_is_no_finding() {
        let dir = tempfile::tempdir().unwrap();
        let talus = dir.path().join("talus");
        let script =
            "#!/bin/sh\ncase \"$*\" in *raft.wrong=1*) echo no such key >&2; exit 2;; esac\n";
        fs::write(&talus, script).unwrap();
        fs::set_permissions(&talus, Permissions::from_mode(0o755)).unwrap();
        let mut config = Config { target: Target::Talus(talus), ..config() };
        config.settings = vec![setting("raft.right=1").unwrap()];
        assert_eq!(config.possible().unwrap().1, [""; 0]);
        config.settings.push(setting("raft.wrong=1").unwrap());
        let why = config.possible().unwrap_err();
        assert!(why.contains("refuses its settings") && why.contains("no such key"), "{why}");
    }
}
