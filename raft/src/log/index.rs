//! Where a shard's entries are: in which segment, and the newest of them in memory.
//!
//! Invariants
//! * `slots` covers `first..next` without a hole once the log is open; while it is being
//!   recovered, a slot may still wait for the copy that was made of it ([`Place::ABSENT`]).
//! * The cache holds the newest entries, and never fewer than those that are not durable yet:
//!   what a reader cannot find in memory is in a file.

use std::collections::{BTreeMap, VecDeque};

use crate::types::{Entry, LeaderId, LogId};

/// A point of the log: a segment and an offset in it. Points order as they were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Where the record of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Of the whole record.
    pub(super) length: u32,
}

impl Place {
    /// No segment has the sequence 0.
    pub(super) const ABSENT: Self = Self { segment: 0, offset: 0, length: 0 };

    /// The point after the record.
    pub(super) fn end(self) -> Position {
        Position { segment: self.segment, offset: self.offset + u64::from(self.length) }
    }
}

/// One entry: whose it is and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) leader: LeaderId,
    pub(super) place: Place,
}

impl Slot {
    const ABSENT: Self = Self { leader: LeaderId { term: 0, node_id: 0 }, place: Place::ABSENT };
}

/// The entries of one shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    first: u64,
    slots: VecDeque<Slot>,
    /// Bytes of live entries by segment. A segment that is not here holds none.
    live: BTreeMap<u64, u64>,
    cache: Cache,
}

impl Index {
    /// Entries `first..next`, none of which has been seen yet.
    pub(super) fn absent(first: u64, next: u64) -> Self {
        let slots = (first..next).map(|_| Slot::ABSENT).collect();
        Self { first, slots, ..Self::default() }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub(super) fn get(&self, index: u64) -> Option<&Slot> {
        self.slots.get(index.checked_sub(self.first)? as usize)
    }

    pub(super) fn last_log_id(&self) -> Option<LogId> {
        let slot = self.slots.back()?;
        Some(LogId { leader_id: slot.leader, index: self.next() - 1 })
    }

    /// Whether exactly this entry is here.
    pub(super) fn contains(&self, id: &LogId) -> bool {
        self.get(id.index).is_some_and(|slot| slot.leader == id.leader_id)
    }

    /// The first entry whose record was never found.
    pub(super) fn first_absent(&self) -> Option<u64> {
        let at = self.slots.iter().position(|slot| slot.place == Place::ABSENT)?;
        Some(self.first + at as u64)
    }

    /// Appends an entry that is in a file only.
    pub(super) fn push(&mut self, id: LogId, place: Place) {
        if self.slots.is_empty() {
            self.first = id.index;
        }
        assert_eq!(id.index, self.next(), "log appended with a gap");
        self.count(place);
        self.slots.push_back(Slot { leader: id.leader_id, place });
    }

    /// Appends an entry that is to be read from memory.
    pub(super) fn cached(&mut self, entry: Entry, place: Place) {
        self.push(entry.log_id, place);
        self.cache.push(entry, place.length as usize);
    }

    /// An entry has a new place. False if it is not here.
    pub(super) fn relocate(&mut self, id: LogId, place: Place) -> bool {
        let Some(at) = id.index.checked_sub(self.first) else { return false };
        let Some(slot) = self.slots.get_mut(at as usize) else { return false };
        let old = std::mem::replace(slot, Slot { leader: id.leader_id, place });
        self.discount(old.place);
        self.count(place);
        true
    }

    pub(super) fn truncate(&mut self, next: u64) {
        while self.next() > next.max(self.first) {
            let slot = self.slots.pop_back().expect("next is above first");
            self.discount(slot.place);
        }
        self.cache.truncate(next);
    }

    pub(super) fn purge(&mut self, upto: u64) {
        while self.first <= upto {
            match self.slots.pop_front() {
                Some(slot) => self.discount(slot.place),
                None => break,
            }
            self.first += 1;
        }
        if self.slots.is_empty() {
            self.first = self.first.max(upto + 1);
        }
        self.cache.purge(upto);
    }

    /// The oldest segment that holds an entry of this shard.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.live.keys().next().copied()
    }

