//! Changes, all of which are published at once or not at all.
//!
//! A transaction is an overlay over the published state. It carries what a command must not read
//! from its node: log index, log time, seed.
//!
//! Invariants
//! * What it leaves behind depends on the state before and on its calls, on nothing else.
//! * Counters and the expiry index change in step with headers, in [`Txn::put`] and
//!   [`Txn::remove`] and nowhere else.
//! * A key that has expired is removed before anything is written under it.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;
use parking_lot::{MutexGuard, RwLockReadGuard};
use rand::SeedableRng;

use crate::Millis;
use crate::core::{Core, Published};
use crate::error::Result;
use crate::header::{Body, Entry, Header};
use crate::layout::{CHUNK_BYTES, RowKey};
use crate::overlay::Overlay;
use crate::root::{Root, Space};
use crate::row::{Column, Row, hash};
use crate::table::Garbage;
use crate::touched::Touched;
use crate::view::View;

/// Randomness that is the same on every replica.
pub type TxnRng = rand::rngs::ChaCha8Rng;

/// Scratch space above this is given back.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// One transaction. Dropped without [`crate::Store::commit`], it has never been.
pub struct Txn<'s> {
    pub(crate) core: &'s Core,
    pub(crate) published: RwLockReadGuard<'s, Published>,
    pub(crate) overlay: MutexGuard<'s, Overlay>,
    pub(crate) state: State,
    db: u32,
    log_index: u64,
    seed: [u64; 2],
    rng: Option<TxnRng>,
    scratch: RefCell<Vec<u8>>,
}

/// What a transaction changes besides rows.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub root: Root,
    /// Keys removed because they had expired.
    pub expired: Vec<(u32, Bytes)>,
    /// Databases that were flushed or swapped.
    pub emptied: Vec<u32>,
    /// Keys in spaces that died.
    pub dead_keys: u64,
    /// The expiry index holds nothing before this any more.
    pub swept_to: Option<Millis>,
}

/// A point of a transaction to which it can be taken back.
pub struct Savepoint {
    state: State,
    mark: usize,
    garbage: usize,
    db: u32,
    was_undoable: bool,
}

/// What is under a key: nothing, or a header that has not expired.
pub(crate) struct Found {
    pub space: u32,
    pub meta: RowKey,
    pub hash: u64,
    pub old: Option<(Row, Entry)>,
}

impl Found {
    /// The entry that is there.
    pub fn entry(&self) -> Option<&Entry> {
        self.old.as_ref().map(|(_, entry)| entry)
    }
}

impl<'s> Txn<'s> {
    pub(crate) fn new(core: &'s Core, mut overlay: MutexGuard<'s, Overlay>) -> Self {
        overlay.clear();
        // Nobody waits to write while `overlay` is locked, so this reader holds up nobody.
        let published = core.read();
        let root = published.root.clone();
        Self {
            core,
            published,
            overlay,
            state: State { root, ..State::default() },
            db: 0,
            log_index: 0,
            seed: [0; 2],
            rng: None,
            scratch: RefCell::default(),
        }
    }

    /// Begins a log entry: its index becomes the version of what it changes, its time becomes log
    /// time unless that is later already.
    pub fn set_entry(&mut self, log_index: u64, now: Millis, seed: u64) {
        self.log_index = log_index;
        self.state.root.log_time = self.state.root.log_time.max(now);
        self.seed = [seed, 0];
        self.rng = None;
    }

    /// Begins an item of the entry, with randomness of its own.
    pub fn item(&mut self, number: u64) {
        self.seed[1] = number;
        self.rng = None;
    }

