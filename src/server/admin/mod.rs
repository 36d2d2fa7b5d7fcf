//! What clients ask of the node or the cluster rather than of the data.
//!
//! One file a deed. A deed reads the node's state once, and answers from that; nothing here goes
//! through the log. What Redis has and this server has not is answered with the truth, which is
//! mostly zero or nothing, so that tools keep working.
//!
//! Invariants
//! * Consensus is looked at through [`place::Place`], so that one answer shows one state.
//! * Nothing here blocks a thread: what takes long runs elsewhere, what waits has a limit or ends
//!   with its connection.
//! * A fault of the store stops the node; it is never an answer.

mod blocked;
mod clients;
mod cluster;
mod config;
mod debug;
mod info;
mod latency;
mod members;
mod memory;
mod persistence;
mod place;
mod process;
mod replication;
mod slowlog;
mod store;
mod time;
mod wait;

use std::sync::Arc;

use resp::Reply;

use super::{Client, Server};
use crate::commands::verbs::AdminVerb;

pub use blocked::Blocked;
pub use memory::MemoryMarks;
pub use persistence::Saves;
pub use slowlog::SlowLog;

/// Carries out what `client` asks of the node.
pub async fn carry_out(server: &Arc<Server>, client: &Arc<Client>, verb: AdminVerb) -> Reply {
    use AdminVerb as Verb;
    match verb {
        Verb::Time => time::time(),
        Verb::Info { sections } => info::info(server, &sections),
        Verb::ConfigGet(patterns) => config::get(server, &patterns),
        Verb::ConfigSet(pairs) => config::set(server, &pairs),
        Verb::ConfigRewrite => config::rewrite(server).await,
        Verb::ConfigResetStat => config::reset_stat(server),
        Verb::ClientList { kind, ids } => clients::list(server, kind, &ids),
        Verb::ClientKill(whom) => clients::kill(server, client, &whom),
        Verb::ClientPause { timeout_ms, all } => clients::pause(server, timeout_ms, all),
        Verb::ClientUnpause => clients::unpause(server),
        Verb::ClientUnblock { id, error } => clients::unblock(server, id, error),
        Verb::Debug(verb) => debug::debug(server, client, verb).await,
        Verb::Role => replication::role(server),
        Verb::ReplicaOf { host, port } => replication::replica_of(server, host, port).await,
        Verb::ReplicaOfNoOne => replication::replica_of_no_one(server).await,
        Verb::Wait { replicas, timeout_ms } => {
            wait::wait(server, client, replicas, timeout_ms).await
        }
        Verb::WaitAof { replicas, timeout_ms, .. } => {
            wait::wait_aof(server, client, replicas, timeout_ms).await
        }
        Verb::Failover(request) => replication::failover(server, &request).await,
        Verb::LastSave => persistence::last_save(server),
        Verb::Save => persistence::save(server).await,
        Verb::BgSave => persistence::background_save(server),
        Verb::Shutdown(how) => persistence::shut_down(server, how).await,
        Verb::Cluster(verb) => cluster::cluster(server, verb).await,
        Verb::TalusMembers => members::members(server),
        Verb::SlowlogGet { count } => slowlog::get(server, count),
        Verb::SlowlogLen => slowlog::len(server),
        Verb::SlowlogReset => slowlog::reset(server),
        Verb::LatencyLatest => latency::latest(),
        Verb::LatencyHistory(_) => latency::history(),
        Verb::LatencyGraph(event) => latency::graph(&event),
        Verb::LatencyReset(_) => latency::reset(),
        Verb::LatencyDoctor => latency::doctor(),
        Verb::LatencyHistogram(names) => latency::histogram(server, &names),
        Verb::MemoryStats => memory::stats(server),
        Verb::MemoryDoctor => memory::doctor(server),
        Verb::MemoryMallocStats => memory::malloc_stats().await,
        Verb::MemoryPurge => memory::purge().await,
    }
}
