//! The writing side: records of all shards queue up in memory, one thread makes them durable.
//!
//! Whoever appends copies its records into the chunk that is being filled, under a short lock, and
//! learns at once where they will be in the files. The writer thread takes the whole chunk, writes
//! it, syncs once, and ends the waits of everybody in it; meanwhile the next chunk fills. So under
//! load one sync serves many appends of all shards, and without load an append waits for nobody.
//!
//! Who has nothing else to do meanwhile may write in place: if nothing is being written, it takes
//! the chunk itself. That saves two hand-overs between threads, which cost as much as a quick
//! disk's sync. Of a slow disk nobody but the writer thread is made to wait.
//!
//! Invariants
//! * No lock is held during I/O.
//! * One thread at a time writes and tells.
//! * A chunk is written only after the one before it is durable. Every chunk begins with a marker
//!   (or with the start record of its segment), so a marker proves that everything before it in
//!   its segment, and every earlier segment, was durable when it was written.
//! * A chunk lies in one segment.
//! * After the first error nothing is written any more, and every later call fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::chunk::{Chunk, Waiter};
use super::error::LogError;
use super::housekeeping::Signal;
use super::index::{Place, Position};
use super::record::{MARKER_BYTES, Record, Seal, Start};
use super::segment::{SEGMENT_HEADER_BYTES, Segment, Segments};
use super::state::{Gap, ShardState};
use super::stats::Counters;
use super::{LogWork, Result, WalOptions};
use crate::mutant::Mutant;

/// A buffer that grew beyond this is given back to the allocator after use.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// An append of more would hold its caller up if it wrote in place: the writer thread does it.
const IN_PLACE_BYTES_MAX: usize = 256 << 10;

/// What is decided under the lock: where records go, and what every shard's state is.
struct Core {
    chunk: Chunk,
    seal: Seal,
    capacity: u64,
    /// Where the start record of the segment ends.
    start_end: u64,
    next_segment: u64,
    /// Chunks before `chunk` that the writer has not taken yet: their segments are full.
    full: VecDeque<Chunk>,
    /// Of the chunk that was written last, to be filled again.
    buffer: Vec<u8>,
    /// Bytes queued since the log was opened.
    queued: u64,
    shards: BTreeMap<u32, ShardState>,
    /// The oldest segment that is not dead.
    oldest: u64,
    failed: Option<LogError>,
    /// Somebody relies on the log: its failure is the node's.
    open: bool,
    closing: bool,
    closed: bool,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// Somebody writes a chunk.
    writing: bool,
    /// How long the last write and its sync took.
    took: Duration,
}

impl Core {
    fn state(&mut self, shard: u32) -> &mut ShardState {
        self.shards.entry(shard).or_default()
    }

    /// Queues a framed record.
    fn put(&mut self, record: &[u8], segments: &Segments) -> Place {
        self.make_room(record.len(), segments);
        self.copy_in(record)
    }

    /// Sees to it that a record of `length` bytes can follow: in a chunk that has begun, in a
    /// segment where it fits. A record that fits into no segment gets one that grows.
    fn make_room(&mut self, length: usize, segments: &Segments) {
        let end = self.chunk.end().offset;
        let begins = self.chunk.bytes.is_empty();
        let marker = if begins { MARKER_BYTES } else { 0 };
        let needed = end + (marker + length) as u64;
        if needed > self.capacity {
            // Its file may have become ready meanwhile, and be longer than was known.
            self.capacity = segments.capacity(self.chunk.segment);
        }
        if needed > self.capacity && end > self.start_end {
            self.roll(segments);
        } else if begins {
            self.chunk.since = Instant::now();
            self.put_here(|offset| Record::Marker { offset });
        }
    }

    fn copy_in(&mut self, record: &[u8]) -> Place {
        let Position { segment, offset } = self.chunk.end();
        let at = self.chunk.bytes.len();
        self.chunk.bytes.extend_from_slice(record);
        self.seal.apply(&mut self.chunk.bytes[at..]);
        self.queued += record.len() as u64;
        Place { segment, offset, length: record.len() as u32 }
    }

    /// Queues a record that knows its own offset, without asking for room.
    fn put_here(&mut self, record: impl FnOnce(u64) -> Record) {
        let mut bytes = vec![];
        record(self.chunk.end().offset).frame(&mut bytes, 0);
        self.copy_in(&bytes);
    }

