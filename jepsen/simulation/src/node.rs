//! A node of the cluster: the server's own log, consensus, keyspace and router, on a machine, a
//! disk and a network that are simulated.
//!
//! When its power fails, the disk of its log keeps what was synced and some of the rest; RocksDB
//! and the snapshots keep what their files hold at that moment, which may be amid any change of
//! them: see `power`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::RaftLogReader;
use parking_lot::Mutex;
use proto::node::v1::cluster_server::{Cluster, ClusterServer};
use proto::node::v1::{
    AdminReply, AdminRequest, ForwardRequest, JoinReply, JoinRequest, StatusReply, StatusRequest,
};
use raft::log::{LogWork, Wal, WalOptions};
use raft::types::Types;
use raft::{
    ClusterId, Consensus, ConsensusService, NodeId, OnFault, OnStage, Options, PeerOptions, Peers,
    Setup, ShardId, Stage,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::Shared;
use talus::keyspace::{Current, Home, Keyspace};
use talus::router::{
    self, ForwardStream, LogClock, Packer, PackerLimits, Router, RouterContext, RouterLimits,
    wall_clock_ms,
};
use talus::telemetry::Metrics;
use talus::threads::Threads;
use tokio::sync::Notify;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::disk::{MemoryDisk, Power};
use crate::journal::note;
use crate::laws::SharedLaws;
use crate::machine::Machine;
use crate::network::Network;
use crate::power::{self, Supply};
use crate::watched::Watched;

const CLUSTER: ClusterId = ClusterId(*b"simulated-talus!");
const SHARD: ShardId = ShardId(0);

/// What all nodes of a run have in common.
#[derive(Clone)]
pub struct Common {
    pub network: Network,
    pub laws: SharedLaws,
    pub options: Options,
    pub wal: WalOptions,
    /// How long a write of the log takes, in microseconds, at most.
    pub sync_us: u64,
    /// Snapshots that were installed.
    pub installs: Arc<AtomicU64>,
}

/// A node that serves.
pub struct Parts {
    pub node: NodeId,
    /// Which run of its process this is.
    pub life: u64,
    pub consensus: Consensus<Keyspace>,
    pub router: Router,
    pub current: Current,
    /// What tells its log from any other.
    pub log: u32,
    pub flushed: raft::log::Flushed,
}

/// What survives a loss of power, and what can be done to a node from outside.
pub struct Node {
    pub id: NodeId,
    common: Common,
    rng: StdRng,
    dir: PathBuf,
    lives: u64,
    disk: MemoryDisk,
    log: Option<u32>,
    durable: u64,
    life: Option<Life>,
    pub is_paused: bool,
    /// Milliseconds that its clock is ahead.
    skew_ms: Arc<AtomicI64>,
    /// Microseconds that its disk takes longer.
    slow_us: Arc<AtomicU64>,
    /// Its disk was made to fail.
    is_failing: Arc<AtomicBool>,
    /// How long its power lasts, if it is to fail.
    supply: Option<Supply>,
}

/// A run of its process.
struct Life {
    machine: Machine,
    parts: Arc<Mutex<Option<Arc<Parts>>>>,
    has_failed: Arc<AtomicBool>,
}

impl Node {
    /// A node that was never started, with its files in `dir`.
    pub fn new(id: NodeId, seed: u64, dir: PathBuf, common: Common) -> Self {
        Self {
            id,
            common,
            rng: StdRng::seed_from_u64(seed ^ id),
            dir,
            lives: 0,
            disk: MemoryDisk::default(),
            log: None,
            durable: 0,
            life: None,
            is_paused: false,
            skew_ms: Arc::default(),
            slow_us: Arc::default(),
            is_failing: Arc::default(),
            supply: None,
        }
    }

    /// Whether its power is on.
    pub fn is_on(&self) -> bool {
        self.life.is_some()
    }

    /// Its parts, once it has started.
    pub fn parts(&self) -> Option<Arc<Parts>> {
        self.life.as_ref()?.parts.lock().clone()
    }

    /// Starts a task on it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(life) = &self.life {
            life.machine.spawn(task);
        }
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.lives += 1;
        note!("node {} starts, life {}", self.id, self.lives);
        std::fs::create_dir_all(self.home()).expect("a directory");
        self.disk.draw_from(Power { is_on: power::is_on, cut: power::cut });
        let machine = Machine::new();
        let parts = Arc::<Mutex<Option<Arc<Parts>>>>::default();
        let has_failed = Arc::default();
        let boot = Boot {
            node: self.id,
            life: self.lives,
            common: self.common.clone(),
            dir: self.home(),
            disk: self.disk.clone(),
            log: self.log,
            durable: self.durable,
            seed: self.rng.random(),
            skew_ms: Arc::clone(&self.skew_ms),
            slow_us: Arc::clone(&self.slow_us),
            on_fault: self.on_fault(&has_failed),
        };
        let (slot, handle) = (Arc::clone(&parts), machine.handle());
        let failed = Arc::clone(&has_failed);
        let is_failing = Arc::clone(&self.is_failing);
        machine.spawn(async move {
            match boot.open(handle).await {
                Ok(opened) => *slot.lock() = Some(Arc::new(opened)),
                Err(error) if is_failing.load(Ordering::Relaxed) || !power::is_on() => {
                    note!("a node does not start: {error}");
                    failed.store(true, Ordering::Relaxed);
                }
                Err(error) => panic!("a node does not start: {error}"),
            }
        });
        self.life = Some(Life { machine, parts, has_failed });
    }

    /// A fault is expected only of a disk that was made to fail.
    fn on_fault(&self, has_failed: &Arc<AtomicBool>) -> OnFault {
        let (id, disk) = (self.id, self.disk.clone());
        let (has_failed, is_failing) = (Arc::clone(has_failed), Arc::clone(&self.is_failing));
        Arc::new(move |fault| {
            let expected = is_failing.load(Ordering::Relaxed) || !disk.is_powered();
            assert!(expected, "node {id} stops: {fault}");
            has_failed.store(true, Ordering::Relaxed);
        })
    }

    /// Runs what is ready on it. Returns what it was doing if its power failed meanwhile.
    pub fn run(&mut self) -> Option<&'static str> {
        let life = self.life.as_ref().filter(|_| !self.is_paused)?;
        let is_metered = self.supply.take().map(Supply::connect).is_some();
        life.machine.run();
        let power = is_metered.then(Supply::disconnect);
        if self.log.is_none() {
            self.log = self.parts().map(|parts| parts.log);
        }
        if let Some(Err(place)) = power {
            let amid = power::amid(&place, self.parts().is_some());
            note!("node {} dies amid {amid}", self.id);
            self.lose_power(true);
            return Some(amid);
        }
        self.supply = power.and_then(Result::ok);
        if life.has_failed.load(Ordering::Relaxed) {
            note!("node {} has failed", self.id);
            self.lose_power(true);
        }
        None
    }

    /// The power fails, or the process is killed if everything that was written survives.
    pub fn lose_power(&mut self, silently: bool) {
        let Some(life) = self.life.take() else { return };
        let parts = life.parts.lock().take();
        let flushed = parts.as_ref().and_then(|parts| parts.flushed.index());
        self.durable = flushed.unwrap_or(self.durable);
        let survives = [0.0, 0.5, 0.9, 1.0][self.rng.random_range(0..4)];
        note!("node {} loses power after {}, keeps {survives}", self.id, self.durable);
        let found = self.disk.after_crash(&mut self.rng, survives);
        self.disk.fail_after(0);
        self.common.network.lose(self.id, silently);
        let old = self.home();
        let image = old.with_extension(format!("{}", self.lives + 1));
        copy(&old, &image).expect("the image of a disk");
        drop(parts);
        drop(life);
        self.common.network.reset(self.id);
        std::fs::remove_dir_all(&old).expect("the old disk is removed");
        self.disk = found;
        self.is_paused = false;
        self.is_failing = Arc::default();
        self.slow_us = Arc::default();
        self.supply = None;
    }

    /// Its power will fail amid its files.
    pub fn die_amid_files(&mut self, supply: Supply) {
        self.supply = Some(supply);
    }

    /// Its power will fail after so many changes of its log's disk.
    pub fn die_amid_log(&mut self, changes: u64) {
        self.disk.fail_after(changes);
        self.supply = Some(Supply::until_cut());
    }

    /// Nothing of what was to fail fails any more.
    pub fn mend(&mut self) {
        self.is_paused = false;
        self.slow_disk(0);
        self.disk.fail_after(u64::MAX);
        self.supply = None;
    }

    /// From now on its log cannot be synced.
    pub fn fail_disk(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
        self.disk.fail_syncs();
    }

    /// From now on its disk takes so much longer.
    pub fn slow_disk(&self, us: u64) {
        self.slow_us.store(us, Ordering::Relaxed);
    }

    /// Its clock jumps.
    pub fn skew(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::Relaxed);
    }

    fn home(&self) -> PathBuf {
        self.dir.join(format!("n{}", self.id)).with_extension(format!("{}", self.lives.max(1)))
    }
}

