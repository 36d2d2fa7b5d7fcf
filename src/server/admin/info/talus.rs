//! `# Talus`: what Redis has no name for.

use raft::log::WalStats;

use super::{Facts, Field, field};
use crate::telemetry::{Histogram, Metrics};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let (server, replica) = (facts.server, &facts.replica);
    let mut fields = vec![
        field("cluster_id", &facts.place.cluster),
        field("cluster_name", &replica.identity.cluster_name),
        field("shard_id", facts.place.shard),
        field("reads_are_local", u8::from(replica.consensus.reads_are_local())),
        field("log_time_ms", replica.current.load().log_time()),
        field("waiting_write_bytes", replica.router.waiting_bytes()),
    ];
    fields.extend(store(&replica.current.load().stats()));
    fields.extend(log(&replica.wal.stats()));
    fields.extend(counters(&server.telemetry));
    fields.extend(stages(&server.telemetry));
    fields
}

fn store(stats: &storage::Stats) -> Vec<Field> {
    vec![
        field("store_row_bytes", stats.cache.bytes),
        field("store_rows_in_memory", stats.cache.rows),
        field("store_row_hits", stats.cache.hits),
        field("store_row_misses", stats.cache.misses),
        field("store_block_bytes", stats.block_bytes),
        field("store_memtable_bytes", stats.memtable_bytes),
        field("store_dirty_bytes", stats.dirty_bytes),
        field("store_dirty_rows", stats.dirty_rows),
        field("store_file_bytes", stats.file_bytes),
        field("store_disk_reads", stats.rocks_reads),
        field("store_commits", stats.commits),
        field("store_drains", stats.drains),
    ]
}

fn log(stats: &WalStats) -> Vec<Field> {
    vec![
        field("log_entries_appended", stats.entries),
        field("log_bytes_written", stats.bytes),
        field("log_syncs", stats.syncs),
        field("log_segments", stats.segments),
        field("log_bytes_in_memory", stats.cache_bytes),
        field("log_pending_bytes", stats.pending_bytes),
    ]
}

fn counters(metrics: &Metrics) -> Vec<Field> {
    let counters = &metrics.counters;
    vec![
        field("entries_proposed", counters.entries_proposed.since_reset()),
        field("requests_forwarded", counters.requests_forwarded.since_reset()),
        field("connections_moved", counters.connections_moved.since_reset()),
        field("busy_replied", counters.busy_replied.since_reset()),
        field("uncertain_replied", counters.uncertain_replied.since_reset()),
        field("cluster_down_replied", counters.cluster_down_replied.since_reset()),
        field("leader_changes", counters.leader_changes.since_reset()),
        field("snapshots_taken", counters.snapshots_taken.since_reset()),
        field("snapshots_received", counters.snapshots_received.since_reset()),
    ]
}

/// Where requests spend their time, a line a stage.
fn stages(metrics: &Metrics) -> Vec<Field> {
    let writes = metrics.write.all().map(|(stage, _, times)| stage_line("write", stage, times));
    let reads = metrics.read.all().map(|(stage, _, times)| stage_line("read", stage, times));
    writes.chain(reads).collect()
}

fn stage_line(path: &str, stage: &str, times: &Histogram) -> Field {
    let times = times.since_reset();
    let count = times.count();
    let micros = |percent: f64| {
        let time = times.percentile(percent).filter(|_| count > 0).unwrap_or_default();
        time.as_secs_f64() * 1e6
    };
    let (p50, p99, p999) = (micros(50.0), micros(99.0), micros(99.9));
    field(
        format!("latency_{path}_{stage}_usec"),
        format_args!("count={count},p50={p50:.1},p99={p99:.1},p99.9={p999:.1}"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::admin::info::tests::lines;

    #[test]
    fn every_stage_has_a_line() {
        let metrics = Metrics::new([]);
        metrics.write.fsync.record(Duration::from_micros(100));
        let lines = lines(&stages(&metrics));
        let line = |start: &str| {
            let found = lines.iter().find(|line| line.starts_with(start));
            found.unwrap_or_else(|| panic!("no {start} in {lines:?}")).clone()
        };
        assert!(line("latency_write_fsync_usec:").contains("count=1,p50=1"));
        assert!(line("latency_read_barrier_usec:").ends_with("count=0,p50=0.0,p99=0.0,p99.9=0.0"));
    }
}
