//! Faults of membership: members come, go and change, and leadership moves.
//!
//! Requests that are refused are no fault of the cluster; a churn in which none was carried out is
//! no churn, and says so at its end.

use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::effect::{Effect, Outcome, Until, all, each, leader};
use super::fault::Churn;
use super::links;
use crate::cluster::{Cluster, Problem};

type Installed<'a> = Result<Effect<'a>, Problem>;

/// How long a newcomer may take to be one of them.
const JOIN_MAX: Duration = Duration::from_secs(10);

pub(super) fn churn<'a>(cluster: &'a Cluster, churn: &'a Churn) -> Installed<'a> {
    match churn {
        Churn::Learner => learner(cluster),
        Churn::Demote(nodes) => demote(cluster, nodes),
        Churn::RemoveLeader => remove_leader(cluster),
        Churn::RemoveIsolated(node) => remove_isolated(cluster, *node),
        Churn::Replace(node) => replace(cluster, *node),
        Churn::Shrink(order) => Ok(shrink(cluster, order)),
    }
}

fn learner(cluster: &Cluster) -> Installed<'_> {
    let spare = cluster.spare();
    join_spare(cluster, true)?;
    Ok(Effect::of("learner", &[spare], move || dismiss_spare(cluster)))
}

/// As a learner for good, or as one that becomes a voter.
fn join_spare(cluster: &Cluster, replica: bool) -> Outcome {
    let spare = cluster.spare();
    cluster.launch_as(spare, replica)?;
    let joined = cluster.wait_ready(&[spare], Instant::now() + JOIN_MAX);
    joined.inspect_err(|_| drop(dismiss_spare(cluster)))
}

fn dismiss_spare(cluster: &Cluster) -> Outcome {
    let spare = cluster.spare();
    let removed = cluster.remove(spare, None);
    removed.and(cluster.node(spare)?.wipe())
}

fn demote<'a>(cluster: &'a Cluster, nodes: &[u32]) -> Installed<'a> {
    let demoted = each(nodes, |node| cluster.change_vote(node, "demote"))?;
    let promote = move || all(&demoted, |node| cluster.change_vote(node, "promote"));
    Ok(Effect::of("demote", nodes, promote))
}

fn remove_leader(cluster: &Cluster) -> Installed<'_> {
    let leader = leader(cluster)?;
    cluster.remove(leader, None)?;
    Ok(Effect::of("remove-leader", &[leader], move || cluster.readmit(leader)))
}

/// What the old leader is asked it must not be able to do; it goes by the word of the others.
fn remove_isolated(cluster: &Cluster, node: u32) -> Installed<'_> {
    let old = leader(cluster)?;
    let node = if node == old { node % cluster.nodes() + 1 } else { node };
    // Of who is none of them there is nothing to remove, which the old leader may well say.
    cluster.member(node)?;
    let links = links::around(&[old], cluster.spare());
    links::cut(cluster, &links)?;
    let undo = move || {
        links::mend(cluster, &links)?;
        cluster.readmit(old)
    };
    let effect = Effect::of("remove-isolated", &[old], undo);
    Ok(effect.driven(move |until| {
        if cluster.remove(node, Some(old)).is_ok() {
            let what = format!("node {old} removed node {node} although it heard nobody");
            return Err(Problem::impossible(what));
        }
        elected(cluster, old, until)?;
        cluster.remove(old, Some(leader(cluster)?))
    }))
}

/// Waits until somebody else leads.
fn elected(cluster: &Cluster, old: u32, until: &Until<'_>) -> Outcome {
    const PAUSE: Duration = Duration::from_millis(100);
    while cluster.leader().is_none_or(|leader| leader == old) {
        if !until.sleep(PAUSE) {
            return Err(Problem::new("leader", "nobody else was elected in time"));
        }
    }
    Ok(())
}

fn replace(cluster: &Cluster, node: u32) -> Installed<'_> {
    join_spare(cluster, false)?;
    let replaced = demote_spare(cluster).and_then(|()| cluster.replace(node, cluster.spare()));
    replaced.inspect_err(|_| drop(dismiss_spare(cluster)))?;
    Ok(Effect::of("replace", &[node], move || {
        cluster.readmit(node)?;
        cluster.wait_ready(&[node], Instant::now() + JOIN_MAX)?;
        dismiss_spare(cluster)
    }))
}

/// Only a learner can take the place of a member, and a newcomer asks for a vote by itself.
fn demote_spare(cluster: &Cluster) -> Outcome {
    let (spare, begun) = (cluster.spare(), Instant::now());
    while !cluster.member(spare)?.votes() {
        if begun.elapsed() > JOIN_MAX {
            return Err(Problem::new("replace", "the newcomer got no vote in time"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.change_vote(spare, "demote")
}

/// Down to one, and back to all.
fn shrink<'a>(cluster: &'a Cluster, order: &'a [u32]) -> Effect<'a> {
    let leave = order.split_last().map_or(&[][..], |(_, leave)| leave);
    let grow = move || {
        let gone = leave.iter().copied().filter(|node| cluster.is_removed(*node));
        all(&gone.collect::<Vec<_>>(), |node| {
            cluster.readmit(node)?;
            cluster.wait_ready(&[node], Instant::now() + JOIN_MAX)
        })
    };
    Effect::of("shrink", leave, grow).driven(move |until| {
        const PAUSE: Duration = Duration::from_millis(500);
        each(leave, |node| {
            if !until.lasts() {
                return Err(Problem::new("shrink", "there was no time for it"));
            }
            let removed = cluster.remove(node, None);
            until.sleep(PAUSE);
            removed
        })
        .map(drop)
    })
}

pub(super) fn transfer(cluster: &Cluster, every_ms: u64, seed: u64) -> Installed<'_> {
    let every = Duration::from_millis(every_ms);
    let storm = move |until: &Until<'_>| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut moved, mut last) = (0, Problem::new("transfer", "there was no time for it"));
        while until.sleep(every) {
            match cluster.transfer(rng.random_range(1..=cluster.nodes())) {
                Ok(()) => moved += 1,
                Err(problem) => last = problem,
            }
        }
        if moved == 0 { Err(last) } else { Ok(()) }
    };
    let everybody: Vec<u32> = (1..=cluster.nodes()).collect();
    let effect = Effect::of(&format!("every-{every_ms}-ms"), &everybody, || Ok(()));
    if cluster.is_talus() {
        return Ok(effect.driven(storm));
    }
    Err(Problem::new("unsupported", "only Talus has such requests"))
}
