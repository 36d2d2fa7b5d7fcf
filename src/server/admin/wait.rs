//! WAIT and WAITAOF.
//!
//! A write is answered after a quorum has it on disk, so neither is needed to be safe; both tell
//! how many nodes besides the leader have it by now. The leader knows how far each member is.
//! Another node knows what follows from the quorum: it answers at once, never with too much.

use std::time::Duration;

use raft::{Role, Status};
use resp::{Reply, ReplyError};

use super::blocked::{self, Unblock};
use crate::keyspace::Keyspace;
use crate::server::{Client, Replica, Server, reads};

/// WAIT: how many members have every write that was answered before it.
pub async fn wait(server: &Server, client: &Client, replicas: u64, timeout_ms: u64) -> Reply {
    members_reached(server, client, replicas, timeout_ms).await.map(Reply::count).into()
}

/// WAITAOF: the same, and whether this node's disk has them. It has: the log is on disk before
/// this node counts for the quorum.
pub async fn wait_aof(server: &Server, client: &Client, replicas: u64, timeout_ms: u64) -> Reply {
    let reached = members_reached(server, client, replicas, timeout_ms).await;
    reached.map(|count| Reply::Array(vec![Reply::Integer(1), Reply::count(count)])).into()
}

async fn members_reached(
    server: &Server,
    client: &Client,
    replicas: u64,
    timeout_ms: u64,
) -> Result<u64, ReplyError> {
    let replica = server.replica.load_full();
    // What was answered is in the log, and the end of the log is known at once.
    let status = replica.consensus.status();
    if status.role != Role::Leader {
        return known_without_leading(&replica).await;
    }
    let index = status.last_log;
    let mut waiting = server.blocked.enter(client.id());
    tokio::select! {
        reached = enough(&replica.consensus, index, replicas) => reached,
        () = deadline(timeout_ms) => Ok(others_at(&replica.consensus.status(), index)),
        () = client.killed() => Ok(0),
        how = waiting.ended() => match how {
            Unblock::TimeOut => Ok(others_at(&replica.consensus.status(), index)),
            Unblock::Error => Err(blocked::unblocked()),
        },
    }
}

/// Looks again after twice the time, up to a limit, until enough members have the entry.
async fn enough(
    consensus: &raft::Consensus<Keyspace>,
    index: u64,
    replicas: u64,
) -> Result<u64, ReplyError> {
    const PAUSE_MAX: Duration = Duration::from_millis(16);
    let mut pause = Duration::from_millis(1);
    loop {
        let status = consensus.status();
        let reached = others_at(&status, index);
        if reached >= replicas {
            return Ok(reached);
        }
        if status.role != Role::Leader {
            return Err(blocked::lost_leadership());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Returns after that time; 0 is never, as in Redis.
async fn deadline(timeout_ms: u64) {
    match timeout_ms {
        0 => std::future::pending().await,
        _ => tokio::time::sleep(Duration::from_millis(timeout_ms)).await,
    }
}

/// Members other than this node, which leads, whose log holds the entry at `index`.
fn others_at(status: &Status, index: u64) -> u64 {
    let others = status.replication.iter().filter(|(id, _)| **id != status.node);
    others.filter(|(_, matched)| **matched >= index).count() as u64
}

/// What a node knows that does not lead, after a barrier: it has everything itself, and so has a
/// quorum of the voters it knows, unless they are changing.
async fn known_without_leading(replica: &Replica) -> Result<u64, ReplyError> {
    reads::barrier(replica).await?;
    Ok(known_by_quorum(&replica.consensus.status()))
}

fn known_by_quorum(status: &Status) -> u64 {
    if status.is_joint() || status.membership_index > status.applied {
        return 1;
    }
    let besides_leader = status.voters.len() as u64 / 2;
    match status.voters.contains(&status.node) {
        true => besides_leader.max(1),
        false => besides_leader + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_counts_the_others() {
        let replication = [(1, 9), (2, 9), (3, 8)].into();
        let status = Status { node: 1, replication, ..Status::default() };
        assert_eq!(
            (others_at(&status, 8), others_at(&status, 9), others_at(&status, 10)),
            (2, 1, 0)
        );
    }

    #[test]
    fn a_follower_promises_no_more_than_the_quorum() {
        let shard = |node, voters: &[u64]| Status {
            node,
            voters: voters.iter().copied().collect(),
            membership_index: 5,
            applied: 7,
            ..Status::default()
        };
        assert_eq!(known_by_quorum(&shard(2, &[1, 2, 3])), 1);
        assert_eq!(known_by_quorum(&shard(2, &[1, 2, 3, 4, 5])), 2);
        assert_eq!(known_by_quorum(&shard(2, &[1, 2])), 1);
        assert_eq!(known_by_quorum(&shard(9, &[1, 2, 3])), 2);
        let voter_sets = vec![[1, 2].into(), [1, 2, 3, 4, 5].into()];
        let changing = Status { voter_sets, ..shard(2, &[1, 2, 3, 4, 5]) };
        assert_eq!(known_by_quorum(&changing), 1);
        let uncommitted = Status { applied: 4, ..shard(2, &[1, 2, 3, 4, 5]) };
        assert_eq!(known_by_quorum(&uncommitted), 1);
    }
}
