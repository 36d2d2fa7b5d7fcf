//! Faults of disks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::ballast;
use super::effect::{Effect, Outcome, all, each, resolve};
use super::fault::{Damage, Who};
use crate::cluster::http::Request;
use crate::cluster::trace::Sync;
use crate::cluster::{Cluster, Problem, disk, wal};

type Installed<'a> = Result<Effect<'a>, Problem>;

/// How long a node may take to say that its log is damaged.
const REFUSE_MAX: Duration = Duration::from_secs(10);

pub(super) fn power<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    cut_power(cluster, &nodes)?;
    Ok(Effect::of("power", &nodes.clone(), move || all(&nodes, |node| cluster.launch(node))))
}

/// Of all at one moment.
fn cut_power(cluster: &Cluster, nodes: &[u32]) -> Outcome {
    let mut paths: Vec<PathBuf> = Vec::new();
    for node in nodes {
        let node = cluster.node(*node)?;
        if !node.store.has_power() {
            return Err(Problem::new("power", "nodes have no file systems of their own"));
        }
        paths.push(node.store.path().to_owned());
    }
    disk::cut_power(paths.iter().map(PathBuf::as_path))?;
    all(nodes, |node| {
        cluster.node(node)?.lose_power();
        Ok(())
    })
}

/// A node that cannot sync ends; it comes back at the end.
pub(super) fn fsync_error<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let nodes = each(&resolve(cluster, who)?, |node| cluster.sync(node, Some(Sync::Fails)))?;
    Ok(Effect::of("error", &nodes.clone(), move || calm(cluster, &nodes)))
}

pub(super) fn slow_fsync<'a>(cluster: &'a Cluster, who: &Who, ms: u64) -> Installed<'a> {
    let slow = Sync::Slow(Duration::from_millis(ms));
    let nodes = each(&resolve(cluster, who)?, |node| cluster.sync(node, Some(slow)))?;
    Ok(Effect::of(&format!("ms-{ms}"), &nodes.clone(), move || calm(cluster, &nodes)))
}

fn calm(cluster: &Cluster, nodes: &[u32]) -> Outcome {
    all(nodes, |node| {
        cluster.sync(node, None)?;
        cluster.launch(node)
    })
}

pub(super) fn full<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let fill = |node| cluster.node(node)?.store.fill().map(drop);
    let nodes = each(&resolve(cluster, who)?, fill)?;
    let effect = Effect::of("full", &nodes.clone(), move || {
        all(&nodes, |node| {
            cluster.node(node)?.store.drain();
            cluster.launch(node)
        })
    });
    // What files have already is not taken from them: only what grows meets the end of the disk.
    Ok(effect.driven(|until| {
        while until.sleep(Duration::from_millis(500)) {
            // That it is refused by a full disk is the point.
            let _ = cluster.leader().map(|leader| ballast::write(cluster, leader));
        }
        Ok(())
    }))
}

pub(super) fn torn_tail<'a>(
    cluster: &'a Cluster,
    who: &Who,
    damage: Damage,
    seed: u64,
) -> Installed<'a> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let nodes = resolve(cluster, who)?;
    if damage == Damage::Flipped {
        within_minority(cluster, &nodes)?;
    }
    let damaged = match damage {
        Damage::Torn => tear(cluster, &nodes, &mut rng),
        Damage::Flipped => each(&nodes, |node| flip(cluster, node, &mut rng)),
    };
    // Nothing may stay killed of what was not damaged.
    let damaged = damaged.inspect_err(|_| drop(all(&nodes, |node| cluster.launch(node))))?;
    Ok(match damage {
        Damage::Torn => {
            Effect::of("torn", &damaged, move || all(&nodes, |node| cluster.launch(node)))
        }
        Damage::Flipped => Effect::of("flipped", &damaged.clone(), move || {
            let outcome = all(&damaged, |node| expect_refusal(cluster, node));
            outcome.and(all(&nodes, |node| cluster.launch(node)))
        }),
    })
}

