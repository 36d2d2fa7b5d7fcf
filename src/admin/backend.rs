//! What the administration of a node consists of, apart from how it is asked for.
//!
//! HTTP, gRPC and the command line all speak these types, so that a verb means the same on each.

use super::refusal::Refusal;
use crate::config::live::Shown;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An answer that takes its time.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Refusal>>;

/// A node, seen by those who administer it.
pub trait AdminBackend: Send + Sync + 'static {
    /// Whether clients should be sent here; if not, why not.
    fn ready(&self) -> Result<(), String>;
    /// The cluster as far as it can be known now. Answers without a leader, too: members that
    /// cannot be asked are unreachable.
    fn cluster(&self) -> Answer<'_, ClusterView>;
    /// Runs `action` at the leader, wherever that is.
    fn run(&self, action: Action) -> Answer<'_, Done>;
    /// Takes a snapshot on this node.
    fn snapshot(&self) -> Answer<'_, Done>;
    /// The digest of the state of every replica at one log index.
    fn digest(&self) -> Answer<'_, DigestView>;
    /// All metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
    /// The configuration of this node.
    fn settings(&self) -> Vec<Shown>;
}

/// What may be asked of the leader. This is also how it travels between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Adds a member that receives the log and does not vote.
    AddLearner {
        /// Where it is.
        member: NewMember,
    },
    /// Makes a learner a voter.
    Promote {
        /// Which.
        id: u64,
    },
    /// Makes a voter a learner.
    Demote {
        /// Which.
        id: u64,
    },
    /// Removes a member.
    Remove {
        /// Which.
        id: u64,
        /// Even if what remains has no quorum.
        force: bool,
    },
    /// Makes a learner a voter and removes another member in one step.
    Replace {
        /// The member that goes.
        id: u64,
        /// The learner that takes its place.
        with: u64,
    },
    /// Makes another voter the leader.
    Transfer {
        /// Which.
        to: u64,
    },
}

impl Action {
    /// The member it is about, if it has one already.
    pub fn member(&self) -> Option<u64> {
        match self {
            Action::AddLearner { .. } => None,
            Action::Promote { id } | Action::Demote { id } | Action::Remove { id, .. } => Some(*id),
            Action::Replace { with: id, .. } | Action::Transfer { to: id } => Some(*id),
        }
    }
}

/// Where a new member is reached, HOST:PORT each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// By Redis clients.
    #[schema(example = "10.0.0.4:6379")]
    pub resp: String,
    /// By other nodes; empty: 10000 above.
    #[serde(default)]
    pub rpc: String,
    /// By HTTP; empty if it is not reachable.
    #[serde(default)]
    pub http: String,
}

/// What an action did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// In one sentence.
    #[schema(example = "node 3 is a voter")]
    pub message: String,
    /// The member it concerned, if one.
    pub id: Option<u64>,
    /// The log index it took effect at, if it went through the log.
    pub index: Option<u64>,
}

/// Whether the cluster does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Every member is there and follows.
    Healthy,
    /// It serves, but a member is away or behind.
    Degraded,
    /// It cannot serve: too few voters are there, or they have no leader yet.
    NoQuorum,
}

/// The part a member plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A voter whose turn it is.
    Leader,
    /// Counts for the quorum.
    Voter,
    /// Receives the log on its way to become a voter.
    Learner,
    /// Receives the log for good.
    Replica,
}

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It follows.
    Healthy,
    /// It has not applied what it should.
    CatchingUp,
    /// It does not answer.
    Unreachable,
}

/// One member. What only the member itself knows is missing while it does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Its id, never used again.
    pub id: u64,
    /// Where Redis clients reach it.
    pub resp: String,
    /// Where other nodes reach it.
    pub rpc: String,
    /// Where HTTP reaches it; may be empty.
    pub http: String,
    /// The part it plays.
    pub role: Role,
    /// How it is.
    pub state: State,
    /// The newest term it has seen.
    pub term: Option<u64>,
    /// The log index it has applied.
    pub applied: Option<u64>,
    /// Log entries between the last committed one and the one it has applied.
    pub lag: Option<u64>,
    /// Keys it holds.
    pub keys: Option<u64>,
    /// Bytes its files take.
    pub disk_bytes: Option<u64>,
    /// Microseconds to it and back.
    pub rtt_us: Option<u64>,
    /// What it runs.
    pub version: Option<String>,
}

