//! RocksDB, opened the one way in which it keeps our promises.
//!
//! The log of consensus is the write-ahead log; RocksDB's own is off. What it holds after a crash
//! is what its files held, and that must be the state after some applied entry. Therefore:
//!
//! Invariants
//! * All that one drain writes is one batch, with the applied record in it.
//! * Column families are flushed together: `atomic_flush` for RocksDB's own flushes,
//!   [`Rocks::flush`] for ours. Nothing else flushes: flushing one alone loses writes.
//! * Any error of RocksDB is a fault.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, BlockBasedTablePinningTier, BottommostLevelCompaction, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, DBPinnableSlice, DBRawIterator,
    DataBlockIndexType, FlushOptions, InfoLogger, LogLevel, ReadOptions, ReadTier,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use crate::error::{Error, Result, damaged};
use crate::garbage::{DeadSpaces, DropDeadSpaces};
use crate::layout::{FORMAT, FORMAT_KEY, ROOT_KEY};
use crate::options::{OPEN_FILES_MAX, Options, Shared};
use crate::root::Root;
use crate::row::Column;

/// RocksDB's own column family, which has to exist; it stays empty.
const DEFAULT: &str = "default";
/// Rows ordered by score: part of the format, empty until there are sorted sets.
const SCORE: &str = "score";

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Sub => "sub",
            Self::System => "system",
        }
    }
}

const FAMILIES: [&str; 5] =
    [DEFAULT, Column::Meta.name(), Column::Sub.name(), SCORE, Column::System.name()];

/// One open database.
pub(crate) struct Rocks {
    db: DB,
    reads: ReadOptions,
    writes: WriteOptions,
    dead: Arc<ArcSwap<DeadSpaces>>,
    // Dropped after the database, which writes to its files when it is closed.
    remains: Remains,
}

/// The files of a database.
struct Remains {
    dir: PathBuf,
    unwanted: AtomicBool,
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.unwanted.load(Ordering::Relaxed) {
            // What cannot be removed is there for the next start to try.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// One consistent state of the database.
pub(crate) type Snapshot<'a> = SnapshotWithThreadMode<'a, DB>;

impl Rocks {
    /// Opens a database, or creates it. A directory of another format is left as it is.
    pub fn open(dir: &Path, options: &Options, shared: &Shared) -> Result<Self> {
        let dead = Arc::new(ArcSwap::from_pointee(DeadSpaces::default()));
        let families = FAMILIES
            .map(|name| ColumnFamilyDescriptor::new(name, family(name, options, shared, &dead)));
        let db = DB::open_cf_descriptors(&database(options, shared), dir, families)?;
        let mut writes = WriteOptions::default();
        writes.disable_wal(true);
        writes.set_memtable_insert_hint_per_batch(true);
        let remains = Remains { dir: dir.to_owned(), unwanted: AtomicBool::new(false) };
        let rocks = Self { db, reads: ReadOptions::default(), writes, dead, remains };
        rocks.check_format()?;
        Ok(rocks)
    }

    /// Removes its files when it is closed.
    pub fn discard(&self) {
        self.remains.unwanted.store(true, Ordering::Relaxed);
    }

    /// Reads the root row of a directory that nobody has open, and changes nothing in it.
    pub fn root_in(dir: &Path) -> Result<Option<Vec<u8>>> {
        let options = quiet();
        let families =
            FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, rocksdb::Options::default()));
        let db = DB::open_cf_descriptors_read_only(&options, dir, families, false)?;
        let system = db.cf_handle(Column::System.name()).expect("opened above");
        check(db.get_cf(system, FORMAT_KEY)?.as_deref())?;
        Ok(db.get_cf(system, ROOT_KEY)?)
    }

    /// The value of a row.
    pub fn get(&self, column: Column, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>> {
        Ok(self.db.get_pinned_cf_opt(self.family(column), key, &self.reads)?)
    }

    /// The root row that would still be there after a crash.
    pub fn persisted_root(&self) -> Result<Option<Vec<u8>>> {
        let mut reads = ReadOptions::default();
        reads.set_read_tier(ReadTier::Persisted);
        Ok(self.db.get_cf_opt(self.family(Column::System), ROOT_KEY, &reads)?)
    }

    /// The rows of a column from `from` up to `until`, which is not part of them.
    pub fn rows(&self, column: Column, from: &[u8], until: Option<&[u8]>) -> DBRawIterator<'_> {
        let mut reads = ReadOptions::default();
        reads.set_iterate_lower_bound(from);
        if let Some(until) = until {
            reads.set_iterate_upper_bound(until);
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.family(column), reads);
        rows.seek(from);
        rows
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> Snapshot<'_> {
        self.db.snapshot()
    }

    /// All rows of a column in a snapshot. What it reads stays, whatever is compacted meanwhile.
    pub fn rows_in<'a>(&'a self, snapshot: &Snapshot<'a>, column: Column) -> DBRawIterator<'a> {
        let mut reads = ReadOptions::default();
        reads.set_snapshot(snapshot);
        reads.fill_cache(false);
        self.db.raw_iterator_cf_opt(self.family(column), reads)
    }

    /// Writes all of a batch, or nothing.
    pub fn write(&self, batch: WriteBatch) -> Result<()> {
        Ok(self.db.write_opt(batch, &self.writes)?)
    }

