//! The write-ahead log of a node: one for all shards, with openraft's log store on top.
//!
//! ```text
//! shard 0 ─ append ─┐                            ┌─ 00000001.wal  header · start · records …
//! shard 1 ─ vote ───┼─▶ chunk ─▶ writer thread ──┼─ 00000002.wal  (a write and a sync a chunk)
//! shard 2 ─ purge ──┘                            └─ 00000003.wal  ready for later
//! ```
//!
//! One log, because a sync costs far more than a write: the shards share each of them. Files made
//! full of zeros ahead and used again, because a sync of a file that grows waits for the file
//! system's journal. A thread of its own, because a sync blocks.
//!
//! * `record`: the format of records, byte by byte. `segment`: the format of files.
//! * `writer`: queueing and durability. `housekeeping`: files made ahead, dead files, copies.
//! * `recovery`: what a crash leaves, and what is damage.
//! * `shard`, `index`, `state`: a shard's entries and points. `store`: openraft's traits.
//!
//! Invariants
//! * Whoever was told that a record is durable finds it after any crash, in its place.
//! * Damage to what was durable is never passed over: the log does not open, and names the file
//!   and the offset.
//! * After an error of the disk the log is dead: every call fails, and the node is told to stop.

mod chunk;
mod disk;
mod error;
mod housekeeping;
mod index;
mod record;
mod recovery;
mod segment;
mod shard;
mod state;
mod stats;
mod store;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

pub use disk::{Directory, Disk, DiskFile};
pub use error::LogError;
pub use stats::{HistogramSnapshot, WalStats};
pub use store::{Flushed, LogTypes, ShardLog, ShardLogReader};

use crate::types::{Entry, LogId, ShardId, Vote};
use housekeeping::{Housekeeper, Shards};
use record::Record;
use segment::Segments;
use shard::Shard;
use writer::Writer;

type Result<T, E = LogError> = std::result::Result<T, E>;

/// Called with the reason when the log has failed.
pub type OnFatal = Arc<dyn Fn(&LogError) + Send + Sync>;
/// Called after every sync, on the log's own thread.
pub type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;
/// Called with every entry before it is appended.
pub type OnAppend = Arc<dyn Fn(&Entry) + Send + Sync>;

/// Who does the work of a log.
#[derive(Clone)]
pub enum LogWork {
    /// Two threads of its own.
    Threads,
    /// Whoever calls [`Wal::turn`], some time after it was told that there is work. For a
    /// simulation, in which nothing runs by itself.
    Turns(Arc<dyn Fn() + Send + Sync>),
}

/// How a log is kept.
#[derive(Clone)]
pub struct WalOptions {
    /// The id that the log must bear: it was written to before, and may not begin anew. A log that
    /// lost its files has lost votes and entries that others count on.
    pub id: Option<u32>,
    /// Bytes of a segment. A record longer than that gets a segment that is longer.
    pub segment_bytes: u64,
    /// Bytes of the first file ever made, if that is less than `segment_bytes`; the next ones are
    /// four times as long until they reach it.
    pub segment_bytes_first: u64,
    /// Segments made ahead.
    pub segments_spare: usize,
    /// Files kept for later use, beyond those made ahead.
    pub segments_recycled: usize,
    /// With more segments than this, what little is live in the oldest one is copied.
    pub segments_max: usize,
    /// Bytes of the newest entries kept in memory, for each shard.
    pub cache_bytes: usize,
    /// Bytes that one read for replication returns, unless one entry is longer.
    pub read_bytes: usize,
    /// Bytes that may wait to be written; beyond that, appending waits.
    pub pending_bytes: u64,
    /// An append writes in place only if the disk was quicker than this the last time.
    pub in_place_max: Duration,
    /// How long records wait that nobody waits for, such as commit points, before they are worth
    /// a sync of their own.
    pub unsynced_wait: Duration,
    /// Who writes what is queued.
    pub work: LogWork,
    /// What to do when the log has failed. The default ends the process.
    pub on_fatal: OnFatal,
    /// Told how long each group of records took until it was durable, from when the first of them
    /// came that somebody waits for.
    pub on_sync: OnSync,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            id: None,
            segment_bytes: 64 << 20,
            segment_bytes_first: 4 << 20,
            segments_spare: 1,
            segments_recycled: 4,
            segments_max: 8,
            cache_bytes: 64 << 20,
            read_bytes: 1 << 20,
            pending_bytes: 256 << 20,
            in_place_max: Duration::from_millis(2),
            unsynced_wait: Duration::from_millis(200),
            work: LogWork::Threads,
            on_fatal: Arc::new(stop_the_process),
            on_sync: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for WalOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("segments_max", &self.segments_max)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

fn stop_the_process(error: &LogError) {
    tracing::error!(%error, "the log has failed, the node stops");
    // Not an exit: nothing may run any more that believes in what was written.
    std::process::abort();
}

/// What was found of a shard when the log was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFound {
    /// The last vote saved.
    pub vote: Option<Vote>,
    /// The commit point, as far as the entries here prove it.
    pub committed: Option<LogId>,
    /// The last entry purged.
    pub purged: Option<LogId>,
    /// The last entry; the last one purged if there is none.
    pub last: Option<LogId>,
}

/// A node's log. Cheap to clone; closed with the last clone.
#[derive(Clone)]
pub struct Wal(Arc<Handle>);

