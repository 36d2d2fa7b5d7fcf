//! The read barrier: which index must be applied before a read may answer.
//!
//! All reads that wait share one round. A round begins after every read in it arrived, and asks
//! the quorum, through the leader, how far the log was committed at that time. Reads that come
//! during a round wait for the next one. A round that fails is tried again for whoever still has
//! time, together with everybody who came meanwhile.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{LinearizerOption, Raft};
use proto::node::v1 as wire;
use proto::node::v1::read_index_reply::Outcome;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::adapter::Adapter;
use crate::machine::StateMachine;
use crate::mutant::Mutant;
use crate::network::Sender;
use crate::options::Options;
use crate::peers::{Peers, Purpose};
use crate::types::{Node, NodeId, Types};

/// Why a read cannot be linearizable now. The read itself did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody leads, as far as this node knows.
    #[error("no leader is known")]
    NoLeader,
    /// The leader could not reach a quorum.
    #[error("the leader has no quorum")]
    NoQuorum,
    /// The index is known, but this node has not applied it in time.
    #[error("this node lags behind")]
    Timeout,
    /// Too many reads wait already.
    #[error("too many reads wait")]
    Busy,
    /// This node is shutting down.
    #[error("consensus has stopped")]
    Stopped,
}

/// What another node is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoteAnswer {
    Index(u64),
    NotLeader(Option<NodeId>),
}

enum Ask {
    Local(oneshot::Sender<Result<u64, ReadError>>, Instant),
    Remote(oneshot::Sender<Result<RemoteAnswer, ReadError>>, Instant),
}

impl Ask {
    fn deadline(&self) -> Instant {
        match self {
            Self::Local(_, deadline) | Self::Remote(_, deadline) => *deadline,
        }
    }

    fn fail(self, error: ReadError) {
        // Whoever asked may have left.
        let _ = match self {
            Self::Local(reply, _) => reply.send(Err(error)).is_ok(),
            Self::Remote(reply, _) => reply.send(Err(error)).is_ok(),
        };
    }
}

/// Where reads wait.
#[derive(Clone)]
pub(crate) struct Barrier {
    asks: mpsc::Sender<Ask>,
    patience: Duration,
}

impl Barrier {
    /// An index that this node has applied and that no write finished before this call exceeds.
    pub async fn ask(&self) -> Result<u64, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Ask::Local(reply, Instant::now() + self.patience))?;
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// The same for another node, which waits for the index itself.
    pub async fn ask_as_remote(&self) -> Result<RemoteAnswer, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Ask::Remote(reply, Instant::now() + self.patience))?;
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    fn submit(&self, ask: Ask) -> Result<(), ReadError> {
        self.asks.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReadError::Busy,
            mpsc::error::TrySendError::Closed(_) => ReadError::Stopped,
        })
    }
}

/// Runs the rounds of one shard.
pub(crate) struct Rounds<S: StateMachine> {
    pub raft: Raft<Types<S>, Adapter<S>>,
    pub applied: watch::Receiver<u64>,
    pub sender: Sender,
    pub peers: Peers,
    pub options: Arc<Options>,
}

/// What a round found out.
enum Round {
    Index(u64),
    NotLeader(Option<(NodeId, Node)>),
    Failed(ReadError),
}

/// Between two attempts of a round.
const PAUSE: Duration = Duration::from_millis(10);

impl<S: StateMachine> Rounds<S> {
    /// Starts the rounds on the current runtime.
    pub fn start(self) -> Barrier {
        let (asks, queue) = mpsc::channel(self.options.reads_max);
        let patience = self.options.read_timeout;
        tokio::spawn(self.run(queue));
        Barrier { asks, patience }
    }

