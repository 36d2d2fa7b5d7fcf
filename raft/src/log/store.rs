//! openraft's log store on a shard's log.
//!
//! Invariants
//! * `append` returns as soon as the entries can be read, unless it writes them in place; only
//!   `save_vote` always waits for the disk.
//! * Reading files never blocks an async thread: whatever is not in memory is read elsewhere.

use std::fmt::{self, Debug};
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::Stream;
use futures::stream;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, RaftTypeConfig};
use tokio::sync::oneshot;

use super::chunk::{Done, Waiter};
use super::error::LogError;
use super::shard::{Batch, Shard};
use super::{OnAppend, Result, Wal};
use crate::beside::blocking;
use crate::mutant::Mutant;
use crate::types::{Command, Entry, LeaderId, LogId, Node, NodeId, Payload, Vote};

/// The type configurations a [`ShardLog`] serves: any with our entries and votes.
pub trait LogTypes:
    RaftTypeConfig<
        D = Command,
        NodeId = NodeId,
        Node = Node,
        Term = u64,
        LeaderId = LeaderId,
        Vote = Vote,
        Payload = Payload,
        Entry = Entry,
    >
{
}

impl<C> LogTypes for C where
    C: RaftTypeConfig<
            D = Command,
            NodeId = NodeId,
            Node = Node,
            Term = u64,
            LeaderId = LeaderId,
            Vote = Vote,
            Payload = Payload,
            Entry = Entry,
        >
{
}

/// The log of one shard.
pub struct ShardLog {
    reader: ShardLogReader,
    on_append: Option<OnAppend>,
    /// Whether appends may wait for the disk themselves.
    in_place: bool,
}

impl ShardLog {
    pub(super) fn new(wal: Wal, shard: Arc<Shard>, on_append: Option<OnAppend>) -> Self {
        Self { reader: ShardLogReader { wal, shard }, on_append, in_place: false }
    }

    /// Whether appends may write in place from now on, holding up their caller for as long as a
    /// quick disk takes. Whoever has to tell others of an entry should do so meanwhile.
    pub fn write_in_place(&mut self, allowed: bool) {
        self.in_place = allowed;
    }

    /// Tells how far the log is durable.
    pub fn flushed(&self) -> Flushed {
        Flushed(self.reader.clone())
    }

    /// A reader of the same log.
    pub fn reader(&self) -> ShardLogReader {
        self.reader.clone()
    }

    fn parts(&self) -> (&Shard, &super::Writer) {
        (&self.reader.shard, self.reader.wal.writer())
    }

    fn batch(&self, entries: impl IntoIterator<Item = Entry>) -> Result<Batch> {
        let mut batch = Batch::default();
        for entry in entries {
            if let Some(on_append) = &self.on_append {
                on_append(&entry);
            }
            batch.push(self.reader.shard.id(), entry)?;
        }
        Ok(batch)
    }

    /// Waits until not too much is waiting to be written.
    async fn room(&self) -> Result<()> {
        let (_, writer) = self.parts();
        let full = || writer.counters.pending_bytes() > writer.options.pending_bytes;
        if !full() {
            return Ok(());
        }
        let mut progress = writer.progress.subscribe();
        while full() {
            if progress.borrow_and_update().failed {
                return Err(writer.ended());
            }
            progress.changed().await.map_err(|_| LogError::Closed)?;
        }
        Ok(())
    }
}

/// Sends the news of a record to whoever waits for it.
fn told() -> (Done, oneshot::Receiver<Result<()>>) {
    let (sender, durable) = oneshot::channel();
    let done = Box::new(move |result| {
        // Whoever gave up waiting needs no answer.
        let _ = sender.send(result);
    });
    (done, durable)
}

impl Debug for ShardLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShardLog").field(&self.reader.shard.id()).finish()
    }
}

impl<C: LogTypes> RaftLogStorage<C> for ShardLog {
    type LogReader = ShardLogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<C>> {
        let (shard, writer) = self.parts();
        let (last_purged_log_id, last_log_id) = shard.bounds(writer);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> ShardLogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if Mutant::VoteNotPersisted.is_on() {
            return Ok(());
        }
        let (shard, writer) = self.parts();
        let (done, durable) = told();
        shard.save_vote(writer, *vote, done)?;
        Ok(durable.await.map_err(|_| LogError::Closed)??)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let (shard, writer) = self.parts();
        Ok(shard.save_committed(writer, committed)?)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let (shard, writer) = self.parts();
        Ok(shard.committed(writer))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let batch = self.batch(entries)?;
        let (shard, writer) = self.parts();
        // The newest news of a log include all older ones; other callbacks have somebody waiting.
        let supersedes = matches!(callback, IOFlushed::Notify(_)).then(|| shard.id());
        let done = Box::new(|result: Result<()>| callback.io_completed(result.map_err(Into::into)));
        shard.append(writer, batch, Waiter { supersedes, urgent: true, done })?;
        match self.in_place {
            true => writer.write_in_place(),
            false => writer.wake(),
        }
        Ok(self.room().await?)
    }

