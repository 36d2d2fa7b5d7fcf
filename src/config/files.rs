//! Open files: what a node needs, and what the operating system lets it have.
//!
//! Clients must never take what the log and the data need: a log that cannot open its next file
//! stops the node. So the limit is raised before anything is opened, and where it cannot be raised,
//! fewer clients are admitted.

use super::settings::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets of other nodes, files of a snapshot that is made or sent, and what libraries open.
const SUNDRY: u64 = 128;
/// A node that admits fewer clients is not worth starting.
pub const CLIENTS_MIN: u32 = 16;

impl Config {
    /// Files that a node opens beside its clients' sockets.
    pub fn own_files(&self) -> u64 {
        let raft = &self.raft;
        // A snapshot is due at this size; while it is made, as much again may be written.
        let log_bytes = 2 * (raft.snapshot_log_bytes.0 + raft.log_keep_bytes.0);
        let log_files = log_bytes.div_ceil(raft.log_segment_bytes.0);
        let data_files = storage::OPEN_FILES_MAX as u64;
        log_files + data_files + u64::from(self.admin.connections_max) + SUNDRY
    }

    /// Raises this process's limit of open files to what is needed, as far as that is allowed;
    /// how many clients fit then, at most `server.clients_max`.
    pub fn provide_files(&self) -> u32 {
        let own = self.own_files();
        let clients = self.server.clients_max;
        let limit = raise_limit(own + u64::from(clients));
        u32::try_from(limit.saturating_sub(own)).map_or(clients, |fit| fit.min(clients))
    }
}

/// Makes the soft limit `wanted`, or what the hard limit allows; what it is then.
fn raise_limit(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.unwrap_or(u64::MAX);
    let target = maximum.unwrap_or(u64::MAX).min(wanted);
    if soft >= target {
        return soft;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }) {
        Ok(()) => target,
        Err(_) => soft,
    }
}
