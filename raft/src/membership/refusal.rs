//! Why a membership is not changed, in words for people.

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};

use crate::machine::StateMachine;
use crate::options::VOTERS_MAX;
use crate::types::{NodeId, Types};

/// Why the membership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes members.
    #[error("this node does not lead: {}", leads(leader))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// There is no such member.
    #[error("node {0} is not a member")]
    UnknownMember(NodeId),
    /// The id belongs to another member.
    #[error("node {0} is a member with other addresses")]
    AlreadyMember(NodeId),
    /// Two members cannot be reached at one address.
    #[error("address {address} belongs to node {node}")]
    AddressTaken {
        /// The address asked for.
        address: String,
        /// Whose it is.
        node: NodeId,
    },
    /// A learner was heard at the address a moment ago. If it is gone, this passes.
    #[error("node {node} answers at {address}")]
    AddressAnswers {
        /// The address asked for.
        address: String,
        /// Who answers there.
        node: NodeId,
    },
    /// The member has no vote.
    #[error("node {0} is not a voter")]
    NotVoter(NodeId),
    /// The member has a vote already.
    #[error("node {0} is a voter already")]
    AlreadyVoter(NodeId),
    /// The member asked never to vote.
    #[error("node {0} is a replica for good; force its promotion if it shall vote")]
    Replica(NodeId),
    /// More voters make every write slower.
    #[error("a shard has at most {VOTERS_MAX} voters")]
    TooManyVoters,
    /// Somebody must vote.
    #[error("node {0} is the last voter: without it nothing can be written")]
    LastVoter(NodeId),
    /// The change would stop all writes.
    #[error("{change} leaves {reachable} of {voters} voters reachable: no quorum")]
    NoQuorum {
        /// The change in words.
        change: String,
        /// Voters that answer.
        reachable: usize,
        /// Voters there would be.
        voters: usize,
    },
    /// The member's log is too far behind.
    #[error("node {node} is {entries} entries behind")]
    Behind {
        /// The member.
        node: NodeId,
        /// By how many entries.
        entries: u64,
    },
    /// What the member lacks is no longer in the log.
    #[error("node {0} has to receive a snapshot first")]
    AwaitsSnapshot(NodeId),
    /// The member does not answer.
    #[error("node {0} does not answer")]
    Silent(NodeId),
    /// The leader reaches no quorum, so nothing can be changed.
    #[error("the leader reaches no quorum of voters")]
    Unavailable,
    /// Another change is under way, or came in between.
    #[error("another change of membership is under way")]
    InProgress,
    /// Leadership did not move in time.
    #[error("node {to} did not take over in time: {}", leads(leader))]
    TransferFailed {
        /// Who was asked.
        to: NodeId,
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The change was proposed; it may or may not happen.
    #[error("the change was proposed but not committed in time; it may still happen")]
    Unknown,
    /// This node is shutting down.
    #[error("consensus has stopped")]
    Stopped,
}

impl MembershipError {
    /// Whether a member that is there and at work makes it go away soon.
    pub(super) fn may_pass(&self) -> bool {
        use MembershipError as E;
        matches!(self, E::Behind { .. } | E::AwaitsSnapshot(_) | E::Silent(_) | E::NoQuorum { .. })
    }
}

/// Who leads, in words.
pub(crate) fn leads(leader: &Option<NodeId>) -> String {
    match leader {
        Some(leader) => format!("node {leader} leads"),
        None => "no leader is known".into(),
    }
}

pub(super) fn of<S: StateMachine>(
    error: RaftError<Types<S>, ClientWriteError<Types<S>>>,
) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MembershipError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Unknown,
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => MembershipError::InProgress,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::LearnerNotFound(missing) => {
                MembershipError::UnknownMember(missing.node_id)
            }
            ChangeMembershipError::NodeMetadataChanged(changed) => {
                MembershipError::AlreadyMember(changed.node_id)
            }
            _ => MembershipError::InProgress,
        },
        RaftError::Fatal(_) => MembershipError::Stopped,
    }
}
