//! Which fault when on whom: a pure function of the seed.
//!
//! Time is divided into cycles of some faults and a while of rest, in which a cluster heals. The
//! first fault of each cycle comes from a shuffled deck of all that are wanted, so that each has its
//! turn; others may join it. A cycle has a *budget*: in safety mode there is none, in liveness mode
//! everything that a cycle breaks is a minority, chosen before, or the leader of the moment.
//!
//! Invariants
//! * The same arguments give the same plan.
//! * Every fault ends before the plan does, and no two of a name overlap.
//! * Of three nodes and more whose snapshots are wanted one is sent a snapshot in the first cycle.
//! * In liveness mode a majority of nodes is whole at any time, and hears itself.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use super::draw::{Install, Scope};
use super::fault::{Fault, NAMES, Who};

/// Nothing breaks before the clients have begun.
const CALM: Duration = Duration::from_secs(2);
const FAULT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// One that is too short shows nothing.
const FAULT_MIN: Duration = Duration::from_secs(2);
/// Now and then one lasts longer than everybody's patience.
const FAULT_LONG: Duration = Duration::from_secs(30);
/// Where nothing but pauses is wanted, one of so long there surely is in a plan of this length.
const LONG_PAUSE_FROM: Duration = Duration::from_secs(50);
/// So much longer than what else its cycle breaks a fault lasts in which a snapshot is installed: that
/// needs a majority besides.
const INSTALL: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(5);
const FAULTS_MAX: usize = 3;

/// A fault with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it starts, after the plan does.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
    /// What it is.
    pub fault: Fault,
}

/// What will be broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In the order of their starts.
    pub steps: Vec<Step>,
}

impl Plan {
    /// A plan of these faults for `nodes` nodes; an error says what is wrong with the arguments.
    pub fn new(
        seed: u64,
        faults: &[String],
        duration: Duration,
        nodes: u32,
        liveness: bool,
    ) -> Result<Self, String> {
        let wanted = wanted(faults)?;
        if liveness && nodes < 3 && !wanted.is_empty() {
            return Err(format!("of {nodes} nodes none can be broken so that a majority is whole"));
        }
        if nodes < 3 && wanted.contains(&"wipe") {
            return Err(format!("of {nodes} nodes none can lose its data so that they are whole"));
        }
        if liveness && wanted.contains(&"outage") {
            return Err("in an outage no majority is whole".to_owned());
        }
        let mut planner = Planner {
            rng: ChaCha8Rng::seed_from_u64(seed),
            deck: Vec::new(),
            to_install: nodes > 2 && wanted.contains(&"snapshot"),
            wanted,
            nodes,
            liveness,
        };
        let mut plan = Self { steps: Vec::new() };
        let mut now = CALM;
        if planner.wanted == ["pause"] && duration >= LONG_PAUSE_FROM {
            let (end, fault) = (now + FAULT_LONG, Fault::Pause(Who::Leader));
            plan.steps.push(Step { start: now, end, fault });
            now = end + REST;
        }
        while !planner.wanted.is_empty() && now + FAULT_MIN <= duration {
            let cycle = planner.cycle(now, duration);
            now = cycle.iter().map(|step| step.end).max().unwrap_or(now) + REST;
            plan.steps.extend(cycle);
        }
        plan.steps.sort_by_key(|step| step.start);
        if plan.steps.is_empty() && !faults.is_empty() {
            return Err(format!("{duration:?} is too short for a fault"));
        }
        Ok(plan)
    }
}

/// Known names, each once, whatever the order they were given in.
fn wanted(faults: &[String]) -> Result<Vec<&'static str>, String> {
    if let Some(unknown) = faults.iter().find(|fault| !NAMES.contains(&fault.as_str())) {
        return Err(format!("there is no fault {unknown}; there are {}", NAMES.join(", ")));
    }
    Ok(NAMES.into_iter().filter(|name| faults.iter().any(|fault| fault == name)).collect())
}

struct Planner {
    rng: ChaCha8Rng,
    /// Names that have yet to have their turn.
    deck: Vec<&'static str>,
    /// Whether a node has yet to be sent a snapshot.
    to_install: bool,
    wanted: Vec<&'static str>,
    nodes: u32,
    liveness: bool,
}

impl Planner {
    fn cycle(&mut self, start: Duration, limit: Duration) -> Vec<Step> {
        let length = self.length();
        // What is to be installed surely has its time, however long the others were to last.
        let latest = if self.to_install { limit.saturating_sub(INSTALL) } else { limit };
        let end = (start + length).min(latest).max(start + FAULT_MIN).min(limit);
        let mut scope = Scope::new(self.nodes, self.liveness, &mut self.rng);
        scope.install(match end + INSTALL {
            _ if self.to_install => Install::Surely,
            enough if enough <= limit => Install::Maybe,
            _ => Install::No,
        });
        let (mut steps, last): (Vec<Step>, Duration) = (Vec::new(), end);
        for (place, name) in self.company().into_iter().enumerate() {
            let Some(fault) = scope.draw(name, place == 0, &mut self.rng) else { continue };
            let is_first = steps.is_empty();
            let (start, end) = if is_first { (start, end) } else { self.within(start, end) };
            let end = if fault.installs() { (last + INSTALL).min(limit) } else { end };
            steps.push(Step { start, end, fault });
        }
        self.to_install = false;
        steps
    }

    fn length(&mut self) -> Duration {
        let (min, max) = FAULT;
        if self.rng.random_ratio(1, 12) {
            return self.rng.random_range(max..=FAULT_LONG);
        }
        self.rng.random_range(min..=max)
    }

    /// The next of the deck, and others that join it.
    fn company(&mut self) -> Vec<&'static str> {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.wanted);
            self.deck.shuffle(&mut self.rng);
        }
        if self.to_install {
            // It is the last of the deck that comes first.
            self.deck.sort_by_key(|name| *name == "snapshot");
        }
        let first = self.deck.pop();
        let others: Vec<&'static str> =
            self.wanted.iter().copied().filter(|name| Some(*name) != first).collect();
        let count = self.rng.random_range(0..FAULTS_MAX).min(others.len());
        let others = others.sample(&mut self.rng, count).copied();
        first.into_iter().chain(others.collect::<Vec<_>>()).collect()
    }

    /// A part of that time, long enough to be felt.
    fn within(&mut self, start: Duration, end: Duration) -> (Duration, Duration) {
        let latest = end.saturating_sub(FAULT_MIN).max(start);
        let start = self.rng.random_range(start..=latest);
        let earliest = (start + FAULT_MIN).min(end);
        (start, self.rng.random_range(earliest..=end))
    }
}

#[cfg(test)]
mod tests;
