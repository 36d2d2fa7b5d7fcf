//! Who led when, out of samples of every node.

use std::collections::BTreeMap;

use crate::cluster::Sample;

/// A node that was not sampled for so long was not watched, rather than still what it was.
const WATCHED_NS: u64 = 2_000_000_000;

/// A time in which a node said the same of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The node.
    pub node: u32,
    /// From its first sample,
    pub from: u64,
    /// until the next that says something else.
    pub until: u64,
    /// `leader`, `follower`, `candidate`, `learner` or what else it said; `down` if it said nothing.
    pub role: String,
    /// Its term, where it said one.
    pub term: Option<u64>,
    /// Whom it took for the leader.
    pub leader: Option<u64>,
}

/// A node that began to lead.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Leader {
    /// When that was first seen, in nanoseconds.
    pub time: u64,
    /// The node.
    pub node: u32,
    /// The term, where it is known.
    pub term: Option<u64>,
}

/// What every node said over time, by node and then by time.
pub fn stretches(samples: &[Sample], end: u64) -> Vec<Stretch> {
    let mut nodes: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
    samples.iter().for_each(|sample| nodes.entry(sample.node).or_default().push(sample));
    let mut stretches = Vec::new();
    for of_node in nodes.values_mut() {
        of_node.sort_by_key(|sample| sample.time);
        let from = stretches.len();
        for (place, sample) in of_node.iter().enumerate() {
            let next = of_node.get(place + 1).map_or(end.max(sample.time), |next| next.time);
            extend(&mut stretches, from, sample, next.min(sample.time + WATCHED_NS));
        }
    }
    stretches
}

/// Those who led, one after another: each new term, or, where terms are not told, each new node.
pub fn leaders(stretches: &[Stretch]) -> Vec<Leader> {
    let mut leading: Vec<&Stretch> = stretches.iter().filter(|it| it.role == "leader").collect();
    leading.sort_by_key(|stretch| (stretch.from, stretch.term));
    let mut leaders: Vec<Leader> = Vec::new();
    for stretch in leading {
        let new = leaders.last().is_none_or(|last| match (last.term, stretch.term) {
            (Some(old), Some(term)) => term > old,
            _ => last.node != stretch.node,
        });
        if new {
            leaders.push(Leader { time: stretch.from, node: stretch.node, term: stretch.term });
        }
    }
    leaders
}

fn extend(stretches: &mut Vec<Stretch>, first: usize, sample: &Sample, until: u64) {
    let role = sample.role.as_ref().map_or("down".to_string(), |role| role.to_lowercase());
    let said = (&role, sample.term, sample.leader);
    match stretches[first..].last_mut() {
        Some(last) if (&last.role, last.term, last.leader) == said && last.until >= sample.time => {
            last.until = until;
        }
        _ => stretches.push(Stretch {
            node: sample.node,
            from: sample.time,
            until,
            role,
            term: sample.term,
            leader: sample.leader,
        }),
    }
}
