//! What a node is put together from, and how a life is opened, replaced and closed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::log::{Wal, WalOptions};
use raft::{
    ClusterId, Consensus, ConsensusService, Node, OnStage, PeerOptions, Peers, Setup, ShardId,
    Stage,
};
use resp::ReplyError;
use storage::{Shared, Store};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tonic::transport::server::TcpIncoming;

use super::data_failure;
use super::identity::{DataDir, Identity, Life};
use super::join::{self, JoinError, Joiner};
use crate::cli::Failure;
use crate::config::{Config, Live};
use crate::keyspace::{Current, Home, Keyspace};
use crate::router::{LogClock, PackerLimits, Router, RouterContext, RouterLimits, wall_clock_ms};
use crate::server::{Replica, Server};
use crate::telemetry::Metrics;
use crate::threads::Threads;

/// The one shard there is.
const SHARD: ShardId = ShardId(0);

/// The parts of a node that outlive a change of cluster.
pub(super) struct Parts {
    live: Live,
    telemetry: Arc<Metrics>,
    data: DataDir,
    shared: Shared,
    peers: Peers,
    service: ConsensusService<Keyspace>,
    listeners: parking_lot::Mutex<Vec<TcpListener>>,
    /// Consensus and its network have threads of their own: no client delays a heartbeat that
    /// somebody waits for. See [`crate::threads`].
    raft_runtime: Option<Runtime>,
    pub(super) threads: Threads,
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(runtime) = self.raft_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How long the threads of consensus may take to end.
const END_MAX: Duration = Duration::from_secs(10);

impl Parts {
    /// Ends the threads of consensus when they have done what they have in hand. A snapshot that
    /// was still being taken while the process ends would be taken in the ruins of RocksDB.
    pub async fn end(mut self) {
        let Some(runtime) = self.raft_runtime.take() else { return };
        let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END_MAX));
        // What has not ended by then is given up.
        let _ = ended.await;
    }

    pub fn start(
        live: Live,
        telemetry: Arc<Metrics>,
        data: DataDir,
        listeners: Vec<TcpListener>,
    ) -> Result<Self, Failure> {
        let config = live.config();
        let runtime = raft::runtime(1)
            .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
        let peers = Peers::new(runtime.handle().clone(), PeerOptions::default());
        let threads = Threads::new(Handle::current(), runtime.handle().clone());
        let shared = Shared::new(config.memory_bytes() as usize);
        Ok(Self {
            live,
            telemetry,
            data,
            shared,
            peers,
            service: ConsensusService::default(),
            listeners: parking_lot::Mutex::new(listeners),
            raft_runtime: Some(runtime),
            threads,
        })
    }

    /// Opens the node's life; a node that has none founds a cluster or joins one.
    pub async fn open_life(&self) -> Result<Replica, Failure> {
        let life = match self.data.life().map_err(data_failure)? {
            Some(life) => self.go_on(life).await?,
            None => self.first_life().await?,
        };
        self.open(life).await.map_err(Failure::new)
    }

    /// A life goes on, unless the node is told to join another cluster than its own.
    async fn go_on(&self, life: Life) -> Result<Life, Failure> {
        life.check().map_err(data_failure)?;
        // After REPLICAOF the setting is what the node's first life was told.
        if life.number() > 1 {
            return Ok(life);
        }
        let (own, resp) = (life.identity.cluster(), self.own_node(false).resp);
        let mut others = self.live.config().node.join.0.clone();
        // Where nobody answers yet.
        others.retain(|address| *address != resp);
        let Some((address, other)) = join::other_cluster(&others, own).await else {
            return Ok(life);
        };
        let path = self.data.path().display();
        let why = format!("{path}: belongs to cluster {own}, {address} to cluster {other}");
        Err(Failure::new(why).help("join with an empty --data-dir, or go on without --join"))
    }

    async fn first_life(&self) -> Result<Life, Failure> {
        let config = self.live.config();
        let identity = match config.node.join.0.as_slice() {
            [] => Identity::new(ClusterId(rand::random()), 1, config.node.cluster_name.clone()),
            addresses => self.join_any(addresses, config.node.replica).await?,
        };
        self.data.prepare().map_err(data_failure)?;
        self.data.begin(identity).map_err(data_failure)
    }

    async fn join_any(&self, addresses: &[String], replica: bool) -> Result<Identity, Failure> {
        let joiner = Joiner::new(&self.peers, self.own_node(replica));
        joiner.join(addresses, JOIN_MAX).await.map_err(|error| {
            let help = match error {
                JoinError::Refused(_) => "a member that is gone: talus cluster remove ID",
                JoinError::NotNow(_) => "name a reachable member: --join HOST:PORT",
            };
            Failure::new(format!("cannot join: {error}")).help(help)
        })
    }

    fn own_node(&self, replica: bool) -> Node {
        let names = self.live.config().advertised();
        Node { resp: names.resp, rpc: names.rpc, http: names.http, replica }
    }

    async fn open(&self, mut life: Life) -> Result<Replica, String> {
        let config = self.live.config();
        let parts = open_files(
            life.clone(),
            Arc::clone(&config),
            self.shared.clone(),
            Arc::clone(&self.telemetry),
        );
        let (wal, keyspace) = parts.await?;
        // Before it can vote.
        life.count_start(wal.id(), wall_clock_ms() * 1000).map_err(|e| e.to_string())?;
        let current = keyspace.current();
        let consensus = Consensus::open(Setup {
            cluster: life.identity.cluster(),
            shard: SHARD,
            node: life.identity.node,
            dir: life.shard_dir(),
            machine: keyspace,
            log: wal.shard(SHARD, None),
            peers: self.peers.clone(),
            options: raft_options(&config),
            on_fault: Arc::new(|error| super::fatal(&error)),
            on_stage: on_stage(&self.telemetry),
        })
        .await
        .map_err(|error| error.to_string())?;
        self.found(&life, &consensus).await?;
        self.service.register(consensus.clone());
        let router = self.router(&life, &config, &consensus, log_clock(&current));
        Ok(Replica::new(life, consensus, current, router, self.peers.clone(), wal))
    }

    /// Node 1 of a fresh cluster is its first voter.
    async fn found(&self, life: &Life, consensus: &Consensus<Keyspace>) -> Result<(), String> {
        let status = consensus.status();
        let fresh = status.members.is_empty() && status.last_log == 0;
        if life.identity.node != 1 || life.identity.joining || !fresh {
            return Ok(());
        }
        let members = BTreeMap::from([(1, self.own_node(false))]);
        match consensus.initialize(members).await {
            Ok(()) | Err(raft::OpenError::Founded) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn router(
        &self,
        life: &Life,
        config: &Config,
        consensus: &Consensus<Keyspace>,
        clock: LogClock,
    ) -> Router {
        let context = RouterContext {
            cluster: Bytes::copy_from_slice(&life.identity.cluster().0),
            shard: SHARD,
            node: life.identity.node,
            incarnation: life.identity.incarnation,
            threads: self.threads.clone(),
            clock,
        };
        let waiting_bytes_max = config.limits.pending_bytes_max.0 as usize;
        let limits = RouterLimits {
            waiting_bytes_max,
            batch_bytes_max: config.raft.batch_bytes_max.0 as usize,
            batches_in_flight_max: config.raft.inflight_batches_max as usize,
            timeout: config.raft.write_timeout_ms.duration(),
        };
        let packer = PackerLimits {
            entry_bytes_max: config.raft.batch_bytes_max.0 as usize,
            entries_in_flight_max: config.raft.inflight_entries_max as usize,
            waiting_bytes_max,
        };
        let telemetry = Arc::clone(&self.telemetry);
        Router::start(context, consensus.clone(), self.peers.clone(), telemetry, limits, packer)
    }

    /// Answers the other nodes from now on.
    pub fn serve_nodes(&self, server: &Arc<Server>) {
        let limit = self.peers.message_bytes_max();
        let cluster = super::service::ClusterService::new(Arc::clone(server)).server(limit);
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            let router =
                raft::server().add_service(self.service.server(limit)).add_service(cluster.clone());
            let Ok(listener) = listener.into_std() else { continue };
            self.peers.handle().spawn(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                // The server's own setting covers only sockets it accepts itself.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                if let Err(error) = router.serve_with_incoming(incoming).await {
                    super::fatal(&error);
                }
            });
        }
    }

    /// Becomes a learner of the cluster behind `host:port`, for good.
    pub async fn follow(
        &self,
        server: &Arc<Server>,
        host: &str,
        port: u16,
    ) -> Result<(), ReplyError> {
        let old = server.replica.load_full();
        refuse_to_follow(&old)?;
        let address = crate::config::address::join_host_port(host, port);
        let joiner = Joiner::new(&self.peers, self.own_node(true));
        let identity = joiner
            .join(std::slice::from_ref(&address), FOLLOW_MAX)
            .await
            .map_err(|reason| refused(&format!("cannot follow {address}: {reason}")))?;
        self.close(&old).await;
        let begun = self.data.prepare().and_then(|_| self.data.begin(identity));
        self.replace(server, begun.map_err(|e| e.to_string())).await;
        Ok(())
    }

    /// Leaves the cluster and goes on as a cluster of its own, with the data.
    pub async fn detach(&self, server: &Arc<Server>) -> Result<(), ReplyError> {
        let old = server.replica.load_full();
        let me = old.identity.node;
        if !old.is_removed() {
            if old.consensus.status().voters.contains(&me) {
                return Err(refused("this node is a voter; demote it first, it holds up a quorum"));
            }
            // Best effort: a leader that cannot be reached keeps a silent learner in its list.
            let remove = crate::admin::Action::Remove { id: me, force: true };
            let _ = super::service::ask_leader(&old, &remove).await;
        }
        self.close(&old).await;
        self.replace(server, self.life_of_own(&old).await).await;
        Ok(())
    }

    /// A new cluster whose first state is this node's data.
    async fn life_of_own(&self, old: &Arc<Replica>) -> Result<Life, String> {
        let dir = self.data.prepare().map_err(|e| e.to_string())?;
        let store = old.current.load_full();
        let node = self.own_node(false);
        let me = old.identity.node;
        let copied = tokio::task::spawn_blocking(move || -> io::Result<()> {
            let target = dir.join("shard-0").join("store-1");
            std::fs::create_dir_all(dir.join("shard-0"))?;
            store.checkpoint(&target).map_err(io::Error::other)?;
            let record = raft::founding_record(store.applied(), me, node)?;
            Store::rewrite_applied(&target, &record).map_err(io::Error::other)
        });
        copied.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let name = old.identity.cluster_name.clone();
        let mut identity = Identity::new(ClusterId(rand::random()), me, name);
        identity.incarnation = old.identity.incarnation;
        self.data.begin(identity).map_err(|e| e.to_string())
    }

    async fn replace(&self, server: &Arc<Server>, life: Result<Life, String>) {
        let opened = match life {
            Ok(life) => self.open(life).await,
            Err(reason) => Err(reason),
        };
        match opened {
            Ok(replica) => server.replica.store(Arc::new(replica)),
            // The old life is closed and there is no new one: nothing can be served. The next
            // start finds the one that CURRENT names.
            Err(reason) => super::fatal(&reason),
        }
    }

    /// Ends a replica's part in its cluster; its files can be moved then.
    pub async fn close(&self, replica: &Replica) {
        self.service.unregister(SHARD);
        let _ = tokio::time::timeout(CLOSE_MAX, replica.consensus.shutdown()).await;
        replica.wal.close();
    }
}

