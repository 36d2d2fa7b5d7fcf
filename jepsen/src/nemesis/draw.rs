//! Drawing a fault: how bad, and on whom the budget lets it be.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::fault::{Churn, Clock, Damage, Fault, Partition, Snapshots, Who};

/// Whether a snapshot that is drawn is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// There is no time for it.
    No,
    /// As it is drawn.
    Maybe,
    /// Whatever is drawn; nodes are broken in this cycle, and not leaders.
    Surely,
}

/// Whom one cycle may break.
pub struct Scope {
    all: Vec<u32>,
    liveness: bool,
    /// In liveness mode: the minority that is broken in this cycle, whatever breaks it.
    victims: Vec<u32>,
    /// In liveness mode: how many leaders of the moment may be broken instead of the victims.
    leaders: usize,
    /// In liveness mode: whether a fault is drawn that leaves no room for others.
    full: bool,
    install: Install,
}

impl Scope {
    /// The budget of one cycle.
    pub fn new(nodes: u32, liveness: bool, rng: &mut ChaCha8Rng) -> Self {
        let mut all: Vec<u32> = (1..=nodes).collect();
        let minority = (all.len().max(1) - 1) / 2;
        all.shuffle(rng);
        let (victims, leaders) = match rng.random_ratio(1, 3) {
            true => (Vec::new(), minority),
            false => (all[..minority].to_vec(), 0),
        };
        Self { all, liveness, victims, leaders, full: false, install: Install::Maybe }
    }

    /// Whether snapshots are installed.
    pub fn install(&mut self, install: Install) {
        self.install = install;
        if install == Install::Surely {
            (self.victims, self.leaders) = (self.all[..self.minority()].to_vec(), 0);
        }
    }

    fn minority(&self) -> usize {
        (self.all.len() - 1) / 2
    }

    /// A fault of that name, if the budget has room for it. Room for the `first` there always is.
    pub fn draw(&mut self, name: &str, first: bool, rng: &mut ChaCha8Rng) -> Option<Fault> {
        if self.full {
            return None;
        }
        let stands_alone = self.liveness && ["member", "transfer", "failover"].contains(&name);
        if stands_alone && !first {
            return None;
        }
        self.full = stands_alone;
        let broken_leaders = self.victims.is_empty() && self.leaders == 0;
        let breaks = !["clock", "member", "transfer", "failover"].contains(&name);
        if self.liveness && broken_leaders && breaks {
            return None;
        }
        self.fault(name, rng)
    }

    fn fault(&mut self, name: &str, rng: &mut ChaCha8Rng) -> Option<Fault> {
        Some(match name {
            "partition" => Fault::Partition(self.partition(rng)),
            "kill" => Fault::Kill(self.who(rng)),
            "failover" => Fault::Failover,
            "term" => Fault::Term(self.who(rng)),
            "pause" => Fault::Pause(self.who(rng)),
            "loss" => Fault::Loss { who: self.who(rng), percent: pick(&[2, 10, 25, 50], rng) },
            "delay" => {
                let (base_ms, jitter_ms) = pick(&[(5, 20), (30, 60), (100, 200), (300, 50)], rng);
                Fault::Delay { who: self.who(rng), base_ms, jitter_ms }
            }
            "slow" => {
                let bytes_per_s = pick(&[16 << 10, 64 << 10, 256 << 10], rng);
                Fault::Slow { who: self.who(rng), bytes_per_s }
            }
            "clock" => Fault::Clock { who: Who::Nodes(self.any(rng)), clock: clock(rng) },
            "cpu" => Fault::Cpu { who: self.who(rng), percent: pick(&[2, 5, 10], rng) },
            "power" => Fault::Power(self.who(rng)),
            "fsync-error" => Fault::FsyncError(self.who(rng)),
            "slow-fsync" => {
                Fault::SlowFsync { who: self.who(rng), ms: pick(&[20, 100, 300, 1000], rng) }
            }
            "disk-full" => Fault::DiskFull(self.who(rng)),
            "torn-tail" => self.torn_tail(rng),
            "wipe" => Fault::Wipe(self.losers(rng)),
            "member" => Fault::Member(self.churn(rng)),
            "transfer" => {
                Fault::Transfer { every_ms: pick(&[100, 300, 1000], rng), seed: rng.random() }
            }
            "outage" => Fault::Outage(self.some(self.all.len() - self.minority(), rng)),
            "snapshot" => Fault::Snapshot(self.snapshots(rng)?),
            _ => return None,
        })
    }

