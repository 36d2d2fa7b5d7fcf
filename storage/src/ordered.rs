//! Rows in the order of their keys: changed, dirty and stored rows merged.
//!
//! Dirty rows lie in hash tables; they are brought into order one part of the tables at a time,
//! as the reader gets there.
//!
//! Invariants
//! * The published state stays locked from before RocksDB's iterator is made until it is dropped:
//!   no drain can move rows from where we looked to where we did not.

use rocksdb::DBRawIterator;

use crate::core::{Core, Published};
use crate::error::Result;
use crate::overlay::Overlay;
use crate::row::{Column, Row};
use crate::table::{PARTS, part_of};

/// Where the current row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    Dirty,
    Stored,
    End,
}

/// A place among the rows of a column.
pub(crate) struct Ordered<'a> {
    column: Column,
    overlay: Option<&'a Overlay>,
    published: &'a Published,
    stored: DBRawIterator<'a>,
    until: Option<Vec<u8>>,
    /// Dirty rows of one part, in order, of which those before `next` are done.
    dirty: Vec<Row>,
    next: usize,
    part: usize,
    current: Current,
}

impl<'a> Ordered<'a> {
    /// The first row of a column that is not before `from`, of those before `until`.
    pub fn new(
        core: &'a Core,
        overlay: Option<&'a Overlay>,
        published: &'a Published,
        column: Column,
        (from, until): (&[u8], Option<&[u8]>),
    ) -> Result<Self> {
        let stored = core.rocks.rows(column, from, until);
        let mut rows = Self {
            column,
            overlay,
            stored,
            published,
            until: until.map(Into::into),
            dirty: Vec::new(),
            next: 0,
            part: 0,
            current: Current::End,
        };
        rows.place_dirty(from);
        rows.settle()?;
        Ok(rows)
    }

    /// Key and value of the current row; `None` at the end.
    pub fn row(&self) -> Option<(&[u8], &[u8])> {
        match self.current {
            Current::Dirty => self.dirty.get(self.next).map(|row| (row.key(), row.value())),
            Current::Stored => self.stored.item(),
            Current::End => None,
        }
    }

    /// Goes to the next row.
    pub fn advance(&mut self) -> Result<()> {
        match self.current {
            Current::Dirty => self.next += 1,
            Current::Stored => self.stored.next(),
            Current::End => {}
        }
        self.settle()
    }

    /// Goes forward to the first row that is not before `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.stored.key().is_some_and(|stored| stored < key) {
            self.stored.seek(key);
        }
        self.place_dirty(key);
        self.settle()
    }

    /// Finds the current row: the lesser of both sides, of two with one key the dirty one, of
    /// dirty ones those that are present.
    fn settle(&mut self) -> Result<()> {
        loop {
            self.load_parts();
            let Some(dirty) = self.dirty.get(self.next) else {
                self.current = if self.stored.valid() { Current::Stored } else { Current::End };
                break;
            };
            match self.stored.key() {
                Some(stored) if stored < dirty.key() => {
                    self.current = Current::Stored;
                    break;
                }
                Some(stored) if stored == dirty.key() => self.stored.next(),
                _ if dirty.is_present() => {
                    self.current = Current::Dirty;
                    break;
                }
                _ => self.next += 1,
            }
        }
        if !self.stored.valid() {
            self.stored.status()?;
        }
        Ok(())
    }

    /// Skips dirty rows before `key`.
    fn place_dirty(&mut self, key: &[u8]) {
        let part = key.first().map_or(0, |_| part_of(key));
        if part >= self.part {
            (self.part, self.next) = (part, 0);
            self.load(part);
            self.part += 1;
        }
        self.next += self.dirty[self.next..].partition_point(|row| row.key() < key);
    }

    /// Sees to it that there is a dirty row at `next`, if there is any left.
    fn load_parts(&mut self) {
        while self.next >= self.dirty.len() && self.part < PARTS {
            self.load(self.part);
            (self.part, self.next) = (self.part + 1, 0);
        }
    }

    /// Brings the dirty rows of one part into order, newest of each key.
    fn load(&mut self, part: usize) {
        let Self { column, overlay, published, until, dirty, .. } = self;
        let is_wanted = |row: &&Row| {
            part_of(row.key()) == part && until.as_ref().is_none_or(|until| row.key() < &until[..])
        };
        dirty.clear();
        let changes = overlay.iter().flat_map(|overlay| overlay.changes());
        let changed = changes.filter(|change| change.column == *column).map(|change| &change.row);
        dirty.extend(changed.filter(is_wanted).cloned());
        for layer in published.layers() {
            dirty.extend(layer.part(*column, part).filter(is_wanted).cloned());
        }
        // Stable: of one key, the row of the newest layer comes first and stays.
        dirty.sort();
        dirty.dedup();
    }
}
