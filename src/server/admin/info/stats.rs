//! `# Stats` and `# Errorstats`: what was counted since the start or CONFIG RESETSTAT.

use super::{Facts, Field, field, zeros};
use crate::telemetry::{Counter, Metrics};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let metrics = &facts.server.telemetry;
    let mut fields = traffic(metrics);
    fields.extend(keys(metrics, &facts.replica.current.load().stats()));
    fields.extend(zeros([
        "pubsub_channels",
        "pubsub_patterns",
        "pubsubshard_channels",
        "latest_fork_usec",
        "total_forks",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
        "unexpected_error_replies",
    ]));
    fields.push(field("total_error_replies", metrics.counters.errors_replied.since_reset()));
    fields.extend(zeros([
        "dump_payload_sanitizations",
        "total_reads_processed",
        "total_writes_processed",
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "reply_buffer_shrinks",
        "reply_buffer_expands",
        "acl_access_denied_auth",
        "acl_access_denied_cmd",
        "acl_access_denied_key",
        "acl_access_denied_channel",
    ]));
    fields
}

fn traffic(metrics: &Metrics) -> Vec<Field> {
    let (counters, rates) = (&metrics.counters, &metrics.rates);
    let kib = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    let mut fields = vec![
        field("total_connections_received", counters.connections_received.since_reset()),
        field("total_commands_processed", counters.commands_processed.since_reset()),
        field("instantaneous_ops_per_sec", rates.operations().round()),
        field("total_net_input_bytes", counters.net_input_bytes.since_reset()),
        field("total_net_output_bytes", counters.net_output_bytes.since_reset()),
    ];
    fields.extend(zeros(["total_net_repl_input_bytes", "total_net_repl_output_bytes"]));
    fields.extend([
        field("instantaneous_input_kbps", kib(rates.input_bytes())),
        field("instantaneous_output_kbps", kib(rates.output_bytes())),
        field("instantaneous_input_repl_kbps", "0.00"),
        field("instantaneous_output_repl_kbps", "0.00"),
        field("rejected_connections", counters.connections_rejected.since_reset()),
        field("sync_full", counters.sync_full.since_reset()),
        field("sync_partial_ok", counters.sync_partial_ok.since_reset()),
        field("sync_partial_err", counters.sync_partial_err.since_reset()),
    ]);
    fields
}

fn keys(metrics: &Metrics, store: &storage::Stats) -> Vec<Field> {
    let counters = &metrics.counters;
    let mut fields =
        vec![field("expired_keys", store.expired), field("expired_stale_perc", "0.00")];
    fields.extend(zeros([
        "expired_time_cap_reached_count",
        "expire_cycle_cpu_milliseconds",
        "evicted_keys",
        "evicted_clients",
        "total_eviction_exceeded_time",
        "current_eviction_exceeded_time",
    ]));
    fields.extend([
        field("keyspace_hits", counters.keyspace_hits.since_reset()),
        field("keyspace_misses", counters.keyspace_misses.since_reset()),
    ]);
    fields
}

pub(super) fn errors(facts: &Facts<'_>) -> Vec<Field> {
    error_lines(&facts.server.telemetry)
}

fn error_lines(metrics: &Metrics) -> Vec<Field> {
    let line = |(kind, count): (String, u64)| {
        field(format!("errorstat_{kind}"), format_args!("count={count}"))
    };
    let counts = metrics.errors(Counter::since_reset).into_iter();
    counts.filter(|(_, count)| *count > 0).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let metrics = Metrics::new([]);
        for error in ["WRONGTYPE x", "ERR y", "ERR z"] {
            metrics.error(error);
        }
        let lines = lines(&error_lines(&metrics));
        assert_eq!(lines, ["errorstat_ERR:count=2", "errorstat_WRONGTYPE:count=1"]);
    }

    #[test]
    fn traffic_is_what_was_counted() {
        let metrics = Metrics::new([]);
        metrics.counters.connections_received.add(3);
        let lines = lines(&traffic(&metrics));
        assert_eq!(lines[0], "total_connections_received:3");
        assert!(lines.contains(&"instantaneous_input_kbps:0.00".to_owned()));
        assert!(lines.contains(&"instantaneous_ops_per_sec:0".to_owned()));
    }
}
