//! What the tests of the log share: the disk, a model of a shard's
//! log, and a driver that applies the same steps to both.

#![allow(dead_code, reason = "each test uses a part of it")]

mod disk;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use raft::log::{LogError, ShardFound, ShardLog, Wal, WalOptions};
use raft::types::{Command, Entry, LeaderId, LogId, Payload, Types, Vote};
use raft::{Checkpointer, Committed, ShardId, StateMachine};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

pub use disk::MemoryDisk;

/// A state machine of which only the types matter.
#[derive(Debug)]
pub struct Nothing;

impl StateMachine for Nothing {
    type Reply = ();

    fn applied(&mut self) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn apply(&mut self, entries: Vec<Committed>, _: Bytes) -> io::Result<Vec<()>> {
        Ok(vec![(); entries.len()])
    }

    fn has_room(&self) -> bool {
        true
    }

    fn checkpointer(&mut self) -> io::Result<Checkpointer> {
        Ok(Box::new(|_| Ok(())))
    }

    fn applied_in(_: &Path) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn install(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The type configuration of the tests.
pub type C = Types<Nothing>;

/// Tiny segments and short waits.
pub fn small_options() -> WalOptions {
    WalOptions {
        segment_bytes: 2048,
        segment_bytes_first: 2048,
        segments_recycled: 2,
        segments_max: 4,
        cache_bytes: 300,
        read_bytes: 256,
        unsynced_wait: Duration::from_millis(1),
        on_fatal: Arc::new(|_: &LogError| {}),
        ..WalOptions::default()
    }
}

/// What a shard's log should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub entries: BTreeMap<u64, Entry>,
}

impl Model {
    pub fn next(&self) -> u64 {
        let last = self.entries.keys().next_back().copied();
        last.max(self.purged.map(|id| id.index)).map_or(0, |last| last + 1)
    }

    /// The commit point as the log may tell it: only if it can prove it.
    fn proven(&self) -> Option<LogId> {
        self.committed.filter(|id| {
            let here = self.entries.get(&id.index).is_some_and(|entry| entry.log_id == *id);
            here || Some(*id) <= self.purged
        })
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Append(entries) => {
                self.entries
                    .extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
            }
            Step::Vote(vote) => self.vote = Some(*vote),
            Step::Committed(id) => self.committed = *id,
            Step::Truncate(id) => {
                self.entries.retain(|index, _| id.is_some_and(|id| *index <= id.index));
            }
            Step::Purge(id) if self.purged.is_none_or(|purged| purged < *id) => {
                self.purged = Some(*id);
                self.entries.retain(|index, _| *index > id.index);
            }
            Step::Purge(_) => {}
        }
    }

    /// A sensible next step.
    pub fn random_step(&self, rng: &mut StdRng, term: u64) -> Step {
        let id = |index| LogId { leader_id: LeaderId { term, node_id: 1 }, index };
        let known = |rng: &mut StdRng| {
            let at = rng.random_range(0..self.entries.len().max(1));
            self.entries.values().nth(at).map(|entry| entry.log_id)
        };
        match rng.random_range(0..20) {
            0 => Step::Vote(Vote::new(term, rng.random_range(1..4))),
            1..4 => Step::Committed(known(rng).max(self.committed)),
            // What is committed is never truncated.
            4 => Step::Truncate(known(rng).max(self.committed).max(self.purged)),
            5 if rng.random_bool(0.2) => Step::Purge(id(self.next() + 2)),
            5..8 => known(rng).map_or(Step::Committed(None), Step::Purge),
            _ => {
                let count = rng.random_range(1..6);
                Step::Append((0..count).map(|n| entry(rng, id(self.next() + n))).collect())
            }
        }
    }
}

fn entry(rng: &mut StdRng, log_id: LogId) -> Entry {
    let length = match rng.random_range(0..40) {
        0 => rng.random_range(2000..5000),
        1..5 => rng.random_range(200..900),
        _ => rng.random_range(0..100),
    };
    let byte = rng.random();
    let payload = match rng.random_bool(0.1) {
        true => Payload::Blank,
        false => Payload::Normal(Command::from(Bytes::from(vec![byte; length]))),
    };
    Entry { log_id, payload }
}

/// One call of the log store.
#[derive(Debug, Clone)]
pub enum Step {
    Append(Vec<Entry>),
    Vote(Vote),
    Committed(Option<LogId>),
    Truncate(Option<LogId>),
    Purge(LogId),
}

/// A shard's log, every state it has been through, and which of them were promised to last.
pub struct Driven {
    pub log: ShardLog,
    pub states: Vec<Model>,
    waiting: Vec<(usize, oneshot::Receiver<io::Result<()>>)>,
    promised: usize,
}

impl Driven {
    pub fn new(log: ShardLog, model: Model) -> Self {
        Self { log, states: vec![model], waiting: vec![], promised: 0 }
    }