    /// Begins the next segment.
    fn roll(&mut self, segments: &Segments) {
        let previous = self.chunk.end();
        let start = Position { segment: self.next_segment, offset: SEGMENT_HEADER_BYTES };
        let next = Chunk::new(start, std::mem::take(&mut self.buffer));
        let filled = std::mem::replace(&mut self.chunk, next);
        if !filled.bytes.is_empty() {
            self.full.push_back(filled);
        }
        self.next_segment += 1;
        self.seal = Seal::new(start.segment, segments.salt());
        self.capacity = segments.capacity(start.segment);
        if self.oldest == 0 {
            self.oldest = start.segment;
        }
        let record = Record::Start(Start {
            previous: previous.segment,
            previous_end: previous.offset,
            oldest: self.oldest,
            shards: self.shards.iter().map(|(shard, state)| (*shard, state.clone())).collect(),
        });
        self.put_here(|_| record);
        self.start_end = self.chunk.end().offset;
    }

    fn take_chunk(&mut self) -> Chunk {
        let next = Chunk::new(self.chunk.end(), std::mem::take(&mut self.buffer));
        std::mem::replace(&mut self.chunk, next)
    }

    /// The next chunk to write at once, if there is one.
    fn due_chunk(&mut self, unsynced_wait: Duration) -> Option<Chunk> {
        if let Some(chunk) = self.full.pop_front() {
            return Some(chunk);
        }
        let due = self.chunk.urgent_since.is_some()
            || self.closing
            || self.chunk.since.elapsed() >= unsynced_wait;
        (due && !self.chunk.bytes.is_empty()).then(|| self.take_chunk())
    }

    /// The chunk that an append may write in place, and its segment: no file is waited for.
    fn take_in_place(
        &mut self,
        segments: &Segments,
        took_max: Duration,
    ) -> Option<(Arc<Segment>, Chunk)> {
        let bytes = self.chunk.bytes.len();
        let quick = self.took < took_max && (1..=IN_PLACE_BYTES_MAX).contains(&bytes);
        let usable = self.failed.is_none() && !self.closing;
        if !quick || !usable || self.writing || !self.full.is_empty() {
            return None;
        }
        let segment = segments.get(self.chunk.segment)?;
        self.writing = true;
        Some((segment, self.take_chunk()))
    }

    /// Why nothing can be queued any more.
    fn ended(&self) -> LogError {
        match &self.failed {
            Some(cause) => LogError::Failed(Arc::new(cause.clone())),
            None => LogError::Closed,
        }
    }

    /// Every change of a shard's state but appending.
    fn change(&mut self, shard: u32, record: &Record) {
        match record {
            Record::Forget => drop(self.shards.remove(&shard)),
            Record::Base { oldest } => self.oldest = *oldest,
            Record::Vote(vote) => self.state(shard).vote = Some(*vote),
            Record::Committed(id) => self.state(shard).committed = *id,
            Record::Truncate { next } => self.state(shard).truncate(*next),
            Record::Purge(id) => self.state(shard).purge(*id),
            // A copy changes where an entry is; the rest is the log's own.
            _ => {}
        }
    }
}

/// Where writing goes on after the log was opened.
pub(super) struct Resume {
    pub(super) end: Position,
    /// Whether the segment of `end` is filled further; else a new one is begun.
    pub(super) same_segment: bool,
    pub(super) next_segment: u64,
    pub(super) oldest: u64,
    pub(super) shards: BTreeMap<u32, ShardState>,
}

/// How far the log is durable, and whether it has failed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) durable: Position,
    pub(super) failed: bool,
}

/// An entry framed for the log.
pub(super) struct Framed<'a> {
    pub(super) index: u64,
    pub(super) record: &'a [u8],
}

/// What the writer thread and everybody else share.
pub(super) struct Writer {
    core: Mutex<Core>,
    work: Condvar,
    pub(super) segments: Segments,
    pub(super) housekeeping: Signal,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) counters: Counters,
    pub(super) options: WalOptions,
}

impl Writer {
    pub(super) fn new(segments: Segments, resume: Resume, options: WalOptions) -> Self {
        let end = resume.end;
        let mut core = Core {
            chunk: Chunk::new(end, vec![]),
            seal: Seal::new(end.segment, segments.salt()),
            capacity: segments.get(end.segment).map_or(0, |segment| segment.capacity),
            start_end: 0,
            next_segment: resume.next_segment,
            full: VecDeque::new(),
            buffer: vec![],
            queued: 0,
            shards: resume.shards,
            oldest: resume.oldest,
            failed: None,
            open: false,
            closing: false,
            closed: false,
            asleep: false,
            writing: false,
            took: Duration::ZERO,
        };
        if resume.same_segment {
            // Durable before anything follows: if what follows is torn, the next start must not
            // find a closed log, and write over remains of it.
            core.make_room(0, &segments);
            let chunk = core.take_chunk();
            core.full.push_back(chunk);
        } else {
            core.roll(&segments);
        }
        let counters = Counters::default();
        counters.queued.store(core.queued, Relaxed);
        Self {
            core: Mutex::new(core),
            work: Condvar::new(),
            segments,
            housekeeping: Signal::default(),
            progress: watch::Sender::new(Progress { durable: end, failed: false }),
            counters,
            options,
        }
    }

