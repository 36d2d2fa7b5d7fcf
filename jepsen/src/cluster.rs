//! Clusters of real processes, and everything that can be done to them.
//!
//! A cluster's nodes are numbered from 1. Each has an address of its own in a [`network`] that can be
//! cut anywhere, a [`disk`] whose power can be cut, a [`clock`], its share of the processor and its
//! log. Faults are done to nodes and links here; which, and when, is the business of
//! [`nemesis`](crate::nemesis).
//!
//! Invariants
//! * Whatever a cluster makes carries its mark; the [`guard`] removes it, however the harness ends.
//! * Clients reach every node that listens, whatever is wrong between nodes.
//! * One more node than asked for has a place, so that a member can be replaced. It is not started
//!   until a fault wants it, and is gone after [`Cluster::heal`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;

pub mod admin;
pub mod clock;
mod cpu;
pub mod disk;
pub mod guard;
pub mod http;
mod loopback;
pub mod means;
mod netns;
pub mod network;
pub mod node;
mod process;
mod queue;
mod repair;
mod sampler;
pub mod server;
mod socket;
mod target;
mod tool;
pub mod trace;
pub mod wal;

pub use sampler::{Role, Sample};

use crate::client::IMPOSSIBLE;
use guard::Guard;
use network::{Network, Wires};
use node::Node;
use sampler::Sampler;
use target::Site;

const START_MAX: Duration = Duration::from_secs(60);
/// How long a node may take to end when it is asked to.
pub const TERM_MAX: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);
const NODES_MAX: u32 = 15;

/// Where nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In network namespaces. Needs root; everything can be broken.
    Namespaces,
    /// On addresses of the loopback device, with proxies between them. Needs nothing.
    Loopback,
}

/// What the cluster is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This binary of Talus.
    Talus(PathBuf),
    /// Debian's Redis, watched by Sentinel.
    Sentinel,
    /// Debian's etcd.
    Etcd,
}

/// What a node keeps its data on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disk {
    /// A directory.
    #[default]
    Plain,
    /// A file system of its own, whose power can be cut.
    Ext4,
}

/// A cluster to be started.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes.
    pub nodes: u32,
    /// Where they run.
    pub mode: Mode,
    /// What they are.
    pub target: Target,
    /// Where their logs and data go; it is made if it is not there.
    pub dir: PathBuf,
    /// Settings of Talus.
    pub settings: Vec<(String, String)>,
    /// What their data are on.
    pub disk: Disk,
    /// Whether their clocks can be moved.
    pub clock: bool,
    /// Variables in the environment of every node.
    pub env: Vec<(String, String)>,
}

