//! A fault that is in effect: on whom, what keeps it going, and what undoes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fault::{Fault, Who, listed};
use super::{disks, links, members, processes, snapshots};
use crate::client::IMPOSSIBLE;
use crate::cluster::{Cluster, Problem};
use crate::history::{NOT_CARRIED_OUT, Value};

/// What every part of a fault gives: why it did not work, if it did not.
pub type Outcome = Result<(), Problem>;

/// How long a fault lasts: to its end, or until the run is over.
#[derive(Debug, Clone, Copy)]
pub struct Until<'a> {
    /// Its end.
    pub end: Instant,
    /// Whether the run is over.
    pub stop: &'a AtomicBool,
}

impl Until<'_> {
    /// Whether it lasts.
    pub fn lasts(&self) -> bool {
        Instant::now() < self.end && !self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps so long, or shorter if it ends before. Whether it still lasts.
    pub fn sleep(&self, time: Duration) -> bool {
        const TICK: Duration = Duration::from_millis(50);
        let until = self.end.min(Instant::now() + time);
        while Instant::now() < until && self.lasts() {
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        self.lasts()
    }

    /// Sleeps until it ends.
    pub fn wait(&self) {
        while self.sleep(Duration::from_secs(1)) {}
    }
}

type Drive<'a> = Box<dyn FnOnce(&Until<'_>) -> Outcome + Send + 'a>;
type Undo<'a> = Box<dyn FnOnce() -> Outcome + Send + 'a>;

/// A fault that is in effect. It ends by [`last`](Self::last) and only so.
pub struct Effect<'a> {
    on: Value,
    drive: Option<Drive<'a>>,
    undo: Undo<'a>,
}

impl<'a> Effect<'a> {
    /// One that only has to be undone.
    pub fn new(on: Value, undo: impl FnOnce() -> Outcome + Send + 'a) -> Self {
        Self { on, drive: None, undo: Box::new(undo) }
    }

    /// One of these nodes.
    pub fn of(kind: &str, nodes: &[u32], undo: impl FnOnce() -> Outcome + Send + 'a) -> Self {
        Self::new(Value::List(vec![Value::Keyword(kind.to_owned()), listed(nodes)]), undo)
    }

