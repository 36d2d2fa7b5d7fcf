//! A node: its parts, how they start, change and stop.
//!
//! ```text
//! DataDir → Life (identity) → Wal ┐
//!                        Keyspace ┴→ Consensus → Router ─→ Replica ←─ Server ← connections
//! ```
//! REPLICAOF replaces the life and with it the replica; connections and ports stay.

mod backend;
mod control;
mod identity;
mod join;
mod parts;
mod removal;
mod samples;
mod service;
mod status;
mod sweep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cli::Failure;
use crate::cli::startup::Started;
use crate::config::Live;
use crate::config::files::CLIENTS_MIN;
use crate::server::{self, Server};
use crate::telemetry::{self, Metrics, logging};

pub use control::Control;
pub use identity::{DataDir, DataError, Identity, Life};
use parts::Parts;

/// Runs a node until it is told to stop.
///
/// # Errors
/// One line about what is wrong, before anything was written, when the node cannot start.
pub fn run(live: Live) -> Result<(), Failure> {
    let config = live.config();
    let threads = match config.server.io_threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
        threads => threads as usize,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("client")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let logging = logging::start(&config.log)
        .map_err(|error| Failure::new(format!("cannot start the log for people: {error}")))?;
    provide_files(&live)?;
    runtime.block_on(async {
        tokio::spawn(logging.follow(live.clone()));
        serve(live).await
    })
}

/// Sees to it that clients never take the files that the log and the data need.
fn provide_files(live: &Live) -> Result<(), Failure> {
    let config = live.config();
    let (wanted, fit) = (config.server.clients_max, config.provide_files());
    let needed = config.own_files() + u64::from(CLIENTS_MIN.min(wanted));
    if fit < CLIENTS_MIN.min(wanted) {
        return Err(Failure::new(format!(
            "this node needs {needed} open files and may not have them"
        ))
        .help(format!("raise the hard limit: ulimit -Hn {needed}, or more for more clients")));
    }
    if fit < wanted {
        tracing::warn!(
            "server.clients_max has been reduced from {wanted} to {fit}: the limit of open files \
             allows no more; raise it (ulimit -Hn) if more clients are needed"
        );
        live.lower_clients(fit);
    }
    Ok(())
}

async fn serve(live: Live) -> Result<(), Failure> {
    let begun = server::now();
    let config = live.config();
    // Ports before files: a taken port must not leave a trace.
    let sockets = Sockets::bind(&config)?;
    let data = DataDir::open(config.node.data_dir.as_ref()).map_err(data_failure)?;
    let telemetry = Arc::new(Metrics::new(crate::commands::names()));
    let (control, requests) = Control::channel();
    let parts = Parts::start(live.clone(), Arc::clone(&telemetry), data, sockets.rpc)?;
    let replica = parts.open_life().await?;
    let threads = parts.threads.clone();
    let server = Server::new(live.clone(), telemetry, replica, threads, control.clone());
    let server = Arc::new(server);
    server.telemetry.add_source(samples::source(&server));
    parts.serve_nodes(&server);
    tokio::spawn(sweep::run(Arc::clone(&server)));
    tokio::spawn(status::observe(Arc::clone(&server)));
    tokio::spawn(telemetry::rates::follow(Arc::clone(&server.telemetry)));
    // Before the first client can see that the node is there.
    let signals = control::Signals::listen()
        .map_err(|error| Failure::new(format!("cannot listen to signals: {error}")))?;
    for listener in sockets.resp {
        tokio::spawn(server::serve(Arc::clone(&server), listener));
    }
    let (stop, stopped) = watch::channel(false);
    let http = tokio::spawn(serve_http(Arc::clone(&server), sockets.http, stopped));
    status::announce(&server, begun.elapsed(), &sockets.addresses).await;
    tokio::spawn(join::become_voter(Arc::clone(&server)));
    tokio::spawn(removal::watch(Arc::clone(&server)));
    control::run(&server, &parts, requests, signals).await;
    stop.send_replace(true);
    status::stop(&server, &parts).await;
    parts.end().await;
    let _ = tokio::time::timeout(Duration::from_secs(2), http).await;
    Ok(())
}

