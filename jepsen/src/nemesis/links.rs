//! Faults of the network between nodes.

use std::time::Duration;

use super::effect::{Effect, Outcome, resolve};
use super::fault::{Partition, Who, listed};
use crate::cluster::network::{Conditions, Delay, Link};
use crate::cluster::{Cluster, Problem};
use crate::history::Value;

type Installed<'a> = Result<Effect<'a>, Problem>;

/// A way a network falls apart: its name, who is apart from whom, and the links that are cut.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    kind: &'static str,
    groups: Vec<Vec<u32>>,
    links: Vec<Link>,
}

pub(super) fn partition<'a>(cluster: &'a Cluster, partition: &'a Partition) -> Installed<'a> {
    let (nodes, places) = (cluster.nodes(), cluster.spare());
    let shape = match partition {
        Partition::Halves(who) => halves("halves", &resolve(cluster, who)?, nodes, places),
        Partition::Flapping { nodes: apart, .. } => halves("flapping", apart, nodes, places),
        Partition::Mute(who) => one_way("mute", &resolve(cluster, who)?, places),
        Partition::Deaf(who) => reversed(one_way("deaf", &resolve(cluster, who)?, places)),
        Partition::Ring(order) => ring(order),
        Partition::Bridge(order) => bridge(order),
    };
    let Shape { kind, groups, links } = shape;
    cut(cluster, &links)?;
    let kind = Value::Keyword(kind.to_owned());
    let groups = groups.iter().map(|group| listed(group));
    let on = Value::List(std::iter::once(kind).chain(groups).collect());
    let undone = links.clone();
    let effect = Effect::new(on, move || mend(cluster, &undone));
    let Partition::Flapping { period_ms, .. } = partition else { return Ok(effect) };
    let period = Duration::from_millis(*period_ms);
    Ok(effect.driven(move |until| {
        while until.sleep(period) {
            mend(cluster, &links)?;
            std::thread::sleep(period);
            cut(cluster, &links)?;
        }
        Ok(())
    }))
}

/// Cuts the links. One that was cut already has to be mended as often.
pub(super) fn cut(cluster: &Cluster, links: &[Link]) -> Outcome {
    cluster.network().change(|conditions| conditions.cut.extend(links))
}

/// Mends what `cut` cut.
pub(super) fn mend(cluster: &Cluster, links: &[Link]) -> Outcome {
    cluster.network().change(|conditions| {
        for link in links {
            if let Some(at) = conditions.cut.iter().position(|cut| cut == link) {
                conditions.cut.swap_remove(at);
            }
        }
    })
}

/// All links between these nodes and all others.
pub(super) fn around(nodes: &[u32], places: u32) -> Vec<Link> {
    let out = outgoing(nodes, places);
    let back = out.iter().map(|(from, to)| (*to, *from));
    back.chain(out.iter().copied()).collect()
}

fn outgoing(nodes: &[u32], places: u32) -> Vec<Link> {
    let others = |node: &u32| !nodes.contains(node);
    let to = |from: &u32| (1..=places).filter(others).map(|to| (*from, to)).collect::<Vec<_>>();
    nodes.iter().flat_map(to).collect()
}

fn halves(kind: &'static str, apart: &[u32], nodes: u32, places: u32) -> Shape {
    let rest = (1..=nodes).filter(|node| !apart.contains(node)).collect();
    Shape { kind, groups: vec![apart.to_vec(), rest], links: around(apart, places) }
}

fn one_way(kind: &'static str, nodes: &[u32], places: u32) -> Shape {
    Shape { kind, groups: vec![nodes.to_vec()], links: outgoing(nodes, places) }
}

fn reversed(mut shape: Shape) -> Shape {
    shape.links.iter_mut().for_each(|link| *link = (link.1, link.0));
    shape
}

/// Each node hears its nearest neighbours in the ring, of which there are just enough.
fn ring(order: &[u32]) -> Shape {
    let count = order.len();
    let reach = (count / 2).div_ceil(2);
    let distance = |a: usize, b: usize| a.abs_diff(b).min(count - a.abs_diff(b));
    let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
    let links = pairs.filter(|(a, b)| distance(*a, *b) > reach);
    let links = links.map(|(a, b)| (order[a], order[b])).collect();
    Shape { kind: "ring", groups: vec![order.to_vec()], links }
}

