//! The state of a store, as its parts share it: what is published, what is cached, what is in
//! RocksDB, and in which order to ask them.
//!
//! ```text
//!   active dirty rows   changed since the last drain began; commits publish here
//!   frozen dirty rows   being written to RocksDB by a drain
//!   cache               clean rows
//!   RocksDB             everything, as of the last drain
//! ```
//!
//! Invariants
//! * The first layer that knows a key is right.
//! * `published` is locked for writing only to move things in memory, never for I/O.
//! * What RocksDB holds is the state after some applied entry: a drain writes frozen rows and the
//!   root row that belongs to them in one batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::cache::{Cache, Owner};
use crate::drain::Signal;
use crate::error::{Error, Fault, Result};
use crate::options::{Options, Shared};
use crate::overlay::Overlay;
use crate::rocks::Rocks;
use crate::root::Root;
use crate::row::{Column, Row, hash};
use crate::scan::Cursors;
use crate::table::Dirty;

/// Dirty rows that a drain is writing, and the root row that belongs to them.
pub(crate) struct Frozen {
    pub dirty: Dirty,
    pub root: Root,
    pub applied: Option<Bytes>,
}

/// The committed state, as far as it is not in RocksDB.
#[derive(Default)]
pub(crate) struct Published {
    pub active: Dirty,
    pub frozen: Option<Arc<Frozen>>,
    pub root: Root,
    pub applied: Option<Bytes>,
    /// The root or the applied record changed since the last drain began.
    pub is_root_dirty: bool,
}

impl Published {
    /// Dirty rows, newest first.
    pub fn layers(&self) -> impl Iterator<Item = &Dirty> {
        [Some(&self.active), self.frozen.as_ref().map(|frozen| &frozen.dirty)].into_iter().flatten()
    }

    /// The dirty row under a key.
    pub fn dirty(&self, column: Column, hash: u64, key: &[u8]) -> Option<&Row> {
        // An emptied table keeps its room, in which a look costs a cache miss.
        let mut layers = self.layers().filter(|dirty| dirty.rows > 0);
        layers.find_map(|dirty| dirty.table(column).get(hash, key))
    }
}

/// Counts of what a store has done since it was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub rocks_reads: AtomicU64,
    pub drains: AtomicU64,
    pub drained_rows: AtomicU64,
    pub expired: AtomicU64,
    pub commits: AtomicU64,
}

impl Counters {
    /// Adds to a count.
    pub fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Ordering::Relaxed);
    }
}

/// Everything a store consists of but its thread.
pub(crate) struct Core {
    pub id: u32,
    pub rocks: Rocks,
    pub cache: Arc<Cache>,
    pub blocks: rocksdb::Cache,
    pub options: Options,
    pub dirty_bytes_max: usize,
    pub published: RwLock<Published>,
    /// Held by the one transaction there may be, and by a drain while tables change hands: what a
    /// transaction has found where it looked does not move. Keeps the room for its changes.
    pub writer: Mutex<Overlay>,
    /// Held by the one drain there may be; the emptied tables of the last one.
    pub drain: Mutex<Dirty>,
    pub signal: Signal,
    pub counters: Counters,
    /// No row of the expiry index in RocksDB that is still valid has a deadline before this.
    pub expiry_floor: AtomicU64,
    /// Keys in spaces that died since their rows were last collected.
    pub dead_keys: AtomicU64,
    pub cursors: Cursors,
    fault: OnceLock<Error>,
}

impl Core {
    /// A store in the state that RocksDB holds.
    pub fn new(rocks: Rocks, options: Options, shared: &Shared) -> Result<Self> {
        let mut published = Published::default();
        if let Some(value) = rocks.get(Column::System, crate::layout::ROOT_KEY)? {
            (published.root, published.applied) = Root::decode(&value)?;
        }
        rocks.drop_dead_spaces()?;
        Ok(Self {
            id: shared.next_store(),
            rocks,
            cache: shared.rows.clone(),
            blocks: shared.blocks.clone(),
            dirty_bytes_max: options.dirty_bytes_max.unwrap_or(shared.budget().dirty),
            options,
            published: RwLock::new(published),
            writer: Mutex::default(),
            drain: Mutex::default(),
            signal: Signal::default(),
            counters: Counters::default(),
            expiry_floor: AtomicU64::new(0),
            dead_keys: AtomicU64::new(0),
            cursors: Cursors::default(),
            fault: OnceLock::new(),
        })
    }

    /// The published state, for a reader who holds no other lock on it.
    pub fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read()
    }

    /// A row that is not dirty.
    pub fn clean(&self, column: Column, hash: u64, key: &[u8]) -> Result<Option<Row>> {
        let owner = Owner::new(self.id, column);
        if let Some(row) = self.cache.get(owner, hash, key) {
            return Ok(Some(row));
        }
        let row = self.stored(column, key)?;
        if let Some(row) = &row {
            self.cache.put(owner, hash, row);
        }
        Ok(row)
    }

    /// A row that RocksDB holds.
    pub fn stored(&self, column: Column, key: &[u8]) -> Result<Option<Row>> {
        Counters::add(&self.counters.rocks_reads, 1);
        Ok(self.rocks.get(column, key)?.map(|value| Row::of(key, &value)))
    }

    /// Makes the cache agree with what a drain has written.
    pub fn settle(&self, column: Column, row_hash: u64, row: &Row) {
        debug_assert_eq!(row_hash, hash(row.key()));
        self.cache.put(Owner::new(self.id, column), row_hash, row);
    }

    /// Remembers a fault: from now on nothing is committed.
    pub fn fail(&self, error: &Error) {
        let stopped = Fault::Stopped(format!("stopped after: {error}"));
        let _ = self.fault.set(stopped.into());
        self.signal.fail();
    }

    /// The fault that was met earlier, if any.
    pub fn check(&self) -> Result<()> {
        self.fault.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.rocks.cancel();
        self.cache.forget(self.id);
    }
}
