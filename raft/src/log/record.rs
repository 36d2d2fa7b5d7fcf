//! Records: what the log's files are made of, byte by byte.
//!
//! ```text
//! offset  bytes  field (integers little-endian)
//!      0      4  seal: CRC-32 of bytes 4.. of header and body, XORed with the segment's seal
//!      4      4  length of the body
//!      8      4  shard
//!     12      1  kind
//!     13      1  format of the body, 1
//!     14      2  0x574c
//!     16      -  body, then zeros up to a multiple of 8
//! ```
//!
//! | kind | body | meaning |
//! |---|---|---|
//! | 1 marker | offset u64 | a group of records begins here: everything before was durable |
//! | 2 close | offset u64 | the log was closed here, nothing was under way |
//! | 3 start | see [`Start`] | first record of a segment: its predecessor, and every shard's state |
//! | 4 base | segment u64 | segments before that one are dead |
//! | 5 entry | `talus.node.v1.LogEntry` | appends an entry |
//! | 6 copy | `talus.node.v1.LogEntry` | a live entry again, so that its old segment can go |
//! | 7 vote | term u64, node u64, committed u8 | |
//! | 8 committed | nothing, or a log id | |
//! | 9 truncate | index u64 | entries from that index on are gone |
//! | 10 purge | log id | entries up to that one are gone |
//! | 11 forget | nothing | the shard is gone |
//!
//! A log id is term u64, node u64, index u64.
//!
//! Invariants
//! * The segment's seal differs between any two segments that are less than 2³² apart: bytes of a
//!   file's former life never parse.
//! * A marker names its own offset: a copy of it elsewhere (in a user's value) proves nothing.

use bytes::{Buf, BufMut, Bytes};

use super::state::ShardState;
use crate::mutant::Mutant;
use crate::types::{LeaderId, LogId, Vote};

/// Bytes before a record's body.
pub(super) const HEADER_BYTES: usize = 16;
/// Bytes of a marker or close record.
pub(super) const MARKER_BYTES: usize = HEADER_BYTES + 8;
/// The longest body.
pub(super) const BODY_BYTES_MAX: usize = 1 << 30;

const FORMAT: u8 = 1;
const MAGIC: u16 = 0x574c;
const ALIGNMENT: usize = 8;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Marker = 1,
    Close,
    Start,
    Base,
    Entry,
    Copy,
    Vote,
    Committed,
    Truncate,
    Purge,
    Forget,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Marker,
            2 => Self::Close,
            3 => Self::Start,
            4 => Self::Base,
            5 => Self::Entry,
            6 => Self::Copy,
            7 => Self::Vote,
            8 => Self::Committed,
            9 => Self::Truncate,
            10 => Self::Purge,
            11 => Self::Forget,
            _ => return None,
        })
    }
}

/// What ties a record to the segment it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal(u32);

impl Seal {
    /// The seal of segment `sequence` in a log whose files carry `salt`. The salt is random, so
    /// that no client can send bytes that would parse.
    pub(super) fn new(sequence: u64, salt: u32) -> Self {
        // Multiplication by an odd number permutes the 32-bit integers: no two segments agree.
        Self((sequence as u32).wrapping_mul(0x9e37_79b1) ^ salt)
    }

    /// Ties a framed record to this segment.
    pub(super) fn apply(self, record: &mut [u8]) {
        let (field, _) = record.split_first_chunk_mut::<4>().expect("a record has a header");
        *field = (u32::from_le_bytes(*field) ^ self.0).to_le_bytes();
    }
}

