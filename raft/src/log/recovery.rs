//! Opening a log: finding its segments, and replaying their records.
//!
//! What a crash leaves is a log that ends in a group of records of which any part may be missing,
//! for the device may have written its pages in any order. Nobody was told that those records are
//! durable, so the log is cut at the first bad one. Everything before that group was durable, and
//! a bad record there is damage, which no replay may pass over.
//!
//! How the two are told apart: a group is written only when the one before it is durable, and it
//! begins with a marker. So a marker after a bad record proves that the bad one was durable. In a
//! segment that has a successor the exact end of the log is in the successor's start record.
//! Damage in the very last group written before a crash cannot be told from the crash.
//!
//! After a crash writing goes on in another segment. Remains of the lost group thus never come
//! behind new records, where they could seem to follow them.
//!
//! Invariants
//! * Opening changes no segment. A log can be opened any number of times with the same result.
//! * Every start record met on the way must repeat the state that the replay arrived at.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Result;
use super::disk::Disk;
use super::error::LogError;
use super::index::{Index, Place, Position};
use super::record::{self, HEADER_BYTES, Record, Seal, Start};
use super::segment::{
    FreeFile, Header, Inventory, SEGMENT_HEADER_BYTES, Segment, file_number, is_draft,
};
use super::shard::decode_log_id;
use super::state::ShardState;
use super::writer::Resume;

/// What was found in a directory.
pub(super) struct Recovered {
    pub(super) inventory: Inventory,
    pub(super) resume: Resume,
    pub(super) indexes: BTreeMap<u32, Index>,
}

/// Reads the log on `disk`, which must be the one called `expected` if that is given.
pub(super) fn recover(disk: &dyn Disk, expected: Option<u32>) -> Result<Recovered> {
    let files = open_files(disk)?;
    let found = common_salt(&files)?;
    if expected.is_some() && found != expected {
        return Err(LogError::Lost);
    }
    let salt = found.unwrap_or_else(rand::random);
    let next_file = files.iter().filter_map(|(_, file)| file_number(&file.name)).max();
    let next_sequence = files.iter().map(|(header, _)| header.sequence).max().unwrap_or(0) + 1;
    let chain = Chain::find(files)?;
    let mut replay = Replay::default();
    let end = chain.replay(&mut replay)?;
    let resume = Resume {
        end,
        same_segment: replay.closed,
        next_segment: next_sequence,
        oldest: chain.live.first().map_or(0, |used| used.segment.sequence),
        shards: replay.states,
    };
    let live = chain.live.into_iter().map(|used| (used.segment.sequence, used.segment));
    let inventory = Inventory {
        salt,
        live: live.collect(),
        free: chain.free,
        next_sequence,
        next_file: next_file.map_or(1, |last| last + 1),
    };
    Ok(Recovered { inventory, resume, indexes: replay.indexes })
}

/// Opens every segment file, and removes what a crash left half made.
fn open_files(disk: &dyn Disk) -> Result<Vec<(Header, FreeFile)>> {
    let mut files = vec![];
    for name in disk.list().map_err(LogError::io("list", "the directory"))? {
        if is_draft(&name) {
            disk.remove(&name).map_err(LogError::io("remove", &name))?;
        } else if file_number(&name).is_some() {
            files.push(open_file(disk, name)?);
        }
    }
    Ok(files)
}

fn open_file(disk: &dyn Disk, name: String) -> Result<(Header, FreeFile)> {
    let file = disk.open(&name).map_err(LogError::io("open", &name))?;
    let length = file.length().map_err(LogError::io("measure", &name))?;
    if length < SEGMENT_HEADER_BYTES {
        return Err(LogError::damaged(&name, length, "shorter than its header"));
    }
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    file.read_at(&mut bytes, 0).map_err(LogError::io("read", &name))?;
    let header = Header::decode(&bytes);
    let header = header.ok_or_else(|| LogError::damaged(&name, 0, "bad segment header"))?;
    Ok((header, FreeFile { name, file, length }))
}

fn common_salt(files: &[(Header, FreeFile)]) -> Result<Option<u32>> {
    let Some((first, _)) = files.first() else { return Ok(None) };
    match files.iter().find(|(header, _)| header.salt != first.salt) {
        Some((_, file)) => Err(LogError::damaged(&file.name, 0, "the file is of another log")),
        None => Ok(Some(first.salt)),
    }
}

/// A segment that has been written to.
struct Used {
    segment: Arc<Segment>,
    start: Start,
}

impl Used {
    fn open(segment: &Arc<Segment>) -> Result<Option<Self>> {
        let start = first_record(segment)?;
        Ok(start.map(|start| Self { segment: segment.clone(), start }))
    }
}

