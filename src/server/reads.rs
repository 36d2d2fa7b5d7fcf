//! Linearizable reads: a barrier, then one view for a run of them.
//!
//! Whether a key has expired is decided by log time. A read that meets a key which is due by the
//! clock, but not yet by log time, first has log time pushed forward: so a key that was reported
//! gone never comes back, on any node.

use bytes::Bytes;
use raft::ReadError;
use resp::{Reply, ReplyError};
use storage::{Lookups, View};

use super::{Replica, now};
use crate::commands;
use crate::session::Query;
use crate::telemetry::Metrics;

/// By log time alone, whatever the clock says.
const LOG_TIME: u64 = 0;

/// Answers the queries in their order, all behind one barrier, until one of the replies is not
/// accepted.
pub async fn run(
    replica: &Replica,
    telemetry: &Metrics,
    queries: &[Query],
    mut reply: impl FnMut(&Query, &Reply) -> bool,
) {
    let begun = now();
    let confirmed = barrier(replica).await;
    let read = now();
    telemetry.read.barrier.record(read - begun);
    if let Err(error) = confirmed {
        let error = Reply::Error(error);
        queries.iter().all(|query| reply(query, &error));
        return;
    }
    if let Some(late) = answer(replica, queries, replica.router.now_ms(), telemetry, &mut reply) {
        let rest = queries.get(late..).unwrap_or_default();
        match push_time(replica).await {
            Ok(()) => drop(answer(replica, rest, LOG_TIME, telemetry, &mut reply)),
            Err(error) => {
                let error = Reply::Error(error);
                rest.iter().all(|query| reply(query, &error));
            }
        }
    }
    let end = now();
    telemetry.read.read.record(end - read);
    telemetry.read.total.record(end - begun);
}

/// Pushes log time forward, and waits until that has come to this node: a leader elsewhere answers
/// before.
async fn push_time(replica: &Replica) -> Result<(), ReplyError> {
    replica.router.push_time().await;
    barrier(replica).await
}

/// The versions of keys, for WATCH.
///
/// # Errors
/// When there is no leader with a quorum.
pub async fn versions(replica: &Replica, db: u32, keys: &[Bytes]) -> Result<Vec<u64>, ReplyError> {
    barrier(replica).await?;
    let mut versions = look_up(replica, db, keys, replica.router.now_ms());
    if versions.is_none() {
        push_time(replica).await?;
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
    replica.serves()?;
    match replica.consensus.read_index().await {
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &ReadError) -> ReplyError {
    ReplyError::Raw(format!("CLUSTERDOWN cannot read: {error}"))
}

/// Answers queries until one of the replies is not accepted, or one of the queries needs log time
/// to be pushed; returns which one.
fn answer(
    replica: &Replica,
    queries: &[Query],
    clock: u64,
    telemetry: &Metrics,
    reply: &mut impl FnMut(&Query, &Reply) -> bool,
) -> Option<usize> {
    let store = replica.current.load();
    let seed: u64 = rand::random();
    let mut answered = 0;
    for run in queries.chunk_by(|one, next| one.db == next.db) {
        let view = store.view(run[0].db, clock);
        for query in run {
            let answer = answer_one(&view, query, seed.wrapping_add(answered as u64));
            if view.needs_time() {
                return Some(answered);
            }
            if !reply(query, &answer) {
                return None;
            }
            answered += 1;
        }
        let Lookups { hits, misses } = view.lookups();
        telemetry.counters.keyspace_hits.add(hits);
        telemetry.counters.keyspace_misses.add(misses);
    }
    None
}

fn answer_one(view: &View<'_>, query: &Query, seed: u64) -> Reply {
    match query.command.answer(view, &query.request, seed) {
        Ok(reply) => reply,
        Err(commands::Error::Reply(error)) => Reply::Error(error),
        Err(commands::Error::Fault(fault)) => crate::node::fatal(&fault),
    }
}