    /// As it is, and something is done all the time while it lasts.
    #[must_use]
    pub fn driven(mut self, drive: impl FnOnce(&Until<'_>) -> Outcome + Send + 'a) -> Self {
        self.drive = Some(Box::new(drive));
        self
    }

    /// On whom.
    pub fn on(&self) -> &Value {
        &self.on
    }

    /// Lets it last, and undoes it. What went wrong, as the event of its end tells it.
    pub fn last(self, until: &Until<'_>) -> Result<(), String> {
        let driven = self.drive.map_or(Ok(()), |drive| drive(until));
        until.wait();
        let undone = (self.undo)();
        told(driven.map_err(|it| it.to_string()), undone.map_err(|it| it.to_string()))
    }
}

/// A fault that could not be undone has happened, one whose drive failed has not; but what no correct
/// server does counts before all.
fn told(driven: Result<(), String>, undone: Result<(), String>) -> Result<(), String> {
    match (driven, undone) {
        (Ok(()), undone) => undone,
        (_, Err(undone)) if undone.starts_with(IMPOSSIBLE) => Err(undone),
        (Err(driven), _) if driven.starts_with(IMPOSSIBLE) => Err(driven),
        (Err(driven), Ok(())) => Err(format!("{NOT_CARRIED_OUT}{driven}")),
        (Err(driven), Err(undone)) => {
            Err(format!("{NOT_CARRIED_OUT}{driven}; and not undone: {undone}"))
        }
    }
}

/// Puts a fault into effect. On an error nothing of it is.
pub fn install<'a>(fault: &'a Fault, cluster: &'a Cluster) -> Result<Effect<'a>, Problem> {
    match fault {
        Fault::Partition(partition) => links::partition(cluster, partition),
        Fault::Loss { who, percent } => links::loss(cluster, who, *percent),
        Fault::Delay { who, base_ms, jitter_ms } => {
            links::delay(cluster, who, *base_ms, *jitter_ms)
        }
        Fault::Slow { who, bytes_per_s } => links::slow(cluster, who, *bytes_per_s),
        Fault::Kill(who) => processes::kill(cluster, who),
        Fault::Failover => processes::kill(cluster, &Who::Leader),
        Fault::Outage(first) => processes::outage(cluster, first),
        Fault::Term(who) => processes::term(cluster, who),
        Fault::Pause(who) => processes::pause(cluster, who),
        Fault::Clock { who, clock } => processes::clock(cluster, who, clock),
        Fault::Cpu { who, percent } => processes::cpu(cluster, who, *percent),
        Fault::Power(who) => disks::power(cluster, who),
        Fault::FsyncError(who) => disks::fsync_error(cluster, who),
        Fault::SlowFsync { who, ms } => disks::slow_fsync(cluster, who, *ms),
        Fault::DiskFull(who) => disks::full(cluster, who),
        Fault::TornTail { who, damage, seed } => disks::torn_tail(cluster, who, *damage, *seed),
        Fault::Wipe(who) => disks::wipe(cluster, who),
        Fault::Member(churn) => members::churn(cluster, churn),
        Fault::Transfer { every_ms, seed } => members::transfer(cluster, *every_ms, *seed),
        Fault::Snapshot(snapshots) => snapshots::snapshot(cluster, snapshots),
    }
}

/// The nodes meant now.
pub fn resolve(cluster: &Cluster, who: &Who) -> Result<Vec<u32>, Problem> {
    match who {
        Who::Nodes(nodes) => Ok(nodes.clone()),
        Who::Leader => Ok(vec![leader(cluster)?]),
    }
}

/// Who leads now.
pub fn leader(cluster: &Cluster) -> Result<u32, Problem> {
    let nobody = || Problem::new("leader", "nobody leads now");
    cluster.leader().filter(|node| *node <= cluster.nodes()).ok_or_else(nobody)
}

/// Does something to each node. Those it was done to; an error if there is none.
pub fn each(nodes: &[u32], mut deed: impl FnMut(u32) -> Outcome) -> Result<Vec<u32>, Problem> {
    let mut last = Problem::new("nobody", "is there to be broken");
    let mut done = Vec::new();
    for node in nodes {
        match deed(*node) {
            Ok(()) => done.push(*node),
            Err(problem) => last = problem,
        }
    }
    if done.is_empty() { Err(last) } else { Ok(done) }
}

/// Does something to all nodes, even if it fails for one. The first failure counts.
pub fn all(nodes: &[u32], mut deed: impl FnMut(u32) -> Outcome) -> Outcome {
    let outcomes: Vec<Outcome> = nodes.iter().map(|node| deed(*node)).collect();
    outcomes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasted(driven: Outcome, undone: Outcome) -> String {
        let stop = AtomicBool::new(true);
        let effect = Effect::new(Value::Nil, move || undone).driven(move |_| driven);
        effect.last(&Until { end: Instant::now(), stop: &stop }).err().unwrap_or_default()
    }

    #[test]
    fn a_drive_that_failed_is_told_apart_from_an_undo_that_failed() {
        let fails = |what| Err(Problem::new(what, "no"));
        let impossible = || Err(Problem::impossible("this"));
        assert_eq!(lasted(Ok(()), Ok(())), "");
        assert_eq!(lasted(fails("drive"), Ok(())), "not carried out: drive: no");
        assert_eq!(lasted(Ok(()), fails("undo")), "undo: no");
        let both = lasted(fails("drive"), fails("undo"));
        assert_eq!(both, "not carried out: drive: no; and not undone: undo: no");
        // What makes a run invalid is found by the beginning of an error.
        for (driven, undone) in [(impossible(), fails("undo")), (fails("drive"), impossible())] {
            assert_eq!(lasted(driven, undone), "impossible reply: this");
        }
    }
}
