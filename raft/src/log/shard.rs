//! One shard's part of the log: its entries, and how they are read.
//!
//! Invariants
//! * The index changes under its lock together with the record that says so being queued, so the
//!   order of records is the order of changes.
//! * What a reader found in the index stays readable in its file until the entry is purged. If a
//!   read finds something else, the entry was purged meanwhile, or the file is damaged.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::node::v1::LogEntry;

use super::Result;
use super::chunk::{Done, Waiter};
use super::error::LogError;
use super::index::{Index, Place, Position, Room, Slot};
use super::record::{self, BODY_BYTES_MAX, Kind, Record};
use super::segment::Segment;
use super::writer::{Framed, Writer};
use crate::convert;
use crate::types::{Entry, LogId, Vote};

/// Records that follow each other are read together up to this many bytes.
const SPAN_BYTES_MAX: u64 = 1 << 20;
/// How often a read starts over because what it was after was purged or moved meanwhile.
const READ_ATTEMPTS: usize = 16;

/// A shard's entries.
#[derive(Debug, Default)]
pub(super) struct Shard {
    id: u32,
    index: RwLock<Index>,
}

/// Entries on their way into the log: decoded for readers, framed for the file.
#[derive(Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl Batch {
    pub(super) fn push(&mut self, shard: u32, entry: Entry) -> Result<()> {
        let message = convert::entry_out(&entry);
        let length = message.encoded_len();
        if length > BODY_BYTES_MAX {
            return Err(LogError::TooLong(length));
        }
        let framed = record::frame(&mut self.bytes, shard, Kind::Entry, |out| {
            message.encode(out).expect("a Vec has room for any message");
        });
        self.lengths.push(framed);
        self.entries.push(entry);
        Ok(())
    }

    fn framed(&self) -> Vec<Framed<'_>> {
        let mut rest = &self.bytes[..];
        let framed = |(entry, length): (&Entry, &usize)| {
            let (record, after) = rest.split_at(*length);
            rest = after;
            Framed { index: entry.log_id.index, record }
        };
        self.entries.iter().zip(&self.lengths).map(framed).collect()
    }
}

/// What a read found in the index: entries in files, then entries in memory.
struct Plan {
    slots: Vec<(u64, Slot)>,
    cached: Vec<Entry>,
}

impl Shard {
    pub(super) fn new(id: u32, index: Index) -> Self {
        Self { id, index: RwLock::new(index) }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Appends entries. They can be read when this returns; `done` is called when they are durable.
    pub(super) fn append(&self, writer: &Writer, batch: Batch, done: Waiter) -> Result<()> {
        let mut index = self.index.write();
        let places = writer.append(self.id, &batch.framed(), done)?;
        for (entry, place) in batch.entries.into_iter().zip(places) {
            index.cached(entry, place);
        }
        index.evict(writer.options.cache_bytes, writer.progress.borrow().durable);
        Ok(())
    }

    pub(super) fn save_vote(&self, writer: &Writer, vote: Vote, done: Done) -> Result<()> {
        let waiter = Waiter { supersedes: None, urgent: true, done };
        writer.note(self.id, &Record::Vote(vote), Some(waiter)).map(drop)
    }

    pub(super) fn save_committed(&self, writer: &Writer, id: Option<LogId>) -> Result<()> {
        writer.note(self.id, &Record::Committed(id), None).map(drop)
    }

    /// Removes the entries from `next` on.
    pub(super) fn truncate(&self, writer: &Writer, next: u64, done: Done) -> Result<()> {
        let waiter = Waiter { supersedes: None, urgent: true, done };
        let mut index = self.index.write();
        writer.note(self.id, &Record::Truncate { next }, Some(waiter))?;
        index.truncate(next);
        drop(index);
        writer.housekeeping.wake();
        Ok(())
    }

    /// Removes the entries up to `id`.
    pub(super) fn purge(&self, writer: &Writer, id: LogId) -> Result<()> {
        let mut index = self.index.write();
        if writer.state(self.id).purged.is_some_and(|purged| purged >= id) {
            return Ok(());
        }
        writer.note(self.id, &Record::Purge(id), None)?;
        index.purge(id.index);
        drop(index);
        writer.housekeeping.wake();
        Ok(())
    }

    /// The last entry purged, and the last one of the log: that one if there are no others.
    pub(super) fn bounds(&self, writer: &Writer) -> (Option<LogId>, Option<LogId>) {
        let index = self.index.read();
        let purged = writer.state(self.id).purged;
        (purged, index.last_log_id().or(purged))
    }

    /// The commit point, as far as this log proves it.
    ///
    /// After a crash the reported one may be ahead of the entries that survived. The last entry is
    /// no substitute then: it may be one that never was committed.
    pub(super) fn committed(&self, writer: &Writer) -> Option<LogId> {
        let index = self.index.read();
        let state = writer.state(self.id);
        let proven = |id: &LogId| index.contains(id) || Some(*id) <= state.purged;
        state.committed.filter(proven)
    }

    /// Whether everything up to entry `upto` is durable.
    pub(super) fn is_flushed(&self, upto: u64, durable: Position) -> bool {
        let index = self.index.read();
        match index.get(upto) {
            Some(slot) => slot.place.end() <= durable,
            None => upto < index.first(),
        }
    }

    /// The last entry up to which everything is durable.
    pub(super) fn flushed(&self, durable: Position) -> Option<u64> {
        self.index.read().flushed(durable)
    }

    pub(super) fn cache_bytes(&self) -> usize {
        self.index.read().cache_bytes()
    }

    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.index.read().oldest_segment()
    }