/// Appends a record to `out`, not yet sealed to a segment. Returns its length with padding.
pub(super) fn frame(
    out: &mut Vec<u8>,
    shard: u32,
    kind: Kind,
    body: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let begin = out.len();
    out.put_u64_le(0);
    out.put_u32_le(shard);
    out.put_u8(kind as u8);
    out.put_u8(FORMAT);
    out.put_u16_le(MAGIC);
    body(out);
    let length = out.len() - begin - HEADER_BYTES;
    assert!(length <= BODY_BYTES_MAX, "log records are bounded where they are made");
    out[begin + 4..begin + 8].copy_from_slice(&(length as u32).to_le_bytes());
    let crc = crc32fast::hash(&out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
    out.resize(begin + padded(length), 0);
    out.len() - begin
}

/// Length of a record with a body of `length` bytes.
pub(super) fn padded(length: usize) -> usize {
    (HEADER_BYTES + length).next_multiple_of(ALIGNMENT)
}

/// The length of the record that a header announces, with padding; nothing is checked.
pub(super) fn length(header: &[u8]) -> usize {
    let announced = header.get(4..8).and_then(|field| field.try_into().ok());
    padded(announced.map_or(0, u32::from_le_bytes) as usize)
}

/// A record as it lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) shard: u32,
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

/// The record that begins `bytes`, if there is a whole one with the right seal.
pub(super) fn parse(bytes: &[u8], seal: Seal) -> Option<Frame<'_>> {
    let (mut header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let crc = header.get_u32_le() ^ seal.0;
    let length = header.get_u32_le() as usize;
    let shard = header.get_u32_le();
    let kind = header.get_u8();
    if header.get_u8() != FORMAT || header.get_u16_le() != MAGIC || length > BODY_BYTES_MAX {
        return None;
    }
    let body = rest.get(..length)?;
    let kept = Mutant::TornTailKept.is_on() && kind == Kind::Entry as u8;
    if crc32fast::hash(&bytes[4..HEADER_BYTES + length]) != crc && !kept {
        return None;
    }
    Some(Frame { shard, kind: Kind::from_byte(kind)?, body })
}

/// The first marker at or after `from`: proof that everything before it was once durable.
pub(super) fn find_marker(bytes: &[u8], from: usize, seal: Seal) -> Option<usize> {
    let [low, high] = MAGIC.to_le_bytes();
    let fixed = [Kind::Marker as u8, FORMAT, low, high];
    let is_marker = |at: &usize| {
        let Some(bytes) = bytes.get(*at..at + MARKER_BYTES) else { return false };
        // Compared before the CRC is computed: this runs over whole segments.
        bytes[12..HEADER_BYTES] == fixed
            && parse(bytes, seal).is_some_and(|frame| frame.body == (*at as u64).to_le_bytes())
    };
    (from.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT).find(is_marker)
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Marker { offset: u64 },
    Close { offset: u64 },
    Start(Start),
    Base { oldest: u64 },
    Entry(Bytes),
    Copy(Bytes),
    Vote(Vote),
    Committed(Option<LogId>),
    Truncate { next: u64 },
    Purge(LogId),
    Forget,
}

impl Record {
    /// What the frame says; `body` is the same bytes as `frame.body`, shared.
    pub(super) fn decode(kind: Kind, body: Bytes) -> Option<Self> {
        let mut rest = &body[..];
        let record = match kind {
            Kind::Entry => return Some(Self::Entry(body)),
            Kind::Copy => return Some(Self::Copy(body)),
            Kind::Marker => Self::Marker { offset: rest.try_get_u64_le().ok()? },
            Kind::Close => Self::Close { offset: rest.try_get_u64_le().ok()? },
            Kind::Start => Self::Start(Start::decode(&mut rest)?),
            Kind::Base => Self::Base { oldest: rest.try_get_u64_le().ok()? },
            Kind::Vote => Self::Vote(get_vote(&mut rest)?),
            Kind::Committed if rest.is_empty() => Self::Committed(None),
            Kind::Committed => Self::Committed(Some(get_log_id(&mut rest)?)),
            Kind::Truncate => Self::Truncate { next: rest.try_get_u64_le().ok()? },
            Kind::Purge => Self::Purge(get_log_id(&mut rest)?),
            Kind::Forget => Self::Forget,
        };
        rest.is_empty().then_some(record)
    }

    /// Appends the record to `out`, unsealed. Returns its length.
    pub(super) fn frame(&self, out: &mut Vec<u8>, shard: u32) -> usize {
        frame(out, shard, self.kind(), |out| match self {
            Self::Marker { offset } | Self::Close { offset } => out.put_u64_le(*offset),
            Self::Start(start) => start.encode(out),
            Self::Base { oldest } => out.put_u64_le(*oldest),
            Self::Entry(body) | Self::Copy(body) => out.put_slice(body),
            Self::Vote(vote) => put_vote(out, vote),
            Self::Committed(id) => id.iter().for_each(|id| put_log_id(out, id)),
            Self::Truncate { next } => out.put_u64_le(*next),
            Self::Purge(id) => put_log_id(out, id),
            Self::Forget => {}
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Marker { .. } => Kind::Marker,
            Self::Close { .. } => Kind::Close,
            Self::Start(_) => Kind::Start,
            Self::Base { .. } => Kind::Base,
            Self::Entry(_) => Kind::Entry,
            Self::Copy(_) => Kind::Copy,
            Self::Vote(_) => Kind::Vote,
            Self::Committed(_) => Kind::Committed,
            Self::Truncate { .. } => Kind::Truncate,
            Self::Purge(_) => Kind::Purge,
            Self::Forget => Kind::Forget,
        }
    }
}

/// The first record of a segment.
///
/// Body: predecessor u64 (0 = none), where the log ended in it u64, oldest live segment u64,
/// number of shards u32, then each shard: id u32, first index u64, next index u64, flags u8
/// (1 vote, 2 committed, 4 purged), and what the flags announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) previous: u64,
    pub(super) previous_end: u64,
    pub(super) oldest: u64,
    pub(super) shards: Vec<(u32, ShardState)>,
}

impl Start {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.previous);
        out.put_u64_le(self.previous_end);
        out.put_u64_le(self.oldest);
        out.put_u32_le(self.shards.len() as u32);
        for (shard, state) in &self.shards {
            out.put_u32_le(*shard);
            put_state(out, state);
        }
    }

    fn decode(from: &mut &[u8]) -> Option<Self> {
        let previous = from.try_get_u64_le().ok()?;
        let previous_end = from.try_get_u64_le().ok()?;
        let oldest = from.try_get_u64_le().ok()?;
        let count = from.try_get_u32_le().ok()?;
        let shard = |_| Some((from.try_get_u32_le().ok()?, get_state(from)?));
        let shards = (0..count).map(shard).collect::<Option<_>>()?;
        Some(Self { previous, previous_end, oldest, shards })
    }
}

