//! Housekeeping, on a thread of its own: makes segments ahead of their use, finds out which are
//! dead, and copies what little pins an old one.
//!
//! A shard that is rarely written would keep every segment since its last entry. So when there are
//! more than `segments_max` of them and at most a quarter of the oldest is live, its live entries
//! are written again at the end of the log. A segment that is fuller stays: copying it would gain
//! little, and it is dead after the next snapshot anyway.
//!
//! Invariants
//! * A file is free only after the record that says so is durable, which comes after the purges
//!   and copies it speaks of.
//! * Housekeeping never holds two shards' locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Result;
use super::chunk::Waiter;
use super::error::LogError;
use super::record::Record;
use super::shard::Shard;
use super::writer::Writer;

/// Live entries are copied in steps of so many bytes, each once the one before is durable: appends
/// come in between.
const COPY_BYTES: u64 = 1 << 20;
/// An old segment is copied if not more than this part of it is live.
const LIVE_PART: u64 = 4;
/// How long to wait before trying again what failed, such as making a file on a full disk.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes a thread that has work now and then.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<(bool, bool)>,
    woken: Condvar,
}

impl Signal {
    pub(super) fn wake(&self) {
        self.state.lock().0 = true;
        self.woken.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().1 = true;
        self.woken.notify_one();
    }

    /// Waits until it is woken, or for `timeout`. False once it is closed.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        while !state.0 && !state.1 {
            match timeout {
                None => self.woken.wait(&mut state),
                Some(timeout) if self.woken.wait_for(&mut state, timeout).timed_out() => break,
                Some(_) => {}
            }
        }
        state.0 = false;
        !state.1
    }
}

/// The housekeeping thread.
pub(super) struct Housekeeper {
    writer: Arc<Writer>,
    shards: Shards,
    /// Segments before this one are dead, durably so.
    dead_before: Arc<AtomicU64>,
    /// A step of copying is not durable yet.
    copying: Arc<AtomicBool>,
}

/// All shards of the log.
pub(super) type Shards = Arc<Mutex<BTreeMap<u32, Arc<Shard>>>>;

impl Housekeeper {
    pub(super) fn new(writer: Arc<Writer>, shards: Shards) -> Self {
        Self { writer, shards, dead_before: Arc::default(), copying: Arc::default() }
    }

    pub(super) fn run(&self) {
        loop {
            let retry = self.turn();
            if !self.writer.housekeeping.wait(retry) {
                return;
            }
        }
    }

    /// Does what is due. When to try again, if it did not succeed.
    pub(super) fn turn(&self) -> Option<Duration> {
        match self.once() {
            Ok(()) => None,
            // A failed or closed log needs no housekeeping.
            Err(LogError::Failed(_) | LogError::Closed) => None,
            // A full disk may have room later.
            Err(error @ LogError::Io { .. }) => {
                tracing::warn!(%error, "housekeeping of the log failed, will try again");
                Some(RETRY)
            }
            Err(damage) => {
                self.writer.fail(damage, vec![]);
                None
            }
        }
    }

    /// Never waits for the writer, which may be waiting for a segment.
    fn once(&self) -> Result<()> {
        self.writer.segments.release(self.dead_before.load(Ordering::Acquire));
        self.writer.segments.prepare()?;
        self.compact()?;
        self.declare_dead()
    }

    fn all_shards(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().values().cloned().collect()
    }

    /// The oldest segment with a live entry, as far as `filling`, the one that is being filled.
    fn oldest_live(&self, filling: u64) -> u64 {
        let oldest = self.all_shards().iter().filter_map(|shard| shard.oldest_segment()).min();
        oldest.map_or(filling, |oldest| oldest.min(filling))
    }

    /// Notes in the log which segments are dead; their files are free once that is durable.
    fn declare_dead(&self) -> Result<()> {
        // Read before the shards are asked: what they append meanwhile goes there or later.
        let (known, filling) = self.writer.bounds();
        let oldest = self.oldest_live(filling);
        if oldest <= known {
            return Ok(());
        }
        let (dead_before, writer) = (self.dead_before.clone(), Arc::downgrade(&self.writer));
        let done = Box::new(move |result: Result<()>| {
            if let (Ok(()), Some(writer)) = (result, writer.upgrade()) {
                dead_before.fetch_max(oldest, Ordering::AcqRel);
                writer.housekeeping.wake();
            }
        });
        let waiter = Waiter { supersedes: None, urgent: false, done };
        self.writer.note(0, &Record::Base { oldest }, Some(waiter)).map(drop)
    }

    /// Copies some live entries of the oldest segment if that is worth it.
    fn compact(&self) -> Result<()> {
        let (known, filling) = self.writer.bounds();
        let oldest = self.oldest_live(filling).max(known);
        let count = self.writer.segments.count_from(oldest);
        let few = count <= self.writer.options.segments_max || oldest >= filling;
        if few || self.copying.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(segment) = self.writer.segments.get(oldest) else { return Ok(()) };
        let live = |shard: &Arc<Shard>| shard.live_bytes(oldest);
        let shards = self.all_shards();
        if shards.iter().map(live).sum::<u64>() > segment.capacity / LIVE_PART {
            return Ok(());
        }
        for shard in shards.iter().filter(|shard| live(shard) > 0) {
            self.copying.store(true, Ordering::Release);
            let (copying, writer) = (self.copying.clone(), self.writer.clone());
            let finished = Finished { copying, writer };
            if shard.copy_from(&self.writer, &segment, COPY_BYTES, finished)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Ends a step of copying when it is dropped, and lets the next one begin.
struct Finished {
    copying: Arc<AtomicBool>,
    writer: Arc<Writer>,
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.copying.store(false, Ordering::Release);
        self.writer.housekeeping.wake();
    }
}