    pub(super) fn live_bytes(&self, segment: u64) -> u64 {
        self.index.read().live_bytes(segment)
    }

    /// Range of the entries that are here.
    pub(super) fn range(&self) -> (u64, u64) {
        let index = self.index.read();
        (index.first(), index.next())
    }

    /// Entries `start..end` as far as they are here and in memory; `None` if a file is needed.
    pub(super) fn read_cached(
        &self,
        writer: &Writer,
        (start, end): (u64, u64),
        bytes_max: usize,
    ) -> Option<Vec<Entry>> {
        let index = self.index.read();
        let start = start.max(index.first());
        if start < index.cache_first() {
            return None;
        }
        writer.counters.cache_hits.fetch_add(1, Relaxed);
        Some(index.read_cached(start, end, &mut Room::new(bytes_max)))
    }

    /// Entries `start..end` as far as they are here, at most `bytes_max` but at least one of them.
    pub(super) fn read(
        &self,
        writer: &Writer,
        range: (u64, u64),
        bytes_max: usize,
    ) -> Result<Vec<Entry>> {
        writer.counters.cache_misses.fetch_add(1, Relaxed);
        for _ in 0..READ_ATTEMPTS {
            let plan = self.plan(range, bytes_max);
            match read_slots(writer, &plan.slots) {
                Ok(mut entries) => {
                    entries.extend(plan.cached);
                    return Ok(entries);
                }
                Err(error) if self.still_there(&plan.slots) => return Err(error),
                Err(_) => {}
            }
        }
        Err(LogError::EntryMissing { shard: self.id, index: range.0 })
    }

    fn plan(&self, (start, end): (u64, u64), bytes_max: usize) -> Plan {
        let index = self.index.read();
        let mut room = Room::new(bytes_max);
        let (start, end) = (start.max(index.first()), end.min(index.next()));
        let in_files = start..end.min(index.cache_first());
        let slot = |n| Some((n, *index.get(n)?));
        let fits = |(_, slot): &(u64, Slot)| room.take(slot.place.length as usize);
        let wanted = in_files.clone();
        let slots: Vec<_> = in_files.map_while(slot).take_while(fits).collect();
        let all = slots.len() as u64 == wanted.end.saturating_sub(wanted.start);
        let from = start.max(index.cache_first());
        let cached = if all { index.read_cached(from, end, &mut room) } else { vec![] };
        Plan { slots, cached }
    }

    /// Whether a failed read cannot be explained by what happened to the entries meanwhile.
    fn still_there(&self, slots: &[(u64, Slot)]) -> bool {
        let index = self.index.read();
        slots.iter().all(|(n, slot)| index.get(*n) == Some(slot))
    }

