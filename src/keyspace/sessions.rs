//! Sessions: why a write that is sent twice is applied once.
//!
//! Each process that proposes writes is a session `(node, incarnation)` and numbers its batches.
//! The replicated state remembers, per node, the newest incarnation, the last batch applied, and
//! the answers that the proposer has not confirmed yet. A retry after a change of leader finds its
//! answer here instead of being applied again (Raft dissertation §6.3).
//!
//! Invariants
//! * `applied` grows only, within an incarnation; incarnations of a node grow only.
//! * Answers are kept for the batches `kept_from ..= applied`, at most [`ANSWERS_MAX`] of them.
//! * All of it is replicated state: same log, same sessions.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use proto::log::v1::Origin;
use storage::{Store, Txn};

/// Answers kept per session; a proposer has fewer batches than this unanswered.
pub const ANSWERS_MAX: u64 = 256;
/// Longer answers of a batch are not kept, in bytes: a retry then learns only that it was applied.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const SESSIONS: &[u8] = b"session/";
const ANSWERS: &[u8] = b"answer/";

/// What a batch is to its session.
#[derive(Debug, PartialEq)]
pub enum Admission {
    /// The next one: apply it.
    Fresh,
    /// Applied before, with these answers.
    Repeated(Bytes),
    /// Applied before, or its session has ended; the answers are not kept.
    Forgotten,
    /// The batch it follows has not been applied.
    Gap,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Session {
    incarnation: u64,
    applied: u64,
    kept_from: u64,
}

/// The sessions of all nodes; a copy in memory of what the store holds.
#[derive(Debug, Default)]
pub struct Sessions {
    by_node: BTreeMap<u64, Session>,
}

impl Sessions {
    /// Reads the sessions that a store holds.
    ///
    /// # Errors
    /// When the store fails or a session's record is damaged.
    pub fn load(store: &Store) -> io::Result<Self> {
        let mut by_node = BTreeMap::new();
        let mut damaged = false;
        let view = store.view(0, 0);
        let read = view.for_each_system(SESSIONS, |name, record| {
            match be_u64(name, SESSIONS.len()).zip(Session::decode(record)) {
                Some((node, session)) => drop(by_node.insert(node, session)),
                None => damaged = true,
            }
            ControlFlow::Continue(())
        });
        read.map_err(io::Error::other)?;
        if damaged {
            return Err(io::Error::other("the record of a session is damaged"));
        }
        Ok(Self { by_node })
    }

    /// Decides what to do with a batch, and forgets the answers its proposer has received.
    ///
    /// # Errors
    /// When the store fails.
    pub fn admit(&mut self, txn: &mut Txn<'_>, origin: &Origin) -> io::Result<Admission> {
        let known = self.by_node.get(&origin.node).copied().unwrap_or_default();
        if origin.incarnation < known.incarnation {
            return Ok(Admission::Forgotten);
        }
        let begins = origin.incarnation > known.incarnation;
        let mut session = if begins { Session::new(origin.incarnation) } else { known };
        if origin.sequence <= session.applied {
            return answer_of(txn, origin);
        }
        if origin.after > session.applied {
            return Ok(Admission::Gap);
        }
        if begins {
            let mut ended = known;
            ended.forget(txn, origin.node, known.applied);
        }
        session.forget(txn, origin.node, origin.acknowledged);
        self.by_node.insert(origin.node, session);
        Ok(Admission::Fresh)
    }

    /// Records that a batch was applied, with its answers.
    pub fn remember(&mut self, txn: &mut Txn<'_>, origin: &Origin, answers: &Bytes) {
        let session = self.by_node.entry(origin.node).or_default();
        session.applied = origin.sequence;
        let oldest = origin.sequence.saturating_sub(ANSWERS_MAX);
        session.forget(txn, origin.node, oldest);
        let kept: &[u8] = if answers.len() <= ANSWER_BYTES_MAX { answers } else { b"" };
        txn.put_system(&answer_name(origin.node, origin.sequence), kept);
        txn.put_system(&session_name(origin.node), &session.encode());
    }
}

fn answer_of(txn: &mut Txn<'_>, origin: &Origin) -> io::Result<Admission> {
    let name = answer_name(origin.node, origin.sequence);
    Ok(match txn.get_system(&name).map_err(io::Error::other)? {
        Some(replies) if !replies.is_empty() => Admission::Repeated(replies),
        _ => Admission::Forgotten,
    })
}

impl Session {
    fn new(incarnation: u64) -> Self {
        Self { incarnation, applied: 0, kept_from: 1 }
    }

    /// Drops the answers up to `through`.
    fn forget(&mut self, txn: &mut Txn<'_>, node: u64, through: u64) {
        let end = through.min(self.applied);
        while self.kept_from <= end {
            txn.delete_system(&answer_name(node, self.kept_from));
            self.kept_from += 1;
        }
    }

    /// `version 1, incarnation, applied, kept_from`, integers little-endian.
    fn encode(self) -> [u8; 25] {
        let mut record = [1; 25];
        for (place, number) in
            record[1..].chunks_exact_mut(8).zip([self.incarnation, self.applied, self.kept_from])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        record
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (1, rest) = record.split_first().map(|(v, rest)| (*v, rest))? else { return None };
        let mut numbers =
            rest.chunks_exact(8).map(|n| n.try_into().map(u64::from_le_bytes).unwrap_or(0));
        Some(Self {
            incarnation: numbers.next()?,
            applied: numbers.next()?,
            kept_from: numbers.next()?,
        })
    }
}

fn be_u64(name: &[u8], at: usize) -> Option<u64> {
    name.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

fn session_name(node: u64) -> Vec<u8> {
    [SESSIONS, &node.to_be_bytes()].concat()
}

fn answer_name(node: u64, sequence: u64) -> Vec<u8> {
    [ANSWERS, &node.to_be_bytes(), &sequence.to_be_bytes()].concat()
}
