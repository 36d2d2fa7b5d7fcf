//! What openraft is told about us: the types of the log, of members and of votes.
//!
//! Only [`Types`] depends on the state machine; entries, log ids, votes and memberships do not,
//! so the log store and the codec are written once for every state machine.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use bytes::Bytes;
use openraft::RaftTypeConfig;
use openraft::impls::{BoxedErrorSource, InlineBatch, leader_id_adv};
use tokio::sync::oneshot;

use crate::machine::StateMachine;
use crate::stage::Proposed;

/// A member of a shard. Never reused, not even after the member was removed.
pub type NodeId = u64;
/// Who leads in a term: term and node, totally ordered.
pub type LeaderId = leader_id_adv::LeaderId<u64, NodeId>;
/// Position of an entry and the leader that wrote it.
pub type LogId = openraft::LogId<LeaderId>;
/// What a node promised: the leader it follows, and whether a quorum granted that one.
pub type Vote = openraft::Vote<LeaderId>;
/// What an entry carries.
pub type Payload = openraft::EntryPayload<Command, NodeId, Node>;
/// One entry of the log.
pub type Entry = openraft::Entry<LeaderId, Payload>;
/// Voters (two sets of them while they change) and learners.
pub type Membership = openraft::Membership<NodeId, Node>;
/// A membership and the entry it came from.
pub type StoredMembership = openraft::StoredMembership<LeaderId, NodeId, Node>;
/// Which state a snapshot holds.
pub type SnapshotMeta = openraft::SnapshotMeta<LeaderId, NodeId, Node>;

/// A Raft group of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Sixteen random bytes drawn when a cluster is founded. A message that carries another cluster's
/// is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a member can be reached, `host:port` each, and what it may become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// For Redis clients.
    pub resp: String,
    /// For the other members.
    pub rpc: String,
    /// For people and their monitoring.
    pub http: String,
    /// A learner for good: nothing makes it a voter but an explicit promotion.
    pub replica: bool,
}

/// What an entry of the application carries; opaque here.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The command.
    pub bytes: Bytes,
    /// When this node proposed it, if it did.
    pub proposed: Proposed,
}

/// A command that came from elsewhere, or from an earlier life of this node.
impl From<Bytes> for Command {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, proposed: Proposed::default() }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Commands carry users' data, which never goes to a log file.
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// openraft's type configuration for the state machine `S`.
pub struct Types<S>(PhantomData<fn() -> S>);

impl<S> fmt::Debug for Types<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

impl<S> Clone for Types<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Types<S> {}

impl<S> Default for Types<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S> PartialEq for Types<S> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<S> Eq for Types<S> {}

impl<S> PartialOrd for Types<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S> Ord for Types<S> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<S: StateMachine> RaftTypeConfig for Types<S> {
    type D = Command;
    type R = S::Reply;
    type NodeId = NodeId;
    type Node = Node;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    type Responder<T>
        = Responder<T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// Takes the result of a write, and when there was one, to whoever waits for it. A dropped one
/// leaves the outcome unknown.
pub struct Responder<T>(pub(crate) oneshot::Sender<(T, Instant)>);

impl<S: StateMachine, T: Send + 'static> openraft::raft::responder::Responder<Types<S>, T>
    for Responder<T>
{
    fn on_complete(self, result: T) {
        // A client that went away needs no answer.
        let _ = self.0.send((result, Instant::now()));
    }
}