    /// Brings everything that was written to disk, all column families at one point.
    pub fn flush(&self) -> Result<()> {
        let families = FAMILIES.map(|name| self.named(name));
        let families = families.each_ref();
        Ok(self.db.flush_cfs_opt(&families, &FlushOptions::default())?)
    }

    /// Makes a copy in a directory that does not exist yet, out of hard links.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.flush()?;
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(dir)?)
    }

    /// Lets compactions drop the rows of spaces that are dead for good: dead in the root row that
    /// would survive a crash. An entry before the flush of the database may have to be applied
    /// again, and then has to find them.
    pub fn drop_dead_spaces(&self) -> Result<()> {
        if let Some(root) = self.persisted_root()? {
            self.dead.store(Arc::new(DeadSpaces::of(&Root::decode(&root)?.0)));
        }
        Ok(())
    }

    /// Into how many parts [`Rocks::compact`] cuts the rows of users.
    pub fn parts(&self) -> u8 {
        64
    }

    /// Compacts one part of the rows of users, which drops those of dead spaces.
    pub fn compact(&self, part: u8) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for name in [Column::Meta.name(), Column::Sub.name(), SCORE] {
            let range = (Some([part]), Some([part + 1]));
            self.db.compact_range_cf_opt(self.named(name), range.0, range.1, &options);
        }
    }

    /// Ends compactions early.
    pub fn cancel(&self) {
        self.db.cancel_all_background_work(true);
    }

    /// The column family of a column.
    pub fn family(&self, column: Column) -> &ColumnFamily {
        self.named(column.name())
    }

    /// Sum over all column families of a property that is a number.
    pub fn property(&self, name: &str) -> u64 {
        let of = |family| self.db.property_int_value_cf(self.named(family), name);
        FAMILIES.iter().filter_map(|family| of(family).ok().flatten()).sum()
    }

    fn named(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("every family is opened with the database")
    }

    fn check_format(&self) -> Result<()> {
        let found = self.get(Column::System, FORMAT_KEY)?;
        if found.is_none() && self.get(Column::System, ROOT_KEY)?.is_none() {
            let mut batch = WriteBatch::default();
            batch.put_cf(self.family(Column::System), FORMAT_KEY, FORMAT.to_be_bytes());
            self.write(batch)?;
            return self.flush();
        }
        check(found.as_deref())
    }
}

fn check(found: Option<&[u8]>) -> Result<()> {
    match found.map(TryInto::try_into) {
        Some(Ok(bytes)) if u32::from_be_bytes(bytes) == FORMAT => Ok(()),
        Some(Ok(bytes)) => Err(Error::Format { found: u32::from_be_bytes(bytes), known: FORMAT }),
        _ => Err(damaged("format row", "missing or cut short")),
    }
}

/// Options that write RocksDB's messages to our log instead of a file of its own.
fn quiet() -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, |level, message| {
        match level {
            LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{message}"),
            _ => tracing::warn!(target: "rocksdb", "{message}"),
        }
    }));
    options
}

fn database(options: &Options, shared: &Shared) -> rocksdb::Options {
    let mut db = quiet();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_atomic_flush(true);
    db.set_paranoid_checks(true);
    db.set_write_buffer_manager(&shared.memtables);
    db.set_max_background_jobs(2);
    db.set_bytes_per_sync(1 << 20);
    db.set_max_open_files(OPEN_FILES_MAX as i32);
    db.set_skip_stats_update_on_db_open(true);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db.set_manifest_preallocation_size(64 << 10);
    db.set_max_manifest_file_size(4 << 20);
    db.set_max_total_wal_size(options.memtable_bytes as u64);
    db
}

fn family(
    name: &str,
    options: &Options,
    shared: &Shared,
    dead: &Arc<ArcSwap<DeadSpaces>>,
) -> rocksdb::Options {
    let mut family = rocksdb::Options::default();
    family.set_disable_auto_compactions(!options.background);
    family.set_block_based_table_factory(&blocks(shared));
    family.set_write_buffer_size(options.memtable_bytes);
    family.set_max_write_buffer_number(4);
    if name == Column::Meta.name() {
        family.set_memtable_prefix_bloom_ratio(0.02);
        family.set_memtable_whole_key_filtering(true);
    }
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_bottommost_compression_type(DBCompressionType::Zstd);
    family.set_bottommost_compression_options(-14, 1, 0, 0, true);
    family.set_level_compaction_dynamic_level_bytes(true);
    family.set_target_file_size_base(32 << 20);
    family.set_max_bytes_for_level_base(256 << 20);
    family.add_compact_on_deletion_collector_factory(1024, 512, 0.5);
    if name != Column::System.name() && name != DEFAULT {
        family.set_compaction_filter_factory(DropDeadSpaces::new(dead.clone()));
    }
    family
}

fn blocks(shared: &Shared) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&shared.blocks);
    blocks.set_block_size(8 << 10);
    // Bloom, not ribbon: a third more memory, but flushes are on the path of every write.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    // A lookup that a filter answers must not have to look for the filter first.
    blocks.set_unpartitioned_pinning_tier(BlockBasedTablePinningTier::All);
    blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    blocks
}