    /// Returns when it is durable: a snapshot that is installed next must not come back from a
    /// crash beside the entries that it contradicts, which openraft takes for a damaged store.
    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let (shard, writer) = self.parts();
        let (done, durable) = told();
        shard.truncate(writer, last_log_id.map_or(0, |id| id.index + 1), done)?;
        Ok(durable.await.map_err(|_| LogError::Closed)??)
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let (shard, writer) = self.parts();
        Ok(shard.purge(writer, log_id)?)
    }
}

/// Reads the log of one shard.
#[derive(Clone)]
pub struct ShardLogReader {
    wal: Wal,
    shard: Arc<Shard>,
}

impl ShardLogReader {
    async fn read(&self, range: (u64, u64), bytes_max: usize) -> io::Result<Vec<Entry>> {
        if let Some(entries) = self.shard.read_cached(self.wal.writer(), range, bytes_max) {
            return Ok(entries);
        }
        let reader = self.clone();
        let read = move || Ok(reader.shard.read(reader.wal.writer(), range, bytes_max)?);
        blocking(read).await
    }

    /// The first entries of a range that is not empty, which must be there.
    async fn read_first(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let entries = self.read((start, end), self.wal.writer().options.read_bytes).await?;
        match entries.first() {
            Some(first) if first.log_id.index == start => Ok(entries),
            _ => Err(LogError::EntryMissing { shard: self.shard.id(), index: start }.into()),
        }
    }
}

impl Debug for ShardLogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShardLogReader").field(&self.shard.id()).finish()
    }
}

impl<C: LogTypes> RaftLogReader<C> for ShardLogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(bounds(&range), usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(vec![]);
        }
        let read = self.read_first(start, end).await;
        let (first, next) = self.shard.range();
        match read {
            // A stream to a member may outlive the leadership it was for, and ask once more when
            // the log it was going to send is purged or cut off. An append without entries is then
            // answered with the newer vote; an error would stop the node.
            Err(_) if start < first || end > next => Ok(vec![]),
            read => read,
        }
    }

    /// In pieces: a restarted node may have to apply more than fits into memory.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let (first, next) = self.shard.range();
        let pieces = Pieces {
            reader: self.clone(),
            next: start.max(first),
            end: end.min(next),
            piece: vec![].into_iter(),
        };
        Box::pin(stream::try_unfold(pieces, Pieces::next))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.wal.writer().state(self.shard.id()).vote)
    }
}

/// A range of entries, read piece by piece.
struct Pieces {
    reader: ShardLogReader,
    next: u64,
    end: u64,
    piece: std::vec::IntoIter<Entry>,
}

impl Pieces {
    async fn next(mut self) -> io::Result<Option<(Entry, Self)>> {
        if self.piece.len() == 0 && self.next < self.end {
            let entries = self.reader.read_first(self.next, self.end).await?;
            self.next += entries.len() as u64;
            self.piece = entries.into_iter();
        }
        Ok(self.piece.next().map(|entry| (entry, self)))
    }
}

/// How far the log of a shard is durable.
#[derive(Debug, Clone)]
pub struct Flushed(ShardLogReader);

impl Flushed {
    /// The last entry up to which everything is durable.
    pub fn index(&self) -> Option<u64> {
        let durable = self.0.wal.writer().progress.borrow().durable;
        self.0.shard.flushed(durable)
    }

    /// Waits until everything up to entry `index`, which must be in the log, is durable.
    pub async fn reached(&self, index: u64) -> Result<()> {
        let writer = self.0.wal.writer();
        let mut progress = writer.progress.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            if self.0.shard.is_flushed(index, now.durable) {
                return Ok(());
            }
            if now.failed {
                return Err(writer.ended());
            }
            progress.changed().await.map_err(|_| LogError::Closed)?;
        }
    }
}

/// `start..end` of a range.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