    pub fn model(&self) -> &Model {
        self.states.last().expect("there is always one")
    }

    pub async fn step(&mut self, step: Step) -> io::Result<()> {
        // A crash may leave a part of an append: its first entries.
        let parts = match &step {
            Step::Append(entries) => {
                entries.iter().map(|entry| Step::Append(vec![entry.clone()])).collect()
            }
            other => vec![other.clone()],
        };
        for part in parts {
            let mut model = self.model().clone();
            model.step(&part);
            self.states.push(model);
        }
        let number = self.states.len() - 1;
        match step {
            Step::Append(entries) => {
                let (sender, receiver) = C::oneshot();
                self.waiting.push((number, receiver));
                self.log.write_in_place(number.is_multiple_of(2));
                RaftLogStorage::<C>::append(&mut self.log, entries, IOFlushed::signal(sender))
                    .await?;
            }
            Step::Vote(vote) => {
                RaftLogStorage::<C>::save_vote(&mut self.log, &vote).await?;
                self.promised = number;
            }
            Step::Committed(id) => RaftLogStorage::<C>::save_committed(&mut self.log, id).await?,
            Step::Truncate(id) => {
                RaftLogStorage::<C>::truncate_after(&mut self.log, id).await?;
                self.promised = number;
            }
            Step::Purge(id) => RaftLogStorage::<C>::purge(&mut self.log, id).await?,
        }
        Ok(())
    }

    /// Waits for everything asked for so far.
    pub async fn settle(&mut self) {
        for (number, receiver) in std::mem::take(&mut self.waiting) {
            if let Ok(Ok(())) = receiver.await {
                self.promised = self.promised.max(number);
            }
        }
    }

    /// Compares what is read with the model.
    pub async fn check(&mut self) {
        assert_eq!(read(&mut self.log).await, self.model().seen());
    }

    /// What was found must be one of the states, and none older than what was promised. After a
    /// clean end (`closed`) it must be the last one.
    pub fn accept(&self, found: &Model, closed: bool, what: &str) {
        let oldest = if closed { self.states.len() - 1 } else { self.promised };
        let fits = self.states[oldest..].iter().any(|state| state.seen() == *found);
        let allowed = || self.states[oldest..].iter().map(|state| state.seen().brief());
        assert!(
            fits,
            "{what}: found {}, but should be one of {:#?}",
            found.brief(),
            allowed().collect::<Vec<_>>()
        );
    }
}

impl Model {
    /// On one line.
    fn brief(&self) -> String {
        let id = |id: &LogId| format!("{}.{}", id.leader_id.term, id.index);
        let some = |log_id: Option<LogId>| log_id.as_ref().map(id);
        let entries: Vec<_> = self.entries.values().map(|entry| id(&entry.log_id)).collect();
        let (committed, purged) = (some(self.committed), some(self.purged));
        let entries = entries.join(" ");
        format!("vote {:?} committed {committed:?} purged {purged:?}: {entries}", self.vote)
    }

    /// The model as a reader sees it.
    pub fn seen(&self) -> Self {
        Self { committed: self.proven(), ..self.clone() }
    }
}

/// All that a shard's log says.
pub async fn read(log: &mut ShardLog) -> Model {
    let mut reader = RaftLogStorage::<C>::get_log_reader(log).await;
    let entries = RaftLogReader::<C>::try_get_log_entries(&mut reader, ..).await.expect("reads");
    let state = RaftLogStorage::<C>::get_log_state(log).await.expect("reads");
    let last = entries.last().map(|entry| entry.log_id);
    assert_eq!(state.last_log_id, last.or(state.last_purged_log_id));
    Model {
        vote: RaftLogReader::<C>::read_vote(&mut reader).await.expect("reads"),
        committed: RaftLogStorage::<C>::read_committed(log).await.expect("reads"),
        purged: state.last_purged_log_id,
        entries: entries.into_iter().map(|entry| (entry.log_id.index, entry)).collect(),
    }
}

/// Opens a log and reads all its shards.
pub async fn open(
    disk: &MemoryDisk,
    options: WalOptions,
    shards: u32,
) -> Result<(Wal, Vec<(ShardLog, Model)>), LogError> {
    let (wal, found) = Wal::open_on(Arc::new(disk.clone()), options)?;
    let mut logs = vec![];
    for id in 0..shards {
        let mut log = wal.shard(ShardId(id), None);
        let model = read(&mut log).await;
        check_found(found.get(&ShardId(id)), &model);
        logs.push((log, model));
    }
    Ok((wal, logs))
}

fn check_found(found: Option<&ShardFound>, model: &Model) {
    let last = model.entries.values().next_back().map(|entry| entry.log_id).or(model.purged);
    let Model { vote, committed, purged, .. } = model.clone();
    let expected = ShardFound { vote, committed, purged, last };
    match found {
        Some(found) => assert_eq!(*found, expected),
        None => assert_eq!(*model, Model::default()),
    }
}
