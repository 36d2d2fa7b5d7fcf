//! The runtime of consensus.
//!
//! Consensus and the traffic between nodes have threads of their own, so that no amount of work
//! for clients delays a heartbeat.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime with so many threads; one is enough for one shard.
pub fn runtime(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("raft")
        .enable_all()
        .build()
}