/// What a start needs.
struct Boot {
    node: NodeId,
    life: u64,
    common: Common,
    dir: PathBuf,
    disk: MemoryDisk,
    log: Option<u32>,
    durable: u64,
    seed: u64,
    skew_ms: Arc<AtomicI64>,
    slow_us: Arc<AtomicU64>,
    on_fault: OnFault,
}

impl Boot {
    async fn open(self, runtime: tokio::runtime::Handle) -> io::Result<Parts> {
        let (wal, log) = self.open_log().await?;
        let flushed = wal.shard(SHARD, None).flushed();
        let keyspace = self.open_keyspace()?;
        let current = keyspace.current();
        let network = &self.common.network;
        let peers = Peers::over(network.dial(self.node), runtime.clone(), PeerOptions::default());
        let setup = Setup {
            cluster: CLUSTER,
            shard: SHARD,
            node: self.node,
            dir: self.dir.join("shard"),
            machine: keyspace,
            log,
            peers: peers.clone(),
            options: self.common.options.clone(),
            on_fault: Arc::clone(&self.on_fault),
            on_stage: self.on_stage(),
        };
        let consensus = Consensus::open(setup).await.map_err(io::Error::other)?;
        // A snapshot may have survived without the record that the log before it is purged; such a
        // log is purged while consensus opens.
        self.common.laws.lock().survived(self.node, self.durable);
        let router = self.router(runtime, &consensus, &peers, Arc::clone(&current));
        self.serve(&consensus, &router, &peers);
        let (node, life, log) = (self.node, self.life, wal.id());
        Ok(Parts { node, life, consensus, router, current, log, flushed })
    }

