//! Linearizable reads: a barrier, then one view for a run of them.
//!
//! Whether a key has expired is decided by log time. A read that meets a key which is due by the
//! clock, but not yet by log time, first has log time pushed forward: so a key that was reported
//! gone never comes back, on any node.

use bytes::Bytes;
use raft::ReadError;
use resp::{Reply, ReplyError};
use storage::View;

use super::Replica;
use crate::commands;
use crate::router::wall_clock_ms;
use crate::session::Query;

/// By log time alone, whatever the clock says.
const LOG_TIME: u64 = 0;

/// Answers the queries, all behind one barrier.
pub async fn run(replica: &Replica, queries: &[Query]) -> Vec<Reply> {
    if let Err(error) = barrier(replica).await {
        return vec![Reply::Error(error); queries.len()];
    }
    let mut replies = Vec::with_capacity(queries.len());
    answer(replica, queries, &mut replies, wall_clock_ms());
    if replies.len() < queries.len() {
        replica.router.push_time().await;
        answer(replica, queries, &mut replies, LOG_TIME);
    }
    replies
}

/// The versions of keys, for WATCH.
///
/// # Errors
/// When there is no leader with a quorum.
pub async fn versions(replica: &Replica, db: u32, keys: &[Bytes]) -> Result<Vec<u64>, ReplyError> {
    barrier(replica).await?;
    let mut versions = look_up(replica, db, keys, wall_clock_ms());
    if versions.is_none() {
        replica.router.push_time().await;
        versions = look_up(replica, db, keys, LOG_TIME);
    }
    Ok(versions.unwrap_or_default())
}

fn look_up(replica: &Replica, db: u32, keys: &[Bytes], clock: u64) -> Option<Vec<u64>> {
    let store = replica.current.load();
    let view = store.view(db, clock);
    let versions = keys.iter().map(|key| view.version(key)).collect::<Result<_, _>>();
    let versions = versions.unwrap_or_else(|fault| crate::node::fatal(&fault));
    (!view.needs_time()).then_some(versions)
}

/// Waits until this node's state holds everything acknowledged before now.
///
/// # Errors
/// `CLUSTERDOWN` when there is no leader with a quorum.
pub async fn barrier(replica: &Replica) -> Result<(), ReplyError> {
    if replica.consensus.reads_are_local() {
        return Ok(());
    }
    match replica.consensus.read_index().await {
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &ReadError) -> ReplyError {
    ReplyError::Raw(format!("CLUSTERDOWN cannot read: {error}"))
}

/// Answers queries until one of them needs log time to be pushed.
fn answer(replica: &Replica, queries: &[Query], replies: &mut Vec<Reply>, clock: u64) {
    let store = replica.current.load();
    let mut queries = queries.iter().skip(replies.len()).peekable();
    while let Some(first) = queries.peek() {
        let view = store.view(first.db, clock);
        let db = first.db;
        while let Some(query) = queries.next_if(|q| q.db == db) {
            let reply = answer_one(&view, query);
            if view.needs_time() {
                return;
            }
            replies.push(reply);
        }
    }
}

fn answer_one(view: &View<'_>, query: &Query) -> Reply {
    match query.command.answer(view, &query.request, rand::random()) {
        Ok(reply) => reply,
        Err(commands::Error::Reply(error)) => Reply::Error(error),
        Err(commands::Error::Fault(fault)) => crate::node::fatal(&fault),
    }
}