/// How long a node asks for membership: an election passes, or the others have yet to start.
const JOIN_MAX: Duration = Duration::from_secs(15);
/// How long REPLICAOF asks for it. Nothing else is asked of the node as a whole meanwhile.
const FOLLOW_MAX: Duration = Duration::from_secs(3);
/// How long consensus may take to come to rest.
const CLOSE_MAX: Duration = Duration::from_secs(10);

fn refused(text: &str) -> ReplyError {
    ReplyError::Raw(format!("ERR {text}"))
}

fn refuse_to_follow(replica: &Replica) -> Result<(), ReplyError> {
    let status = replica.consensus.status();
    if status.members.len() > 1 {
        return Err(refused("this node is a member of a cluster; remove it there first"));
    }
    if replica.key_count() > 0 {
        return Err(refused("this node has data of its own; FLUSHALL first to drop it"));
    }
    Ok(())
}

async fn open_files(
    life: Life,
    config: Arc<Config>,
    shared: Shared,
    telemetry: Arc<Metrics>,
) -> Result<(Wal, Keyspace), String> {
    let opened = tokio::task::spawn_blocking(move || {
        let (logs, data) = (life.log_dir(), life.shard_dir());
        let options = WalOptions { id: life.identity.log, ..wal_options(&config, telemetry) };
        let (wal, _) = Wal::open(&logs, options)
            .map_err(|error| format!("the log in {}: {error}", logs.display()))?;
        let home = Home::new(data.clone(), store_options(&config), shared);
        let keyspace = Keyspace::open(home)
            .map_err(|error| format!("the data in {}: {error}", data.display()))?;
        Ok((wal, keyspace))
    });
    opened.await.map_err(|error| error.to_string())?
}