    /// In safety mode one, a minority, a majority, all, or the leader; in liveness mode some of the
    /// victims, or a leader.
    fn who(&mut self, rng: &mut ChaCha8Rng) -> Who {
        if self.liveness {
            if self.leaders > 0 {
                self.leaders -= 1;
                return Who::Leader;
            }
            return Who::Nodes(self.some_victims(rng));
        }
        let (all, minority) = (self.all.len(), self.minority());
        let count = pick(&[0, 1, minority.max(1), all - minority, all], rng);
        if count == 0 { Who::Leader } else { Who::Nodes(self.some(count, rng)) }
    }

    fn some_victims(&self, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let count = rng.random_range(1..=self.victims.len().max(1));
        sorted(self.victims.sample(rng, count))
    }

    fn some(&self, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
        sorted(self.all.sample(rng, count))
    }

    /// One or more, whatever the budget.
    fn any(&self, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let count = rng.random_range(1..=self.all.len());
        self.some(count, rng)
    }

    fn order(&self, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut order = self.all.clone();
        order.shuffle(rng);
        order
    }

    fn partition(&mut self, rng: &mut ChaCha8Rng) -> Partition {
        if self.liveness {
            return match rng.random_range(0..4) {
                0 => Partition::Mute(self.who(rng)),
                1 => Partition::Deaf(self.who(rng)),
                2 if !self.victims.is_empty() => self.flapping(self.some_victims(rng), rng),
                _ => Partition::Halves(self.who(rng)),
            };
        }
        let minority = self.some(self.minority().max(1), rng);
        match rng.random_range(0..8) {
            0 => Partition::Halves(Who::Leader),
            1 => Partition::Mute(Who::Leader),
            2 => Partition::Deaf(Who::Leader),
            3 => Partition::Mute(Who::Nodes(minority)),
            4 if self.all.len() > 3 => Partition::Ring(self.order(rng)),
            5 if self.all.len() > 2 => Partition::Bridge(self.order(rng)),
            6 => self.flapping(minority, rng),
            _ => Partition::Halves(Who::Nodes(minority)),
        }
    }

    fn flapping(&self, nodes: Vec<u32>, rng: &mut ChaCha8Rng) -> Partition {
        Partition::Flapping { nodes, period_ms: pick(&[100, 300, 1000], rng) }
    }

    /// A bit may turn over only where data may be lost.
    fn torn_tail(&mut self, rng: &mut ChaCha8Rng) -> Fault {
        let (who, damage) = match self.minority() > 0 && rng.random() {
            true => (self.losers(rng), Damage::Flipped),
            false => (self.who(rng), Damage::Torn),
        };
        Fault::TornTail { who, damage, seed: rng.random() }
    }

    /// A minority, whatever the budget: what a majority acknowledged must be whole somewhere.
    fn losers(&mut self, rng: &mut ChaCha8Rng) -> Who {
        if self.liveness {
            return self.who(rng);
        }
        let count = rng.random_range(1..=self.minority());
        Who::Nodes(self.some(count, rng))
    }

    fn churn(&self, rng: &mut ChaCha8Rng) -> Churn {
        let node = pick(&self.all, rng);
        match rng.random_range(0..6) {
            0 if self.all.len() > 1 => Churn::RemoveLeader,
            1 if self.all.len() > 2 && !self.liveness => Churn::RemoveIsolated(node),
            2 if self.all.len() > 1 => Churn::Replace(node),
            3 if self.all.len() > 1 => Churn::Shrink(self.order(rng)),
            4 if self.minority() > 0 => Churn::Demote(self.some(self.minority(), rng)),
            _ => Churn::Learner,
        }
    }

    fn snapshots(&self, rng: &mut ChaCha8Rng) -> Option<Snapshots> {
        let victims = if self.liveness { &self.victims } else { &self.all };
        let away = victims.choose(rng).copied().filter(|_| self.minority() > 0);
        let kinds = if self.install == Install::Surely { 2 } else { 3 };
        let away = away.filter(|_| self.install != Install::No);
        Some(match (away, rng.random_range(0..kinds)) {
            (Some(node), 0) => Snapshots::Installed(node),
            (Some(node), 1) => Snapshots::Interrupted(node),
            _ => Snapshots::Taken,
        })
    }
}

fn clock(rng: &mut ChaCha8Rng) -> Clock {
    let seconds = pick(&[-3600, -60, -1, 1, 60, 3600], rng);
    match rng.random_range(0..3) {
        0 => Clock::Jump(seconds),
        1 => Clock::Strobe(seconds),
        _ => Clock::Drift(pick(&[0.5, 0.9, 1.1, 2.0], rng)),
    }
}

fn pick<T: Copy>(among: &[T], rng: &mut ChaCha8Rng) -> T {
    among[rng.random_range(0..among.len())]
}

fn sorted<'a>(nodes: impl Iterator<Item = &'a u32>) -> Vec<u32> {
    let mut nodes: Vec<u32> = nodes.copied().collect();
    nodes.sort_unstable();
    nodes
}
