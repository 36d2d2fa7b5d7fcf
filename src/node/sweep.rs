//! Removes keys whose time has come: the leader proposes bounded sweeps while keys are due.

use std::sync::Arc;

use bytes::Bytes;
use proto::log::v1::{Item, Request};

use crate::server::{Replica, Server};

/// Sweeps for as long as the node runs.
pub(super) async fn run(server: Arc<Server>) {
    loop {
        let storage = server.config.config().storage.clone();
        tokio::time::sleep(storage.sweep_interval_ms.duration()).await;
        let replica = server.replica.load_full();
        if server.sweeps.load(std::sync::atomic::Ordering::Relaxed) && has_due(&replica) {
            sweep(&replica, storage.sweep_keys_max).await;
        }
    }
}

fn has_due(replica: &Replica) -> bool {
    if !replica.consensus.status().is_leader() {
        return false;
    }
    let next = replica.current.load().next_deadline();
    let next = next.unwrap_or_else(|fault| super::fatal(&fault));
    next.is_some_and(|deadline| deadline <= replica.router.now_ms())
}

async fn sweep(replica: &Replica, keys_max: u32) {
    let count = Bytes::from(keys_max.to_string());
    let request = Request { args: vec![Bytes::from_static(b"TALUS.SWEEP"), count] };
    let item = Item { requests: vec![request], ..Item::default() };
    if let Ok(answer) = replica.router.submit(&[item]) {
        // Whatever became of it, the next round looks again.
        let _ = answer.await;
    }
}
