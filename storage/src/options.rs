//! What a store can be told, and what the stores of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rocksdb::{Cache as BlockCache, WriteBufferManager};

use crate::cache::Cache;

const MIB: usize = 1 << 20;
/// Memtables beyond this only make their own lookups, and a restart, slower.
const MEMTABLE_BYTES_MAX: usize = 256 * MIB;
/// A drain of more than this gains nothing; what is not drained has to be applied again after a
/// crash.
const DIRTY_BYTES_MAX: usize = 32 * MIB;

/// Table files that one store keeps open at most.
pub const OPEN_FILES_MAX: usize = 512;

/// How one store works. None of it changes what the store answers, so replicas may differ in it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Strings up to this length are kept in the row of their key, longer ones in chunks.
    pub inline_bytes_max: usize,
    /// With this many dirty bytes a drain begins, and with twice as many
    /// [`crate::Store::commit`] waits for it. By default what [`Budget::dirty`] allows; several
    /// stores of one node have to share that.
    pub dirty_bytes_max: Option<usize>,
    /// When nothing has been committed for so long, a drain begins.
    pub idle_after: Duration,
    /// No dirty row waits longer than this for a drain to begin. A row that changes often is
    /// drained once in this time; after a crash, that much of the log is applied again.
    pub drain_after: Duration,
    /// Whether the store drains by itself, in a thread of its own, and its files are compacted. If
    /// not, `commit` drains when `dirty_bytes_max` is reached.
    pub background: bool,
    /// Size of one memtable.
    pub memtable_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inline_bytes_max: 64 * 1024,
            dirty_bytes_max: None,
            idle_after: Duration::from_millis(200),
            drain_after: Duration::from_secs(5),
            background: true,
            memtable_bytes: 32 * MIB,
        }
    }
}

/// What all stores of a node share: one budget of memory, and the caches it pays for.
#[derive(Clone)]
pub struct Shared {
    pub(crate) rows: Arc<Cache>,
    pub(crate) blocks: BlockCache,
    pub(crate) memtables: WriteBufferManager,
    stores: Arc<AtomicU32>,
    budget: Budget,
}

/// How the memory is divided. All of it is taken as it is needed, none of it ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rows that are committed and wait for a drain. Being drained, they take as much again, and
    /// so does the batch: thrice this.
    pub dirty: usize,
    /// Rows in memory, ready to be answered.
    pub rows: usize,
    /// Blocks of RocksDB's files, with their indexes and filters.
    pub blocks: usize,
    /// Rows on their way to RocksDB's files.
    pub memtables: usize,
}

impl Budget {
    fn divide(memory_bytes: usize) -> Self {
        let eighth = memory_bytes / 8;
        let memtables = eighth.min(MEMTABLE_BYTES_MAX);
        let dirty = eighth.min(DIRTY_BYTES_MAX);
        let blocks = (memory_bytes - memtables - 3 * dirty) / 3;
        Self { dirty, rows: 2 * blocks, blocks, memtables }
    }
}

impl Shared {
    /// Divides the memory that the stores of this node may take.
    pub fn new(memory_bytes: usize) -> Self {
        let budget = Budget::divide(memory_bytes);
        Self {
            rows: Arc::new(Cache::new(budget.rows)),
            blocks: BlockCache::new_hyper_clock_cache(budget.blocks, 0),
            memtables: WriteBufferManager::new_write_buffer_manager(budget.memtables, false),
            stores: Arc::default(),
            budget,
        }
    }

    /// How the memory is divided.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// A number no other store of this node has had.
    pub(crate) fn next_store(&self) -> u32 {
        self.stores.fetch_add(1, Ordering::Relaxed)
    }
}
