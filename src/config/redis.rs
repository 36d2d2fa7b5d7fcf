//! What Redis calls things: names that tools read and that have one true answer here, and
//! directives of a `redis.conf` that mean nothing here.

use super::settings::{SETTINGS, Setting};

/// Names with one possible value: what is true of every node. `CONFIG SET` takes the value itself.
pub const CONSTANTS: &[(&str, &str)] = &[
    ("activedefrag", "no"),
    ("always-show-logo", "no"),
    // The log is on disk before a write is answered, whatever is asked for.
    ("appendfsync", "always"),
    ("appendonly", "yes"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("hz", "10"),
    ("io-threads-do-reads", "yes"),
    ("lazyfree-lazy-eviction", "no"),
    ("lazyfree-lazy-expire", "yes"),
    ("lazyfree-lazy-server-del", "yes"),
    ("lazyfree-lazy-user-del", "yes"),
    ("lazyfree-lazy-user-flush", "yes"),
    // No event blocks a node as a whole, so there are no spikes to record.
    ("latency-monitor-threshold", "0"),
    ("latency-tracking", "yes"),
    ("latency-tracking-info-percentiles", "50 99 99.9"),
    // Data lives on disk: nothing is ever evicted.
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("no-appendfsync-on-rewrite", "no"),
    ("notify-keyspace-events", ""),
    ("replica-read-only", "yes"),
    ("replica-serve-stale-data", "no"),
    ("save", ""),
    ("slave-read-only", "yes"),
    ("slave-serve-stale-data", "no"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("tls-port", "0"),
    ("unixsocket", ""),
];

/// The value of a constant, by its name in any case.
pub fn constant(name: &str) -> Option<&'static (&'static str, &'static str)> {
    CONSTANTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The row that Redis knows by `name`, or whose path is `name`; in any case of letters.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| {
        setting.redis_name.is_some_and(|known| known.eq_ignore_ascii_case(name))
            || setting.path().eq_ignore_ascii_case(name)
    })
}

/// Whether a `redis.conf` may hold `name` although nothing here depends on it.
pub fn is_without_effect(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let known = |set: &str| set.split_whitespace().any(|word| word == name);
    constant(&name).is_some()
        || known(EXACT)
        || FAMILIES.iter().any(|start| name.starts_with(start))
}

/// Directives of Redis that have nothing to act on: no forks, no eviction, no encodings to tune,
/// no replication buffers, no AOF or RDB files beside the log.
const EXACT: &str = "
    acllog-max-len activerehashing aof-load-truncated aof-rewrite-incremental-fsync
    aof-timestamp-enabled aof-use-rdb-preamble aof_rewrite_cpulist appenddirname appendfilename
    auto-aof-rewrite-min-size auto-aof-rewrite-percentage bgsave_cpulist bio_cpulist
    busy-reply-threshold crash-log-enabled crash-memcheck-enabled dbfilename disable-thp
    dynamic-hz hll-sparse-max-bytes jemalloc-bg-thread lfu-decay-time lfu-log-factor
    locale-collate logfile lua-time-limit maxmemory-clients maxmemory-eviction-tenacity
    maxmemory-samples oom-score-adj oom-score-adj-values pidfile proc-title-template
    propagation-error-behavior rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum
    rdbcompression sanitize-dump-payload server_cpulist set-proc-title shutdown-on-sigint
    shutdown-on-sigterm shutdown-timeout socket-mark-id supervised syslog-enabled syslog-facility
    syslog-ident tracking-table-max-keys unixsocketperm";

const FAMILIES: &[&str] = &[
    "active-defrag-",
    "active-expire-",
    "cluster-",
    "hash-max-",
    "list-compress-",
    "list-max-",
    "min-replicas-",
    "min-slaves-",
    "repl-",
    "replica-",
    "set-max-",
    "slave-",
    "stream-node-",
    "zset-max-",
];
