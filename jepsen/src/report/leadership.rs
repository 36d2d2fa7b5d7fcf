//! Who led when, out of samples of every node.

use std::collections::BTreeMap;

use super::scale::clock;
use crate::cluster::{Role, Sample};

/// All roles, in the order in which they are explained.
pub const ROLES: [Role; 5] =
    [Role::Leader, Role::Follower, Role::Learner, Role::Candidate, Role::Down];

/// A node that was not sampled for so long was not watched, rather than still what it was.
const WATCHED_NS: u64 = 2_000_000_000;

/// A time in which a node said the same of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From when,
    pub from: u64,
    /// until when.
    pub until: u64,
    /// What it said then; its own time is that of the first such sample.
    pub said: Sample,
}

/// A node that began to lead.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Leader {
    /// When that was first seen, in nanoseconds.
    pub time: u64,
    /// The node.
    pub node: u32,
    /// Its term.
    pub term: u64,
}

/// A time in which a node had no vote.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Learner {
    /// The node.
    pub node: u32,
    /// From when, in nanoseconds,
    pub from: u64,
    /// until when.
    pub until: u64,
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

/// Stretches of each of `nodes`, and of every other that was sampled.
pub fn by_node(stretches: &[Stretch], nodes: u32) -> BTreeMap<u32, Vec<&Stretch>> {
    let mut of: BTreeMap<u32, Vec<&Stretch>> = (1..=nodes).map(|node| (node, vec![])).collect();
    stretches.iter().for_each(|stretch| of.entry(stretch.said.node).or_default().push(stretch));
    of
}

/// Those who led, one after another: each in a newer term than the one before, or another node
/// in the same term, which the leader ids of openraft allow.
pub fn leaders(stretches: &[Stretch]) -> Vec<Leader> {
    let leading = stretches.iter().map(|it| it.said).filter(|said| said.role == Role::Leader);
    let mut leading: Vec<Sample> = leading.collect();
    leading.sort_by_key(|said| (said.time, said.term));
    let mut leaders: Vec<Leader> = Vec::new();
    for Sample { time, node, term, .. } in leading {
        let new = |last: &Leader| term > last.term || (term == last.term && node != last.node);
        if leaders.last().is_none_or(new) {
            leaders.push(Leader { time, node, term });
        }
    }
    leaders
}

/// Those who had no vote, by node and then by time.
pub fn learners(stretches: &[Stretch]) -> Vec<Learner> {
    let mut learners: Vec<Learner> = Vec::new();
    for Stretch { from, until, said } in stretches.iter().filter(|it| it.said.role == Role::Learner)
    {
        match learners.last_mut() {
            // It has heard of another leader, or of another term.
            Some(last) if (last.node, last.until) == (said.node, *from) => last.until = *until,
            _ => learners.push(Learner { node: said.node, from: *from, until: *until }),
        }
    }
    learners
}

/// Two nodes that led the same term at the same time, and from when; the first such pair.
pub fn rivals(stretches: &[Stretch]) -> Option<(&Stretch, &Stretch, u64)> {
    let leading = || stretches.iter().filter(|it| it.said.role == Role::Leader);
    let pairs = leading().flat_map(|one| leading().map(move |other| (one, other)));
    let rivals = pairs.filter(|(one, other)| {
        let same_term = one.said.term == other.said.term && one.said.node < other.said.node;
        same_term && one.from < other.until && other.from < one.until
    });
    rivals.map(|(one, other)| (one, other, one.from.max(other.from))).min_by_key(|it| it.2)
}

/// All that is known of a stretch, for who points at it.
pub fn title(stretch: &Stretch) -> String {
    let Sample { node, role, term, leader, .. } = stretch.said;
    let mut title = format!("node {node}: {}", word(role));
    if role != Role::Down {
        title += &format!(", term {term}");
    }
    if let Some(leader) = leader.filter(|_| role != Role::Leader) {
        title += &format!(", follows node {leader}");
    }
    format!("{title}\n{} to {}", clock(stretch.from), clock(stretch.until))
}

/// How a role is written, and the class of its colour.
pub fn word(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Candidate => "candidate",
        Role::Down => "down",
    }
}

fn extend(stretches: &mut Vec<Stretch>, first: usize, sample: &Sample, until: u64) {
    let same = |said: &Sample| {
        (said.role, said.term, said.leader) == (sample.role, sample.term, sample.leader)
    };
    match stretches[first..].last_mut() {
        Some(last) if same(&last.said) && last.until >= sample.time => last.until = until,
        _ => stretches.push(Stretch { from: sample.time, until, said: *sample }),
    }
}
