//! Whether this node is in touch with the rest of its shard, so that it could serve a client now.
//!
//! A status says who leads as far as a node knows, and a node that is cut off keeps believing it.
//! Contact is judged by what was heard lately.

use std::time::Duration;

use crate::consensus::Consensus;
use crate::machine::StateMachine;
use crate::mutant::Mutant;
use crate::status::Status;
use crate::types::NodeId;

/// What keeps a node from serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Consensus does not run here any more.
    #[error("consensus has stopped: {0}")]
    Stopped(String),
    /// There is none, or nobody has told this node.
    #[error("no leader is known")]
    NoLeader,
    /// The leader is silent, or cannot be heard.
    #[error("nothing was heard of the leader, node {0}, lately")]
    LeaderSilent(NodeId),
    /// This node leads, but too few voters follow it.
    #[error("{reachable} of {voters} voters answer: no quorum")]
    NoQuorum {
        /// Voters that answer.
        reachable: usize,
        /// Voters.
        voters: usize,
    },
    /// The leader is heard, but what it sends is not here yet.
    #[error("the data is on its way to this node")]
    Syncing,
}

/// Contact with the rest of the shard.
impl<S: StateMachine> Consensus<S> {
    /// Whether this node could serve a client now; if not, why not.
    pub fn contact(&self) -> Result<(), Lost> {
        let patience = 2 * self.options().lease();
        let arriving = self.receiver().is_receiving();
        let status = self.status();
        if Mutant::LongLease.is_on() && status.is_leader() {
            return Ok(());
        }
        judge(&status, self.leader_silence(), arriving, patience)
    }
}

fn judge(
    status: &Status,
    silence: Option<Duration>,
    arriving: bool,
    patience: Duration,
) -> Result<(), Lost> {
    if let Some(fault) = &status.fault {
        return Err(Lost::Stopped(fault.clone()));
    }
    if status.is_leader() {
        return has_quorum(status, patience);
    }
    let leader = status.leader.ok_or(Lost::NoLeader)?;
    if silence.is_none_or(|silence| silence > patience) {
        return Err(Lost::LeaderSilent(leader));
    }
    // Who has nothing yet does not even know where its leader is.
    if arriving || status.members.is_empty() { Err(Lost::Syncing) } else { Ok(()) }
}

fn has_quorum(status: &Status, patience: Duration) -> Result<(), Lost> {
    let heard = |id: &&NodeId| {
        let silent = status.silent_ms.get(*id);
        **id == status.node || silent.is_some_and(|ms| Duration::from_millis(*ms) <= patience)
    };
    for voters in &status.voter_sets {
        let (reachable, voters) = (voters.iter().filter(heard).count(), voters.len());
        if reachable <= voters / 2 {
            return Err(Lost::NoQuorum { reachable, voters });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Role;
    use crate::types::Node;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn of_three(role: Role, leader: Option<NodeId>) -> Status {
        let members = (1..=3).map(|id| (id, Node::default())).collect();
        let voter_sets = vec![[1, 2, 3].into()];
        Status { node: 1, role, leader, voter_sets, members, ..Status::default() }
    }

    #[test]
    fn a_leader_needs_a_quorum_that_answers() {
        let mut status = of_three(Role::Leader, Some(1));
        let none = Lost::NoQuorum { reachable: 1, voters: 3 };
        assert_eq!(judge(&status, None, false, PATIENCE), Err(none.clone()));
        status.silent_ms = [(2, 2001), (3, 9000)].into();
        assert_eq!(judge(&status, None, false, PATIENCE), Err(none));
        status.silent_ms.insert(3, 90);
        assert_eq!(judge(&status, None, false, PATIENCE), Ok(()));
    }

    #[test]
    fn each_of_two_sets_of_voters_must_answer() {
        let mut status = of_three(Role::Leader, Some(1));
        status.voter_sets.push([1, 4, 5].into());
        status.silent_ms = [(2, 90), (3, 90)].into();
        let none = Lost::NoQuorum { reachable: 1, voters: 3 };
        assert_eq!(judge(&status, None, false, PATIENCE), Err(none));
        status.silent_ms.insert(4, 90);
        assert_eq!(judge(&status, None, false, PATIENCE), Ok(()));
    }

    #[test]
    fn a_follower_needs_a_leader_that_it_hears() {
        let status = of_three(Role::Follower, Some(2));
        let lately = Some(Duration::from_millis(100));
        assert_eq!(judge(&status, lately, false, PATIENCE), Ok(()));
        assert_eq!(judge(&status, None, false, PATIENCE), Err(Lost::LeaderSilent(2)));
        let long = Some(Duration::from_secs(3));
        assert_eq!(judge(&status, long, false, PATIENCE), Err(Lost::LeaderSilent(2)));
        let alone = of_three(Role::Candidate, None);
        assert_eq!(judge(&alone, lately, false, PATIENCE), Err(Lost::NoLeader));
    }

    #[test]
    fn a_node_that_awaits_its_data_serves_nobody() {
        let lately = Some(Duration::from_millis(100));
        let fresh = Status { role: Role::Learner, leader: Some(2), ..Status::default() };
        assert_eq!(judge(&fresh, lately, false, PATIENCE), Err(Lost::Syncing));
        let behind = of_three(Role::Learner, Some(2));
        assert_eq!(judge(&behind, lately, true, PATIENCE), Err(Lost::Syncing));
    }
}
