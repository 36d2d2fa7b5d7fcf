//! All keys of a database, in the order of their slots: SCAN, KEYS, RANDOMKEY.
//!
//! A cursor is the slot and a hash of the last key that was returned, so that it means the same on
//! every replica and to a restarted one. Keys that are there from the first call to the last are
//! returned; if the key of the cursor is gone, its slot may be returned once more.
//!
//! Invariants
//! * What a transaction is answered follows from its state: it takes no hints, which differ by node.
//! * Of two keys with one cursor the lesser one counts, and no call ends at the cursor it began
//!   with: such keys are returned twice rather than not at all, and not for ever.

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::Result;
use crate::header::{Entry, Header};
use crate::layout::{RowKey, key_in, slot_in, space_in};
use crate::row::{Column, hash};
use crate::slot::SLOTS;
use crate::view::View;

/// With the 14 bits of a slot 53, which is what JavaScript and Lua keep of a number.
const HASH_BITS: u32 = 39;
/// Cursors whose keys are remembered.
const CURSORS: usize = 256;
/// Neighbours among which a random key is chosen.
const CANDIDATES: usize = 16;

impl View<'_> {
    /// Calls `f` with about `count` keys that follow a cursor, and returns the next cursor. Both
    /// start and end are 0.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut f: impl FnMut(&[u8], &Header),
    ) -> Result<u64> {
        let Some(space) = self.space() else { return Ok(0) };
        let start = self.resume(space, cursor)?;
        let (mut next, mut left) = (0, count.max(1));
        self.for_each_row(space, &start, |row_key, header| {
            // The row of the cursor itself was returned by the call that made the cursor.
            if cursor_at(row_key) == cursor && row_key == start {
                return ControlFlow::Continue(());
            }
            if self.is_live(header) {
                f(key_in(row_key), header);
            }
            left = left.saturating_sub(1);
            if left > 0 || cursor_at(row_key) == cursor {
                return ControlFlow::Continue(());
            }
            next = cursor_at(row_key);
            self.core.cursors.remember(next, row_key);
            ControlFlow::Break(())
        })?;
        Ok(next)
    }

    /// Calls `f` with every key until it breaks.
    pub fn for_each_key(&self, f: impl FnMut(&[u8], &Header) -> ControlFlow<()>) -> Result<()> {
        self.for_each_key_in(0..SLOTS, f)
    }

    /// Calls `f` with every key of these slots until it breaks.
    pub fn for_each_key_in(
        &self,
        slots: Range<u16>,
        mut f: impl FnMut(&[u8], &Header) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(space) = self.space() else { return Ok(()) };
        self.for_each_row(space, RowKey::slot(slots.start, space).bytes(), |row_key, header| {
            if slot_in(row_key) >= slots.end {
                ControlFlow::Break(())
            } else if self.is_live(header) {
                f(key_in(row_key), header)
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Some key; which one depends on nothing but the seed and the keys there are. All keys come
    /// about equally often, unless hash tags crowd them into few slots.
    pub fn random_key(&self, seed: u64) -> Result<Option<Bytes>> {
        let Some(space) = self.space() else { return Ok(None) };
        let mut seed = seed;
        let mut below = |bound: u64| {
            let number = seed % bound;
            seed /= bound;
            number
        };
        let slot = below(SLOTS.into()) as u16;
        let skip = below(self.key_count() / u64::from(SLOTS) + 1);
        let choice = below(CANDIDATES as u64) as usize;
        let mut candidates = self.some_keys(space, slot, skip)?;
        if candidates.is_empty() {
            candidates = self.some_keys(space, 0, 0)?;
        }
        let choice = choice % candidates.len().max(1);
        Ok(candidates.into_iter().nth(choice))
    }

    /// A few keys from `slot` on, after some that are skipped.
    fn some_keys(&self, space: u32, slot: u16, mut skip: u64) -> Result<Vec<Bytes>> {
        let mut keys = Vec::new();
        self.for_each_row(space, RowKey::slot(slot, space).bytes(), |row_key, header| {
            if skip > 0 {
                skip -= 1;
            } else if self.is_live(header) {
                keys.push(Bytes::copy_from_slice(key_in(row_key)));
            }
            if keys.len() < CANDIDATES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(keys)
    }

    /// The row key from which a scan goes on: that of the cursor's key if it is known or still
    /// there, or the beginning of its slot.
    fn resume(&self, space: u32, cursor: u64) -> Result<Vec<u8>> {
        if self.is_committed()
            && let Some(row_key) = self.core.cursors.recall(cursor, space)
        {
            return Ok(row_key);
        }
        let slot = (cursor >> HASH_BITS) as u16 % SLOTS;
        let start = RowKey::slot(slot, space);
        let mut found = None;
        if cursor != 0 {
            self.for_each_row(space, start.bytes(), |row_key, _| {
                if slot_in(row_key) == slot && cursor_at(row_key) != cursor {
                    return ControlFlow::Continue(());
                }
                found = (slot_in(row_key) == slot).then(|| row_key.to_vec());
                ControlFlow::Break(())
            })?;
        }
        Ok(found.unwrap_or_else(|| start.bytes().to_vec()))
    }

    /// Calls `f` with the rows of a space from `start` on, dead or alive, until it breaks.
    fn for_each_row(
        &self,
        space: u32,
        start: &[u8],
        mut f: impl FnMut(&[u8], &Header) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut rows = self.ordered(Column::Meta, start, None)?;
        while let Some((row_key, value)) = rows.row() {
            let (slot, other) = (slot_in(row_key), space_in(row_key));
            if other == space {
                if f(row_key, &Entry::decode(value)?.header).is_break() {
                    break;
                }
                rows.advance()?;
            } else if other < space {
                rows.seek(RowKey::slot(slot, space).bytes())?;
            } else {
                rows.seek(RowKey::slot(slot + 1, space).bytes())?;
            }
        }
        Ok(())
    }
}

/// The cursor after a row: never 0, which is the start.
fn cursor_at(row_key: &[u8]) -> u64 {
    let hash = hash(key_in(row_key)) >> (64 - HASH_BITS) | 1;
    u64::from(slot_in(row_key)) << HASH_BITS | hash
}

/// Row keys of recent cursors. A mere hint: with one, a scan need not look for its place.
#[derive(Default)]
pub(crate) struct Cursors {
    recent: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Cursors {
    /// The lowest bit is always set.
    fn place(cursor: u64) -> usize {
        (cursor >> 1) as usize % CURSORS
    }

    fn remember(&self, cursor: u64, row_key: &[u8]) {
        let mut recent = self.recent.lock();
        recent.resize_with(CURSORS, Default::default);
        let (known, lesser) = &mut recent[Self::place(cursor)];
        let is_other = *known != cursor || space_in(lesser) != space_in(row_key);
        if is_other || &lesser[..] > row_key {
            (*known, *lesser) = (cursor, row_key.to_vec());
        }
    }

    fn recall(&self, cursor: u64, space: u32) -> Option<Vec<u8>> {
        let recent = self.recent.lock();
        let (known, row_key) = recent.get(Self::place(cursor))?;
        (*known == cursor && cursor != 0 && space_in(row_key) == space).then(|| row_key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_keys_with_one_cursor_the_lesser_counts() {
        let cursors = Cursors::default();
        let [a, b] = [b"a", b"b"].map(|key| RowKey::meta(7, key).bytes().to_vec());
        let (lesser, greater) = if a < b { (a, b) } else { (b, a) };
        for row_key in [&greater, &lesser, &greater] {
            cursors.remember(9, row_key);
        }
        assert_eq!(cursors.recall(9, 7), Some(lesser));
        assert_eq!(cursors.recall(9, 8), None);
        let elsewhere = RowKey::meta(8, b"z").bytes().to_vec();
        cursors.remember(9, &elsewhere);
        assert_eq!((cursors.recall(9, 8), cursors.recall(9, 7)), (Some(elsewhere), None));
    }
}
