//! Who leads, as each node says, ten times a second.
//!
//! Each node has a thread of its own, so that one that does not answer hides no other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::target::Standing;
use super::{Problem, Shared, http};
use crate::cluster::network::Network;

const PERIOD: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(500);
/// What was heard longer ago says nothing of now.
const FRESH: Duration = Duration::from_millis(1000);
/// A day of five nodes; later samples are not kept.
const SAMPLES_MAX: usize = 5_000_000;

/// The part a node says it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It leads.
    Leader,
    /// It has a vote, and knows who leads.
    Follower,
    /// It has no vote: not yet, not for now, never, or not any more.
    Learner,
    /// It has a vote, and knows nobody who leads.
    Candidate,
    /// It does not answer.
    Down,
}

/// What one node said at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Nanoseconds since the run began.
    pub time: u64,
    /// Who said it.
    pub node: u32,
    /// The part it plays.
    pub role: Role,
    /// The newest term it has seen.
    pub term: u64,
    /// Who has said last that it leads this term.
    pub leader: Option<u32>,
}

#[derive(Debug, Default)]
struct Seen {
    samples: Vec<(Instant, Sample)>,
    last: BTreeMap<u32, (Instant, Standing)>,
    leaders: BTreeMap<u64, u32>,
    /// Who has ever answered: of a place that nobody has taken yet there is nothing to tell.
    known: BTreeSet<u32>,
}

/// The threads that ask.
#[derive(Debug)]
pub struct Sampler {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sampler {
    /// Asks nodes 1 to `nodes` from now on.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        network: &Arc<Network>,
        nodes: u32,
    ) -> Result<Self, Problem> {
        let (seen, stop) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let mut sampler = Self { seen, stop, threads: Vec::new() };
        for node in 1..=nodes {
            let (seen, stop) = (Arc::clone(&sampler.seen), Arc::clone(&sampler.stop));
            let (shared, network) = (Arc::clone(shared), Arc::clone(network));
            let name = format!("sampler-{node}");
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                let address = network.address(node);
                if network.enter().is_ok() {
                    drop(network);
                    watch(&shared, node, address, &seen, &stop);
                }
            })?;
            sampler.threads.push(thread);
        }
        Ok(sampler)
    }

    /// Who leads: of those who say so, the one of the newest term.
    pub fn leader(&self) -> Option<u32> {
        let seen = lock(&self.seen);
        let now = Instant::now();
        let leads = seen.last.iter().filter(|(_, (at, it))| it.leads && now - *at < FRESH);
        leads.max_by_key(|(_, (at, it))| (it.term, *at)).map(|(node, _)| *node)
    }

    /// How many say that they lead.
    pub fn leaders(&self) -> usize {
        let now = Instant::now();
        let seen = lock(&self.seen);
        seen.last.values().filter(|(at, it)| it.leads && now - *at < FRESH).count()
    }

    /// Everything that was said, with times since `began`.
    pub fn samples(&self, began: Instant) -> Vec<Sample> {
        let since = |at: Instant| at.saturating_duration_since(began).as_nanos() as u64;
        let seen = lock(&self.seen);
        seen.samples.iter().map(|(at, it)| Sample { time: since(*at), ..*it }).collect()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn watch(shared: &Shared, node: u32, address: Ipv4Addr, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let agent = http::agent(PATIENCE);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let standing = shared.options.target.standing(&agent, address);
        lock(seen).note(node, standing);
        std::thread::sleep(PERIOD.saturating_sub(begun.elapsed()));
    }
}

impl Seen {
    fn note(&mut self, node: u32, standing: Option<Standing>) {
        let now = Instant::now();
        let role = role(standing);
        let term = standing.map_or(0, |it| it.term);
        if role == Role::Leader {
            self.leaders.insert(term, node);
        }
        match standing {
            Some(standing) => {
                self.known.insert(node);
                self.last.insert(node, (now, standing));
            }
            None if !self.known.contains(&node) => return,
            None => drop(self.last.remove(&node)),
        }
        let knows = standing.is_some_and(|it| it.leads || it.has_leader);
        let leader = self.leaders.get(&term).copied().filter(|_| knows);
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push((now, Sample { time: 0, node, role, term, leader }));
        }
    }
}

fn role(standing: Option<Standing>) -> Role {
    match standing {
        None => Role::Down,
        Some(it) if it.leads => Role::Leader,
        Some(it) if !it.votes => Role::Learner,
        Some(it) if it.has_leader => Role::Follower,
        Some(_) => Role::Candidate,
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_vote_is_a_learner_whether_it_knows_a_leader_or_not() {
        let mut seen = Seen::default();
        let says = |leads, has_leader, votes| Some(Standing { leads, has_leader, votes, term: 3 });
        let heard = [
            says(true, true, true),
            says(false, true, true),
            says(false, false, true),
            says(false, true, false),
            says(false, false, false),
            // A leader that was demoted leads until another does.
            says(true, true, false),
            None,
        ];
        heard.into_iter().for_each(|standing| seen.note(1, standing));
        let told: Vec<_> = seen.samples.iter().map(|(_, it)| (it.role, it.leader)).collect();
        let expected = [
            (Role::Leader, Some(1)),
            (Role::Follower, Some(1)),
            (Role::Candidate, None),
            (Role::Learner, Some(1)),
            (Role::Learner, None),
            (Role::Leader, Some(1)),
            (Role::Down, None),
        ];
        assert_eq!(told, expected);
    }
}