/// Why something could not be done, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// With what, and why.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }

    /// What no correct server does: a finding, wherever in a history it stands.
    pub fn impossible(what: impl fmt::Display) -> Self {
        Self(format!("{IMPOSSIBLE}{what}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What all parts of a cluster know.
#[derive(Debug)]
pub(crate) struct Shared {
    options: Options,
    mark: String,
    /// The library that moves clocks, if they can be moved.
    clock: Option<PathBuf>,
}

impl Shared {
    fn log(&self, node: u32) -> PathBuf {
        self.options.dir.join(format!("n{node}.log"))
    }
}

/// A running cluster. Dropping it ends it and leaves only its directory.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: nodes end before what they stand on.
    sampler: Option<Sampler>,
    nodes: Vec<Mutex<Node>>,
    network: Arc<Network>,
    shared: Arc<Shared>,
    _guard: Guard,
}

/// What this machine lacks for clusters in `mode`; a cluster starts where this is empty.
pub fn lacks(mode: Mode) -> Vec<String> {
    match mode {
        Mode::Namespaces => netns::lacks(),
        Mode::Loopback => loopback::lacks(),
    }
}

impl Options {
    /// What the machine lacks for this very cluster.
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = [lacks(self.mode), self.target.lacks()].concat();
        if self.disk == Disk::Ext4 {
            lacks.extend(disk::lacks());
        }
        if self.clock {
            lacks.extend(clock::lacks());
        }
        if !(1..=NODES_MAX).contains(&self.nodes) {
            lacks.push(format!("a number of nodes from 1 to {NODES_MAX}"));
        }
        lacks
    }
}

impl Cluster {
    /// Starts all nodes, and waits until they are one cluster.
    pub fn start(mut options: Options) -> Result<Self, Problem> {
        let lacks = options.lacks();
        if !lacks.is_empty() {
            return Err(Problem::new("this machine lacks", lacks.join(", ")));
        }
        guard::sweep();
        std::fs::create_dir_all(&options.dir)
            .map_err(|error| Problem::new(options.dir.display(), error))?;
        options.dir = options.dir.canonicalize()?;
        let mark = guard::mark();
        let guard = Guard::new(&mark)?;
        let clock = options.clock.then(|| clock::library(&options.dir)).transpose()?;
        let shared = Arc::new(Shared { options, mark, clock });
        let network = Arc::new(shared.network()?);
        let nodes = (1..=shared.places()).map(|node| shared.node(node).map(Mutex::new));
        let nodes = nodes.collect::<Result<_, _>>()?;
        let mut cluster = Self { sampler: None, nodes, network, shared, _guard: guard };
        let (shared, network) = (&cluster.shared, &cluster.network);
        cluster.sampler = Some(Sampler::new(shared, network, shared.places())?);
        cluster.found()?;
        Ok(cluster)
    }

    /// The first founds; the others of Talus join it when it is there.
    fn found(&self) -> Result<(), Problem> {
        let deadline = Instant::now() + START_MAX;
        if self.is_talus() {
            self.launch(1)?;
            self.wait_ready(&[1], deadline)?;
        }
        let all: Vec<u32> = (1..=self.nodes()).collect();
        all.iter().try_for_each(|node| self.launch(*node))?;
        self.wait_ready(&all, deadline)?;
        self.settle(deadline)
    }

    /// Moves the calling thread to where clients are.
    pub fn enter(&self) -> io::Result<()> {
        self.network.enter()
    }

    /// What everything of this cluster carries in its name or environment.
    pub fn mark(&self) -> &str {
        &self.shared.mark
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> u32 {
        self.shared.options.nodes
    }

    /// Where the node serves clients.
    pub fn redis(&self, node: u32) -> SocketAddr {
        (self.network.address(node), self.shared.options.target.client_port()).into()
    }

    /// Where the node serves HTTP.
    pub fn http(&self, node: u32) -> SocketAddr {
        (self.network.address(node), self.shared.options.target.http_port()).into()
    }

    /// Who leads, as the nodes say; it may have changed by now.
    pub fn leader(&self) -> Option<u32> {
        self.sampler.as_ref()?.leader()
    }

    /// Who led, as each node said ten times a second, with times since `began`.
    pub fn roles(&self, began: Instant) -> Vec<Sample> {
        self.sampler.as_ref().map_or_else(Vec::new, |sampler| sampler.samples(began))
    }

    /// What each node has said, over all its starts, and how those ended that have.
    pub fn logs(&self) -> Vec<(u32, String)> {
        (1..=self.shared.places()).filter_map(|node| self.node(node).ok()).for_each(|mut node| {
            node.runs();
        });
        let read = |node| std::fs::read(self.shared.log(node)).ok().map(|log| (node, log));
        let logs = (1..=self.shared.places()).filter_map(read);
        logs.map(|(node, log)| (node, String::from_utf8_lossy(&log).into_owned())).collect()
    }

    /// Ends everything; only its directory stays.
    pub fn stop(self) {
        drop(self);
    }

    /// The network between the nodes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The node's processes, disk and clock.
    pub fn node(&self, node: u32) -> Result<MutexGuard<'_, Node>, Problem> {
        let node = (node as usize).checked_sub(1).and_then(|at| self.nodes.get(at));
        let node = node.ok_or_else(|| Problem::new("node", "there is no such node"))?;
        Ok(node.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The place for one node more.
    pub fn spare(&self) -> u32 {
        self.shared.places()
    }

    /// Lets every fsync of the node be so; `None` is as usual.
    pub fn sync(&self, node: u32, sync: Option<trace::Sync>) -> Result<(), Problem> {
        self.node(node)?.sync(sync, &self.shared.mark)
    }

    /// Leaves the node so many hundredths of a processor; `None` is all of it.
    pub fn starve(&self, node: u32, percent: Option<u64>) -> Result<(), Problem> {
        match percent {
            Some(percent) => self.node(node)?.starve(percent, &self.shared.mark),
            None => {
                cpu::free(&self.shared.mark, node);
                Ok(())
            }
        }
    }

    /// The file that tells the node's clock, if its clock can be moved.
    pub fn clock(&self, node: u32) -> Result<PathBuf, Problem> {
        let lacks =
            || Problem::new("clock", "the cluster was started with clocks that cannot be moved");
        self.shared.clock.as_ref().ok_or_else(lacks)?;
        Ok(self.node(node)?.clock_file(&self.shared))
    }

    /// Starts what does not run of the node, and does not wait for it.
    pub fn launch(&self, node: u32) -> Result<(), Problem> {
        self.launch_as(node, false)
    }

    /// As `launch`; a node without data joins as one that never votes.
    pub fn launch_as(&self, number: u32, replica: bool) -> Result<(), Problem> {
        let mut node = self.node(number)?;
        let founds = number == 1 && node.is_fresh();
        let site = self.site(number, &node, founds, replica);
        node.start(&self.shared, &self.network, &site)
    }

    fn site(&self, number: u32, node: &Node, founds: bool, replica: bool) -> Site {
        let others = (1..=self.nodes()).filter(|other| *other != number && !founds);
        let port = self.shared.options.target.client_port();
        Site {
            node: number,
            address: self.network.address(number),
            advertised: self.network.advertised(number),
            data: node.store.path().to_owned(),
            members: (1..=self.nodes()).map(|node| self.network.advertised(node)).collect(),
            join: others.map(|other| (self.network.advertised(other), port).into()).collect(),
            replica,
        }
    }

    /// Asks every node to end, as its operator would, and starts all again.
    pub fn restart_all(&self) -> Result<(), Problem> {
        let all: Vec<u32> = (1..=self.nodes()).collect();
        std::thread::scope(|scope| {
            let terminate = |node: u32| self.node(node).map(|mut it| it.terminate(TERM_MAX));
            let threads: Vec<_> =
                all.iter().map(|node| scope.spawn(move || terminate(*node))).collect();
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        all.iter().try_for_each(|node| self.launch(*node))?;
        self.wait_ready(&all, Instant::now() + START_MAX)
    }

    /// Waits until clients can be sent to all of them.
    pub fn wait_ready(&self, nodes: &[u32], deadline: Instant) -> Result<(), Problem> {
        let agent = http::agent(Duration::from_secs(1));
        for node in nodes {
            while !self.is_ready(*node, &agent) {
                if self.node(*node)?.has_ended() {
                    return Err(self.blame(*node, "has ended"));
                }
                if Instant::now() > deadline {
                    return Err(self.blame(*node, "is not ready in time"));
                }
                std::thread::sleep(TICK);
            }
        }
        Ok(())
    }

    fn is_ready(&self, node: u32, agent: &Agent) -> bool {
        let (target, address) = (&self.shared.options.target, self.network.address(node));
        let nodes = self.nodes();
        self.network.among_clients(|| target.is_ready(agent, address, nodes)).unwrap_or(false)
    }

    /// A problem with the end of the node's log.
    fn blame(&self, node: u32, what: &str) -> Problem {
        const LINES: usize = 8;
        let log = std::fs::read(self.shared.log(node)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
        Problem(format!("node {node} {what}; its log ends with\n{tail}"))
    }
}

impl Shared {
    /// How many nodes have a place.
    fn places(&self) -> u32 {
        self.options.nodes + 1
    }

    fn network(&self) -> Result<Network, Problem> {
        let places = self.places();
        Ok(Network::new(match self.options.mode {
            Mode::Namespaces => Wires::Namespaces(netns::Switch::new(&self.mark, places)?),
            Mode::Loopback => {
                let ports = self.options.target.peer_ports();
                Wires::Loopback(loopback::Proxies::new(places, ports)?)
            }
        }))
    }

    fn node(&self, number: u32) -> Result<Node, Problem> {
        let name = format!("n{number}");
        let store = match self.options.disk {
            Disk::Plain => disk::Store::plain(&self.options.dir.join(name)),
            Disk::Ext4 => {
                let image = self.options.dir.join(name + ".ext4");
                disk::Store::ext4(image, &self.mark, number)
            }
        };
        let node = Node::new(number, store?, self.log(number));
        if self.clock.is_some() {
            clock::create(&node.clock_file(self))?;
        }
        Ok(node)
    }
}