struct Handle {
    writer: Arc<Writer>,
    shards: Shards,
    housekeeper: Arc<Housekeeper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Wal {
    /// Opens the log in a directory, creating it if there is none, and says which shards it holds.
    /// It is open once it has written: what cannot be written, as on a full disk, does not open.
    pub fn open(dir: &Path, options: WalOptions) -> Result<(Self, BTreeMap<ShardId, ShardFound>)> {
        let name = dir.display().to_string();
        let disk = Directory::open(dir).map_err(LogError::io("open", &name))?;
        Self::open_on(Arc::new(disk), options)
    }

    /// Opens the log on a disk of any kind.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        options: WalOptions,
    ) -> Result<(Self, BTreeMap<ShardId, ShardFound>)> {
        let recovered = recovery::recover(&*disk, options.id)?;
        let segments = Segments::new(disk, recovered.inventory, options.clone());
        let shards = recovered.indexes.into_iter();
        let shards = shards.map(|(id, index)| (id, Arc::new(Shard::new(id, index))));
        let shards: Shards = Arc::new(Mutex::new(shards.collect()));
        let writer = Arc::new(Writer::new(segments, recovered.resume, options));
        let housekeeper = Arc::new(Housekeeper::new(writer.clone(), shards.clone()));
        let threads = match writer.options.work {
            LogWork::Threads => Mutex::new(start_threads(&writer, &housekeeper)?),
            LogWork::Turns(_) => Mutex::default(),
        };
        let wal = Self(Arc::new(Handle { writer, shards, housekeeper, threads }));
        wal.writer().confirm()?;
        let found = wal.found();
        Ok((wal, found))
    }

    /// What tells this log from any other; all its files bear it.
    pub fn id(&self) -> u32 {
        self.writer().segments.salt()
    }

    /// The log of one shard, which is empty if nothing was written to it yet. `on_append` sees
    /// every entry before it is appended; it must be quick.
    pub fn shard(&self, id: ShardId, on_append: Option<OnAppend>) -> ShardLog {
        let mut shards = self.0.shards.lock();
        let shard =
            shards.entry(id.0).or_insert_with(|| Arc::new(Shard::new(id.0, <_>::default())));
        ShardLog::new(self.clone(), shard.clone(), on_append)
    }

    /// Removes everything about a shard, as soon as the log is next synced. Nobody may use its
    /// log any more.
    pub fn forget(&self, id: ShardId) -> Result<()> {
        self.0.shards.lock().remove(&id.0);
        self.writer().note(id.0, &Record::Forget, None)?;
        self.writer().housekeeping.wake();
        Ok(())
    }

    /// Counters.
    pub fn stats(&self) -> WalStats {
        let cache_bytes = self.0.shards.lock().values().map(|shard| shard.cache_bytes()).sum();
        self.writer().counters.snapshot(self.writer().segments.counts(), cache_bytes)
    }

    /// Does what is due, if the log has no threads for it: see [`LogWork::Turns`].
    pub fn turn(&self) {
        if self.writer().in_turns() {
            self.writer().run();
            self.0.housekeeper.turn();
        }
    }

    /// Writes what is queued and ends the log's threads. Calls after this fail.
    pub fn close(&self) {
        self.0.close();
    }

    fn writer(&self) -> &Arc<Writer> {
        &self.0.writer
    }

    fn found(&self) -> BTreeMap<ShardId, ShardFound> {
        let found = |shard: &Arc<Shard>| {
            let (purged, last) = shard.bounds(self.writer());
            let vote = self.writer().state(shard.id()).vote;
            ShardFound { vote, committed: shard.committed(self.writer()), purged, last }
        };
        self.0.shards.lock().iter().map(|(id, shard)| (ShardId(*id), found(shard))).collect()
    }
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wal").field(&self.writer().bounds()).finish()
    }
}

fn start_threads(
    writer: &Arc<Writer>,
    housekeeper: &Arc<Housekeeper>,
) -> Result<Vec<JoinHandle<()>>> {
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let unwinding = Unwinding(writer.clone());
        let work = move || {
            let _unwinding = unwinding;
            work();
        };
        thread::Builder::new().name(name.into()).spawn(work).map_err(LogError::io("start", name))
    };
    let housekeeper = housekeeper.clone();
    let housekeeping = start("wal-files", Box::new(move || housekeeper.run()))?;
    let writing = writer.clone();
    let writing = start("wal", Box::new(move || writing.run()))?;
    Ok(vec![writing, housekeeping])
}

/// Makes the panic of a thread a failure of the log: nobody may wait for a thread that is gone.
struct Unwinding(Arc<Writer>);

impl Drop for Unwinding {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(LogError::Panicked, vec![]);
        }
    }
}

impl Handle {
    fn close(&self) {
        let mut threads = self.threads.lock().drain(..).collect::<Vec<_>>().into_iter();
        self.writer.close();
        if self.writer.in_turns() {
            self.writer.run();
        }
        // The writer may still need a segment made, so housekeeping ends after it.
        if let Some(writing) = threads.next() {
            join(writing);
        }
        self.writer.segments.close();
        self.writer.housekeeping.close();
        threads.for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    // A callback that drops the last handle runs on the log's own thread.
    if thread.thread().id() != thread::current().id() && thread.join().is_err() {
        tracing::error!("a thread of the log panicked");
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
