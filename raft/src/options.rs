//! Every setting of consensus, its default and its reason.
//!
//! # How long a cluster is without a leader
//! A follower ignores the loss of its leader for the lease (`election_max_ms`) after the last
//! message, then waits a random time between `election_min_ms` and `election_max_ms`, asks for
//! pre-votes and votes (two round trips and one fsync) and commits its first entry. With the
//! defaults that is 800 + 400..800 ms, counted from a message at most 100 ms old when the leader
//! died: 1.1 to 1.6 s, and with 400 ms of spread between two candidates they hardly ever collide.
//! So clients are served again within 2 s. Shorter times would save half a second and make every
//! fsync that stalls for as long an election.

use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};

/// Never more voters than this: each one makes every write wait for more of them.
pub const VOTERS_MAX: usize = 7;

/// Ids of the members that found a shard are at most this; all others are larger.
pub const FOUNDER_MAX: u64 = VOTERS_MAX as u64;

/// Settings of one shard. Times are in milliseconds where the name says so.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often an idle leader shows that it is alive. Must exceed what an fsync takes at its
    /// worst on a follower, as an acknowledgement waits for it.
    pub heartbeat_ms: u64,
    /// Least time without a leader before standing for election, after the lease.
    pub election_min_ms: u64,
    /// Most of that time; also the lease: how long a follower keeps faith with a silent leader.
    pub election_max_ms: u64,
    /// Largest command that is accepted.
    pub command_bytes_max: usize,
    /// Entries in one append to a follower.
    pub append_entries_max: u64,
    /// Entries that are applied at once.
    pub apply_entries_max: usize,
    /// Bytes of entries that are applied at once.
    pub apply_bytes_max: usize,
    /// Chunks that wait for the state machine; then consensus hands over no more.
    pub apply_chunks_max: usize,
    /// A snapshot is taken when the log grew by this much since the last one.
    pub snapshot_log_bytes: u64,
    /// A snapshot is taken after this time if the log grew at all.
    pub snapshot_interval: Duration,
    /// Log kept behind a snapshot, for members that lag. Should exceed what is written while one
    /// snapshot is transferred, or a slow member needs another one for ever.
    pub log_bytes_kept: u64,
    /// Size of the pieces a snapshot is sent in.
    pub snapshot_chunk_bytes: usize,
    /// Limit on the bandwidth of a snapshot's transfer.
    pub snapshot_bytes_per_second: Option<u64>,
    /// A transfer or a stream that makes no progress for this long is given up.
    pub idle_timeout: Duration,
    /// How long a receiver may take to check and install a snapshot that has arrived.
    pub install_timeout: Duration,
    /// How long a linearizable read waits for its index and for that to be applied.
    pub read_timeout: Duration,
    /// Reads that wait for the barrier at most.
    pub reads_max: usize,
    /// How far behind the leader's log a learner may be when it becomes a voter.
    pub catch_up_entries: u64,
    /// How long a promotion waits for the learner to catch up.
    pub catch_up_timeout: Duration,
    /// How long a change of membership may take to be committed.
    pub change_timeout: Duration,
    /// How long a transfer of leadership may take.
    pub transfer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_min_ms: 400,
            election_max_ms: 800,
            command_bytes_max: 64 << 20,
            append_entries_max: 1024,
            apply_entries_max: 1024,
            apply_bytes_max: 4 << 20,
            apply_chunks_max: 8,
            snapshot_log_bytes: 512 << 20,
            snapshot_interval: Duration::from_secs(3600),
            log_bytes_kept: 256 << 20,
            snapshot_chunk_bytes: 512 << 10,
            snapshot_bytes_per_second: None,
            idle_timeout: Duration::from_secs(10),
            install_timeout: Duration::from_secs(300),
            read_timeout: Duration::from_secs(3),
            reads_max: 65_536,
            catch_up_entries: 1024,
            catch_up_timeout: Duration::from_secs(60),
            change_timeout: Duration::from_secs(10),
            transfer_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// What openraft is told.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        Config {
            cluster_name: "talus".into(),
            heartbeat_interval: self.heartbeat_ms,
            heartbeat_min_interval: Some(self.heartbeat_ms / 2),
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            enable_pre_vote: Some(true),
            // A restarted leader may not lead again with a state machine that lags its log.
            enable_leader_restore: Some(false),
            // Followers of a leader that has lost its quorum must notice.
            quorum_loss_probe_interval: Some(2 * self.election_max_ms),
            max_payload_entries: self.append_entries_max,
            max_append_entries: Some(4096),
            // Snapshots and purges are ours to trigger: by bytes, not by entries.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            purge_batch_size: 1,
            replication_lag_threshold: self.catch_up_entries,
            install_snapshot_timeout: 10_000,
            allow_log_reversion: None,
            ..Config::default()
        }
        .validate()
    }

    /// The lease a follower grants to its leader.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.election_max_ms)
    }

    /// Largest message between nodes: one command over the limit of a batch, and what surrounds it.
    pub(crate) fn message_bytes_max(&self) -> usize {
        2 * self.command_bytes_max + (16 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_quick() {
        let options = Options::default();
        let config = options.config().expect("valid");
        assert_eq!(config.enable_leader_restore, Some(false));
        let slowest = config.heartbeat_interval + 2 * config.election_timeout_max;
        assert!(slowest < 2000, "failover must fit into two seconds");
    }
}