fn wal_options(config: &Config, telemetry: Arc<Metrics>) -> WalOptions {
    WalOptions {
        on_sync: Arc::new(move |took| telemetry.write.fsync.record(took)),
        segment_bytes: config.raft.log_segment_bytes.0,
        cache_bytes: config.raft.log_cache_bytes.0 as usize,
        ..WalOptions::default()
    }
}

fn on_stage(telemetry: &Arc<Metrics>) -> OnStage {
    let telemetry = Arc::clone(telemetry);
    Arc::new(move |stage, took| {
        let (stages, counters) = (&telemetry.write, &telemetry.counters);
        match stage {
            Stage::Append => stages.append.record(took),
            Stage::Replicate => stages.replicate.record(took),
            Stage::Apply => stages.apply.record(took),
            Stage::Reply => stages.reply.record(took),
            Stage::SnapshotTaken => counters.snapshots_taken.increment(),
            Stage::SnapshotOffered => counters.sync_partial_err.increment(),
            Stage::SnapshotSent => counters.sync_full.increment(),
            Stage::SnapshotReceived => counters.snapshots_received.increment(),
            Stage::LogTakenUp => counters.sync_partial_ok.increment(),
        }
    })
}

fn store_options(config: &Config) -> storage::Options {
    let storage = &config.storage;
    storage::Options {
        drain_after: storage.drain_after_ms.duration(),
        memtable_bytes: storage.memtable_bytes.0 as usize,
        inline_bytes_max: storage.inline_bytes_max.0 as usize,
        ..storage::Options::default()
    }
}