    /// Queues entries of a shard, all or none, and returns where they will be. One of
    /// [`wake`](Self::wake) and [`write_in_place`](Self::write_in_place) has to follow.
    pub(super) fn append(
        &self,
        shard: u32,
        entries: &[Framed<'_>],
        waiter: Waiter,
    ) -> Result<Vec<Place>> {
        let mut core = self.usable()?;
        let mut state = core.shards.get(&shard).cloned().unwrap_or_default();
        let gap = |Gap { expected, found }| LogError::Gap { shard, expected, found };
        entries.iter().try_for_each(|entry| state.append(entry.index)).map_err(gap)?;
        let place = |entry: &Framed<'_>| {
            let place = core.put(entry.record, &self.segments);
            // One by one: a segment's start record must not speak of what comes after it.
            core.state(shard).append(entry.index).expect("it was tried on a copy");
            place
        };
        let places = entries.iter().map(place).collect();
        // Without entries there is still something to write and to wait for.
        core.make_room(0, &self.segments);
        core.chunk.wait(waiter);
        self.counters.entries.fetch_add(entries.len() as u64, Relaxed);
        self.counters.queued.store(core.queued, Relaxed);
        Ok(places)
    }

    /// Queues any other record and changes the shard's state as it says.
    pub(super) fn note(
        &self,
        shard: u32,
        record: &Record,
        waiter: Option<Waiter>,
    ) -> Result<Place> {
        let mut bytes = vec![];
        record.frame(&mut bytes, shard);
        let mut core = self.usable()?;
        let place = core.put(&bytes, &self.segments);
        core.change(shard, record);
        waiter.into_iter().for_each(|waiter| core.chunk.wait(waiter));
        self.queued(core);
        Ok(place)
    }

    /// Tells `waiter` when everything queued so far is durable.
    pub(super) fn sync(&self, waiter: Waiter) -> Result<()> {
        let mut core = self.usable()?;
        // What was queued may have been taken already: then there must be something to write.
        core.make_room(0, &self.segments);
        core.chunk.wait(waiter);
        self.queued(core);
        Ok(())
    }

    /// Waits until what a start writes is durable. From then on a failure is fatal.
    pub(super) fn confirm(&self) -> Result<()> {
        let (sender, durable) = std::sync::mpsc::channel();
        let done = Box::new(move |result| {
            // The one who waits is there until it is told.
            let _ = sender.send(result);
        });
        self.sync(Waiter { supersedes: None, urgent: true, done }).map_err(LogError::cause)?;
        if self.in_turns() {
            self.run();
        }
        durable.recv().map_err(|_| LogError::Closed)?.map_err(LogError::cause)?;
        let mut core = self.core.lock();
        core.open = true;
        core.failed.clone().map_or(Ok(()), Err)
    }

    /// A shard's state, as of the last record queued.
    pub(super) fn state(&self, shard: u32) -> ShardState {
        self.core.lock().shards.get(&shard).cloned().unwrap_or_default()
    }

