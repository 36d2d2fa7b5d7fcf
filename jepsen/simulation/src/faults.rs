//! What happens to a cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft::NodeId;
use rand::RngExt;
use rand::seq::{IndexedRandom, IteratorRandom};

use crate::journal::note;
use crate::network::Latency;
use crate::node::Node;
use crate::power::Supply;
use crate::world::{Change, World, member};

/// How often something happens relative to the rest, its name, and what it does.
type Fault = (u32, &'static str, fn(&mut World));

/// What can happen.
const ALL: [Fault; 16] = [
    (5, "crash", crash),
    (8, "crash amid files", crash_amid_files),
    (3, "crash amid log", crash_amid_log),
    (3, "crash all", crash_all),
    (9, "restart", restart),
    (4, "partition", partition),
    (3, "one way", one_way),
    (8, "heal", heal),
    (2, "reset", reset),
    (2, "pause", pause),
    (2, "latency", latency),
    (2, "slow disk", slow_disk),
    (1, "failing disk", failing_disk),
    (2, "clock", clock),
    (3, "transfer", transfer),
    (8, "members", change_members),
];

impl World {
    /// Lets something happen.
    pub fn happen(&mut self) {
        let total = ALL.iter().map(|(weight, _, _)| weight).sum();
        let mut at = self.rng.random_range(0..total);
        for (weight, name, fault) in ALL {
            if at < weight {
                note!("fault: {name}");
                *self.faults.entry(name).or_default() += 1;
                return fault(self);
            }
            at -= weight;
        }
    }

    /// The power of a node will fail amid its files.
    pub fn doom(&mut self, id: NodeId) {
        // Where counting begins. Of an install there are some 150 changes; what matters most are
        // those about the name of the store in use.
        const SPANS: [(&str, u64); 6] = [
            ("", 60),
            ("/building", 40),
            ("/incoming", 60),
            ("/installing", 150),
            ("shard/CURRENT", 5),
            ("shard/CURRENT", 5),
        ];
        let (begins, most) = *SPANS.choose(&mut self.rng).expect("some");
        let supply = Supply::of(self.rng.random_range(0..=most), begins);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.die_amid_files(supply);
        }
    }

    fn any(&mut self, is_meant: impl Fn(&Node) -> bool) -> Option<NodeId> {
        let meant = self.nodes.values().filter(|node| is_meant(node)).map(|node| node.id);
        meant.choose(&mut self.rng)
    }

    /// Some of the nodes, neither none nor all.
    fn side(&mut self) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let count = self.rng.random_range(1..=self.nodes.len().max(2) - 1);
        let side: BTreeSet<NodeId> =
            self.nodes.keys().copied().sample(&mut self.rng, count).into_iter().collect();
        let rest = self.nodes.keys().copied().filter(|id| !side.contains(id)).collect();
        (side, rest)
    }
}

fn crash(world: &mut World) {
    let silently = world.rng.random_bool(0.5);
    if let Some(id) = world.any(Node::is_on) {
        world.nodes.get_mut(&id).into_iter().for_each(|node| node.lose_power(silently));
    }
}

/// Some time later, or never: files change while a node starts and where snapshots are. One is
/// installed if the node was off for long.
fn crash_amid_files(world: &mut World) {
    let Some(id) = world.any(|_| true) else { return };
    if world.rng.random_bool(0.5) {
        let time = Duration::from_millis(world.rng.random_range(500..2000));
        world.nodes.get_mut(&id).into_iter().for_each(|node| node.lose_power(true));
        world.run_until(Instant::now() + time);
    }
    world.doom(id);
    world.nodes.get_mut(&id).into_iter().filter(|node| !node.is_on()).for_each(Node::start);
}

fn crash_amid_log(world: &mut World) {
    let changes = world.rng.random_range(1..=100);
    let id = world.any(Node::is_on);
    let node = id.and_then(|id| world.nodes.get_mut(&id));
    node.into_iter().for_each(|node| node.die_amid_log(changes));
}

