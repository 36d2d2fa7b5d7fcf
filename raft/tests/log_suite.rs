//! openraft's own tests of a log store, on ours.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftSnapshotBuilder, Snapshot, StorageError};
use parking_lot::Mutex;
use raft::log::{LogError, ShardLog, Wal, WalOptions};
use raft::types::{LeaderId, LogId, Node, NodeId, Payload, SnapshotMeta, StoredMembership, Types};
use raft::{Checkpointer, Committed, ShardId, StateMachine};
use tempfile::TempDir;

/// Only its reply matters here.
struct Nothing;

impl StateMachine for Nothing {
    type Reply = ();

    fn applied(&mut self) -> io::Result<Option<bytes::Bytes>> {
        Ok(None)
    }

    fn apply(&mut self, entries: Vec<Committed>, _: bytes::Bytes) -> io::Result<Vec<()>> {
        Ok(vec![(); entries.len()])
    }

    fn has_room(&self) -> bool {
        true
    }

    fn checkpointer(&mut self) -> io::Result<Checkpointer> {
        Ok(Box::new(|_| Ok(())))
    }

    fn applied_in(_: &std::path::Path) -> io::Result<Option<bytes::Bytes>> {
        Ok(None)
    }

    fn install(&mut self, _: &std::path::Path) -> io::Result<()> {
        Ok(())
    }
}

type C = Types<Nothing>;
type Kept = (Option<LogId>, StoredMembership);

/// A state machine that keeps nothing but how far it is.
#[derive(Clone, Default)]
struct Applied {
    state: Arc<Mutex<Kept>>,
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
}

type AppliedSnapshot = Snapshot<LeaderId, NodeId, Node, Kept>;

impl RaftSnapshotBuilder<C> for Applied {
    type SnapshotData = Kept;

    async fn build_snapshot(&mut self) -> io::Result<AppliedSnapshot> {
        let kept = self.state.lock().clone();
        let meta = SnapshotMeta { last_log_id: kept.0, last_membership: kept.1.clone() };
        *self.snapshot.lock() = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: kept })
    }
}

impl RaftStateMachine<C> for Applied {
    type SnapshotData = Kept;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<Kept> {
        Ok(self.state.lock().clone())
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<C>>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let mut state = self.state.lock();
            state.0 = Some(entry.log_id);
            if let Payload::Membership(membership) = entry.payload {
                state.1 = StoredMembership::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, kept: Kept) -> io::Result<()> {
        *self.state.lock() = kept;
        *self.snapshot.lock() = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<AppliedSnapshot>> {
        let kept = self.state.lock().clone();
        Ok(self.snapshot.lock().clone().map(|meta| Snapshot { meta, snapshot: kept }))
    }
}

struct Builder {
    options: WalOptions,
}

impl StoreBuilder<C, ShardLog, Applied, (Wal, TempDir)> for Builder {
    async fn build(&self) -> Result<((Wal, TempDir), ShardLog, Applied), StorageError<C>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (wal, found) = Wal::open(dir.path(), self.options.clone()).expect("opens");
        assert_eq!(found, BTreeMap::new());
        let log = wal.shard(ShardId(3), None);
        Ok(((wal, dir), log, Applied::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes() {
    let on_fatal = Arc::new(|error: &LogError| panic!("{error}"));
    let builder = Builder { options: WalOptions { on_fatal, ..WalOptions::default() } };
    Suite::<C, ShardLog, Applied, _, _>::test_all(builder).await.expect("passes");
}

/// Tiny segments and no cache: everything is read from files, across many of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_without_memory() {
    let options = WalOptions {
        segment_bytes: 1024,
        segment_bytes_first: 512,
        cache_bytes: 0,
        read_bytes: 100,
        segments_max: 2,
        on_fatal: Arc::new(|error| panic!("{error}")),
        ..WalOptions::default()
    };
    Suite::<C, ShardLog, Applied, _, _>::test_all(Builder { options }).await.expect("passes");
}
