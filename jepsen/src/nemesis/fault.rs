//! What can be broken, as data: a fault and on whom, drawn before the run begins.
//!
//! A fault on the leader is on whoever leads when it starts.

use crate::history::Value;

/// On whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// These nodes.
    Nodes(Vec<u32>),
    /// Whoever leads then.
    Leader,
}

/// How the network falls apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// These nodes from all others.
    Halves(Who),
    /// Each node hears a majority, and no two of them the same.
    Ring(Vec<u32>),
    /// Two halves that both hear the first node.
    Bridge(Vec<u32>),
    /// The node is heard by nobody, and hears all.
    Mute(Who),
    /// The node hears nobody, and is heard by all.
    Deaf(Who),
    /// These nodes from all others, and not, and again.
    Flapping {
        /// Who comes and goes.
        nodes: Vec<u32>,
        /// How long each time.
        period_ms: u64,
    },
}

/// What a wall clock does.
#[derive(Debug, Clone, PartialEq)]
pub enum Clock {
    /// It jumps by so many seconds, and at the end back.
    Jump(i64),
    /// It jumps there and back all the time.
    Strobe(i64),
    /// It runs so many times as fast.
    Drift(f64),
}

/// What happens to a log of a node that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// What was not yet durable is half there. The node must start.
    Torn,
    /// A bit of what was durable is another. The node must refuse to start.
    Flipped,
}

/// How members change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Churn {
    /// A learner comes and goes.
    Learner,
    /// These become learners for a while.
    Demote(Vec<u32>),
    /// The leader is removed, and comes back as another.
    RemoveLeader,
    /// The leader is cut off and asked to remove this node; then the others remove the leader.
    RemoveIsolated(u32),
    /// A newcomer takes the place of this node.
    Replace(u32),
    /// All but the last are removed one by one, and come back.
    Shrink(Vec<u32>),
}

/// What is done with snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshots {
    /// Every node takes them all the time.
    Taken,
    /// The node is away until the log it needs is gone, and is sent a snapshot.
    Installed(u32),
    /// So, and killed while it receives.
    Interrupted(u32),
}

/// A fault.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Links are cut.
    Partition(Partition),
    /// kill -9, and a start at the end.
    Kill(Who),
    /// kill -9 of the leader, and nothing else: how long is nothing written?
    Failover,
    /// kill -9 of all; these come back soon, the others at the end.
    Outage(Vec<u32>),
    /// SIGTERM, and a start at the end.
    Term(Who),
    /// SIGSTOP, and SIGCONT at the end.
    Pause(Who),
    /// Packets to and from them are lost.
    Loss {
        /// On whom.
        who: Who,
        /// How many of a hundred.
        percent: u8,
    },
    /// Packets to and from them are late, and overtake each other.
    Delay {
        /// On whom.
        who: Who,
        /// At least so much.
        base_ms: u64,
        /// And up to so much more.
        jitter_ms: u64,
    },
    /// Their cable is slow.
    Slow {
        /// On whom.
        who: Who,
        /// How slow.
        bytes_per_s: u64,
    },
    /// Their wall clocks are wrong.
    Clock {
        /// On whom.
        who: Who,
        /// How wrong.
        clock: Clock,
    },
    /// They have little of the processor.
    Cpu {
        /// On whom.
        who: Who,
        /// Hundredths of one.
        percent: u64,
    },
    /// Their power is cut: what was not fsynced is gone.
    Power(Who),
    /// Every fsync fails.
    FsyncError(Who),
    /// Every fsync takes longer.
    SlowFsync {
        /// On whom.
        who: Who,
        /// How much longer.
        ms: u64,
    },
    /// There is no space left.
    DiskFull(Who),
    /// They are killed and their logs are damaged.
    TornTail {
        /// On whom.
        who: Who,
        /// How.
        damage: Damage,
        /// What decides which bytes.
        seed: u64,
    },
    /// Their data are gone, and they are started on what is left, which is nothing.
    Wipe(Who),
    /// Members change.
    Member(Churn),
    /// The leader is told to make way for another all the time.
    Transfer {
        /// How often.
        every_ms: u64,
        /// What decides for whom.
        seed: u64,
    },
    /// Snapshots are taken and sent.
    Snapshot(Snapshots),
}

