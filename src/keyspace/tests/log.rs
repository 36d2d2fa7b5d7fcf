//! Random logs: entries of batches of items, some of them from sessions that repeat themselves.
//!
//! What is drawn at random is a draft. An entry is made of it when its turn has come, because some
//! of what proposers say they have read before: the versions of watched keys, cursors, the number
//! of the last batch.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proto::Message;
use proto::log::v1::{Batch, Entry, Item, Origin, Request as LogRequest, Watch};
use raft::Committed;
use resp::Reply;
use storage::Store;

use super::requests::{self, CURSOR, EPOCH};
use crate::keyspace::{BatchOutcome, ENTRY_VERSION, Outcome};

/// The words of a request, shown shortened.
#[derive(Clone)]
pub struct Request(pub Vec<Bytes>);

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |word: &Bytes| match word.len() {
            0..=60 => format!("{word:?}"),
            len => format!("{:?}*{len}", word.slice(..1)),
        };
        f.write_str(&self.0.iter().map(shown).collect::<Vec<_>>().join(" "))
    }
}

/// An entry to be.
#[derive(Debug, Clone)]
pub struct Draft {
    /// How far the proposer's clock moved, in milliseconds.
    step: i64,
    seed: u64,
    /// None: an entry that consensus writes for itself.
    batches: Option<Vec<DraftBatch>>,
}

#[derive(Debug, Clone)]
struct DraftBatch {
    sending: Option<Sending>,
    items: Vec<DraftItem>,
}

/// A batch of a session: whose, which, and how many batches before it are not acknowledged.
#[derive(Debug, Clone)]
struct Sending {
    node: u64,
    which: Which,
    unanswered: u64,
}

/// Which of its batches a node sends.
#[derive(Debug, Clone, Copy)]
enum Which {
    /// The next one, or one a few numbers later, after the last one applied.
    Next { skipped: u64 },
    /// One whose predecessor has not been applied.
    Early,
    /// One that was sent before, or whose number was skipped.
    Again { back: u64 },
    /// The first one of a new process.
    Reborn,
    /// A later one of a new process whose first one is missing.
    RebornEarly,
    /// One of a process that was replaced.
    Ghost,
}

#[derive(Debug, Clone)]
struct DraftItem {
    db: u32,
    /// Watches, if it is a transaction.
    transaction: Option<Vec<Watching>>,
    requests: Vec<Request>,
}

/// A watched key; `absent` if it is said not to have been there.
#[derive(Debug, Clone)]
struct Watching {
    db: u32,
    key: Bytes,
    absent: bool,
}

/// A log of up to `max` entries.
pub fn log(request: BoxedStrategy<Request>, max: usize) -> impl Strategy<Value = Vec<Draft>> {
    let sending = prop_oneof![1 => Just(None), 2 => sending().prop_map(Some)].boxed();
    drafts(item(request), sending, max)
}

/// A log that is mostly about the sessions.
pub fn log_of_sessions(max: usize) -> impl Strategy<Value = Vec<Draft>> {
    let requests = ["INCR a", "APPEND b tag;", "SETRANGE c 70000 x", "GET c", "INCR b", "GET b"]
        .map(|line| Request(line.split(' ').map(Bytes::from).collect()));
    let single = prop::sample::select(requests.to_vec()).prop_map(|request| DraftItem {
        db: 0,
        transaction: None,
        requests: vec![request],
    });
    drafts(single.boxed(), sending().prop_map(Some).boxed(), max)
}

fn drafts(
    item: BoxedStrategy<DraftItem>,
    sending: BoxedStrategy<Option<Sending>>,
    max: usize,
) -> impl Strategy<Value = Vec<Draft>> {
    let batch =
        (sending, vec(item, 0..4)).prop_map(|(sending, items)| DraftBatch { sending, items });
    let batches = prop_oneof![1 => Just(None), 20 => vec(batch, 0..4).prop_map(Some)];
    // The clock of the next leader may be behind.
    let step = prop_oneof![5 => -5..60_i64, 1 => 300..1500_i64];
    let draft = (step, any::<u64>(), batches);
    vec(draft.prop_map(|(step, seed, batches)| Draft { step, seed, batches }), 1..max)
}

fn item(request: BoxedStrategy<Request>) -> BoxedStrategy<DraftItem> {
    let one = (requests::db(), vec(request.clone(), 1)).prop_map(|(db, requests)| DraftItem {
        db,
        transaction: None,
        requests,
    });
    let watching = (requests::db(), requests::key(), prop::bool::weighted(0.2))
        .prop_map(|(db, key, absent)| Watching { db, key, absent });
    let several = (requests::db(), vec(watching, 0..3), vec(request, 0..5));
    let several = several.prop_map(|(db, watches, requests)| DraftItem {
        db,
        transaction: Some(watches),
        requests,
    });
    prop_oneof![3 => one, 1 => several].boxed()
}