/// The first is the bridge between both halves of the others.
fn bridge(order: &[u32]) -> Shape {
    let (middle, others) = order.split_at(order.len().min(1));
    let (left, right) = others.split_at(others.len() / 2);
    let pairs = left.iter().flat_map(|a| right.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
    let links = pairs.collect();
    Shape { kind: "bridge", groups: vec![left.to_vec(), middle.to_vec(), right.to_vec()], links }
}

pub(super) fn loss<'a>(cluster: &'a Cluster, who: &Who, percent: u8) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    let lossy = |conditions: &mut Conditions| {
        let links = touching(&nodes, cluster.spare());
        conditions.loss = links.into_iter().map(|link| (link, percent)).collect();
    };
    cluster.network().change(lossy)?;
    let undo = || cluster.network().change(|conditions| conditions.loss.clear());
    Ok(Effect::of(&format!("percent-{percent}"), &nodes, undo))
}

pub(super) fn delay<'a>(
    cluster: &'a Cluster,
    who: &Who,
    base_ms: u64,
    jitter_ms: u64,
) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    let (base, jitter) = (Duration::from_millis(base_ms), Duration::from_millis(jitter_ms));
    let late = |conditions: &mut Conditions| {
        let links = touching(&nodes, cluster.spare()).into_iter();
        conditions.delay = links.map(|link| (link, Delay { base, jitter })).collect();
    };
    cluster.network().change(late)?;
    let undo = || cluster.network().change(|conditions| conditions.delay.clear());
    Ok(Effect::of(&format!("ms-{base_ms}-{}", base_ms + jitter_ms), &nodes, undo))
}

pub(super) fn slow<'a>(cluster: &'a Cluster, who: &Who, bytes_per_s: u64) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    let slow = |conditions: &mut Conditions| {
        conditions.slow = nodes.iter().map(|node| (*node, bytes_per_s)).collect();
    };
    cluster.network().change(slow)?;
    let undo = || cluster.network().change(|conditions| conditions.slow.clear());
    Ok(Effect::of(&format!("bytes-{bytes_per_s}"), &nodes, undo))
}

/// All links that begin or end at one of these nodes.
fn touching(nodes: &[u32], places: u32) -> Vec<Link> {
    let pairs = (1..=places).flat_map(|a| (1..=places).map(move |b| (a, b)));
    let touches = |link: &Link| nodes.contains(&link.0) || nodes.contains(&link.1);
    pairs.filter(|link| link.0 != link.1 && touches(link)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 1 to `count` each hears, itself among them.
    fn heard(links: &[Link], count: u32) -> Vec<usize> {
        let hears = |at: u32| (1..=count).filter(|from| !links.contains(&(*from, at))).count();
        (1..=count).map(hears).collect()
    }

    #[test]
    fn in_a_ring_everybody_hears_a_majority_and_nobody_all() {
        for count in [4, 5, 6, 7] {
            let order: Vec<u32> = (1..=count).collect();
            let heard = heard(&ring(&order).links, count);
            let majority = count as usize / 2 + 1;
            assert!(heard.iter().all(|n| *n >= majority && *n < count as usize), "{heard:?}");
        }
    }

    #[test]
    fn a_bridge_hears_all_and_nobody_else_does() {
        let shape = bridge(&[3, 1, 2, 4, 5]);
        assert_eq!(shape.groups, [vec![1, 2], vec![3], vec![4, 5]]);
        assert_eq!(heard(&shape.links, 5), [3, 3, 5, 3, 3]);
    }

    #[test]
    fn who_is_mute_hears_and_who_is_deaf_is_heard() {
        let mute = one_way("mute", &[1], 3);
        assert_eq!(mute.links, [(1, 2), (1, 3)]);
        assert_eq!(reversed(mute).links, [(2, 1), (3, 1)]);
        assert_eq!(heard(&halves("halves", &[1, 2], 5, 5).links, 5), [2, 2, 3, 3, 3]);
    }
}