    /// Bytes of live entries in a segment.
    pub(super) fn live_bytes(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Live entries of a segment, in order, until they exceed `bytes_max`.
    pub(super) fn in_segment(&self, segment: u64, bytes_max: u64) -> Vec<(u64, Slot)> {
        let mut left = self.live_bytes(segment);
        let mut room = bytes_max;
        let mut found = vec![];
        for (index, slot) in (self.first..).zip(&self.slots) {
            if left == 0 || room == 0 {
                break;
            }
            if slot.place.segment == segment {
                let length = u64::from(slot.place.length);
                left = left.saturating_sub(length);
                room = room.saturating_sub(length);
                found.push((index, *slot));
            }
        }
        found
    }

    /// The last entry up to which everything is durable, given the durable end of the log.
    pub(super) fn flushed(&self, durable: Position) -> Option<u64> {
        let pending = self.slots.iter().rev().take_while(|slot| slot.place.end() > durable).count();
        (self.next() - pending as u64).checked_sub(1)
    }

    /// Index of the first entry in memory.
    pub(super) fn cache_first(&self) -> u64 {
        self.next() - self.cache.entries.len() as u64
    }

    pub(super) fn cache_bytes(&self) -> usize {
        self.cache.bytes
    }

    /// Entries from `start` (not before the cache) to `end` (exclusive), as far as there is room.
    pub(super) fn read_cached(&self, start: u64, end: u64, room: &mut Room) -> Vec<Entry> {
        let skip = (start - self.cache_first()) as usize;
        let count = end.saturating_sub(start) as usize;
        let range = self.cache.entries.iter().skip(skip).take(count);
        range.take_while(|(_, length)| room.take(*length)).map(|(entry, _)| entry.clone()).collect()
    }

    /// Drops the oldest entries from memory that are durable, until `bytes_max` holds.
    pub(super) fn evict(&mut self, bytes_max: usize, durable: Position) {
        while self.cache.bytes > bytes_max {
            let first = self.cache_first();
            if self.get(first).is_none_or(|slot| slot.place.end() > durable) {
                break;
            }
            self.cache.pop_front();
        }
    }

    fn count(&mut self, place: Place) {
        *self.live.entry(place.segment).or_default() += u64::from(place.length);
    }

    fn discount(&mut self, place: Place) {
        if let Some(bytes) = self.live.get_mut(&place.segment) {
            *bytes -= u64::from(place.length);
            if *bytes == 0 {
                self.live.remove(&place.segment);
            }
        }
    }
}

/// How much a read may still take: bytes, and at least one entry.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    empty: bool,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, empty: true }
    }

    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.empty || bytes <= self.bytes;
        self.empty = false;
        // A read that has left something out takes nothing more: entries are consecutive.
        self.bytes = if fits { self.bytes.saturating_sub(bytes) } else { 0 };
        fits
    }
}

/// The newest entries, with what each takes in the log.
#[derive(Debug, Default)]
struct Cache {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Cache {
    fn push(&mut self, entry: Entry, bytes: usize) {
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
    }

    fn pop_front(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
        }
    }

    fn truncate(&mut self, next: u64) {
        while self.entries.back().is_some_and(|(entry, _)| entry.log_id.index >= next) {
            let (_, bytes) = self.entries.pop_back().expect("it was just seen");
            self.bytes -= bytes;
        }
    }

    fn purge(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|(entry, _)| entry.log_id.index <= upto) {
            self.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Payload;

    fn id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
    }

    fn place(segment: u64, offset: u64) -> Place {
        Place { segment, offset, length: 10 }
    }

    /// Entries 3..9, two a segment from segment 1 on.
    fn filled() -> Index {
        let mut index = Index::default();
        for n in 3..9 {
            let entry = Entry { log_id: id(n), payload: Payload::Blank };
            index.cached(entry, place((n - 1) / 2, n * 10));
        }
        index
    }

    fn durable(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    #[test]
    fn a_segment_is_pinned_by_its_live_entries() {
        let mut index = filled();
        assert_eq!((index.oldest_segment(), index.live_bytes(1)), (Some(1), 20));
        index.purge(3);
        assert_eq!((index.oldest_segment(), index.live_bytes(1)), (Some(1), 10));
        assert!(index.relocate(id(4), place(3, 200)));
        assert_eq!((index.oldest_segment(), index.live_bytes(3)), (Some(2), 30));
        index.truncate(5);
        assert_eq!((index.oldest_segment(), index.next()), (Some(3), 5));
        index.purge(20);
        assert_eq!((index.oldest_segment(), index.first(), index.next()), (None, 21, 21));
        assert!(!index.relocate(id(4), place(3, 200)));
    }

    #[test]
    fn only_durable_entries_leave_the_cache() {
        let mut index = filled();
        index.evict(25, durable(2, 60));
        assert_eq!((index.cache_first(), index.cache_bytes()), (6, 30));
        assert_eq!(index.flushed(durable(2, 60)), Some(5));
        assert_eq!(index.flushed(durable(9, 0)), Some(8));
        assert_eq!(index.flushed(durable(1, 0)), Some(2));
    }

    #[test]
    fn reads_are_bounded_but_never_empty() {
        let index = filled();
        let read = |start, end, bytes| {
            let entries = index.read_cached(start, end, &mut Room::new(bytes));
            entries.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>()
        };
        assert_eq!(read(3, 9, 0), [3]);
        assert_eq!(read(4, 9, 29), [4, 5]);
        assert_eq!(read(7, 100, 1000), [7, 8]);
        assert!(read(5, 5, 1000).is_empty());
    }

    #[test]
    fn a_recovered_index_names_what_it_lacks() {
        let mut index = Index::absent(4, 7);
        assert_eq!(index.first_absent(), Some(4));
        assert!(index.relocate(id(4), place(1, 0)));
        assert!(index.relocate(id(5), place(1, 10)));
        assert_eq!(index.first_absent(), Some(6));
        index.truncate(6);
        assert_eq!(index.first_absent(), None);
    }
}
