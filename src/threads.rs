//! On which threads clients are served.
//!
//! Consensus has a thread of its own, so that no slow command delays a heartbeat. A node that votes
//! alone owes nobody a heartbeat, and there to hand each write over and back costs about an eighth
//! of its CPU time (`benches/RESULTS.md`). So if its clients have one thread, they are served on
//! that of consensus, until the node has others to agree with.

use raft::Consensus;
use tokio::runtime::Handle;

use crate::keyspace::Keyspace;

/// Some of the threads of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Those of the clients.
    Clients,
    /// Those of consensus.
    Consensus,
}

/// The threads of a node. A cheap handle.
#[derive(Debug, Clone)]
pub struct Threads {
    clients: Handle,
    consensus: Handle,
}

impl Threads {
    /// Threads for clients and for consensus, which may be the same.
    pub fn new(clients: Handle, consensus: Handle) -> Self {
        Self { clients, consensus }
    }

    /// Where clients that use this shard are best served now.
    pub fn place(&self, shard: &Consensus<Keyspace>) -> Place {
        let lone = self.clients.metrics().num_workers() == 1;
        if lone && shard.reads_are_local() { Place::Consensus } else { Place::Clients }
    }

    /// The threads where clients that use this shard are best served now.
    pub fn home(&self, shard: &Consensus<Keyspace>) -> &Handle {
        self.at(self.place(shard))
    }

    /// The threads of a place.
    pub fn at(&self, place: Place) -> &Handle {
        match place {
            Place::Clients => &self.clients,
            Place::Consensus => &self.consensus,
        }
    }
}
