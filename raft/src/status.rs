//! What this node knows of a shard, for people, metrics and routing.
//!
//! Taken from openraft's metrics: at once when leader, term or membership change, otherwise a few
//! times a second, so that it costs nothing per write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftMetrics;
use openraft::{Instant as _, Raft, ServerState};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::adapter::Adapter;
use crate::machine::StateMachine;
use crate::types::{LogId, Node, NodeId, Types};

/// What a node does in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Receives the log, has no vote.
    #[default]
    Learner,
    /// Receives the log and votes.
    Follower,
    /// Stands for election.
    Candidate,
    /// Takes writes.
    Leader,
    /// Takes part no more.
    Stopped,
}

/// State of a shard as one node sees it. Indexes are 0 where there is none yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The node that says this.
    pub node: NodeId,
    /// What it does.
    pub role: Role,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// Last index of the log.
    pub last_log: u64,
    /// Last index known to be committed.
    pub committed: u64,
    /// Last index that the state machine has applied.
    pub applied: u64,
    /// Last index in the current snapshot.
    pub snapshot: u64,
    /// Last index that was removed from the log.
    pub purged: u64,
    /// Index of the entry that the membership comes from.
    pub membership_index: u64,
    /// Members with a vote. While voters change, of the old and the new set.
    pub voters: BTreeSet<NodeId>,
    /// Each of which has to agree by a majority: one set, or two while voters change.
    pub voter_sets: Vec<BTreeSet<NodeId>>,
    /// Members without.
    pub learners: BTreeSet<NodeId>,
    /// Where members are reached.
    pub members: BTreeMap<NodeId, Node>,
    /// At the leader: the index up to which each member's log equals the leader's.
    pub replication: BTreeMap<NodeId, u64>,
    /// At the leader: milliseconds since each other member last answered.
    pub silent_ms: BTreeMap<NodeId, u64>,
    /// Why consensus does not run.
    pub fault: Option<String>,
}

impl Status {
    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// Whether voters are changing.
    pub fn is_joint(&self) -> bool {
        self.voter_sets.len() > 1
    }

    /// Where the leader is reached, if known.
    pub fn leader_node(&self) -> Option<&Node> {
        self.members.get(&self.leader?)
    }

    pub(crate) fn of<S: StateMachine>(metrics: &RaftMetrics<Types<S>>, applied: u64) -> Self {
        let stored = &metrics.membership_config;
        let membership = stored.membership();
        let index = |id: &Option<LogId>| id.map_or(0, |id| id.index);
        let committed = metrics.cluster_committed.max(metrics.local_committed);
        let replication = metrics.replication.iter().flatten();
        let heartbeat = metrics.heartbeat.iter().flatten();
        Self {
            node: metrics.id,
            role: role(metrics),
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: index(&committed),
            applied,
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            membership_index: index(stored.log_id()),
            voters: membership.voter_ids().collect(),
            voter_sets: membership.get_joint_config().clone(),
            learners: membership.learner_ids().collect(),
            members: membership.nodes().map(|(id, node)| (*id, node.clone())).collect(),
            replication: replication.map(|(id, matched)| (*id, index(matched))).collect(),
            silent_ms: heartbeat
                .filter(|(id, _)| **id != metrics.id)
                .filter_map(|(id, at)| Some((*id, at.as_ref()?.elapsed().as_millis() as u64)))
                .collect(),
            fault: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }
}

fn role<S: StateMachine>(metrics: &RaftMetrics<Types<S>>) -> Role {
    if metrics.running_state.is_err() {
        return Role::Stopped;
    }
    match metrics.state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

/// How often data may change without a change of leader or membership being waited for.
const REFRESH: Duration = Duration::from_millis(200);

/// Keeps a status up to date on the current runtime.
pub(crate) fn follow<S: StateMachine>(
    raft: Raft<Types<S>, Adapter<S>>,
    applied: watch::Receiver<u64>,
) -> watch::Receiver<Status> {
    let first = current(&raft, &applied);
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let (mut server, mut data) = (raft.server_metrics(), raft.data_metrics());
        loop {
            let slow = async {
                sleep(REFRESH).await;
                data.changed().await
            };
            let changed = tokio::select! {
                changed = server.changed() => changed,
                changed = slow => changed,
                () = sender.closed() => return,
            };
            let status = current(&raft, &applied);
            sender.send_if_modified(|old| std::mem::replace(old, status.clone()) != status);
            if changed.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The status as of now.
pub(crate) fn current<S: StateMachine>(
    raft: &Raft<Types<S>, Adapter<S>>,
    applied: &watch::Receiver<u64>,
) -> Status {
    let metrics = raft.metrics().borrow_watched().clone();
    Status::of::<S>(&metrics, *applied.borrow())
}
