//! Snapshots under load: taken, installed, interrupted.
//!
//! A node needs a snapshot when the log behind it is gone, which takes much more writing than clients
//! of a short run do.

use std::time::{Duration, Instant};

use super::ballast;
use super::effect::{Effect, Outcome, Until};
use super::fault::Snapshots;
use crate::cluster::http::{self, Request};
use crate::cluster::{Cluster, Problem};

type Installed<'a> = Result<Effect<'a>, Problem>;

const PAUSE: Duration = Duration::from_millis(200);
/// How long a node that is back may take to be sent a snapshot, even if the fault ends before.
const INSTALL_MAX: Duration = Duration::from_secs(15);

pub(super) fn snapshot<'a>(cluster: &'a Cluster, snapshots: &'a Snapshots) -> Installed<'a> {
    if !cluster.is_talus() {
        return Err(Problem::new("unsupported", "only Talus has such requests"));
    }
    match snapshots {
        Snapshots::Taken => Ok(taken(cluster)),
        Snapshots::Installed(node) => away(cluster, *node, "install", false),
        Snapshots::Interrupted(node) => away(cluster, *node, "interrupt", true),
    }
}

fn taken(cluster: &Cluster) -> Effect<'_> {
    let everybody: Vec<u32> = (1..=cluster.nodes()).collect();
    let effect = Effect::of("taken", &everybody.clone(), || Ok(()));
    effect.driven(move |until| {
        let (mut count, mut last) = (0, Problem::new("snapshot", "there was no time for it"));
        for node in everybody.iter().cycle() {
            match cluster.snapshot(*node) {
                Ok(()) => count += 1,
                Err(problem) => last = problem,
            }
            if !until.sleep(PAUSE) {
                break;
            }
        }
        if count == 0 { Err(last) } else { Ok(()) }
    })
}

/// Keeps the node down until the others have no log for it, and lets it come back. Other faults may
/// be in the way: what they hinder is tried again while there is time.
fn away<'a>(cluster: &'a Cluster, node: u32, kind: &'a str, interrupt: bool) -> Installed<'a> {
    // It may be down already. It is started again below, or by the undoing of this.
    cluster.node(node)?.kill();
    let effect = Effect::of(kind, &[node], move || cluster.launch(node));
    Ok(effect.driven(move |until| persist(until, || come_back(cluster, node, interrupt, until))))
}

/// Tries until it succeeds, or there is no time left for another try.
fn persist(until: &Until<'_>, mut attempt: impl FnMut() -> Outcome) -> Outcome {
    loop {
        let outcome = attempt();
        if outcome.is_ok() || !until.sleep(PAUSE) {
            return outcome;
        }
    }
}

fn come_back(cluster: &Cluster, node: u32, interrupt: bool, until: &Until<'_>) -> Outcome {
    let mut needed = None;
    persist(until, || outrun(cluster, node, &mut needed))?;
    if interrupt {
        cluster.launch(node)?;
        let is_receiving = || is_receiving(cluster, node);
        wait_for(cluster, node, until, "was sent no snapshot", is_receiving)?;
        cluster.node(node)?.kill();
    }
    cluster.launch(node)?;
    wait_for(cluster, node, until, "installed no snapshot", || {
        Ok(metric(cluster, node, "talus_snapshots_received_total").unwrap_or(0.0) > 0.0)
    })
}

/// Writes and takes a snapshot. An error until the log that the node needs is gone: all that there was
/// when it was last seen down.
fn outrun(cluster: &Cluster, node: u32, needed: &mut Option<f64>) -> Outcome {
    if cluster.node(node)?.runs() {
        // Another fault has ended on it.
        cluster.node(node)?.kill();
        *needed = None;
    }
    let leader = cluster.leader().filter(|leader| *leader != node);
    let leader = leader.ok_or_else(|| Problem::new("ballast", "nobody leads"))?;
    let needed = match *needed {
        Some(needed) => needed,
        None => *needed.insert(metric(cluster, leader, "talus_raft_last_log_index")?),
    };
    ballast::write(cluster, leader)?;
    cluster.snapshot(leader)?;
    let purged = metric(cluster, leader, "talus_raft_purged_index")?;
    if purged > needed {
        return Ok(());
    }
    Err(Problem::new("log", format!("is there from {purged} on, and the node has {needed}")))
}

/// Whether a snapshot is arriving: its directory is there from the first byte to the last.
fn is_receiving(cluster: &Cluster, node: u32) -> Result<bool, Problem> {
    let data = cluster.node(node)?.data();
    let life = std::fs::read_to_string(data.join("CURRENT")).unwrap_or_default();
    let incoming = data.join(format!("life-{}/shard-0/incoming", life.trim()));
    let incoming = std::fs::read_dir(incoming);
    Ok(incoming.is_ok_and(|mut entries| entries.next().is_some()))
}

fn wait_for(
    cluster: &Cluster,
    node: u32,
    until: &Until<'_>,
    otherwise: &str,
    mut holds: impl FnMut() -> Result<bool, Problem>,
) -> Outcome {
    let latest = Instant::now() + INSTALL_MAX;
    while !holds()? {
        // One that another fault has killed comes back at the end of that.
        let is_late = Instant::now() > latest && !until.lasts();
        if is_late || cluster.node(node)?.has_ended() {
            return Err(Problem::new(format!("node {node}"), otherwise));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn metric(cluster: &Cluster, node: u32, name: &str) -> Result<f64, Problem> {
    let (at, agent) = (cluster.http(node), http::agent(Duration::from_secs(1)));
    let ask = || http::ask(&agent, at, "/metrics", &Request::Get);
    let asked = cluster.network().among_clients(ask)?;
    let (_, text) = asked.map_err(|error| Problem::new(at, error))?;
    http::metric(&text, name).ok_or_else(|| Problem::new(at, format!("has no metric {name}")))
}