fn put_state(out: &mut Vec<u8>, state: &ShardState) {
    out.put_u64_le(state.first);
    out.put_u64_le(state.next);
    let flag = |present: bool, bit: u8| if present { bit } else { 0 };
    out.put_u8(
        flag(state.vote.is_some(), 1)
            | flag(state.committed.is_some(), 2)
            | flag(state.purged.is_some(), 4),
    );
    state.vote.iter().for_each(|vote| put_vote(out, vote));
    state.committed.iter().chain(&state.purged).for_each(|id| put_log_id(out, id));
}

fn get_state(from: &mut &[u8]) -> Option<ShardState> {
    let first = from.try_get_u64_le().ok()?;
    let next = from.try_get_u64_le().ok()?;
    let flags = from.try_get_u8().ok()?;
    let vote = if flags & 1 != 0 { Some(get_vote(from)?) } else { None };
    let committed = if flags & 2 != 0 { Some(get_log_id(from)?) } else { None };
    let purged = if flags & 4 != 0 { Some(get_log_id(from)?) } else { None };
    (first <= next).then_some(ShardState { vote, committed, purged, first, next })
}

fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    out.put_u64_le(id.leader_id.term);
    out.put_u64_le(id.leader_id.node_id);
    out.put_u64_le(id.index);
}

