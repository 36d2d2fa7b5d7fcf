//! A closed loop of clients: each sends a pipeline of requests, waits for all replies, and begins
//! again. One thread, as generator and servers share a machine; the same loop, keys and values
//! whatever the protocol, so that two servers are asked for the same. `benches/compare.sh` uses it.
//!
//! Prints two lines of CSV, names and numbers, and exits with 1 if a reply was an error; a lost
//! connection ends everything. Latencies are those of whole pipelines; a miss is a GET that found
//! nothing.
//!
//! `cargo run --release --example load -- --mode redis-set --clients 50 --pipeline 16`

mod etcd;
mod measure;
mod redis;
mod workload;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tokio::task::JoinSet;
use tokio::time::timeout;

use measure::{Answers, Measured};
use workload::Workload;

/// A server that takes longer has failed.
const REPLIES_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    RedisSet,
    RedisGet,
    /// A pipeline of SETs ends with one `WAIT 1 0`; SETs are counted
    RedisSetWait,
    EtcdPut,
    /// Linearizable
    EtcdGet,
}

#[derive(Parser)]
struct Options {
    #[arg(long)]
    mode: Mode,
    /// HOST:PORT of each server; clients are spread over them
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:6379")]
    addresses: Vec<String>,
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// Requests sent at once
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    #[arg(long, default_value_t = 128)]
    value_bytes: usize,
    /// Keys are drawn from so many, each as likely as any other
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after so many requests, or at the next end of a pipeline, instead of --seconds
    #[arg(long)]
    requests: Option<u64>,
    /// Seconds before those that count
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Every key once, in order, instead of --requests and --warm-up
    #[arg(long, conflicts_with = "requests")]
    fill: bool,
}

/// One client's connection.
enum Connection {
    Redis(redis::Connection),
    Etcd(etcd::Connection),
}

impl Connection {
    async fn open(options: &Options, address: &str) -> io::Result<Self> {
        match options.mode {
            Mode::EtcdPut | Mode::EtcdGet => {
                etcd::Connection::open(options, address).await.map(Self::Etcd)
            }
            _ => redis::Connection::open(options, address).await.map(Self::Redis),
        }
    }

    async fn round_trip(&mut self, workload: &Workload) -> io::Result<Answers> {
        match self {
            Self::Redis(connection) => connection.round_trip(workload).await,
            Self::Etcd(connection) => Ok(connection.round_trip(workload).await),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(mut measured) => {
            measured.print();
            if measured.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<Measured> {
    let mut connections = Vec::new();
    for address in options.addresses.iter().cycle().take(options.clients) {
        connections.push(Connection::open(options, address).await?);
    }
    let workload = Arc::new(Workload::new(options));
    let mut clients: JoinSet<_> =
        connections.into_iter().map(|connection| client(connection, workload.clone())).collect();
    let mut all = Measured::new(workload.begin);
    while let Some(measured) = clients.join_next().await {
        all.add(measured??);
    }
    Ok(all)
}

async fn client(mut connection: Connection, workload: Arc<Workload>) -> io::Result<Measured> {
    let mut measured = Measured::new(workload.begin);
    loop {
        let sent = Instant::now();
        if workload.is_over(sent) {
            return Ok(measured);
        }
        let answers = timeout(REPLIES_WITHIN, connection.round_trip(&workload)).await??;
        measured.count(sent, answers);
    }
}
