//! Keys that have expired by log time, found by the index of deadlines.
//!
//! Invariants
//! * Which keys a sweep removes depends on the log alone: the index holds the same rows on every
//!   replica, for only transactions write to it, and no compaction filter touches it.

use std::sync::atomic::Ordering;

use crate::Millis;
use crate::core::Core;
use crate::error::Result;
use crate::layout::{EXPIRY_TAG, RowKey, end_of, key_in, parse_expiry, space_in};
use crate::row::{Column, Row};
use crate::txn::Txn;

/// The first row the index can have for a deadline.
fn index_key(deadline: Millis) -> RowKey {
    RowKey::expiry(deadline, b"")
}

impl Txn<'_> {
    /// Removes keys that have expired by log time, the oldest deadlines first, and returns how
    /// many rows of the index it went through: `limit` means that there may be more. The keys
    /// are in [`crate::Touched::expired`].
    pub fn sweep(&mut self, limit: usize) -> Result<usize> {
        let due = self.due(limit)?;
        for row_key in &due {
            let (deadline, meta) = parse_expiry(row_key)?;
            // Finding an expired key is what removes it; the key of a dead space is gone already.
            if let Some(db) = self.state.root.db_of(space_in(meta)) {
                self.find(db, key_in(meta))?;
            }
            self.put_row(Column::System, Row::absent(row_key));
            self.state.swept_to = Some(deadline);
        }
        if due.len() < limit {
            self.state.swept_to = Some(self.now().saturating_add(1));
        }
        Ok(due.len())
    }

    /// Rows of the index that are due, oldest first.
    fn due(&self, limit: usize) -> Result<Vec<Vec<u8>>> {
        let from = index_key(self.core.expiry_floor.load(Ordering::Relaxed));
        let until = end_of(index_key(self.now()).bytes());
        let view = self.view();
        let mut rows = view.ordered(Column::System, from.bytes(), until.as_deref())?;
        let mut due = Vec::new();
        while due.len() < limit
            && let Some((key, _)) = rows.row()
        {
            due.push(key.to_vec());
            rows.advance()?;
        }
        Ok(due)
    }
}

impl Core {
    /// A time before which no key expires; `None` if no key has a deadline.
    pub fn next_deadline(&self) -> Result<Option<Millis>> {
        let published = self.read();
        let dirty = published.layers().filter_map(|dirty| {
            let first = dirty.expiry.iter().find(|row| row.is_present())?;
            Some(parse_expiry(first.key()).map(|(deadline, _)| deadline))
        });
        let dirty = dirty.collect::<Result<Vec<_>>>()?.into_iter().min();
        let from = index_key(self.expiry_floor.load(Ordering::Relaxed));
        let until = end_of(&[EXPIRY_TAG]);
        let mut stored = self.rocks.rows(Column::System, from.bytes(), until.as_deref());
        while let Some(key) = stored.key() {
            let is_hidden = published.layers().any(|dirty| dirty.expiry.contains(key));
            if !is_hidden {
                let (deadline, _) = parse_expiry(key)?;
                return Ok(Some(dirty.map_or(deadline, |dirty| dirty.min(deadline))));
            }
            stored.next();
        }
        stored.status()?;
        Ok(dirty)
    }
}

/// Moves the floor of the index up to where a sweep got.
pub(crate) fn raise_floor(core: &Core, swept_to: Option<Millis>) {
    if let Some(deadline) = swept_to {
        core.expiry_floor.fetch_max(deadline, Ordering::Relaxed);
    }
}
