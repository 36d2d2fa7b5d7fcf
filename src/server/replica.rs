//! This node's replica of a shard, as the connections use it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use raft::log::Wal;
use raft::{Consensus, Peers};
use resp::ReplyError;
use storage::Digester;

use crate::keyspace::{Current, Keyspace};
use crate::node::{Identity, Life};
use crate::router::Router;

/// A replica, and the way to its leader.
pub struct Replica {
    /// Who this node is in which cluster.
    pub identity: Identity,
    /// Consensus of the shard.
    pub consensus: Consensus<Keyspace>,
    /// The state that readers use.
    pub current: Current,
    /// The way of writes to the leader.
    pub router: Router,
    /// Connections to the other nodes.
    pub peers: Peers,
    /// The log of this node.
    pub wal: Wal,
    life: Mutex<Life>,
    removed: AtomicBool,
}

impl Replica {
    /// A replica of the life it was opened from.
    pub fn new(
        life: Life,
        consensus: Consensus<Keyspace>,
        current: Current,
        router: Router,
        peers: Peers,
        wal: Wal,
    ) -> Self {
        let identity = life.identity.clone();
        Self {
            identity,
            consensus,
            current,
            router,
            peers,
            wal,
            life: Mutex::new(life),
            removed: AtomicBool::new(false),
        }
    }

    /// Whether this node still has to become a voter.
    pub fn is_joining(&self) -> bool {
        self.life.lock().identity.joining
    }

    /// This node is a voter now: should it lose its vote one day, it does not ask for it again.
    pub fn joined(&self) {
        let mut life = self.life.lock();
        if life.identity.joining {
            life.identity.joining = false;
            life.save().unwrap_or_else(|fault| crate::node::fatal(&fault));
        }
    }

    /// Whether this node is known to be no member of its cluster any more.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// This node is no member of its cluster any more, and never will be again.
    pub fn set_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    /// Whether clients may be served here.
    ///
    /// # Errors
    /// What they hear from a node that was removed.
    pub fn serves(&self) -> Result<(), ReplyError> {
        const REMOVED: &str = "CLUSTERDOWN this node was removed from its cluster; ask another one";
        if self.is_removed() { Err(ReplyError::Raw(REMOVED.into())) } else { Ok(()) }
    }

    /// Keys in all databases.
    pub fn key_count(&self) -> u64 {
        self.current.load().stats().dbs.iter().map(|db| db.keys).sum()
    }

    /// Bytes of its files.
    pub fn disk_bytes(&self) -> u64 {
        let life = self.life.lock().clone();
        bytes_below(&life.log_dir()) + bytes_below(&life.shard_dir())
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        // A file that was just removed takes no room.
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

/// Digests of the state at log indexes that were asked for; the last few.
#[derive(Default)]
pub struct Digests {
    taken: Arc<Mutex<BTreeMap<u64, Option<String>>>>,
}

/// How many digests are kept.
const KEPT: usize = 4;
/// How long a replica may take to come to the index.
const REACH_MAX: Duration = Duration::from_secs(2);

impl Digests {
    /// The digest of the state at `index`; none while it is being computed.
    ///
    /// # Errors
    /// When the state is not, or no longer, at that index.
    pub async fn at(&self, replica: &Arc<Replica>, index: u64) -> Result<Option<String>, String> {
        if let Some(digest) = self.taken.lock().get(&index) {
            return Ok(digest.clone());
        }
        let mut applied = replica.consensus.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= index);
        if !matches!(tokio::time::timeout(REACH_MAX, reached).await, Ok(Ok(_))) {
            return Err("is behind".into());
        }
        let store = replica.current.load_full();
        let digester = tokio::task::spawn_blocking(move || store.digester())
            .await
            .map_err(|error| error.to_string())?
            .unwrap_or_else(|fault| crate::node::fatal(&fault));
        if replica.consensus.applied() != index {
            return Err("has moved on".into());
        }
        self.compute(index, digester);
        Ok(None)
    }

    fn compute(&self, index: u64, digester: Digester) {
        let mut taken = self.taken.lock();
        taken.insert(index, None);
        while taken.len() > KEPT {
            taken.pop_first();
        }
        let taken = Arc::clone(&self.taken);
        tokio::task::spawn_blocking(move || match digester.wait() {
            Ok(digest) => {
                let hex = digest.hash.iter().map(|byte| format!("{byte:02x}")).collect();
                taken.lock().insert(index, Some(hex));
            }
            Err(fault) => crate::node::fatal(&fault),
        });
    }
}
