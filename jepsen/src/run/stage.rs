//! The phases of a run on a cluster that has started.

use super::clients::Load;
use super::config::Config;
use super::{Clock, finals};
use crate::check::{Finding, Verdict, availability};
use crate::client::seat::{Addresses, Service};
use crate::client::sentinel;
use crate::cluster::Cluster;
use crate::history::{Kind, Process, Recorder, Value};
use crate::nemesis::{self, Plan};
use crate::workload::Workload;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After healing the load goes on for as long as healed nodes may take to serve, and a little longer.
const CALM: Duration = availability::RECOVERY_MAX.saturating_add(Duration::from_secs(1));
const TICK: Duration = Duration::from_millis(50);

/// What the phases happen on.
pub struct Stage<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// Where it happens.
    pub cluster: &'a Cluster,
    /// What clients do.
    pub workload: &'a dyn Workload,
    /// Who writes it down.
    pub recorder: &'a Recorder,
}

impl Stage<'_> {
    /// All phases, as far as they can be passed, and what is to be said of them.
    pub fn play(&self, plan: &Plan, stop: &AtomicBool, clock: &mut Clock) -> Vec<Finding> {
        let addresses = self.addresses();
        let load = Load {
            addresses: &addresses,
            workload: self.workload,
            recorder: self.recorder,
            seed: self.config.seed,
            rate: self.config.rate,
            lanes: self.config.lanes(),
        };
        if let Err(problem) = self.among_clients(|| finals::prepare(&load)) {
            return vec![finding("setup", Verdict::Invalid, problem)];
        }
        self.load(&load, plan, stop);
        clock.lap("load");
        if stop.load(Ordering::SeqCst) {
            let summary = "the run was stopped before its end".to_owned();
            return vec![finding("interrupted", Verdict::Unknown, summary)];
        }
        let converged = self.among_clients(|| self.last_words(&load));
        clock.lap("final");
        match converged {
            Ok(converged) => vec![converged],
            Err(problem) => vec![finding("convergence", Verdict::Invalid, problem)],
        }
    }

    fn addresses(&self) -> Addresses {
        let service = self.config.service();
        let side = |node| match service {
            Service::Sentinel => SocketAddr::new(self.cluster.redis(node).ip(), sentinel::PORT),
            Service::Redis | Service::Etcd => self.cluster.http(node),
        };
        let nodes = 1..=self.cluster.nodes();
        let clients = nodes.clone().map(|node| self.cluster.redis(node)).collect();
        Addresses { service, clients, side: nodes.map(side).collect() }
    }

    /// Carries out something where clients live, on a thread that can be moved there.
    fn among_clients<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        let moved = || {
            self.cluster.enter().map_err(|error| format!("clients have no place: {error}"))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(moved).join())
            .unwrap_or_else(|_| Err("the harness itself panicked".to_owned()))
    }

    fn load(&self, load: &Load<'_>, plan: &Plan, stop: &AtomicBool) {
        let (calm, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let conductor =
                scope.spawn(|| nemesis::conduct(self.cluster, plan, self.recorder, &calm));
            load.start(scope, || self.cluster.enter(), &over);
            wait(Duration::from_secs(self.config.seconds), stop);
            calm.store(true, Ordering::SeqCst);
            drop(conductor.join());
            if !self.config.nemeses.is_empty() {
                self.heal();
                wait(CALM, stop);
            }
            over.store(true, Ordering::SeqCst);
        });
    }

    /// Nobody is waited for before it is told that all is healed: that is when time begins. Those who
    /// have to begin anew are another matter, and their time another.
    fn heal(&self) {
        let record = |f: &str, value: Value| {
            self.recorder.record(Kind::Info, Process::Nemesis, f, value, None, None);
        };
        self.cluster.restore();
        record(availability::HEAL, Value::Nil);
        let readmitted = self.cluster.regroup();
        if !readmitted.is_empty() {
            record(availability::READMITTED, nemesis::listed(&readmitted));
        }
    }

    /// Convergence and final reads, before and after a clean restart.
    fn last_words(&self, load: &Load<'_>) -> Result<Finding, String> {
        // One replica has nobody to be compared with.
        let digests = self.config.is_talus() && self.config.nodes > 1;
        let converge = |after: &str| {
            let took = finals::converge(load.addresses, digests);
            took.map_err(|problem| format!("after {after}: {problem}"))
        };
        let healed = converge("healing")?.as_millis();
        finals::ask(load, digests, false)?;
        self.cluster.restart_all().map_err(|problem| format!("the clean restart: {problem}"))?;
        let restarted = converge("the clean restart")?.as_millis();
        finals::ask(load, digests, true)?;
        let summary = format!("all nodes served, {restarted} ms after a clean restart too");
        let details = json!({ "healed_ms": healed, "restarted_ms": restarted });
        Ok(Finding { details, ..finding("convergence", Verdict::Valid, summary) })
    }
}

fn finding(checker: &'static str, verdict: Verdict, summary: String) -> Finding {
    Finding { checker, verdict, summary, details: json!(null) }
}

fn wait(length: Duration, stop: &AtomicBool) {
    let end = Instant::now() + length;
    while Instant::now() < end && !stop.load(Ordering::SeqCst) {
        std::thread::sleep(TICK);
    }
}
