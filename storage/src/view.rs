//! One consistent state, to read from.
//!
//! A view of the committed state keeps it from changing while it lives, so it is to be
//! short-lived; a view of a transaction sees what the transaction has changed so far.
//!
//! Invariants
//! * A key whose deadline is not after log time does not exist, whoever asks.
//! * A key whose deadline is not after the reader's clock, but after log time, still exists here,
//!   and the view says so ([`View::needs_time`]): the reader pushes log time and asks again.

use std::cell::Cell;
use std::ops::ControlFlow;

use bytes::Bytes;
use parking_lot::RwLockReadGuard;

use crate::Millis;
use crate::core::{Core, Published};
use crate::error::Result;
use crate::header::{Entry, Header};
use crate::layout::{RowKey, end_of};
use crate::ordered::Ordered;
use crate::overlay::Overlay;
use crate::root::Root;
use crate::row::{Column, Row, hash};
use crate::txn::Txn;

/// One consistent state of one database. While a view of the committed state lives, its thread
/// must not ask the store for another one, nor commit or drain.
pub struct View<'a> {
    pub(crate) core: &'a Core,
    source: Source<'a>,
    db: u32,
    space: Option<u32>,
    clock: Millis,
    needs_time: Cell<bool>,
    lookups: Cell<Lookups>,
}

/// How often keys were looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Keys that were there.
    pub hits: u64,
    /// Keys that were not.
    pub misses: u64,
}

enum Source<'a> {
    Published(RwLockReadGuard<'a, Published>),
    Txn(&'a Overlay, &'a Root, &'a Published),
}

impl<'a> View<'a> {
    /// The committed state.
    pub(crate) fn published(core: &'a Core, db: u32, clock: Millis) -> Self {
        Self::new(core, Source::Published(core.read()), db, clock)
    }

    /// The state a transaction has made.
    pub(crate) fn of_txn(txn: &'a Txn<'_>) -> Self {
        let root = &txn.state.root;
        let source = Source::Txn(&txn.overlay, root, &txn.published);
        Self::new(txn.core, source, txn.db(), root.log_time)
    }

    fn new(core: &'a Core, source: Source<'a>, db: u32, clock: Millis) -> Self {
        let mut view = Self {
            core,
            source,
            db,
            space: None,
            clock,
            needs_time: Cell::new(false),
            lookups: Cell::default(),
        };
        view.select(db);
        view
    }

    /// The database this view looks into.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Looks into another database of the same state.
    pub fn select(&mut self, db: u32) {
        self.db = db;
        self.space = self.root().space(db).map(|space| space.id);
    }

    /// Log time: what has expired by then does not exist.
    pub fn now(&self) -> Millis {
        self.root().log_time
    }

    /// Whether a key was seen that has expired by the reader's clock but not yet by log time. The
    /// reader must push log time past its clock and read again.
    pub fn needs_time(&self) -> bool {
        self.needs_time.get()
    }

    /// How often keys were looked up in this view.
    pub fn lookups(&self) -> Lookups {
        self.lookups.get()
    }

    /// What is known of a key without its value.
    pub fn header(&self, key: &[u8]) -> Result<Option<Header>> {
        Ok(self.entry(key)?.map(|(_, entry)| entry.header))
    }

    /// Whether there is such a key.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.entry(key)?.is_some())
    }

    /// Log index of a key's last change; 0 if there is no such key.
    pub fn version(&self, key: &[u8]) -> Result<u64> {
        Ok(self.entry(key)?.map_or(0, |(_, entry)| entry.header.version))
    }

    /// Keys in the database, including those that have expired but are not yet removed.
    pub fn key_count(&self) -> u64 {
        self.root().space(self.db).map_or(0, |space| space.keys)
    }

    /// Keys with a deadline in the database, counted in the same way.
    pub fn deadline_count(&self) -> u64 {
        self.root().space(self.db).map_or(0, |space| space.deadlines)
    }

    /// A row the keyspace keeps for itself.
    pub fn system(&self, name: &[u8]) -> Result<Option<Bytes>> {
        let key = RowKey::keyspace(name);
        Ok(self.row(Column::System, key.bytes())?.map(|row| row.value_from(0)))
    }

    /// The keyspace's own rows whose names start with `prefix`, in order of their names.
    pub fn for_each_system(
        &self,
        prefix: &[u8],
        mut f: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let from = RowKey::keyspace(prefix);
        let until = end_of(from.bytes());
        let mut rows = self.ordered(Column::System, from.bytes(), until.as_deref())?;
        while let Some((key, value)) = rows.row() {
            if f(&key[1..], value).is_break() {
                break;
            }
            rows.advance()?;
        }
        Ok(())
    }

    /// The row and decoded header of a key that exists.
    pub(crate) fn entry(&self, key: &[u8]) -> Result<Option<(Row, Entry)>> {
        let found = self.find(key)?;
        let Lookups { hits, misses } = self.lookups.get();
        let hit = u64::from(found.is_some());
        self.lookups.set(Lookups { hits: hits + hit, misses: misses + 1 - hit });
        Ok(found)
    }

    fn find(&self, key: &[u8]) -> Result<Option<(Row, Entry)>> {
        let Some(space) = self.space else { return Ok(None) };
        let meta = RowKey::meta(space, key);
        let Some(row) = self.row(Column::Meta, meta.bytes())? else { return Ok(None) };
        let entry = Entry::decode(row.value())?;
        Ok(self.is_live(&entry.header).then_some((row, entry)))
    }

    /// Whether a key exists by log time; takes note if it is only just so.
    pub(crate) fn is_live(&self, header: &Header) -> bool {
        let is_live = !header.has_expired(self.now());
        if is_live && header.has_expired(self.clock) {
            self.needs_time.set(true);
        }
        is_live
    }

    /// The row under a key.
    pub(crate) fn row(&self, column: Column, key: &[u8]) -> Result<Option<Row>> {
        let hash = hash(key);
        match self.dirty(column, hash, key) {
            Some(row) => Ok(row.present()),
            None => self.core.clean(column, hash, key),
        }
    }

    /// The row under a key that is not worth a place in the cache.
    pub(crate) fn row_once(&self, column: Column, key: &[u8]) -> Result<Option<Row>> {
        match self.dirty(column, hash(key), key) {
            Some(row) => Ok(row.present()),
            None => self.core.stored(column, key),
        }
    }

    fn dirty(&self, column: Column, hash: u64, key: &[u8]) -> Option<Row> {
        let (overlay, published) = self.layers();
        let changed = overlay.and_then(|overlay| overlay.get(column, hash, key));
        changed.or_else(|| published.dirty(column, hash, key)).cloned()
    }

    /// The rows of a column in order.
    pub(crate) fn ordered(
        &self,
        column: Column,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Ordered<'_>> {
        let (overlay, published) = self.layers();
        Ordered::new(self.core, overlay, published, column, (from, until))
    }

    /// Where the database's rows are; `None` if it has none.
    pub(crate) fn space(&self) -> Option<u32> {
        self.space
    }

    /// Whether this is what everybody sees, not the state within a transaction.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self.source, Source::Published(_))
    }

    fn layers(&self) -> (Option<&Overlay>, &Published) {
        match &self.source {
            Source::Published(published) => (None, published),
            Source::Txn(overlay, _, published) => (Some(overlay), published),
        }
    }

    fn root(&self) -> &Root {
        match &self.source {
            Source::Published(published) => &published.root,
            Source::Txn(_, root, _) => root,
        }
    }
}
