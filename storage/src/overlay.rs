//! The changes of one transaction, each row once, in the order of their first change.
//!
//! Invariants
//! * Undone in reverse order, the log of changes leads back to any savepoint exactly.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::row::{Column, Row};
use crate::table::{Dirty, Garbage};

/// An empty overlay does not keep room for more changes than this.
const ROOM_MAX: usize = 8192;

/// A changed row.
pub(crate) struct Change {
    pub column: Column,
    pub hash: u64,
    pub row: Row,
}

/// A change that can be taken back: which, and what was there before in this transaction.
struct Undo {
    index: u32,
    before: Option<Row>,
}

/// Changed rows.
#[derive(Default)]
pub(crate) struct Overlay {
    changes: Vec<Change>,
    by_key: HashTable<u32>,
    undo: Vec<Undo>,
    replaced: Vec<Row>,
    /// Large values that nothing refers to after this transaction.
    pub garbage: Vec<Garbage>,
    /// Whether changes are noted for [`Overlay::undo_to`].
    pub is_undoable: bool,
}

impl Overlay {
    /// The row under a key, if this transaction changed it.
    pub fn get(&self, column: Column, hash: u64, key: &[u8]) -> Option<&Row> {
        let Self { changes, by_key, .. } = self;
        let index = by_key.find(hash, |&index| is(&changes[index as usize], column, key))?;
        Some(&changes[*index as usize].row)
    }

    /// Changes a row.
    pub fn put(&mut self, column: Column, hash: u64, row: Row) {
        let Self { changes, by_key, undo, .. } = self;
        let same = |&index: &u32| is(&changes[index as usize], column, row.key());
        let (index, before) = match by_key.entry(hash, same, |&index| changes[index as usize].hash)
        {
            Place::Occupied(place) => {
                let index = *place.get();
                (index, Some(std::mem::replace(&mut changes[index as usize].row, row)))
            }
            Place::Vacant(place) => {
                let index = changes.len() as u32;
                place.insert(index);
                changes.push(Change { column, hash, row });
                (index, None)
            }
        };
        if self.is_undoable {
            undo.push(Undo { index, before });
        }
    }

    /// All changes.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How far the log of changes is.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back every change after a mark.
    pub fn undo_to(&mut self, mark: usize) {
        for Undo { index, before } in self.undo.drain(mark..).rev() {
            let change = &mut self.changes[index as usize];
            match before {
                Some(row) => change.row = row,
                None => {
                    let hash = change.hash;
                    let place = self.by_key.find_entry(hash, |&other| other == index);
                    place.expect("every change is indexed").remove();
                    let last = self.changes.pop();
                    assert!(self.changes.len() == index as usize && last.is_some(), "undo order");
                }
            }
        }
    }

    /// Forgets how to take back changes.
    pub fn forget_undo(&mut self) {
        self.undo.clear();
        self.is_undoable = false;
    }

    /// Moves all changes into dirty rows; the rows they replace stay here until the next clear,
    /// so that no lock is held while they are freed.
    pub fn publish(&mut self, dirty: &mut Dirty) {
        for Change { column, hash, row } in self.changes.drain(..) {
            self.replaced.extend(dirty.put(column, hash, row));
        }
        dirty.garbage.append(&mut self.garbage);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        if self.changes.capacity() > ROOM_MAX {
            *self = Self::default();
            return;
        }
        self.changes.clear();
        self.replaced.clear();
        self.by_key.clear();
        self.garbage.clear();
        self.forget_undo();
    }
}

fn is(change: &Change, column: Column, key: &[u8]) -> bool {
    change.column == column && change.row.key() == key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::hash;

    fn put(overlay: &mut Overlay, key: &str, value: &str) {
        let row = Row::of(key.as_bytes(), value.as_bytes());
        overlay.put(Column::Meta, hash(key.as_bytes()), row);
    }

    fn value(overlay: &Overlay, key: &str) -> Option<String> {
        let row = overlay.get(Column::Meta, hash(key.as_bytes()), key.as_bytes())?;
        Some(String::from_utf8_lossy(row.value()).into())
    }

    #[test]
    fn changes_are_taken_back_to_the_mark() {
        let mut overlay = Overlay::default();
        put(&mut overlay, "a", "1");
        overlay.is_undoable = true;
        let mark = overlay.mark();
        put(&mut overlay, "a", "2");
        put(&mut overlay, "b", "3");
        let inner = overlay.mark();
        put(&mut overlay, "b", "4");
        put(&mut overlay, "c", "5");
        overlay.undo_to(inner);
        assert_eq!(value(&overlay, "b").as_deref(), Some("3"));
        assert_eq!(value(&overlay, "c"), None);
        overlay.undo_to(mark);
        assert_eq!(value(&overlay, "a").as_deref(), Some("1"));
        assert_eq!((value(&overlay, "b"), overlay.changes().len()), (None, 1));
        put(&mut overlay, "b", "6");
        assert_eq!(value(&overlay, "b").as_deref(), Some("6"));
    }
}
