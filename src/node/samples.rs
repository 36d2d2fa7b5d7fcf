//! Numbers of consensus, the log and the store, for `/metrics`. They are looked up when asked for.

use std::sync::{Arc, Weak};

use raft::Status;
use raft::log::WalStats;

use crate::server::Server;
use crate::telemetry::{Sample, Source};

/// Asks the replica that the node has at that time.
pub(super) fn source(server: &Arc<Server>) -> Source {
    let server: Weak<Server> = Arc::downgrade(server);
    Box::new(move || server.upgrade().map(|server| samples(&server)).unwrap_or_default())
}

fn samples(server: &Server) -> Vec<Sample> {
    let replica = server.replica.load_full();
    let mut samples = consensus(&replica.consensus.status());
    samples.extend(log(&replica.wal.stats()));
    samples.extend(store(&replica.current.load().stats()));
    samples.push(Sample::new(
        "pending_write_bytes",
        "Bytes of writes of this node's clients that wait or are unanswered",
        replica.router.waiting_bytes() as f64,
    ));
    samples
}

fn consensus(status: &Status) -> Vec<Sample> {
    let number = |name, help, value: u64| Sample::new(name, help, value as f64);
    let mut samples = vec![
        number("raft_term", "Current term", status.term),
        number("raft_leads", "1 on the leader", u64::from(status.is_leader())),
        number("raft_leader_known", "1 if there is a leader", u64::from(status.leader.is_some())),
        number("raft_votes", "1 with a vote", u64::from(status.voters.contains(&status.node))),
        number("raft_voters", "Members with a vote", status.voters.len() as u64),
        number("raft_learners", "Members without", status.learners.len() as u64),
        number("raft_last_log_index", "Last index of the log", status.last_log),
        number("raft_committed_index", "Last index known to be committed", status.committed),
        number("raft_applied_index", "Last index applied", status.applied),
        number("raft_snapshot_index", "Last index in the current snapshot", status.snapshot),
        number("raft_purged_index", "Last index removed from the log", status.purged),
    ];
    for (member, index) in &status.replication {
        let help = "Entries that a member's log lacks, as its leader knows";
        let lag = number("raft_member_lag_entries", help, status.last_log.saturating_sub(*index));
        samples.push(lag.label("member", member));
    }
    samples
}

fn log(stats: &WalStats) -> Vec<Sample> {
    let number = |name, help, value: u64| Sample::new(name, help, value as f64);
    vec![
        number("log_entries_appended", "Entries appended since the start", stats.entries),
        number("log_bytes_written", "Bytes made durable since the start", stats.bytes),
        number("log_syncs", "Groups of records made durable since the start", stats.syncs),
        number("log_pending_bytes", "Bytes appended and not yet durable", stats.pending_bytes),
        number("log_memory_bytes", "Bytes of the log in memory", stats.cache_bytes as u64),
        number("log_segments", "Files with records that may be needed", stats.segments as u64),
    ]
}

fn store(stats: &storage::Stats) -> Vec<Sample> {
    let number = |name, help, value: u64| Sample::new(name, help, value as f64);
    let keys = stats.dbs.iter().map(|db| db.keys).sum();
    vec![
        number("store_keys", "Keys, in all databases", keys),
        number("store_expired_keys", "Keys removed because their time had come", stats.expired),
        number("store_file_bytes", "Bytes of files", stats.file_bytes),
        number(
            "store_dirty_bytes",
            "Bytes of rows not yet given to the disk store",
            stats.dirty_bytes,
        ),
        number("store_row_bytes", "Bytes of clean rows in memory", stats.cache.bytes),
        number("store_row_hits", "Rows found in memory", stats.cache.hits),
        number("store_row_misses", "Rows looked for on disk", stats.cache.misses),
        number("store_memtable_bytes", "Bytes of rows on their way to files", stats.memtable_bytes),
        number("store_block_bytes", "Bytes of blocks of files in memory", stats.block_bytes),
        number("store_drains", "Batches given to the disk store", stats.drains),
    ]
}