    fn on_stage(&self) -> OnStage {
        let installs = Arc::clone(&self.common.installs);
        Arc::new(move |stage, _| {
            let count = u64::from(stage == Stage::SnapshotReceived);
            installs.fetch_add(count, Ordering::Relaxed);
        })
    }

    /// The log, written by a task that takes as long as the disk is said to take.
    async fn open_log(&self) -> io::Result<(Wal, Watched)> {
        let due = Arc::new(Notify::new());
        let (wake, on_fault) = (Arc::clone(&due), Arc::clone(&self.on_fault));
        let options = WalOptions {
            id: self.log,
            work: LogWork::Turns(Arc::new(move || wake.notify_one())),
            on_fatal: Arc::new(move |error| on_fault(&error.to_string())),
            ..self.common.wal.clone()
        };
        let (wal, _) = Wal::open_on(Arc::new(self.disk.clone()), options)?;
        let shard = wal.shard(SHARD, None);
        check_readable(&shard).await?;
        let log = Watched::new(self.node, shard, Arc::clone(&self.common.laws)).await?;
        let rng = StdRng::seed_from_u64(self.seed);
        let (sync_us, slow_us) = (self.common.sync_us, Arc::clone(&self.slow_us));
        tokio::spawn(write_log(wal.clone(), due, rng, sync_us, slow_us));
        Ok((wal, log))
    }

    fn open_keyspace(&self) -> io::Result<Keyspace> {
        let options = storage::Options { background: false, ..storage::Options::default() };
        // With so much memory RocksDB flushes only when it is told to: its threads decide nothing.
        Keyspace::open(Home::new(self.dir.join("shard"), options, Shared::new(256 << 20)))
    }

