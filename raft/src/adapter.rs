//! The state machine as openraft wants it: a queue to the shard's thread, see [`crate::worker`].
//!
//! `apply` returns as soon as the thread has accepted the entries, so a slow state machine never
//! holds consensus up before its queue is full. Everything openraft asks about the state goes
//! through the same queue, hence comes after what was handed over before.

use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::beside::blocking;
use crate::machine::{Checkpointer, Committed, StateMachine};
use crate::mutant::Mutant;
use crate::record::Applied;
use crate::snapshot::{SnapshotDir, Snapshots};
use crate::stage::{OnStage, Stage};
use crate::types::{Entry, LogId, Payload, SnapshotMeta, StoredMembership, Types};
use crate::worker::{Chunk, Job, Worker, stopped};
use crate::{Options, convert};

type Snapshot = openraft::Snapshot<crate::types::LeaderId, u64, crate::Node, SnapshotDir>;

/// A chunk of more is left to the shard's thread, however idle: consensus goes on meanwhile.
const IN_PLACE_BYTES_MAX: usize = 64 << 10;

/// Entries that [`Mutant::ApplyTwiceAfterRestart`] applies twice.
const APPLIED_TWICE: u64 = 5;

/// openraft's side of the queue.
pub struct Adapter<S: StateMachine> {
    worker: Worker<S>,
    membership: StoredMembership,
    snapshots: Arc<Snapshots>,
    entries_max: usize,
    bytes_max: usize,
    on_stage: OnStage,
}

impl<S: StateMachine> Adapter<S> {
    pub(crate) fn new(
        worker: Worker<S>,
        snapshots: Arc<Snapshots>,
        options: &Options,
        on_stage: OnStage,
    ) -> Self {
        let (entries_max, bytes_max) = (options.apply_entries_max, options.apply_bytes_max);
        let membership = StoredMembership::default();
        Self { worker, membership, snapshots, entries_max, bytes_max, on_stage }
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Job<S>,
    ) -> io::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.worker.submit(job(reply)).await?;
        answer.await.map_err(|_| stopped())?
    }

    async fn hand_over(&mut self, batch: &mut Batch<S>) -> io::Result<()> {
        let Some(last) = batch.last.take() else { return Ok(()) };
        let record = Applied { last, membership: self.membership.clone() }.encode();
        let Batch { entries, responders, bytes, .. } = std::mem::take(batch);
        let chunk = Chunk { entries, responders, record, since: Instant::now() };
        let rest = match bytes <= IN_PLACE_BYTES_MAX {
            true => self.worker.apply_in_place(chunk)?,
            false => Some(chunk),
        };
        match rest {
            Some(chunk) => self.worker.submit(Job::Apply(chunk)).await,
            None => Ok(()),
        }
    }
}

/// Entries on their way into a chunk.
struct Batch<S: StateMachine> {
    entries: Vec<Committed>,
    responders: Vec<Option<openraft::storage::ApplyResponder<Types<S>>>>,
    bytes: usize,
    last: Option<LogId>,
}

impl<S: StateMachine> Default for Batch<S> {
    fn default() -> Self {
        Self { entries: Vec::new(), responders: Vec::new(), bytes: 0, last: None }
    }
}

impl<S: StateMachine> Batch<S> {
    fn push(&mut self, (entry, responder): EntryResponder<Types<S>>) {
        self.bytes += convert::entry_size(&entry);
        self.last = Some(entry.log_id);
        self.entries.push(committed(entry));
        self.responders.push(responder);
    }
}

fn committed(entry: Entry) -> Committed {
    let command = match entry.payload {
        Payload::Normal(command) => Some(command.bytes),
        Payload::Blank | Payload::Membership(_) => None,
    };
    Committed { index: entry.log_id.index, term: entry.log_id.leader_id.term, command }
}

impl<S: StateMachine> RaftStateMachine<Types<S>> for Adapter<S> {
    type SnapshotData = SnapshotDir;
    type SnapshotBuilder = Builder<S>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let Some(record) = self.ask(Job::Applied).await? else {
            return Ok((None, StoredMembership::default()));
        };
        let mut applied = Applied::decode(&record)?;
        if Mutant::ApplyTwiceAfterRestart.is_on() {
            applied.last.index = applied.last.index.saturating_sub(APPLIED_TWICE);
        }
        self.membership = applied.membership.clone();
        Ok((Some(applied.last), applied.membership))
    }

    async fn apply<I>(&mut self, mut entries: I) -> io::Result<()>
    where
        I: Stream<Item = io::Result<EntryResponder<Types<S>>>> + Unpin + Send,
    {
        let mut batch = Batch::default();
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            if let Payload::Membership(membership) = &entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
            if let Some(took) = convert::since_proposal(&entry) {
                (self.on_stage)(Stage::Replicate, took);
            }
            batch.push((entry, responder));
            if batch.entries.len() >= self.entries_max || batch.bytes >= self.bytes_max {
                self.hand_over(&mut batch).await?;
            }
        }
        self.hand_over(&mut batch).await
    }

    async fn get_snapshot_builder(&mut self) -> Builder<S> {
        let checkpointer = self.ask(Job::Checkpointer).await;
        let snapshots = Arc::clone(&self.snapshots);
        let applied_in = S::applied_in;
        Builder {
            checkpointer: Mutex::new(Some(checkpointer)),
            snapshots,
            applied_in,
            on_stage: Arc::clone(&self.on_stage),
            machine: PhantomData,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, dir: SnapshotDir) -> io::Result<()> {
        let snapshots = Arc::clone(&self.snapshots);
        let copy = blocking(move || snapshots.adopt(dir)).await?;
        let record = self.ask(|reply| Job::Install(copy, reply)).await?;
        let applied = record.as_ref().map(Applied::decode).transpose()?;
        if applied.as_ref().map(|applied| applied.last) != meta.last_log_id {
            let found = applied.map(|applied| applied.last);
            let wanted = meta.last_log_id;
            let text = format!("installed a snapshot of {found:?} instead of {wanted:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.snapshots.current();
        Ok(current.map(|dir| Snapshot { meta: dir.meta().clone(), snapshot: dir }))
    }
}

/// Builds one snapshot while entries are applied.
pub struct Builder<S> {
    checkpointer: Mutex<Option<io::Result<Checkpointer>>>,
    snapshots: Arc<Snapshots>,
    applied_in: fn(&Path) -> io::Result<Option<Bytes>>,
    on_stage: OnStage,
    machine: PhantomData<fn() -> S>,
}

impl<S: StateMachine> RaftSnapshotBuilder<Types<S>> for Builder<S> {
    type SnapshotData = SnapshotDir;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let checkpointer = self.checkpointer.get_mut().take().unwrap_or_else(|| Err(stopped()))?;
        let (snapshots, applied_in) = (Arc::clone(&self.snapshots), self.applied_in);
        let begun = Instant::now();
        let dir = blocking(move || snapshots.build(checkpointer, applied_in)).await?;
        (self.on_stage)(Stage::SnapshotTaken, begun.elapsed());
        Ok(Snapshot { meta: dir.meta().clone(), snapshot: dir })
    }
}
