//! How a node learns that it was removed from its cluster.
//!
//! The leader sends nothing more to a member once it is removed, so that this may never hear of it
//! and would only miss its leader. While it does, it asks the members it knows: a membership that is
//! newer than its own, committed, and does not name it, settles the matter, for an id is never
//! given twice.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use raft::{Node, Status};

use super::backend::{self, Report};
use crate::server::{Replica, Server};

/// Between two rounds of asking.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks after it for as long as the node runs.
pub(super) async fn watch(server: Arc<Server>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let replica = server.replica.load_full();
        let is_known = replica.is_removed() || replica.consensus.contact().is_ok();
        if !is_known && was_removed(&replica).await {
            replica.set_removed();
            let (node, cluster) = (replica.identity.node, &replica.identity.cluster_name);
            tracing::error!(
                node,
                cluster,
                "this node was removed from its cluster and serves nobody; {HELP}"
            );
        }
    }
}

/// What can be done with a node that was removed.
pub(super) const HELP: &str = "to use it again, start it with --join and an empty --data-dir, \
                               or let it go on by itself with REPLICAOF NO ONE";

async fn was_removed(replica: &Replica) -> bool {
    let own = replica.consensus.status();
    if knows_of_it(&own) {
        return true;
    }
    let others = own.members.iter().filter(|(id, _)| **id != own.node);
    let reports = join_all(others.map(|(_, node)| ask(replica, node))).await;
    let cluster = replica.identity.cluster().to_string();
    reports.iter().flatten().any(|report| report.proves(&cluster, &own))
}

/// Whether the entry that removes this node has come to it.
fn knows_of_it(own: &Status) -> bool {
    let is_committed = own.applied >= own.membership_index;
    is_committed && !own.members.is_empty() && !own.members.contains_key(&own.node)
}

async fn ask(replica: &Replica, node: &Node) -> Option<Report> {
    let asked = backend::ask_remote(replica, node, 0);
    tokio::time::timeout(backend::REPORT_MAX, asked).await.ok()?.ok()
}

impl Report {
    /// Whether whoever says this knows that the node with this status is no member any more.
    fn proves(&self, cluster: &str, own: &Status) -> bool {
        self.cluster == cluster
            && self.membership_index > own.membership_index
            && self.applied >= self.membership_index
            && !self.members.contains(&own.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_newer_committed_membership_of_the_same_cluster_proves_it() {
        let own = Status { node: 3, membership_index: 5, applied: 9, ..Status::default() };
        let report = Report {
            cluster: "c".into(),
            applied: 12,
            membership_index: 12,
            members: vec![1, 2],
            ..Report::default()
        };
        assert!(report.proves("c", &own));
        assert!(!report.proves("another", &own));
        assert!(!Report { applied: 11, ..report.clone() }.proves("c", &own));
        assert!(!Report { membership_index: 5, ..report.clone() }.proves("c", &own));
        assert!(!Report { members: vec![1, 3], ..report }.proves("c", &own));
    }

    #[test]
    fn a_node_that_awaits_its_data_is_not_removed() {
        let members = [(1, Node::default())].into();
        let gone =
            Status { node: 3, applied: 7, membership_index: 7, members, ..Status::default() };
        assert!(knows_of_it(&gone));
        assert!(!knows_of_it(&Status { applied: 6, ..gone }), "it may yet be undone");
        assert!(!knows_of_it(&Status { node: 3, ..Status::default() }));
    }
}
