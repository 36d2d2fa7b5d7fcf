//! Dirty rows: what is published but not yet in RocksDB.
//!
//! A table is cut into parts by the first byte of the row key, so that rows can be brought into
//! order a part at a time: an ordered read near one slot never sorts everything.
//!
//! Invariants
//! * A dirty row hides whatever the cache and RocksDB hold under its key.
//! * The order of parts is the order of keys (see [`crate::layout`]).

use std::collections::BTreeSet;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::layout::EXPIRY_TAG;
use crate::row::{Column, Row};

/// Parts of a table.
pub(crate) const PARTS: usize = 64;

/// The part a row key belongs to.
pub(crate) fn part_of(row_key: &[u8]) -> usize {
    usize::from(row_key[0]) % PARTS
}

/// Rows by key.
#[derive(Default)]
pub(crate) struct Table {
    parts: Vec<HashTable<(u64, Row)>>,
}

impl Table {
    /// The row under a key; an absent row means that there is none in RocksDB's place.
    pub fn get(&self, hash: u64, row_key: &[u8]) -> Option<&Row> {
        let part = self.parts.get(part_of(row_key))?;
        part.find(hash, |(_, row)| row.key() == row_key).map(|(_, row)| row)
    }

    /// Puts a row in place of the one with its key, and returns that one.
    pub fn put(&mut self, hash: u64, row: Row) -> Option<Row> {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashTable::new);
        }
        let part = &mut self.parts[part_of(row.key())];
        match part.entry(hash, |(_, other)| other.key() == row.key(), |(hash, _)| *hash) {
            Place::Occupied(mut place) => Some(std::mem::replace(&mut place.get_mut().1, row)),
            Place::Vacant(place) => {
                place.insert((hash, row));
                None
            }
        }
    }

    /// The rows of one part, in no order.
    pub fn part(&self, part: usize) -> impl Iterator<Item = &(u64, Row)> {
        self.parts.get(part).into_iter().flatten()
    }

    /// Forgets all rows, keeps the room for as many.
    fn clear(&mut self) {
        self.parts.iter_mut().for_each(HashTable::clear);
    }
}

/// Rows of one generation of a large value that nothing refers to any more.
#[derive(Debug, Clone)]
pub(crate) struct Garbage {
    /// What the keys of the rows start with.
    pub prefix: Vec<u8>,
    /// How many there are at most.
    pub chunks: u32,
}

/// All dirty rows of a store, one generation of them.
#[derive(Default)]
pub(crate) struct Dirty {
    /// Rows of `meta`.
    pub meta: Table,
    /// Rows of `sub`.
    pub sub: Table,
    /// Rows of `system`, but for the expiry index.
    pub system: Table,
    /// Rows of the expiry index, absent ones included, in order.
    pub expiry: BTreeSet<Row>,
    /// Rows of `sub` to be removed.
    pub garbage: Vec<Garbage>,
    /// Bytes of all of it.
    pub bytes: usize,
    /// Rows of all of it.
    pub rows: usize,
}

impl Dirty {
    /// The table of a column.
    pub fn table(&self, column: Column) -> &Table {
        match column {
            Column::Meta => &self.meta,
            Column::Sub => &self.sub,
            Column::System => &self.system,
        }
    }

    /// Puts a row, and returns the one it replaces, for the caller to drop when it holds no lock.
    pub fn put(&mut self, column: Column, hash: u64, row: Row) -> Option<Row> {
        let charge = row.charge();
        let old = match column {
            Column::Meta => self.meta.put(hash, row),
            Column::Sub => self.sub.put(hash, row),
            Column::System if row.key().first() == Some(&EXPIRY_TAG) => self.expiry.replace(row),
            Column::System => self.system.put(hash, row),
        };
        self.bytes += charge;
        match &old {
            Some(old) => self.bytes -= old.charge(),
            None => self.rows += 1,
        }
        old
    }

    /// The rows of one part of a column, in no order.
    pub fn part(&self, column: Column, part: usize) -> impl Iterator<Item = &Row> {
        let is_expiry = column == Column::System && part == part_of(&[EXPIRY_TAG]);
        let expiry = is_expiry.then_some(&self.expiry).into_iter().flatten();
        self.table(column).part(part).map(|(_, row)| row).chain(expiry)
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.garbage.is_empty()
    }

    /// Forgets everything, keeps the room for as much.
    pub fn clear(&mut self) {
        self.meta.clear();
        self.sub.clear();
        self.system.clear();
        self.expiry.clear();
        self.garbage.clear();
        (self.bytes, self.rows) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::hash;

    #[test]
    fn rows_replace_each_other_and_are_counted_once() {
        let mut dirty = Dirty::default();
        let key = b"\x01\x02....key";
        assert!(dirty.put(Column::Meta, hash(key), Row::of(key, b"one")).is_none());
        let bytes = dirty.bytes;
        let old = dirty.put(Column::Meta, hash(key), Row::absent(key)).expect("was there");
        assert_eq!(old.value(), b"one");
        assert_eq!((dirty.rows, dirty.bytes), (1, bytes - 3));
        assert!(!dirty.meta.get(hash(key), key).expect("still there").is_present());
        assert!(dirty.sub.get(hash(key), key).is_none());
        dirty.clear();
        assert!(dirty.is_empty() && dirty.meta.get(hash(key), key).is_none());
    }
}
