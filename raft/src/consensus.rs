//! One shard on this node: its log, its state machine and their place in the cluster.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::storage::RaftLogStorage;
use parking_lot::Mutex;
use proto::node::v1::Route;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::unconstrained;

use crate::adapter::Adapter;
use crate::keeper;
use crate::log::ShardLog;
use crate::machine::StateMachine;
use crate::membership::leads;
use crate::mutant::Mutant;
use crate::network::{Network, Sender};
use crate::observe::{Growth, LocalReads, Observed};
use crate::options::{FOUNDER_MAX, Options};
use crate::peers::Peers;
use crate::read::{Barrier, ReadError, Rounds};
use crate::snapshot::Snapshots;
use crate::snapshot::receive::Receiver;
use crate::stage::{OnStage, Proposed, Stage};
use crate::status::{self, Status};
use crate::types::{ClusterId, Command, Node, NodeId, Responder, ShardId, Types};
use crate::worker::{Applier, Flushed, OnFault, Worker};

/// A log store as consensus needs it: openraft's, and how far it is on disk.
pub trait LogStore<S: StateMachine>: RaftLogStorage<Types<S>> {
    /// What waits until entries of this shard are durable.
    fn flushed(&self) -> Arc<dyn Flushed>;
    /// Whether an append may hold up its caller until it is on disk; see
    /// [`ShardLog::write_in_place`].
    fn write_in_place(&mut self, allowed: bool);
}

impl<S: StateMachine> LogStore<S> for ShardLog {
    fn flushed(&self) -> Arc<dyn Flushed> {
        Arc::new(self.flushed())
    }

    fn write_in_place(&mut self, allowed: bool) {
        self.write_in_place(allowed);
    }
}

/// What a shard on this node is made of.
pub struct Setup<S, L> {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Which shard.
    pub shard: ShardId,
    /// This node.
    pub node: NodeId,
    /// Where its snapshots go.
    pub dir: PathBuf,
    /// What the log is applied to.
    pub machine: S,
    /// The log.
    pub log: L,
    /// Connections to the other members; their runtime runs consensus too.
    pub peers: Peers,
    /// Settings.
    pub options: Options,
    /// What is done about a fault: the process must end.
    pub on_fault: OnFault,
    /// Who is told how long things take.
    pub on_stage: OnStage,
}

/// Why a shard could not be opened or founded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files could not be read or written, or contradict each other.
    #[error("opening shard {shard}: {source}")]
    Io {
        /// Which shard.
        shard: ShardId,
        /// What happened.
        source: io::Error,
    },
    /// The settings contradict each other.
    #[error("settings of consensus: {0}")]
    Options(#[from] openraft::ConfigError),
    /// The log or the state machine refused.
    #[error("consensus did not start: {0}")]
    Refused(String),
    /// The shard has members already.
    #[error("this shard was founded before")]
    Founded,
    /// Not in time.
    #[error("not recovered within {0:?}")]
    Timeout(Duration),
}

/// Why a write was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Definite: nothing was written. Only the leader writes, and only with a quorum.
    #[error("this node does not lead: {}", leads(leader))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The write may have happened, may still happen, or not.
    #[error("the outcome of this write is unknown")]
    Unknown,
    /// Definite: nothing was written. The command is larger than one entry may be.
    #[error("the command is too large")]
    TooLarge,
    /// Definite: nothing was written. This node is shutting down.
    #[error("consensus has stopped")]
    Stopped,
}

/// Why there is no snapshot of what was applied when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not yet.
    #[error("no snapshot of log index {index} after {} s; it is still being taken", limit.as_secs())]
    Late {
        /// What it has to hold.
        index: u64,
        /// How long was waited.
        limit: Duration,
    },
    /// Consensus does not run.
    #[error("consensus has stopped: {0}")]
    Stopped(String),
}

/// A handle to one shard; clones share it.
pub struct Consensus<S: StateMachine>(Arc<Inner<S>>);

impl<S: StateMachine> Clone for Consensus<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(crate) struct Inner<S: StateMachine> {
    raft: Raft<Types<S>, Adapter<S>>,
    sender: Sender,
    peers: Peers,
    options: Arc<Options>,
    applied: watch::Receiver<u64>,
    status: watch::Receiver<Status>,
    local: Arc<LocalReads>,
    barrier: Barrier,
    receiver: Arc<Receiver>,
    /// Held by the one change of membership that runs.
    pub(crate) changes: tokio::sync::Mutex<()>,
    /// The index that a snapshot shall hold.
    wanted: AtomicU64,
    worker: Mutex<Option<oneshot::Receiver<()>>>,
    opened: Instant,
    /// Milliseconds after `opened` of the last message from a leader, plus one.
    heard_ms: AtomicU64,
    on_stage: OnStage,
}

