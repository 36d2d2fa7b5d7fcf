//! Where an entry spends its time, on the node that proposed it; and how members catch up.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// A part of an entry's way, as far as it is this crate's to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From its proposal until it was given to the log.
    Append,
    /// From its proposal until it was committed and handed to the state machine.
    Replicate,
    /// From there until it was applied.
    Apply,
    /// From there until whoever proposed it runs with the answer.
    Reply,
    /// This node took a snapshot.
    SnapshotTaken,
    /// This node found out what a member lacks of a snapshot: the log it lacks is gone.
    SnapshotOffered,
    /// This node sent a member what it lacked of a snapshot, and that has installed it.
    SnapshotSent,
    /// This node installed a snapshot that was sent to it.
    SnapshotReceived,
    /// A member took up the log over a new stream.
    LogTakenUp,
}

/// Told how long each stage took. Called on the path of every entry, so it must be quick.
pub type OnStage = Arc<dyn Fn(Stage, Duration) + Send + Sync>;

/// For whoever does not want to know.
pub fn unwatched() -> OnStage {
    Arc::new(|_, _| {})
}

/// When this node proposed an entry. It is no part of the entry: other nodes, and this one after a
/// restart, do not know it.
#[derive(Clone, Copy, Default)]
pub struct Proposed(Option<Instant>);

impl Proposed {
    /// Now.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// Time since then, if this node proposed it.
    pub fn elapsed(self) -> Option<Duration> {
        self.0.map(|proposed| proposed.elapsed())
    }
}

/// Entries do not differ by it.
impl PartialEq for Proposed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Proposed {}