async fn serve_http(
    server: Arc<Server>,
    listener: Option<TcpListener>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(listener) = listener else { return };
    let limits = crate::admin::Limits::of(&server.config.config());
    let backend = Arc::new(backend::Backend::new(server));
    let stop = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = crate::admin::serve(listener, backend, limits, stop).await {
        tracing::error!(%error, "HTTP is no longer served");
    }
}

fn data_failure(error: DataError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        DataError::InUse(_) => failure.help("give every node a --data-dir of its own"),
        DataError::Foreign(_) => failure.help("choose an empty --data-dir"),
        DataError::Format { .. } => failure.help("run the version that wrote it"),
        DataError::Missing(_) => failure.help(
            "restore it; if it is lost, remove this node from its cluster and join again with an \
             empty --data-dir",
        ),
        DataError::Io { .. } | DataError::Damaged(_) => failure,
    }
}

/// Stops the process at once: what it would do next could be wrong.
pub fn fatal(error: &dyn std::fmt::Display) -> ! {
    tracing::error!(%error, "a fault; this node stops");
    eprintln!("error: {error}\nhelp: this node has stopped so as not to answer wrongly");
    std::process::abort()
}

/// The ports of a node, bound before anything else happens.
struct Sockets {
    resp: Vec<TcpListener>,
    rpc: Vec<TcpListener>,
    http: Option<TcpListener>,
    addresses: Addresses,
}

/// Where a node listens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses {
    resp: Vec<SocketAddr>,
    rpc: Vec<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Sockets {
    fn bind(config: &crate::config::Config) -> Result<Self, Failure> {
        let resp = bind_all(&config.resp_bindings(), config.server.backlog)?;
        let rpc = bind_all(&config.rpc_bindings(), config.server.backlog)?;
        let http = match config.http_address() {
            Some(address) => Some(bind_one(address, 128)?),
            None => None,
        };
        let addresses = Addresses {
            resp: addresses_of(&resp),
            rpc: addresses_of(&rpc),
            http: http.as_ref().and_then(|l| l.local_addr().ok()),
        };
        Ok(Self { resp, rpc, http, addresses })
    }
}

fn addresses_of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|l| l.local_addr().ok()).collect()
}

fn bind_all(
    bindings: &[crate::config::Binding],
    backlog: u32,
) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for binding in bindings {
        match bind_one(binding.address, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(_) if binding.optional => {}
            Err(failure) => return Err(failure),
        }
    }
    if listeners.is_empty() {
        return Err(Failure::new("none of the addresses in server.bind can be listened on"));
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, backlog: u32) -> Result<TcpListener, Failure> {
    server::bind(address, backlog).and_then(TcpListener::from_std).map_err(|error| {
        Failure::new(format!("cannot listen on {address}: {error}"))
            .help("stop what uses the port, or choose another with --port")
    })
}

impl Started {
    /// What a server says when it is ready.
    pub(crate) fn of(server: &Server, took: Duration, addresses: &Addresses) -> Self {
        let replica = server.replica.load();
        let status = replica.consensus.status();
        let config = server.config.config();
        Self {
            node: replica.identity.node,
            cluster_name: replica.identity.cluster_name.clone(),
            cluster: replica.identity.cluster().to_string(),
            took,
            resp: addresses.resp.clone(),
            rpc: addresses.rpc.clone(),
            http: addresses.http,
            role: status::role_word(&status).into(),
            term: status.term,
            voters: status.voters.len(),
            data_dir: config.node.data_dir.clone().into(),
            protected: config.server.password.is_empty() && config.server.protected_mode,
        }
    }
}