/// All faults: names as events and command lines have them, and what each does, for people.
pub const KINDS: [(&str, &str); 20] = [
    ("partition", "cuts links between nodes, both ways or one, for good or on and off"),
    ("kill", "kills processes (-9) and starts them again"),
    ("failover", "kills the leader (-9), and nothing else"),
    ("term", "asks processes to end (SIGTERM) and starts them again"),
    ("pause", "stops processes (SIGSTOP) for a while"),
    ("loss", "loses packets between nodes"),
    ("delay", "holds packets back, so that they overtake each other"),
    ("slow", "makes cables between nodes slow"),
    ("clock", "lets wall clocks jump and drift"),
    ("cpu", "leaves processes little of the processor"),
    ("power", "cuts the power: what was not fsynced is gone"),
    ("fsync-error", "lets every fsync fail"),
    ("slow-fsync", "lets every fsync take longer"),
    ("disk-full", "leaves no space on disks"),
    ("torn-tail", "kills nodes and damages the ends of their logs"),
    ("wipe", "takes all data of nodes and starts them on empty disks"),
    ("member", "adds, demotes, removes and replaces members"),
    ("transfer", "tells the leader again and again to make way"),
    ("snapshot", "takes snapshots and has them sent, also to nodes that are killed meanwhile"),
    ("outage", "kills all processes (-9) and starts a majority of them before the rest"),
];

/// Only their names.
pub const NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = KINDS[at].0;
        at += 1;
    }
    names
};

impl Fault {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Kill(_) => "kill",
            Self::Failover => "failover",
            Self::Outage(_) => "outage",
            Self::Term(_) => "term",
            Self::Pause(_) => "pause",
            Self::Loss { .. } => "loss",
            Self::Delay { .. } => "delay",
            Self::Slow { .. } => "slow",
            Self::Clock { .. } => "clock",
            Self::Cpu { .. } => "cpu",
            Self::Power(_) => "power",
            Self::FsyncError(_) => "fsync-error",
            Self::SlowFsync { .. } => "slow-fsync",
            Self::DiskFull(_) => "disk-full",
            Self::TornTail { .. } => "torn-tail",
            Self::Wipe(_) => "wipe",
            Self::Member(_) => "member",
            Self::Transfer { .. } => "transfer",
            Self::Snapshot(_) => "snapshot",
        }
    }

    /// Whether a node is sent a snapshot, which takes its time and needs the others.
    pub fn installs(&self) -> bool {
        matches!(self, Self::Snapshot(Snapshots::Installed(_) | Snapshots::Interrupted(_)))
    }

    /// Whom it may keep from serving. `None` is everybody, or nobody knows whom.
    pub fn victims(&self) -> Option<Who> {
        let node = |node: &u32| Some(Who::Nodes(vec![*node]));
        match self {
            Self::Failover => Some(Who::Leader),
            Self::Partition(
                Partition::Halves(who) | Partition::Mute(who) | Partition::Deaf(who),
            )
            | Self::Kill(who)
            | Self::Term(who)
            | Self::Pause(who)
            | Self::Loss { who, .. }
            | Self::Delay { who, .. }
            | Self::Slow { who, .. }
            | Self::Cpu { who, .. }
            | Self::Power(who)
            | Self::FsyncError(who)
            | Self::SlowFsync { who, .. }
            | Self::DiskFull(who)
            | Self::Wipe(who)
            | Self::TornTail { who, .. } => Some(who.clone()),
            Self::Partition(Partition::Flapping { nodes, .. }) => Some(Who::Nodes(nodes.clone())),
            Self::Snapshot(Snapshots::Installed(on) | Snapshots::Interrupted(on)) => node(on),
            // A wrong wall clock keeps nobody from serving, nor does a snapshot.
            Self::Clock { .. } | Self::Snapshot(Snapshots::Taken) => Some(Who::Nodes(Vec::new())),
            Self::Partition(Partition::Ring(_) | Partition::Bridge(_))
            | Self::Outage(_)
            | Self::Member(_)
            | Self::Transfer { .. } => None,
        }
    }
}

/// A list of nodes, as an event has it.
pub fn listed(nodes: &[u32]) -> Value {
    Value::List(nodes.iter().map(|node| Value::Int(i64::from(*node))).collect())
}
