//! The server: connections, and what they share.
//!
//! One task per connection. It parses all that was read, carries the requests out in order, and
//! writes all the replies at once; runs of writes share one hand-over to the log, runs of reads
//! share one read barrier and one view.
//!
//! Invariants
//! * Replies leave in the order of the requests.
//! * A write's reply leaves after it was applied; a read's after a barrier begun after it arrived.
//! * What connections hold is bounded, for all of them together (`budget`).

mod admin;
mod budget;
mod clients;
mod connection;
mod limits;
mod listener;
mod pause;
mod reads;
mod replica;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::config::Live;
use crate::node::Control;
use crate::session::Gatekeeper;
use crate::telemetry::Metrics;
use crate::threads::Threads;

pub use admin::{Blocked, MemoryMarks, Saves, SlowLog};
pub use budget::Budget;
pub use clients::{Client, Clients};
pub use listener::{bind, serve};
pub use pause::Pause;
pub use replica::{Digests, Replica};

/// The version of Redis whose behaviour is offered; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.4";

/// Everything the connections of a node share.
pub struct Server {
    /// Settings, some of which change at run time.
    pub config: Live,
    /// The connections.
    pub clients: Clients,
    /// What they hold together.
    pub budget: Arc<Budget>,
    /// Counters and histograms.
    pub telemetry: Arc<Metrics>,
    /// The replica; another one after REPLICAOF.
    pub replica: ArcSwap<Replica>,
    /// State digests that were asked for.
    pub digests: Digests,
    /// When the process started.
    pub started: Instant,
    /// This run of the process: 40 hexadecimal digits, as INFO's `run_id`.
    pub run_id: String,
    /// Where connections are served.
    pub threads: Threads,
    /// Asks the node to change or to stop; see [`crate::node`].
    pub control: Control,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Connections that wait, and how they are woken.
    pub blocked: Blocked,
    /// Requests that took long.
    pub slowlog: SlowLog,
    /// Memory at the start and at its peak.
    pub memory: MemoryMarks,
    /// SAVE, BGSAVE, LASTSAVE.
    pub saves: Saves,
    /// Whether the leader proposes sweeps of expired keys.
    pub sweeps: AtomicBool,
}

impl Server {
    /// A server over a replica, without connections.
    pub fn new(
        config: Live,
        telemetry: Arc<Metrics>,
        replica: Replica,
        threads: Threads,
        control: Control,
    ) -> Self {
        let slowlog = SlowLog::new(&config);
        let run_id: [u8; 20] = rand::random();
        Self {
            budget: Budget::new(config.clone()),
            config,
            clients: Clients::default(),
            telemetry,
            replica: ArcSwap::from_pointee(replica),
            digests: Digests::default(),
            started: now(),
            run_id: run_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            threads,
            control,
            pause: Pause::default(),
            blocked: Blocked::default(),
            slowlog,
            memory: MemoryMarks::default(),
            saves: Saves::default(),
            sweeps: AtomicBool::new(true),
        }
    }
}

/// This node's monotonic clock: for waits and ages, never for anything replicated.
pub fn now() -> Instant {
    Instant::now()
}

impl Gatekeeper for Server {
    fn requires_password(&self) -> bool {
        !self.config.config().server.password.is_empty()
    }

    fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        let config = self.config.config();
        let right = config.server.password.as_bytes();
        user == b"default" && (right.is_empty() || same_secret(right, password))
    }

    fn transaction_bytes_max(&self) -> usize {
        self.config.now().raft.entry_bytes_max.as_usize()
    }

    fn role(&self) -> &'static str {
        let leads = self.replica.load().consensus.watch().borrow().is_leader();
        if leads { "master" } else { "slave" }
    }
}

/// Compares in a time that does not tell how much of it is right.
fn same_secret(right: &[u8], given: &[u8]) -> bool {
    let difference = right.iter().zip(given).fold(0, |acc, (a, b)| acc | (a ^ b));
    right.len() == given.len() && difference == 0
}
