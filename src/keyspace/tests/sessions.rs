//! What a session should be told about a batch, kept in the plainest way: all answers in a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::log::v1::Origin;

use crate::keyspace::BatchOutcome;

/// Answers are kept for so many numbers before the last one.
const KEPT: u64 = 256;
/// Longer answers are not kept.
const ANSWER_BYTES_MAX: usize = 65_536;

#[derive(Default, Clone)]
struct Session {
    incarnation: u64,
    applied: u64,
    answers: BTreeMap<u64, Bytes>,
}

/// The sessions of all nodes.
#[derive(Default)]
pub struct Sessions(BTreeMap<u64, Session>);

impl Sessions {
    /// What becomes of a batch; nothing if it is to be applied.
    pub fn admit(&mut self, origin: &Origin) -> Option<BatchOutcome> {
        let mut session = self.0.get(&origin.node).cloned().unwrap_or_default();
        if origin.incarnation < session.incarnation {
            return Some(BatchOutcome::Forgotten);
        }
        if origin.incarnation > session.incarnation {
            session = Session { incarnation: origin.incarnation, ..Session::default() };
        }
        if origin.sequence <= session.applied {
            let answer = session.answers.get(&origin.sequence).cloned();
            return Some(answer.map_or(BatchOutcome::Forgotten, BatchOutcome::Repeated));
        }
        if origin.after > session.applied {
            return Some(BatchOutcome::Gap);
        }
        session.answers.retain(|sequence, _| *sequence > origin.acknowledged);
        self.0.insert(origin.node, session);
        None
    }

    /// Takes note that a batch was applied, with these answers.
    pub fn remember(&mut self, origin: &Origin, answer: Bytes) {
        let session = self.0.get_mut(&origin.node).unwrap();
        session.applied = origin.sequence;
        session.answers.retain(|sequence, _| sequence + KEPT > origin.sequence);
        // An empty batch has no answers worth keeping.
        if (1..=ANSWER_BYTES_MAX).contains(&answer.len()) {
            session.answers.insert(origin.sequence, answer);
        }
    }
}