    async fn run(self, mut asks: mpsc::Receiver<Ask>) {
        let mut waiting = Vec::new();
        let mut failure = ReadError::NoLeader;
        loop {
            if waiting.is_empty() {
                match asks.recv().await {
                    Some(ask) => waiting.push(ask),
                    None => return,
                }
            }
            while waiting.len() < self.options.reads_max
                && let Ok(ask) = asks.try_recv()
            {
                waiting.push(ask);
            }
            let now = Instant::now();
            for ask in waiting.extract_if(.., |ask| ask.deadline() <= now) {
                ask.fail(failure);
            }
            if waiting.is_empty() {
                continue;
            }
            match self.round(&mut waiting).await {
                Ok(index) => self.release(std::mem::take(&mut waiting), index),
                Err(ReadError::Stopped) => {
                    waiting.drain(..).for_each(|ask| ask.fail(ReadError::Stopped));
                    return;
                }
                Err(error) if waiting.is_empty() => failure = error,
                Err(error) => {
                    failure = error;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// One attempt. Other nodes that asked a node which does not lead are told so.
    async fn round(&self, waiting: &mut Vec<Ask>) -> Result<u64, ReadError> {
        let leader = match self.as_leader().await {
            Round::Index(index) => return Ok(index),
            Round::Failed(error) => return Err(error),
            Round::NotLeader(leader) => leader,
        };
        let id = leader.as_ref().map(|(id, _)| *id);
        for ask in waiting.extract_if(.., |ask| matches!(ask, Ask::Remote(..))) {
            if let Ask::Remote(reply, _) = ask {
                let _ = reply.send(Ok(RemoteAnswer::NotLeader(id)));
            }
        }
        if waiting.is_empty() {
            return Err(ReadError::NoLeader);
        }
        let (id, node) = leader.ok_or(ReadError::NoLeader)?;
        self.ask_leader(id, &node).await
    }

    async fn as_leader(&self) -> Round {
        let option = LinearizerOption::new(Some(Duration::ZERO), true);
        let option = option.with_wait_timeout(self.options.lease());
        match self.raft.get_read_linearizer(option).await {
            Ok(_) if Mutant::NoTermGate.is_on() => Round::Index(*self.applied.borrow()),
            Ok(linearizer) => Round::Index(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Round::NotLeader(forward.leader_id.zip(forward.leader_node))
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Round::Failed(ReadError::NoQuorum)
            }
            Err(RaftError::Fatal(_)) => Round::Failed(ReadError::Stopped),
        }
    }

    async fn ask_leader(&self, id: NodeId, node: &Node) -> Result<u64, ReadError> {
        if id == self.sender.node {
            // It was just elected, or is about to hand over.
            return Err(ReadError::NoLeader);
        }
        let client = self.peers.consensus(node, Purpose::Control);
        let mut client = client.map_err(|_| ReadError::NoLeader)?;
        let request = wire::ReadIndexRequest { route: Some(self.sender.route(id)) };
        let reply = timeout(self.options.lease(), client.read_index(request)).await;
        match reply.ok().and_then(Result::ok).and_then(|reply| reply.into_inner().outcome) {
            Some(Outcome::Index(index)) => Ok(index),
            Some(Outcome::Unavailable(_)) => Err(ReadError::NoQuorum),
            Some(Outcome::Leader(_)) | None => Err(ReadError::NoLeader),
        }
    }

    /// Answers everybody, local reads once the index is applied here.
    fn release(&self, waiting: Vec<Ask>, index: u64) {
        let mut behind = Vec::new();
        let applied = *self.applied.borrow();
        for ask in waiting {
            match ask {
                Ask::Remote(reply, _) => {
                    let _ = reply.send(Ok(RemoteAnswer::Index(index)));
                }
                Ask::Local(reply, _) if applied >= index => {
                    let _ = reply.send(Ok(applied));
                }
                Ask::Local(reply, deadline) => behind.push((reply, deadline)),
            }
        }
        if !behind.is_empty() {
            tokio::spawn(catch_up(self.applied.clone(), index, behind));
        }
    }
}

/// Releases reads when an index is applied, or the last of them has waited long enough.
async fn catch_up(
    mut applied: watch::Receiver<u64>,
    index: u64,
    waiting: Vec<(oneshot::Sender<Result<u64, ReadError>>, Instant)>,
) {
    let Some(deadline) = waiting.iter().map(|(_, deadline)| *deadline).max() else { return };
    let answer = match timeout_at(deadline, applied.wait_for(|applied| *applied >= index)).await {
        Ok(Ok(applied)) => Ok(*applied),
        Ok(Err(_)) => Err(ReadError::Stopped),
        Err(_) => Err(ReadError::Timeout),
    };
    for (reply, _) in waiting {
        let _ = reply.send(answer);
    }
}