fn crash_all(world: &mut World) {
    world.nodes.values_mut().for_each(|node| node.lose_power(true));
    world.nodes.values_mut().for_each(Node::start);
}

fn restart(world: &mut World) {
    let off = world.nodes.values_mut().filter(|node| !node.is_on());
    off.for_each(Node::start);
}

fn partition(world: &mut World) {
    let (one, other) = world.side();
    let there = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
    world.network.cut(there.flat_map(|(a, b)| [(a, b), (b, a)]));
}

fn one_way(world: &mut World) {
    let (one, other) = world.side();
    world.network.cut(one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))));
}

fn heal(world: &mut World) {
    world.network.heal();
    world.nodes.values_mut().for_each(|node| node.is_paused = false);
}

fn reset(world: &mut World) {
    let (one, other) = world.side();
    for (a, b) in one.iter().zip(&other) {
        world.network.reset_between(*a, *b);
    }
}

/// A node stands still, in the middle of whatever it does, and goes on as if nothing had been.
fn pause(world: &mut World) {
    let id = world.any(|node| node.is_on() && !node.is_paused);
    if let Some(node) = id.and_then(|id| world.nodes.get_mut(&id)) {
        node.is_paused = true;
    }
}

fn latency(world: &mut World) {
    let usual_us = world.rng.random_range(100..=60_000);
    world.network.set_latency(Latency { usual_us, rare_us: 10 * usual_us });
}

fn slow_disk(world: &mut World) {
    let us = world.rng.random_range(0..=600_000);
    let id = world.any(Node::is_on);
    id.and_then(|id| world.nodes.get(&id)).into_iter().for_each(|node| node.slow_disk(us));
}

fn failing_disk(world: &mut World) {
    let id = world.any(Node::is_on);
    id.and_then(|id| world.nodes.get(&id)).into_iter().for_each(Node::fail_disk);
}

fn clock(world: &mut World) {
    let ms = world.rng.random_range(-60_000..=60_000);
    let id = world.any(|_| true);
    id.and_then(|id| world.nodes.get(&id)).into_iter().for_each(|node| node.skew(ms));
}

fn transfer(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let Some(node) = world.nodes.get(&leader.node) else { return };
    let consensus = leader.consensus.clone();
    node.spawn(async move {
        let moved = consensus.transfer_leader(None).await;
        note!("transferred: {moved:?}");
    });
}

/// The leader is asked for another membership. Whether it comes about is up to it.
fn change_members(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let Some(node) = world.nodes.get(&leader.node) else { return };
    let consensus = leader.consensus.clone();
    let status = consensus.status();
    let changes = Arc::clone(&world.changes);
    let learner = status.learners.iter().copied().choose(&mut world.rng);
    let voter = status.voters.iter().copied().choose(&mut world.rng);
    let what = world.rng.random_range(0..5);
    match (what, learner, voter) {
        (0 | 1, None, _) if status.members.len() < 6 => node.spawn(async move {
            let Ok(id) = consensus.allocate_node_id().await else { return };
            changes.lock().push(Change::Joined(id));
            for _ in 0..5 {
                let added = consensus.add_learner(id, member(id)).await;
                note!("added {id}: {added:?}");
                if added.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }),
        (0..=2, Some(id), _) => node.spawn(async move {
            let promoted = consensus.promote(id, false).await;
            note!("promoted {id}: {promoted:?}");
        }),
        (3, _, Some(id)) => node.spawn(async move {
            let demoted = consensus.demote(id, false).await;
            note!("demoted {id}: {demoted:?}");
        }),
        (_, _, Some(id)) if status.voters.len() > 2 => node.spawn(async move {
            let removed = consensus.remove(id, false).await;
            note!("removed {id}: {removed:?}");
            if removed.is_ok() {
                changes.lock().push(Change::Removed(id));
            }
        }),
        _ => {}
    }
}