    fn router(
        &self,
        runtime: tokio::runtime::Handle,
        consensus: &Consensus<Keyspace>,
        peers: &Peers,
        current: Current,
    ) -> Router {
        let skew_ms = Arc::clone(&self.skew_ms);
        let clock = move || wall_clock_ms().saturating_add_signed(skew_ms.load(Ordering::Relaxed));
        let context = RouterContext {
            cluster: Bytes::copy_from_slice(&CLUSTER.0),
            shard: SHARD,
            node: self.node,
            incarnation: self.life,
            threads: Threads::new(runtime.clone(), runtime),
            clock: LogClock::new(Arc::new(clock), Arc::new(move || current.load().log_time())),
        };
        let telemetry = Arc::new(Metrics::new(talus::commands::names()));
        Router::start(context, consensus.clone(), peers.clone(), telemetry, LIMITS, PACKER)
    }

    fn serve(&self, consensus: &Consensus<Keyspace>, router: &Router, peers: &Peers) {
        let service = ConsensusService::default();
        service.register(consensus.clone());
        let cluster = Forwarding { node: self.node, packer: router.packer() };
        let server = raft::server()
            .add_service(service.server(peers.message_bytes_max()))
            .add_service(ClusterServer::new(cluster));
        let connections = self.common.network.listen(self.node);
        let connections = UnboundedReceiverStream::new(connections).map(io::Result::Ok);
        tokio::spawn(async move {
            server.serve_with_incoming(connections).await.expect("serves");
        });
    }
}

const LIMITS: RouterLimits = RouterLimits {
    waiting_bytes_max: 1 << 20,
    batch_bytes_max: 256,
    batches_in_flight_max: 4,
    timeout: Duration::from_secs(2),
};

const PACKER: PackerLimits =
    PackerLimits { entry_bytes_max: 1 << 10, entries_in_flight_max: 3, waiting_bytes_max: 1 << 20 };

/// Everything that the log says it holds must be there.
async fn check_readable(log: &raft::log::ShardLog) -> io::Result<()> {
    let entries =
        RaftLogReader::<Types<Keyspace>>::try_get_log_entries(&mut log.reader(), ..).await?;
    let places: BTreeMap<u64, ()> = entries.iter().map(|entry| (entry.log_id.index, ())).collect();
    let (first, last) = (places.keys().next(), places.keys().next_back());
    let span = first.zip(last).map_or(0, |(first, last)| last - first + 1);
    assert!(span == places.len() as u64, "a log with holes was opened");
    Ok(())
}

async fn write_log(
    wal: Wal,
    due: Arc<Notify>,
    mut rng: StdRng,
    sync_us: u64,
    slow_us: Arc<AtomicU64>,
) {
    /// Records that nobody waits for are written after this time.
    const IDLE: Duration = Duration::from_millis(50);
    loop {
        let _ = tokio::time::timeout(IDLE, due.notified()).await;
        let most = sync_us + slow_us.load(Ordering::Relaxed);
        let took = rng.random_range(0..=most);
        if took > 0 {
            tokio::time::sleep(Duration::from_micros(took)).await;
        }
        wal.turn();
    }
}

/// Forwarded writes; the rest of that service is not part of the simulation.
struct Forwarding {
    node: NodeId,
    packer: Packer,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Cluster for Forwarding {
    type ForwardStream = ForwardStream;

    async fn forward(
        &self,
        request: Request<Streaming<ForwardRequest>>,
    ) -> Answer<Self::ForwardStream> {
        let cluster = Bytes::copy_from_slice(&CLUSTER.0);
        let (packer, batches) = (self.packer.clone(), request.into_inner());
        Ok(Response::new(router::serve_forward(packer, cluster, self.node, batches)))
    }

    async fn join(&self, _: Request<JoinRequest>) -> Answer<JoinReply> {
        Err(Status::unimplemented("simulated"))
    }

    async fn admin(&self, _: Request<AdminRequest>) -> Answer<AdminReply> {
        Err(Status::unimplemented("simulated"))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusReply> {
        Err(Status::unimplemented("simulated"))
    }
}

/// Copies a directory with what is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    if !from.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy(&entry, &target)?;
        } else {
            std::fs::copy(entry, target)?;
        }
    }
    Ok(())
}
