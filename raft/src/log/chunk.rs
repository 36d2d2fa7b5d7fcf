//! Records that are written, and made durable, together.

use std::time::Instant;

use super::Result;
use super::index::Position;

/// Told when a record is durable, or never will be.
pub(super) type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Somebody who wants to know when a chunk is durable.
pub(super) struct Waiter {
    /// Of the same shard only the newest of these is told: its news includes theirs.
    pub(super) supersedes: Option<u32>,
    /// Whether it is worth a sync of its own.
    pub(super) urgent: bool,
    pub(super) done: Done,
}

/// Records on their way to a segment.
pub(super) struct Chunk {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) waiters: Vec<Waiter>,
    /// Urgent waiters, including those that were superseded.
    pub(super) appends: u64,
    /// When the first of them came.
    pub(super) urgent_since: Option<Instant>,
    /// When its first record came.
    pub(super) since: Instant,
}

impl Chunk {
    pub(super) fn new(start: Position, bytes: Vec<u8>) -> Self {
        let Position { segment, offset } = start;
        let since = Instant::now();
        Self { segment, offset, bytes, waiters: vec![], appends: 0, urgent_since: None, since }
    }

    pub(super) fn end(&self) -> Position {
        Position { segment: self.segment, offset: self.offset + self.bytes.len() as u64 }
    }

    pub(super) fn wait(&mut self, waiter: Waiter) {
        if waiter.urgent {
            self.urgent_since.get_or_insert_with(Instant::now);
        }
        self.appends += u64::from(waiter.urgent);
        let older = |other: &&mut Waiter| {
            waiter.supersedes.is_some() && other.supersedes == waiter.supersedes
        };
        match self.waiters.iter_mut().find(older) {
            Some(older) => *older = waiter,
            None => self.waiters.push(waiter),
        }
    }
}