    /// Copies live entries out of `segment` to the end of the log, about `bytes_max` of them, and
    /// drops `finished` once the copies have taken their place. False if there are none left.
    ///
    /// Until a copy is durable its entry is read, and pins its segment, where it was.
    pub(super) fn copy_from(
        self: &Arc<Self>,
        writer: &Writer,
        segment: &Segment,
        bytes_max: u64,
        finished: impl Send + 'static,
    ) -> Result<bool> {
        let slots = self.index.read().in_segment(segment.sequence, bytes_max);
        let mut moves = vec![];
        for (n, slot) in slots {
            let bytes = segment.read(slot.place.offset, slot.place.length as usize);
            match bytes.and_then(|bytes| segment.body(slot.place, &bytes)) {
                Ok(body) => moves.extend(self.copy(writer, (n, slot), body)?),
                Err(error) if self.still_there(&[(n, slot)]) => return Err(error),
                Err(_) => {}
            }
        }
        if moves.is_empty() {
            return Ok(false);
        }
        let shard = self.clone();
        let done = Box::new(move |result: Result<()>| {
            if result.is_ok() {
                shard.relocate(&moves);
            }
            drop(finished);
        });
        writer.sync(Waiter { supersedes: None, urgent: true, done })?;
        Ok(true)
    }

    fn copy(&self, writer: &Writer, (n, slot): (u64, Slot), body: Bytes) -> Result<Option<Move>> {
        // Held while the copy is queued: it must not come after a record that removes the entry.
        let index = self.index.read();
        if index.get(n) != Some(&slot) {
            return Ok(None);
        }
        writer.counters.copied_bytes.fetch_add(body.len() as u64, Relaxed);
        let place = writer.note(self.id, &Record::Copy(body), None)?;
        Ok(Some(Move { index: n, slot, place }))
    }

    fn relocate(&self, moves: &[Move]) {
        let mut index = self.index.write();
        for Move { index: n, slot, place } in moves {
            if index.get(*n) == Some(slot) {
                index.relocate(LogId { leader_id: slot.leader, index: *n }, *place);
            }
        }
    }
}

/// An entry and the place of its copy.
struct Move {
    index: u64,
    slot: Slot,
    place: Place,
}

/// Reads entries from their segments, neighbours together.
fn read_slots(writer: &Writer, slots: &[(u64, Slot)]) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(slots.len());
    let mut rest = slots;
    while let Some((_, first)) = rest.first() {
        let begin = first.place;
        let together = |pair: &[(u64, Slot)]| follows(begin, pair[0].1.place, pair[1].1.place);
        let count = 1 + rest.windows(2).take_while(|pair| together(pair)).count();
        let (span, after) = rest.split_at(count);
        read_span(writer, span, &mut entries)?;
        rest = after;
    }
    Ok(entries)
}

/// Whether `next` comes soon after `last`, in a span that begins at `begin`.
fn follows(begin: Place, last: Place, next: Place) -> bool {
    next.segment == begin.segment
        && next.offset >= last.end().offset
        && next.end().offset - begin.offset <= SPAN_BYTES_MAX
}

fn read_span(writer: &Writer, span: &[(u64, Slot)], entries: &mut Vec<Entry>) -> Result<()> {
    let (Some((index, first)), Some((_, last))) = (span.first(), span.last()) else {
        return Ok(());
    };
    let begin = first.place.offset;
    // Released already: the caller finds that the entry was purged.
    let gone = LogError::EntryMissing { shard: 0, index: *index };
    let segment = writer.segments.get(first.place.segment).ok_or(gone)?;
    let bytes = segment.read(begin, (last.place.end().offset - begin) as usize)?;
    for (index, slot) in span {
        let at = (slot.place.offset - begin) as usize;
        let body = segment.body(slot.place, &bytes.slice(at..at + slot.place.length as usize))?;
        let entry = decode_entry(body).filter(|entry| is_entry(entry, *index, slot));
        let damaged = || LogError::damaged(&segment.name, slot.place.offset, "another entry");
        entries.push(entry.ok_or_else(damaged)?);
    }
    Ok(())
}

fn is_entry(entry: &Entry, index: u64, slot: &Slot) -> bool {
    entry.log_id == LogId { leader_id: slot.leader, index }
}

/// The entry in the body of a record. The command shares the memory of `body`.
fn decode_entry(body: Bytes) -> Option<Entry> {
    convert::entry_in(LogEntry::decode(body).ok()?).ok()
}

/// The log id of the entry in the body of a record.
pub(super) fn decode_log_id(body: &Bytes) -> Option<LogId> {
    let message = LogEntry::decode(body.clone()).ok()?;
    message.id.as_ref().map(convert::log_id_in)
}
