//! Figures about a store, for INFO and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::CacheStats;
use crate::store::Store;

/// Keys of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbStats {
    /// The database.
    pub db: u32,
    /// Its keys, including those that have expired but are not yet removed.
    pub keys: u64,
    /// Keys with a deadline.
    pub deadlines: u64,
}

/// What a store holds, and has done since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Databases with keys, in order.
    pub dbs: Vec<DbStats>,
    /// Bytes that wait for a drain.
    pub dirty_bytes: u64,
    /// Rows that wait for a drain.
    pub dirty_rows: u64,
    /// Clean rows in memory, of all stores of this node.
    pub cache: CacheStats,
    /// Bytes of blocks in memory, of all stores of this node.
    pub block_bytes: u64,
    /// Bytes of memtables.
    pub memtable_bytes: u64,
    /// Bytes of files on disk.
    pub file_bytes: u64,
    /// Rows that had to be asked of RocksDB.
    pub rocks_reads: u64,
    /// Transactions.
    pub commits: u64,
    /// Batches written to RocksDB.
    pub drains: u64,
    /// Rows written to RocksDB.
    pub drained_rows: u64,
    /// Keys removed because they had expired.
    pub expired: u64,
}

impl Store {
    /// Figures about this store.
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            cache: core.cache.stats(),
            block_bytes: core.blocks.get_usage() as u64,
            memtable_bytes: core.rocks.property("rocksdb.cur-size-all-mem-tables"),
            file_bytes: core.rocks.property("rocksdb.total-sst-files-size"),
            rocks_reads: count(&core.counters.rocks_reads),
            commits: count(&core.counters.commits),
            drains: count(&core.counters.drains),
            drained_rows: count(&core.counters.drained_rows),
            expired: count(&core.counters.expired),
            ..Stats::default()
        };
        let published = core.read();
        for (db, space) in published.root.spaces.iter().filter(|(_, space)| space.keys > 0) {
            stats.dbs.push(DbStats { db: *db, keys: space.keys, deadlines: space.deadlines });
        }
        for dirty in published.layers() {
            stats.dirty_bytes += dirty.bytes as u64;
            stats.dirty_rows += dirty.rows as u64;
        }
        stats
    }
}