    /// The oldest segment that is not dead, and the one being filled.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let core = self.core.lock();
        (core.oldest, core.chunk.segment)
    }

    /// Lets the writer thread write what is queued, note that the log was closed, and end.
    pub(super) fn close(&self) {
        self.core.lock().closing = true;
        self.notify();
    }

    fn usable(&self) -> Result<MutexGuard<'_, Core>> {
        let core = self.core.lock();
        if core.failed.is_some() || core.closing { Err(core.ended()) } else { Ok(core) }
    }

    /// Why nothing more becomes durable, once that is so.
    pub(super) fn ended(&self) -> LogError {
        self.core.lock().ended()
    }

    /// Writes what is queued on the caller's own thread, or has the writer thread do it.
    pub(super) fn write_in_place(&self) {
        let mut core = self.core.lock();
        match core.take_in_place(&self.segments, self.options.in_place_max) {
            None => self.wake_from(core),
            Some((segment, chunk)) => {
                drop(core);
                self.write(&segment, chunk);
                self.wake();
            }
        }
    }

    /// Something was queued.
    pub(super) fn wake(&self) {
        self.wake_from(self.core.lock());
    }

    fn queued(&self, core: MutexGuard<'_, Core>) {
        self.counters.queued.store(core.queued, Relaxed);
        self.wake_from(core);
    }

    /// Records that nobody waits for do not wake the writer each time.
    fn wake_from(&self, core: MutexGuard<'_, Core>) {
        let due = core.asleep && !core.chunk.bytes.is_empty();
        let wake =
            due || core.chunk.urgent_since.is_some() || !core.full.is_empty() || core.closing;
        // Unlocked first: the thread that is woken wants the lock.
        drop(core);
        if wake {
            self.notify();
        }
    }

    fn notify(&self) {
        match &self.options.work {
            LogWork::Threads => drop(self.work.notify_one()),
            LogWork::Turns(wake) => wake(),
        }
    }

    /// Whether somebody else's turns take the place of the threads.
    pub(super) fn in_turns(&self) -> bool {
        matches!(self.options.work, LogWork::Turns(_))
    }

    /// The writer thread, or its turn.
    pub(super) fn run(&self) {
        while let Some(chunk) = self.next_chunk() {
            match self.segment(chunk.segment) {
                Ok(segment) => self.write(&segment, chunk),
                Err(error) => self.fail(error, chunk.waiters),
            }
        }
    }

    /// Waits for records. `None` once the log is closed and everything is written, or has failed;
    /// or when there is nothing to write, if there is no thread that could wait.
    fn next_chunk(&self) -> Option<Chunk> {
        let wait = self.options.unsynced_wait;
        let mut core = self.core.lock();
        // Right after a write more is to be expected: a short sleep, from which records that are
        // not urgent need not wake it.
        let mut nap = true;
        while core.failed.is_none() {
            if core.writing {
                self.sleep(&mut core);
                continue;
            }
            if let Some(chunk) = core.due_chunk(wait) {
                core.writing = true;
                return Some(chunk);
            }
            if core.closed {
                return None;
            }
            if core.closing {
                // In a chunk of its own: its marker proves that all the rest is durable.
                core.make_room(MARKER_BYTES, &self.segments);
                core.put_here(|offset| Record::Close { offset });
                core.closed = true;
                continue;
            }
            if self.in_turns() {
                return None;
            }
            if nap || !core.chunk.bytes.is_empty() {
                nap = !self.work.wait_for(&mut core, wait).timed_out();
            } else {
                self.sleep(&mut core);
            }
        }
        None
    }

    fn sleep(&self, core: &mut MutexGuard<'_, Core>) {
        core.asleep = true;
        self.work.wait(core);
        core.asleep = false;
    }

    /// Makes a chunk durable, or the log fail, and tells who waits for it.
    fn write(&self, segment: &Segment, chunk: Chunk) {
        match persist(segment, &chunk) {
            Ok(took) => self.finish(chunk, took),
            Err(error) => self.fail(error, chunk.waiters),
        }
    }

    fn segment(&self, sequence: u64) -> Result<Arc<Segment>> {
        if let Some(resumed) = self.segments.get(sequence) {
            return Ok(resumed);
        }
        if self.in_turns() {
            self.segments.prepare()?;
        }
        let segment = self.segments.begin(sequence)?;
        self.housekeeping.wake();
        Ok(segment)
    }

    fn finish(&self, chunk: Chunk, took: Duration) {
        let durable = chunk.end();
        let Chunk { mut bytes, waiters, appends, urgent_since, .. } = chunk;
        self.counters.synced(bytes.len() as u64, appends, took);
        urgent_since.into_iter().for_each(|since| (self.options.on_sync)(since.elapsed()));
        self.progress.send_modify(|progress| progress.durable = durable);
        for waiter in waiters {
            (waiter.done)(Ok(()));
        }
        let mut core = self.core.lock();
        if bytes.capacity() <= BUFFER_BYTES_KEPT {
            bytes.clear();
            core.buffer = bytes;
        }
        core.took = took;
        core.writing = false;
    }

    /// Nothing after this is durable, whatever the device says later.
    pub(super) fn fail(&self, error: LogError, mut waiters: Vec<Waiter>) {
        let is_news = {
            let mut core = self.core.lock();
            let full = std::mem::take(&mut core.full);
            waiters.extend(full.into_iter().flat_map(|chunk| chunk.waiters));
            waiters.append(&mut core.chunk.waiters);
            let first = core.failed.is_none();
            core.failed.get_or_insert(error.clone());
            first && core.open
        };
        self.notify();
        self.progress.send_modify(|progress| progress.failed = true);
        let failed = LogError::Failed(Arc::new(error.clone()));
        for waiter in waiters {
            (waiter.done)(Err(failed.clone()));
        }
        if is_news {
            (self.options.on_fatal)(&error);
        }
    }
}

fn persist(segment: &Segment, chunk: &Chunk) -> Result<Duration> {
    let began = Instant::now();
    let written = segment.file.write_at(&chunk.bytes, chunk.offset);
    written.map_err(LogError::io("write", &segment.name))?;
    let synced = if Mutant::AckBeforeFsync.is_on() { Ok(()) } else { segment.file.sync() };
    if !Mutant::FsyncErrorIgnored.is_on() {
        synced.map_err(LogError::io("sync", &segment.name))?;
    }
    Ok(began.elapsed())
}