/// What the quorum is and how far it is from being lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quorum {
    /// Voters; while membership changes, of the configuration that is closer to losing its quorum.
    pub voters: usize,
    /// How many of them must be there.
    pub needed: usize,
    /// How many are there.
    pub reachable: usize,
    /// How many more may be lost.
    pub spare: usize,
}

/// The cluster, seen from one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterView {
    /// 32 hexadecimal digits.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// The node that answers.
    pub node: u64,
    /// The leader, if one is known.
    pub leader: Option<u64>,
    /// The newest term the answering node has seen.
    pub term: u64,
    /// The newest log index it knows to be committed.
    pub committed: u64,
    /// The quorum.
    pub quorum: Quorum,
    /// Whether it works.
    pub health: Health,
    /// 99 of 100 writes at the leader took at most so many microseconds.
    pub commit_p99_us: Option<u64>,
    /// Everybody, by id.
    pub members: Vec<MemberView>,
}

/// What a backend knows; `ClusterView` is concluded from it.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// See `ClusterView`.
    pub cluster: String,
    /// See `ClusterView`.
    pub name: String,
    /// See `ClusterView`.
    pub node: u64,
    /// See `ClusterView`.
    pub leader: Option<u64>,
    /// See `ClusterView`.
    pub term: u64,
    /// See `ClusterView`.
    pub committed: u64,
    /// See `ClusterView`.
    pub commit_p99_us: Option<u64>,
    /// The set of voters, or two while membership changes.
    pub voter_sets: Vec<Vec<u64>>,
    /// See `ClusterView`.
    pub members: Vec<MemberView>,
}

impl From<ClusterFacts> for ClusterView {
    fn from(facts: ClusterFacts) -> ClusterView {
        let quorums = facts.voter_sets.iter().map(|voters| quorum(voters, &facts.members));
        let distance = |quorum: &Quorum| quorum.reachable as isize - quorum.needed as isize;
        let quorum = quorums.min_by_key(distance).unwrap_or_else(|| quorum(&[], &facts.members));
        let health = health(&quorum, facts.leader, &facts.members);
        let ClusterFacts { cluster, name, node, leader, term, committed, commit_p99_us, .. } =
            facts;
        let members = facts.members;
        ClusterView {
            cluster,
            name,
            node,
            leader,
            term,
            committed,
            quorum,
            health,
            commit_p99_us,
            members,
        }
    }
}

fn quorum(voters: &[u64], members: &[MemberView]) -> Quorum {
    let there = |id: &&u64| {
        members.iter().any(|member| member.id == **id && member.state != State::Unreachable)
    };
    let reachable = voters.iter().filter(there).count();
    let needed = voters.len() / 2 + 1;
    Quorum { voters: voters.len(), needed, reachable, spare: reachable.saturating_sub(needed) }
}

fn health(quorum: &Quorum, leader: Option<u64>, members: &[MemberView]) -> Health {
    let healthy = |member: &MemberView| member.state == State::Healthy;
    if leader.is_none() || quorum.reachable < quorum.needed {
        Health::NoQuorum
    } else if members.iter().all(healthy) {
        Health::Healthy
    } else {
        Health::Degraded
    }
}

/// The states of all replicas at one log index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DigestView {
    /// The log index.
    pub index: u64,
    /// Whether every replica that answered has the same state.
    pub equal: bool,
    /// Every member.
    pub replicas: Vec<ReplicaDigest>,
}

/// The state of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaDigest {
    /// The member.
    pub id: u64,
    /// 32 hexadecimal digits, if it answered.
    pub digest: Option<String>,
    /// Why it did not.
    pub error: Option<String>,
}

impl DigestView {
    /// Compares what the replicas answered.
    pub fn of(index: u64, replicas: Vec<ReplicaDigest>) -> DigestView {
        let mut digests = replicas.iter().filter_map(|replica| replica.digest.as_deref());
        let first = digests.next();
        let equal = digests.all(|digest| Some(digest) == first);
        DigestView { index, equal, replicas }
    }
}