/// The start record of a segment, if it is whole.
fn first_record(segment: &Segment) -> Result<Option<Start>> {
    let room = segment.capacity - SEGMENT_HEADER_BYTES;
    if room < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let header = segment.read(SEGMENT_HEADER_BYTES, HEADER_BYTES)?;
    let length = record::length(&header) as u64;
    if length > room {
        return Ok(None);
    }
    let bytes = segment.read(SEGMENT_HEADER_BYTES, length as usize)?;
    let Some(frame) = record::parse(&bytes, segment.seal) else { return Ok(None) };
    match Record::decode(frame.kind, bytes.slice_ref(frame.body)) {
        Some(Record::Start(start)) => Ok(Some(start)),
        _ => Ok(None),
    }
}

/// The segments that make up the log, in order, and the files that do not.
struct Chain {
    live: Vec<Used>,
    free: Vec<FreeFile>,
}

impl Chain {
    fn find(files: Vec<(Header, FreeFile)>) -> Result<Self> {
        let (mut used, mut unused) = (vec![], vec![]);
        for (Header { salt, sequence }, FreeFile { name, file, length }) in files {
            let seal = Seal::new(sequence, salt);
            let segment = Arc::new(Segment { sequence, name, file, capacity: length, seal });
            match Used::open(&segment)? {
                Some(segment) => used.push(segment),
                None => unused.push(segment),
            }
        }
        used.sort_by_key(|used| used.segment.sequence);
        let last = used.last().map_or(0, |used| used.segment.sequence);
        let mut later = unused.iter().filter(|segment| segment.sequence > last);
        later.try_for_each(never_written)?;
        let oldest = used.last().map_or(Ok(0), oldest_live)?;
        let dead = used.iter().take_while(|used| used.segment.sequence < oldest).count();
        let live = used.split_off(dead);
        linked(&live, oldest, &unused)?;
        let free = used.into_iter().map(|used| used.segment).chain(unused).map(free_file);
        Ok(Self { live, free: free.collect() })
    }

    /// Replays all records. Returns where the log ends.
    fn replay(&self, replay: &mut Replay) -> Result<Position> {
        let ends = self.live.iter().skip(1).map(|used| Some(used.start.previous_end));
        for (used, end) in self.live.iter().zip(ends.chain([None])) {
            let segment = &used.segment;
            let bytes = whole(segment)?;
            let offset = match end {
                Some(end) => replay.records(segment, &bytes, end)?,
                None => {
                    // What is read may be in the page cache only, if just the process died.
                    segment.file.sync().map_err(LogError::io("sync", &segment.name))?;
                    let end = log_end(segment, &bytes)?;
                    replay.records(segment, &bytes, end)?
                }
            };
            replay.end = Position { segment: segment.sequence, offset };
        }
        replay.check()?;
        Ok(replay.end)
    }
}

fn free_file(segment: Arc<Segment>) -> FreeFile {
    let Segment { name, file, capacity, .. } = &*segment;
    FreeFile { name: name.clone(), file: file.clone(), length: *capacity }
}

fn whole(segment: &Segment) -> Result<Bytes> {
    segment.read(0, segment.capacity as usize)
}

/// Where a sequence of whole records ends.
fn records_end(segment: &Segment, bytes: &Bytes) -> u64 {
    let mut at = SEGMENT_HEADER_BYTES as usize;
    while let Some(frame) = bytes.get(at..).and_then(|rest| record::parse(rest, segment.seal)) {
        at += record::padded(frame.body.len());
    }
    at as u64
}

/// Where the log ends in its last segment.
fn log_end(segment: &Segment, bytes: &Bytes) -> Result<u64> {
    let end = records_end(segment, bytes);
    match record::find_marker(bytes, end as usize, segment.seal) {
        Some(_) => Err(LogError::damaged(&segment.name, end, "bad record, yet good ones follow")),
        None => Ok(end),
    }
}

/// A file whose start record is not whole must hold nothing that was durable.
fn never_written(segment: &Arc<Segment>) -> Result<()> {
    let begin = SEGMENT_HEADER_BYTES;
    let marker = record::find_marker(&whole(segment)?, begin as usize, segment.seal);
    let reason = "bad first record, yet good ones follow";
    marker.map_or(Ok(()), |_| Err(LogError::damaged(&segment.name, begin, reason)))
}

/// The oldest segment that is needed, as the newest one says.
fn oldest_live(last: &Used) -> Result<u64> {
    let bytes = whole(&last.segment)?;
    let mut oldest = last.start.oldest;
    let mut at = SEGMENT_HEADER_BYTES as usize;
    while let Some(frame) = bytes.get(at..).and_then(|rest| record::parse(rest, last.segment.seal))
    {
        let record = Record::decode(frame.kind, bytes.slice_ref(frame.body));
        if let Some(Record::Base { oldest: newer }) = record {
            oldest = oldest.max(newer);
        }
        at += record::padded(frame.body.len());
    }
    Ok(oldest)
}