fn log_clock(current: &Current) -> LogClock {
    let current = Arc::clone(current);
    LogClock::new(Arc::new(wall_clock_ms), Arc::new(move || current.load().log_time()))
}

fn raft_options(config: &Config) -> raft::Options {
    let raft = &config.raft;
    raft::Options {
        heartbeat_ms: raft.heartbeat_ms.0,
        election_min_ms: raft.election_timeout_min_ms.0,
        election_max_ms: raft.election_timeout_max_ms.0,
        command_bytes_max: raft.entry_bytes_max.0 as usize,
        snapshot_log_bytes: raft.snapshot_log_bytes.0,
        snapshot_interval: raft.snapshot_interval_s.duration(),
        snapshot_bytes_per_second: Some(raft.snapshot_bytes_per_s.0).filter(|rate| *rate > 0),
        log_bytes_kept: raft.log_keep_bytes.0,
        reads_max: raft.reads_max as usize,
        catch_up_entries: raft.catch_up_entries_max,
        catch_up_timeout: raft.catch_up_timeout_ms.duration(),
        change_timeout: raft.change_timeout_ms.duration(),
        transfer_timeout: raft.transfer_timeout_ms.duration(),
        read_timeout: raft.read_timeout_ms.duration(),
        ..raft::Options::default()
    }
}