impl<S: StateMachine> Inner<S> {
    pub fn raft(&self) -> &Raft<Types<S>, Adapter<S>> {
        &self.raft
    }

    pub fn metrics(&self) -> RaftMetrics<Types<S>> {
        self.raft.metrics().borrow_watched().clone()
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn node(&self) -> NodeId {
        self.sender.node
    }

    pub fn shard(&self) -> ShardId {
        self.sender.shard
    }

    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    pub fn handle(&self) -> &Handle {
        self.peers.handle()
    }

    pub fn local(&self) -> &Arc<LocalReads> {
        &self.local
    }

    pub fn applied(&self) -> &watch::Receiver<u64> {
        &self.applied
    }

    /// Asks for a snapshot of everything that is applied now.
    pub fn want_snapshot(&self) {
        self.wanted.fetch_max(*self.applied.borrow(), Ordering::Relaxed);
    }

    /// Has a snapshot taken if the newest one does not hold what it shall. To be repeated until
    /// it does: while one is being taken, openraft ignores that another is asked for.
    pub async fn take_wanted_snapshot(&self) {
        let held = self.metrics().snapshot.map_or(0, |id| id.index);
        if held < self.wanted.load(Ordering::Relaxed) {
            // Consensus that has stopped takes none.
            let _ = self.raft.trigger().snapshot().await;
        }
    }
}

impl<S: StateMachine> Consensus<S> {
    /// Opens a shard and takes part in its consensus, on the runtime of its peers. What was
    /// committed before is applied again meanwhile; see [`wait_recovered`](Self::wait_recovered).
    pub async fn open<L: LogStore<S>>(setup: Setup<S, L>) -> Result<Self, OpenError> {
        let handle = setup.peers.handle().clone();
        let opened = handle.spawn(Self::open_here(setup)).await;
        opened.unwrap_or_else(|error| Err(OpenError::Refused(error.to_string())))
    }

    async fn open_here<L: LogStore<S>>(setup: Setup<S, L>) -> Result<Self, OpenError> {
        let Setup { cluster, shard, node, dir, machine, log, peers, options, on_fault, on_stage } =
            setup;
        let io = |source| OpenError::Io { shard, source };
        let config = Arc::new(options.config()?);
        let options = Arc::new(options);
        let opening = dir.clone();
        let snapshots = crate::beside::blocking(move || {
            std::fs::create_dir_all(&opening)?;
            Snapshots::open(&opening)
        });
        let snapshots = Arc::new(snapshots.await.map_err(io)?);
        let (applied, watermark) = watch::channel(0);
        let applier = Applier {
            machine,
            log: log.flushed(),
            applied,
            on_stage: Arc::clone(&on_stage),
            took: Duration::ZERO,
        };
        let name = format!("shard-{shard}");
        let fault = Arc::clone(&on_fault);
        let started = Worker::start(name, applier, options.apply_chunks_max, fault);
        let (worker, ended) = started.map_err(io)?;
        let local = Arc::new(LocalReads::new(node));
        let growth = Arc::new(Growth::new(options.log_bytes_kept));
        let observed = Observed {
            log,
            local: Arc::clone(&local),
            leads: false,
            growth: Arc::clone(&growth),
            on_stage: Arc::clone(&on_stage),
        };
        let sender = Sender { cluster, shard, node };
        let network = network(&sender, &peers, &options, &on_stage);
        let adapter = Adapter::new(worker, Arc::clone(&snapshots), &options, Arc::clone(&on_stage));
        let raft = Raft::new(node, config, network, observed, adapter).await;
        let raft = raft.map_err(|fatal| OpenError::Refused(fatal.to_string()))?;
        let (reads, limits) = (raft.clone(), Arc::clone(&options));
        let barrier = barrier(reads, watermark.clone(), limits, &sender, &peers);
        let inner = Arc::new(Inner {
            status: status::follow(raft.clone(), watermark.clone()),
            raft,
            sender,
            peers,
            options,
            applied: watermark,
            local,
            barrier,
            receiver: Arc::new(Receiver::new(snapshots)),
            changes: tokio::sync::Mutex::new(()),
            wanted: AtomicU64::new(0),
            worker: Mutex::new(Some(ended)),
            opened: Instant::now(),
            heard_ms: AtomicU64::new(0),
            on_stage,
        });
        keeper::start(&inner, growth, on_fault);
        Ok(Self(inner))
    }