fn sending() -> impl Strategy<Value = Sending> {
    let which = prop_oneof![
        12 => Just(Which::Next { skipped: 0 }),
        1 => Just(Which::Next { skipped: 1 }),
        1 => Just(Which::Next { skipped: 150 }),
        2 => Just(Which::Early),
        6 => (0..4_u64).prop_map(|back| Which::Again { back }),
        2 => (100..400_u64).prop_map(|back| Which::Again { back }),
        1 => Just(Which::Reborn),
        1 => Just(Which::RebornEarly),
        1 => Just(Which::Ghost),
    ];
    let unanswered = prop_oneof![0..5_u64, 0..400_u64];
    (1..4_u64, which, unanswered).prop_map(|(node, which, unanswered)| Sending {
        node,
        which,
        unanswered,
    })
}

/// The process that proposes for a node, as far as the log knows it.
#[derive(Clone, Copy)]
struct Proposer {
    incarnation: u64,
    last: u64,
}

/// Makes entries of drafts.
pub struct Author {
    index: u64,
    now: u64,
    cursor: Bytes,
    proposers: BTreeMap<u64, Proposer>,
}

impl Author {
    /// The author of an empty log.
    pub fn new() -> Self {
        let (cursor, proposers) = (Bytes::from_static(b"0"), BTreeMap::new());
        Self { index: 0, now: EPOCH, cursor, proposers }
    }

    /// The next entry, proposed by someone who has seen the state that `store` is in.
    pub fn write(&mut self, draft: &Draft, store: &Store) -> Committed {
        self.index += 1;
        self.now = self.now.saturating_add_signed(draft.step);
        let command = draft.batches.as_ref().map(|batches| {
            let batches = batches.iter().map(|batch| self.batch(batch, store)).collect();
            let entry =
                Entry { version: ENTRY_VERSION, now_ms: self.now, seed: draft.seed, batches };
            Bytes::from(entry.encode_to_vec())
        });
        Committed { index: self.index, term: 1, command }
    }

    /// Takes note of what the last entry was answered.
    pub fn hear(&mut self, outcome: &Outcome) {
        for batch in outcome {
            let BatchOutcome::Applied(replies) = batch else { continue };
            if let Some(cursor) = replies.iter().filter_map(cursor_in).next_back() {
                self.cursor = cursor;
            }
        }
    }

    fn batch(&mut self, draft: &DraftBatch, store: &Store) -> Batch {
        let origin = draft.sending.as_ref().map(|sending| self.origin(sending));
        Batch { origin, items: draft.items.iter().map(|item| self.item(item, store)).collect() }
    }

    fn origin(&mut self, sending: &Sending) -> Origin {
        let proposer = self
            .proposers
            .entry(sending.node)
            .or_insert_with(|| Proposer { incarnation: 1, last: 0 });
        let Proposer { mut incarnation, last } = *proposer;
        let (sequence, after) = match sending.which {
            Which::Next { skipped } => (last + 1 + skipped, last),
            Which::Early => (last + 2, last + 1),
            Which::Again { back } => (last.saturating_sub(back), last.saturating_sub(back + 1)),
            Which::Reborn | Which::RebornEarly => {
                incarnation += 1;
                if matches!(sending.which, Which::Reborn) { (1, 0) } else { (5, 4) }
            }
            Which::Ghost => {
                incarnation -= 1;
                (last + 1, 0)
            }
        };
        if matches!(sending.which, Which::Next { .. } | Which::Reborn) {
            *proposer = Proposer { incarnation, last: sequence };
        }
        let acknowledged = sequence.saturating_sub(1 + sending.unanswered);
        Origin { node: sending.node, incarnation, sequence, after, acknowledged }
    }

    fn item(&self, draft: &DraftItem, store: &Store) -> Item {
        let request = |request: &Request| LogRequest { args: self.with_cursor(request) };
        let watches = draft.transaction.iter().flatten().map(|it| it.watch(store));
        Item {
            db: draft.db,
            transaction: draft.transaction.is_some(),
            watches: watches.collect(),
            requests: draft.requests.iter().map(request).collect(),
        }
    }

    fn with_cursor(&self, request: &Request) -> Vec<Bytes> {
        let word = |word: &Bytes| if word == CURSOR { self.cursor.clone() } else { word.clone() };
        request.0.iter().map(word).collect()
    }
}

impl Watching {
    fn watch(&self, store: &Store) -> Watch {
        let Self { db, key, absent } = self;
        let version = if *absent { 0 } else { store.view(*db, 0).version(key).unwrap() };
        Watch { db: *db, key: key.clone(), version }
    }
}

/// The cursor in an answer of SCAN, or in one among the answers of a transaction.
fn cursor_in(reply: &Reply) -> Option<Bytes> {
    let Reply::Array(replies) = reply else { return None };
    match &replies[..] {
        [Reply::Bulk(cursor), Reply::Array(_)] => Some(cursor.clone()),
        replies => replies.iter().find_map(cursor_in),
    }
}