    /// Randomness that follows from the entry's seed and the item's number.
    pub fn rng(&mut self) -> &mut TxnRng {
        let [seed, item] = self.seed;
        let index = self.log_index;
        self.rng.get_or_insert_with(|| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8..16].copy_from_slice(&item.to_le_bytes());
            bytes[16..24].copy_from_slice(&index.to_le_bytes());
            TxnRng::from_seed(bytes)
        })
    }

    /// Index of the entry.
    pub fn log_index(&self) -> u64 {
        self.log_index
    }

    /// Log time.
    pub fn now(&self) -> Millis {
        self.state.root.log_time
    }

    /// The database the transaction works in.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Works in another database from now on.
    pub fn select(&mut self, db: u32) {
        self.db = db;
    }

    /// The state as it is within the transaction.
    pub fn view(&self) -> View<'_> {
        View::of_txn(self)
    }

    /// See [`View::header`].
    pub fn header(&self, key: &[u8]) -> Result<Option<Header>> {
        self.view().header(key)
    }

    /// See [`View::exists`].
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        self.view().exists(key)
    }

    /// See [`View::version`].
    pub fn version(&self, key: &[u8]) -> Result<u64> {
        self.view().version(key)
    }

    /// See [`View::string`].
    pub fn string(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.view().string(key)
    }

    /// See [`View::string_len`].
    pub fn string_len(&self, key: &[u8]) -> Result<u64> {
        self.view().string_len(key)
    }

    /// See [`View::string_range`].
    pub fn string_range(&self, key: &[u8], range: Range<u64>) -> Result<Bytes> {
        self.view().string_range(key, range)
    }

    /// What the transaction has changed so far.
    pub fn touched(&self) -> Touched {
        let root = &self.state.root;
        Touched::new(&self.overlay, root, &self.state.expired, &self.state.emptied)
    }

    /// A point to come back to. Savepoints nest; the changes since then take memory until the
    /// savepoint is released, or the transaction ends.
    pub fn savepoint(&mut self) -> Savepoint {
        let savepoint = Savepoint {
            state: self.state.clone(),
            mark: self.overlay.mark(),
            garbage: self.overlay.garbage.len(),
            db: self.db,
            was_undoable: self.overlay.is_undoable,
        };
        self.overlay.is_undoable = true;
        savepoint
    }

    /// Takes back everything since a savepoint.
    pub fn rollback(&mut self, to: Savepoint) {
        self.overlay.undo_to(to.mark);
        self.overlay.garbage.truncate(to.garbage);
        self.state = to.state.clone();
        self.db = to.db;
        self.release(to);
    }

    /// Keeps everything since a savepoint. Its own savepoints must have ended before.
    pub fn release(&mut self, savepoint: Savepoint) {
        if !savepoint.was_undoable {
            self.overlay.forget_undo();
        }
    }

    /// A row the keyspace keeps for itself.
    pub fn get_system(&self, name: &[u8]) -> Result<Option<Bytes>> {
        self.view().system(name)
    }

    /// Writes a row of the keyspace's own.
    pub fn put_system(&mut self, name: &[u8], value: &[u8]) {
        self.put_row(Column::System, Row::of(RowKey::keyspace(name).bytes(), value));
    }

    /// Removes a row of the keyspace's own.
    pub fn delete_system(&mut self, name: &[u8]) {
        self.put_row(Column::System, Row::absent(RowKey::keyspace(name).bytes()));
    }

    /// Looks a key up to change it. If it has expired, it is removed first.
    pub(crate) fn find(&mut self, db: u32, key: &[u8]) -> Result<Found> {
        let space = self.state.root.space_or_new(db).id;
        let meta = RowKey::meta(space, key);
        let hash = hash(meta.bytes());
        let old = match self.row(hash, meta.bytes())? {
            Some(row) => Some(Entry::decode(row.value()).map(|entry| (row, entry))?),
            None => None,
        };
        let mut found = Found { space, meta, hash, old };
        if found.entry().is_some_and(|entry| entry.header.has_expired(self.now())) {
            self.state.expired.push((db, Bytes::copy_from_slice(key)));
            self.remove(&mut found);
        }
        Ok(found)
    }

    fn row(&self, hash: u64, meta: &[u8]) -> Result<Option<Row>> {
        if let Some(row) = self.overlay.get(Column::Meta, hash, meta) {
            return Ok(row.clone().present());
        }
        match self.published.dirty(Column::Meta, hash, meta) {
            Some(row) => Ok(row.clone().present()),
            None => self.core.clean(Column::Meta, hash, meta),
        }
    }

    /// Writes header and value of a key; `value` adds an inline value behind the header.
    pub(crate) fn put(&mut self, found: &Found, entry: Entry, value: impl FnOnce(&mut Vec<u8>)) {
        self.account(found, Some(&entry));
        let meta = found.meta.bytes();
        let scratch = self.scratch.get_mut();
        scratch.clear();
        scratch.extend_from_slice(meta);
        entry.encode(scratch);
        value(scratch);
        let row = Row::new(scratch, meta.len());
        scratch.shrink_to(SCRATCH_BYTES_MAX);
        self.overlay.put(Column::Meta, found.hash, row);
    }

    /// Removes a key, if it is there. The work does not grow with the value.
    pub(crate) fn remove(&mut self, found: &mut Found) -> bool {
        let is_there = found.old.is_some();
        if is_there {
            self.account(found, None);
            self.overlay.put(Column::Meta, found.hash, Row::absent(found.meta.bytes()));
            found.old = None;
        }
        is_there
    }

    /// Keeps counters, expiry index and garbage in step with a header.
    fn account(&mut self, found: &Found, new: Option<&Entry>) {
        let old = found.entry();
        let deadline = |entry: Option<&Entry>| entry.and_then(|entry| entry.header.deadline);
        let (before, after) = (deadline(old), deadline(new));
        let space = self.space_mut(found.space);
        space.keys = space.keys + u64::from(new.is_some()) - u64::from(old.is_some());
        space.deadlines =
            space.deadlines + u64::from(after.is_some()) - u64::from(before.is_some());
        if before != after {
            let meta = found.meta.bytes();
            if let Some(before) = before {
                let key = RowKey::expiry(before, meta);
                self.put_row(Column::System, Row::absent(key.bytes()));
            }
            if let Some(after) = after {
                let key = RowKey::expiry(after, meta);
                self.put_row(Column::System, Row::of(key.bytes(), b""));
            }
        }
        if let Some(Entry { header, body: Body::Chunked(generation) }) = old
            && new.is_none_or(|new| new.body != Body::Chunked(*generation))
        {
            let prefix = RowKey::generation(found.meta.bytes(), *generation).bytes().to_vec();
            let chunks = header.size.div_ceil(CHUNK_BYTES as u64) as u32;
            self.overlay.garbage.push(Garbage { prefix, chunks });
        }
    }

    fn space_mut(&mut self, id: u32) -> &mut Space {
        let mut spaces = self.state.root.spaces.iter_mut().map(|(_, space)| space);
        spaces.find(|space| space.id == id).expect("found in a living space")
    }

    /// Writes a row that no header depends on.
    pub(crate) fn put_row(&mut self, column: Column, row: Row) {
        self.overlay.put(column, hash(row.key()), row);
    }
}