    /// Founds the shard with its first members, all of them voters, with ids from 1 to
    /// [`FOUNDER_MAX`]. Once in the life of a shard, on one node.
    pub async fn initialize(&self, members: BTreeMap<NodeId, Node>) -> Result<(), OpenError> {
        if !members.keys().all(|id| (1..=FOUNDER_MAX).contains(id)) {
            return Err(OpenError::Refused(format!("founders have ids from 1 to {FOUNDER_MAX}")));
        }
        match self.0.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(OpenError::Founded),
            Err(error) => Err(OpenError::Refused(error.to_string())),
        }
    }

    /// Waits until what was committed before the last stop is applied again, as far as the
    /// cluster vouches for it. Needs a leader.
    pub async fn wait_recovered(&self, limit: Duration) -> Result<(), OpenError> {
        let late = || OpenError::Timeout(limit);
        let (raft, mut applied) = (self.0.raft.clone(), self.0.applied.clone());
        let recovered = self.0.handle().spawn(async move {
            let metrics = raft.wait_for_recovery(Some(limit)).await.ok()?;
            let index = metrics.cluster_committed.map_or(0, |id| id.index);
            let reached = applied.wait_for(|applied| *applied >= index);
            tokio::time::timeout(limit, reached).await.ok()?.ok().map(|_| ())
        });
        recovered.await.ok().flatten().ok_or_else(late)
    }

    /// Replicates a command and applies it. Commands are proposed in the order of the calls, not
    /// of the awaits: the call itself submits. Bounding what is in flight is up to the caller.
    pub fn write(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<S::Reply, WriteError>> + Send + 'static + use<S> {
        let too_large = command.len() > self.0.options.command_bytes_max;
        let submitted = (!too_large).then(|| self.submit(command));
        let on_stage = Arc::clone(&self.0.on_stage);
        async move {
            let (mut submission, answer) = submitted.ok_or(WriteError::TooLarge)?;
            submission.finish().await?;
            match answer.await {
                Ok((Ok(response), applied)) => {
                    on_stage(Stage::Reply, applied.elapsed());
                    Ok(response.data)
                }
                Ok((Err(ClientWriteError::ForwardToLeader(forward)), _)) => {
                    Err(WriteError::NotLeader { leader: forward.leader_id })
                }
                // Everything else comes after the entry was in a log.
                Ok((Err(_), _)) | Err(_) => Err(WriteError::Unknown),
            }
        }
    }