/// What a majority acknowledged must be whole at one of them.
fn within_minority(cluster: &Cluster, nodes: &[u32]) -> Outcome {
    let is_lost = |node: u32| cluster.node(node).is_ok_and(|node| node.is_damaged());
    let lost = (1..=cluster.nodes()).filter(|node| nodes.contains(node) || is_lost(*node)).count();
    if lost > (cluster.nodes() as usize - 1) / 2 {
        return Err(Problem::new("damage", "with those damaged before they are a majority"));
    }
    // Of those that begin anew some may have to wait for their votes.
    if cluster.members()?.iter().filter(|member| member.votes()).count() < cluster.nodes() as usize
    {
        return Err(Problem::new("damage", "not every node has a vote"));
    }
    Ok(())
}

/// They are started at once, as by somebody who put in another disk.
pub(super) fn wipe<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    within_minority(cluster, &nodes)?;
    let mut ids = BTreeMap::new();
    let wiped = each(&nodes, |node| {
        ids.insert(node, cluster.member(node)?.id);
        cluster.node(node)?.lose_data()?;
        cluster.launch(node)
    })?;
    Ok(Effect::of("wipe", &wiped.clone(), move || {
        all(&wiped, |node| expect_stranger(cluster, node, ids.get(&node)))
    }))
}

/// It must not be taken for who it was, whose votes and entries it has forgotten; it begins anew.
fn expect_stranger(cluster: &Cluster, number: u32, id: Option<&u64>) -> Outcome {
    let view = cluster.ask(number, "/v1/cluster", &Request::Get);
    if view.is_ok_and(|view| view["node"].as_u64() == id.copied()) {
        let what = "is the member that it was before its data were lost";
        return Err(Problem::impossible(format!("node {number} {what}")));
    }
    let begun = Instant::now();
    // Another fault may have let it begin anew.
    while cluster.node(number)?.is_damaged() {
        match cluster.readmit(number) {
            Err(problem) if begun.elapsed() > REFUSE_MAX => return Err(problem),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    Ok(())
}

/// With a power cut, half of what it took comes back; without one, half a record is added.
fn tear(cluster: &Cluster, nodes: &[u32], rng: &mut ChaCha8Rng) -> Result<Vec<u32>, Problem> {
    let mut tails = Vec::new();
    let killed = each(nodes, |node| {
        cluster.node(node)?.kill();
        tails.push(wal::newest(&cluster.node(node)?.data())?);
        Ok(())
    })?;
    // Without file systems of their own there is no power to cut.
    let has_lost = cut_power(cluster, &killed).is_ok();
    let mut tails = tails.iter();
    each(&killed, |node| {
        let Some(tail) = tails.next() else { return Ok(()) };
        if has_lost {
            cluster.node(node)?.power_on()?;
            if tail.scatter(rng)? > 0 {
                return Ok(());
            }
        }
        tail.tear(rng)?;
        Ok(())
    })
}

fn flip(cluster: &Cluster, number: u32, rng: &mut ChaCha8Rng) -> Outcome {
    let mut node = cluster.node(number)?;
    node.kill();
    wal::newest(&node.data())?.flip(rng)?;
    node.mark_damaged();
    Ok(())
}

/// It must not start; then it begins anew.
fn expect_refusal(cluster: &Cluster, number: u32) -> Outcome {
    cluster.launch(number)?;
    let begun = Instant::now();
    while !cluster.node(number)?.has_ended() {
        // Another fault may have stopped it, or let it begin anew.
        let is_ready = || cluster.wait_ready(&[number], Instant::now()).is_ok();
        if is_ready() && cluster.node(number)?.is_damaged() {
            let what = "is ready although a record that was durable is damaged";
            return Err(Problem::impossible(format!("node {number} {what}")));
        }
        if begun.elapsed() > REFUSE_MAX {
            return Err(Problem::new(format!("node {number}"), "did not refuse to start in time"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    cluster.readmit(number)
}
