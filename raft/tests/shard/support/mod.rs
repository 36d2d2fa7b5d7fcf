//! Nodes of a cluster in one process, each with a runtime and a port of its own.

pub mod list;
pub mod proxy;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::{
    ClusterId, Consensus, ConsensusService, Node, NodeId, Options, PeerOptions, Peers, Setup,
    ShardId, WriteError,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use list::{List, Shared};
use raft::log::{Wal, WalOptions};

pub const CLUSTER: ClusterId = ClusterId(*b"cluster-of-tests");

/// What survives the death of a process.
pub struct Disk {
    pub id: NodeId,
    pub address: SocketAddr,
    pub dir: TempDir,
}

/// A running node.
pub struct TestNode {
    pub disk: Arc<Disk>,
    pub consensus: Consensus<List>,
    pub list: Shared,
    wal: Wal,
    runtime: Option<Runtime>,
}

pub fn info(address: SocketAddr) -> Node {
    Node { rpc: address.to_string(), ..Node::default() }
}

impl Disk {
    pub async fn new(id: NodeId) -> Self {
        // The port is free again until the node starts; nothing else in the test takes it.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let dir = tempfile::tempdir().expect("creates");
        Self { id, address, dir }
    }

    pub async fn start(self, options: Options) -> TestNode {
        self.start_in(CLUSTER, options).await
    }

    pub async fn start_in(self, cluster: ClusterId, options: Options) -> TestNode {
        self.start_with(Shared::default(), cluster, options).await
    }

    /// Starts a node whose state machine has kept its state.
    pub async fn start_with(self, list: Shared, cluster: ClusterId, options: Options) -> TestNode {
        let runtime = raft::runtime(1).expect("starts");
        let peers = Peers::new(runtime.handle().clone(), PeerOptions::default());
        let service = ConsensusService::default();
        let options_of_log = WalOptions { on_fatal: Arc::new(|_| ()), ..WalOptions::default() };
        let wal = open_log(&self.dir.path().join("log"), &options_of_log).await;
        let setup = Setup {
            cluster,
            shard: ShardId(0),
            node: self.id,
            dir: self.dir.path().join("shard"),
            machine: List(list.clone()),
            log: wal.shard(ShardId(0), None),
            peers: peers.clone(),
            options,
            on_fault: Arc::new(|fault| panic!("{fault}")),
            on_stage: raft::unwatched(),
        };
        let consensus = Consensus::open(setup).await.expect("opens");
        service.register(consensus.clone());
        let server = raft::server().add_service(service.server(peers.message_bytes_max()));
        let address = self.address;
        runtime.spawn(async move { server.serve(address).await.expect("serves") });
        TestNode { disk: Arc::new(self), consensus, list, wal, runtime: Some(runtime) }
    }
}

impl TestNode {
    pub fn id(&self) -> NodeId {
        self.disk.id
    }

    pub fn info(&self) -> Node {
        info(self.disk.address)
    }

    pub fn items(&self) -> Vec<Bytes> {
        self.list.lock().items.clone()
    }

    /// Dies without a word.
    pub fn kill(self) -> Disk {
        let disk = Arc::clone(&self.disk);
        drop(self);
        Arc::into_inner(disk).expect("no other handle")
    }

    pub async fn write(&self, text: &str) -> Result<Option<usize>, WriteError> {
        self.consensus.write(Bytes::copy_from_slice(text.as_bytes())).await
    }
}

/// The threads of a node that was dropped may hold its log for a moment.
async fn open_log(dir: &Path, options: &WalOptions) -> Wal {
    for _ in 0..200 {
        if let Ok((wal, _)) = Wal::open(dir, options.clone()) {
            return wal;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Wal::open(dir, options.clone()).expect("opens").0
}

/// Three voters with a leader.
pub async fn three(options: Options) -> Vec<TestNode> {
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(Disk::new(id).await.start(options.clone()).await);
    }
    let members: BTreeMap<NodeId, Node> =
        nodes.iter().map(|node| (node.id(), node.info())).collect();
    nodes[0].consensus.initialize(members).await.expect("founded");
    leader(&nodes).await;
    nodes
}

/// The position of a node that leads and says so itself.
pub async fn leader(nodes: &[TestNode]) -> usize {
    let found = || {
        let leads = |node: &TestNode| {
            let status = node.consensus.status();
            status.is_leader()
                && nodes.iter().all(|other| other.consensus.status().leader == Some(node.id()))
        };
        nodes.iter().position(leads)
    };
    eventually("a leader", || found().is_some()).await;
    let position = found().expect("just seen");
    // From its first quorum on it takes writes.
    nodes[position].consensus.read_index().await.expect("a barrier");
    position
}

/// Waits for something that must happen soon.
pub async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(15), "still waiting for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        // Dropping a runtime waits, which a task of another runtime may not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.wal.close();
    }
}