fn get_log_id(from: &mut &[u8]) -> Option<LogId> {
    let leader_id = get_leader(from)?;
    Some(LogId { leader_id, index: from.try_get_u64_le().ok()? })
}

fn get_leader(from: &mut &[u8]) -> Option<LeaderId> {
    Some(LeaderId { term: from.try_get_u64_le().ok()?, node_id: from.try_get_u64_le().ok()? })
}

fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.put_u64_le(vote.leader_id.term);
    out.put_u64_le(vote.leader_id.node_id);
    out.put_u8(vote.committed.into());
}

fn get_vote(from: &mut &[u8]) -> Option<Vote> {
    let leader_id = get_leader(from)?;
    Some(Vote { leader_id, committed: from.try_get_u8().ok()? != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_id(term: u64, index: u64) -> LogId {
        LogId { leader_id: LeaderId { term, node_id: 2 }, index }
    }

    fn samples() -> Vec<Record> {
        let state = ShardState {
            vote: Some(Vote::new_committed(3, 1)),
            committed: Some(log_id(2, 9)),
            purged: None,
            first: 4,
            next: 11,
        };
        let shards = vec![(0, ShardState::default()), (7, state)];
        vec![
            Record::Marker { offset: 64 },
            Record::Close { offset: 72 },
            Record::Start(Start { previous: 3, previous_end: 99, oldest: 2, shards }),
            Record::Base { oldest: 5 },
            Record::Entry(Bytes::from_static(b"entry")),
            Record::Copy(Bytes::new()),
            Record::Vote(Vote::new(5, 6)),
            Record::Committed(None),
            Record::Committed(Some(log_id(1, 2))),
            Record::Truncate { next: 17 },
            Record::Purge(log_id(8, 100)),
            Record::Forget,
        ]
    }

    #[test]
    fn records_survive_their_encoding() {
        let seal = Seal::new(9, 0xdead_beef);
        for record in samples() {
            let mut bytes = vec![];
            let length = record.frame(&mut bytes, 12);
            assert_eq!((length, length % ALIGNMENT), (bytes.len(), 0));
            seal.apply(&mut bytes);
            let frame = parse(&bytes, seal).expect("whole");
            assert_eq!(frame.shard, 12);
            let body = Bytes::copy_from_slice(frame.body);
            assert_eq!(Record::decode(frame.kind, body), Some(record));
            assert_eq!(parse(&bytes, Seal::new(10, 0xdead_beef)), None, "another segment's");
        }
    }

    /// The layout is a format: old files must stay readable.
    #[test]
    fn golden_bytes() {
        let mut bytes = vec![];
        Record::Purge(log_id(1, 3)).frame(&mut bytes, 5);
        Seal::new(1, 0).apply(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "dcd57f9b18000000050000000a014c57";
        let body = "010000000000000002000000000000000300000000000000";
        assert_eq!(hex, format!("{header}{body}"));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let seal = Seal::new(2, 3);
        let mut bytes = vec![];
        Record::Vote(Vote::new(5, 6)).frame(&mut bytes, 1);
        seal.apply(&mut bytes);
        for bit in 0..(HEADER_BYTES + 17) * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bytes, seal), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn markers_are_found_only_where_they_belong() {
        let seal = Seal::new(4, 1);
        let mut bytes = vec![0xff; 128];
        let mut marker = vec![];
        Record::Marker { offset: 128 }.frame(&mut marker, 0);
        seal.apply(&mut marker);
        bytes.extend(&marker);
        bytes.extend([0; 40]);
        bytes.extend(&marker);
        assert_eq!(find_marker(&bytes, 3, seal), Some(128));
        assert_eq!(find_marker(&bytes, 129, seal), None, "the second names another offset");
        assert_eq!(find_marker(&bytes, 0, Seal::new(5, 1)), None);
    }
}