    fn submit(&self, command: Bytes) -> (Submission<S>, Answer<S>) {
        let (reply, answer) = oneshot::channel();
        let raft = self.0.raft.clone();
        let command = Command { bytes: command, proposed: Proposed::now() };
        // Without the runtime's budget, which could make a call yield and another overtake it.
        let send =
            unconstrained(
                async move { raft.client_write_ff(command, Some(Responder(reply))).await },
            );
        let mut send: Sending<S> = Box::pin(send);
        // The queue is first come, first served, also for whoever has to wait for room.
        let submission = match send.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => Submission::Done(sent.is_ok()),
            Poll::Pending => Submission::Waiting(send),
        };
        (submission, answer)
    }

    /// An index that this node has applied, and that no write acknowledged before this call
    /// exceeds: a state read now is linearizable.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let unasked = Mutant::NoReadBarrier.is_on()
            || (Mutant::LongLease.is_on() && self.status().is_leader());
        if self.reads_are_local() || unasked {
            return Ok(*self.0.applied.borrow());
        }
        self.0.barrier.ask().await
    }

    /// Whether what this node has applied is all there is to read: it leads and is the only voter.
    pub fn reads_are_local(&self) -> bool {
        self.0.local.get()
    }

    /// Last index that the state machine has applied.
    pub fn applied(&self) -> u64 {
        *self.0.applied.borrow()
    }

    /// Follows the index that the state machine has applied.
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.0.applied.clone()
    }

    /// What this node knows now.
    pub fn status(&self) -> Status {
        status::current(&self.0.raft, &self.0.applied)
    }

    /// Follows the status: changes of leader and membership at once, the rest with some delay.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// Time since a leader was last heard of; `None` if never.
    pub fn leader_silence(&self) -> Option<Duration> {
        let heard = self.0.heard_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.0.opened.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// Waits until a snapshot holds everything that is applied now, and returns its index. One
    /// that is asked for comes, even if `limit` is over or nobody waits any more.
    pub async fn snapshot(&self, limit: Duration) -> Result<u64, SnapshotError> {
        let index = self.applied();
        self.0.wanted.fetch_max(index, Ordering::Relaxed);
        tokio::time::timeout(limit, self.await_snapshot(index))
            .await
            .unwrap_or(Err(SnapshotError::Late { index, limit }))
    }

    async fn await_snapshot(&self, index: u64) -> Result<u64, SnapshotError> {
        const PAUSE: Duration = Duration::from_millis(10);
        self.0.take_wanted_snapshot().await;
        loop {
            let status = self.status();
            if status.snapshot >= index {
                return Ok(status.snapshot);
            }
            if let Some(fault) = status.fault {
                return Err(SnapshotError::Stopped(fault));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Which shard this is.
    pub fn shard(&self) -> ShardId {
        self.0.shard()
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.node()
    }

    /// The cluster this shard belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.0.sender.cluster
    }

    /// Ends consensus and waits until the state machine is closed. Leadership should have been
    /// handed over before.
    pub async fn shutdown(&self) {
        let _ = self.0.raft.shutdown().await;
        let worker = self.0.worker.lock().take();
        if let Some(ended) = worker {
            let _ = ended.await;
        }
    }

    pub(crate) fn inner(&self) -> Arc<Inner<S>> {
        Arc::clone(&self.0)
    }

    pub(crate) fn raft(&self) -> &Raft<Types<S>, Adapter<S>> {
        &self.0.raft
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn barrier(&self) -> &Barrier {
        &self.0.barrier
    }

    pub(crate) fn receiver(&self) -> Arc<Receiver> {
        Arc::clone(&self.0.receiver)
    }

    pub(crate) fn on_stage(&self, stage: Stage, took: Duration) {
        (self.0.on_stage)(stage, took);
    }

    pub(crate) fn heard_from_leader(&self) {
        let now = self.0.opened.elapsed().as_millis() as u64;
        self.0.heard_ms.store(now + 1, Ordering::Relaxed);
    }

    /// Whether a message is meant for this shard on this node of this cluster.
    pub(crate) fn check_route(&self, route: &Route) -> Result<(), String> {
        let Sender { cluster, shard, node } = &self.0.sender;
        if route.cluster.as_ref() != cluster.0.as_slice() {
            return Err(format!("this node belongs to cluster {cluster}"));
        }
        if route.shard != shard.0 || route.target != *node {
            return Err(format!("this is node {node}, not node {}", route.target));
        }
        Ok(())
    }
}

/// The way to the other members.
fn network(sender: &Sender, peers: &Peers, options: &Arc<Options>, on_stage: &OnStage) -> Network {
    Network {
        sender: sender.clone(),
        peers: peers.clone(),
        options: Arc::clone(options),
        on_stage: Arc::clone(on_stage),
    }
}

/// Starts the rounds that reads wait for.
fn barrier<S: StateMachine>(
    raft: Raft<Types<S>, Adapter<S>>,
    applied: watch::Receiver<u64>,
    options: Arc<Options>,
    sender: &Sender,
    peers: &Peers,
) -> Barrier {
    Rounds { raft, applied, sender: sender.clone(), peers: peers.clone(), options }.start()
}

type Answer<S> = oneshot::Receiver<(openraft::raft::ClientWriteResult<Types<S>>, Instant)>;
type Sending<S> = Pin<Box<dyn Future<Output = Result<(), Fatal<Types<S>>>> + Send>>;

/// A command on its way into the queue of consensus.
enum Submission<S: StateMachine> {
    Done(bool),
    Waiting(Sending<S>),
}

impl<S: StateMachine> Submission<S> {
    async fn finish(&mut self) -> Result<(), WriteError> {
        let sent = match self {
            Self::Done(sent) => *sent,
            Self::Waiting(send) => send.await.is_ok(),
        };
        if sent { Ok(()) } else { Err(WriteError::Stopped) }
    }
}