/// Every segment must be there, and follow the one that it names.
fn linked(live: &[Used], oldest: u64, unused: &[Arc<Segment>]) -> Result<()> {
    if let Some(first) = live.first().filter(|first| first.segment.sequence != oldest) {
        return Err(lacking(oldest, first, unused));
    }
    let follows = |pair: &&[Used]| pair[1].start.previous == pair[0].segment.sequence;
    match live.windows(2).find(|pair| !follows(pair)) {
        Some(pair) => Err(lacking(pair[1].start.previous, &pair[1], unused)),
        None => Ok(()),
    }
}

fn lacking(sequence: u64, next: &Used, unused: &[Arc<Segment>]) -> LogError {
    match unused.iter().find(|segment| segment.sequence == sequence) {
        Some(segment) => LogError::damaged(&segment.name, SEGMENT_HEADER_BYTES, "bad first record"),
        None => LogError::Missing { sequence, file: next.segment.name.clone() },
    }
}

/// The state of all shards while records are applied to it.
#[derive(Default)]
struct Replay {
    states: BTreeMap<u32, ShardState>,
    indexes: BTreeMap<u32, Index>,
    end: Position,
    /// Whether the last record says that the log was closed.
    closed: bool,
}

impl Replay {
    /// Applies the records of a segment up to `end`.
    fn records(&mut self, segment: &Segment, bytes: &Bytes, end: u64) -> Result<u64> {
        let mut offset = SEGMENT_HEADER_BYTES;
        while offset < end {
            let damaged = |reason| LogError::damaged(&segment.name, offset, reason);
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let frame = record::parse(rest, segment.seal).ok_or_else(|| damaged("bad record"))?;
            let length = record::padded(frame.body.len()) as u32;
            let place = Place { segment: segment.sequence, offset, length };
            let decoded = Record::decode(frame.kind, bytes.slice_ref(frame.body));
            let record = decoded.ok_or_else(|| damaged("record of an unknown form"))?;
            self.apply(frame.shard, record, place).map_err(damaged)?;
            offset += u64::from(length);
        }
        if offset != end {
            return Err(LogError::damaged(&segment.name, end, "the log ends within a record"));
        }
        Ok(offset)
    }

    fn apply(&mut self, shard: u32, record: Record, place: Place) -> Result<(), &'static str> {
        self.closed = matches!(record, Record::Close { .. });
        match record {
            Record::Marker { offset } | Record::Close { offset } => {
                return (offset == place.offset).then_some(()).ok_or("marker of another offset");
            }
            Record::Start(start) => return self.start(start),
            Record::Base { .. } => return Ok(()),
            Record::Forget => {
                self.states.remove(&shard);
                self.indexes.remove(&shard);
                return Ok(());
            }
            _ => {}
        }
        let state = self.states.entry(shard).or_default();
        let index = self.indexes.entry(shard).or_default();
        match record {
            Record::Entry(body) => {
                let id = decode_log_id(&body).ok_or("entry without a log id")?;
                state.append(id.index).map_err(|_| "entry that does not follow the last one")?;
                index.push(id, place);
            }
            Record::Copy(body) => {
                let id = decode_log_id(&body).ok_or("entry without a log id")?;
                return index.relocate(id, place).then_some(()).ok_or("copy of no entry");
            }
            Record::Truncate { next } => {
                state.truncate(next);
                index.truncate(next);
            }
            Record::Purge(id) => {
                state.purge(id);
                index.purge(id.index);
            }
            Record::Vote(vote) => state.vote = Some(vote),
            Record::Committed(id) => state.committed = id,
            _ => {}
        }
        Ok(())
    }

    /// The first start record says where the replay begins; later ones must agree with it.
    fn start(&mut self, start: Start) -> Result<(), &'static str> {
        let shards: BTreeMap<_, _> = start.shards.into_iter().collect();
        if self.end == Position::default() {
            let absent = |state: &ShardState| Index::absent(state.first, state.next);
            self.indexes = shards.iter().map(|(id, state)| (*id, absent(state))).collect();
            self.states = shards;
            return Ok(());
        }
        (shards == self.states).then_some(()).ok_or("start record that contradicts the log")
    }

    /// Every entry must have been found.
    fn check(&self) -> Result<()> {
        let absent = |(shard, index): (&u32, &Index)| Some((*shard, index.first_absent()?));
        match self.indexes.iter().find_map(absent) {
            Some((shard, index)) => Err(LogError::EntryMissing { shard, index }),
            None => Ok(()),
        }
    }
}
