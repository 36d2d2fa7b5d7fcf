//! What a node says when it is ready, and how it comes to rest.

use std::sync::Arc;
use std::time::Duration;

use raft::{Role, Status};

use super::Addresses;
use super::parts::Parts;
use crate::cli::startup::Started;
use crate::server::Server;

/// The node's part in words.
pub(super) fn role_word(status: &Status) -> &'static str {
    match status.role {
        Role::Leader => "leader",
        Role::Follower | Role::Candidate => "voter",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}

/// Says that the node is ready, once it has a leader or after a moment without one.
pub(super) async fn announce(server: &Server, begun: Duration, addresses: &Addresses) {
    let waited = crate::server::now();
    let replica = server.replica.load_full();
    let mut status = replica.consensus.watch();
    let led = status.wait_for(|s| s.leader.is_some());
    // A node without a leader is up too; /health/ready says that it cannot serve yet.
    let _ = tokio::time::timeout(Duration::from_secs(3), led).await;
    Started::of(server, begun + waited.elapsed(), addresses).announce();
}

/// Takes note of memory, from which INFO's peak is made.
pub(super) async fn observe(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        server.memory.note();
    }
}

/// Hands leadership over, ends consensus, and leaves nothing for the next start to repeat.
pub(super) async fn stop(server: &Arc<Server>, parts: &Parts) {
    let replica = server.replica.load_full();
    if replica.consensus.status().is_leader() && replica.consensus.status().voters.len() > 1 {
        let transfer = replica.consensus.transfer_leader(None);
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(5), transfer).await {
            tracing::info!(%error, "stopping as the leader");
        }
    }
    parts.close(&replica).await;
    let store = replica.current.load_full();
    let flushed = tokio::task::spawn_blocking(move || store.close());
    if let Ok(Err(error)) = flushed.await {
        tracing::warn!(%error, "not everything was flushed; the next start applies it again");
    }
}
