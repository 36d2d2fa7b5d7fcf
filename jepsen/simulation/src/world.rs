//! A run: a cluster, its clients, what happens to it, and the end, when everything is mended and
//! must come to rest in one state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use raft::log::WalOptions;
use raft::{Node as Member, NodeId, Options, Role, Status};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use crate::clients::Client;
use crate::history::SharedHistory;
use crate::journal::{self, note};
use crate::laws::SharedLaws;
use crate::network::{Latency, Network};
use crate::node::{Common, Node, Parts};

/// The cluster must be at rest so long after everything was mended.
const REST_MAX: Duration = Duration::from_secs(60);
/// No client waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often states are compared.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything there is.
pub struct World {
    pub rng: StdRng,
    pub network: Network,
    pub nodes: BTreeMap<NodeId, Node>,
    /// Nodes that were given an id and have yet to start, or were removed and have to stop.
    pub changes: Arc<Mutex<Vec<Change>>>,
    pub faults: BTreeMap<&'static str, u64>,
    /// Losses of power in the middle of something, by what it was.
    amid: BTreeMap<&'static str, u64>,
    plan: Plan,
    common: Common,
    history: SharedHistory,
    laws: SharedLaws,
    /// The lives of nodes whose clients were started.
    served: BTreeSet<(NodeId, u64)>,
    /// Nothing fails any more, and who is off starts.
    is_mended: bool,
    dir: TempDir,
}

/// A change of members that came about.
#[derive(Debug)]
pub enum Change {
    /// A node may start.
    Joined(NodeId),
    /// A node is no member any more.
    Removed(NodeId),
}

/// What a seed decides about a run as a whole.
struct Plan {
    seed: u64,
    voters: u64,
    clients: usize,
    pause_ms: u64,
    length: Duration,
    fault_every_ms: u64,
}

impl Plan {
    fn draw(seed: u64, rng: &mut StdRng) -> Self {
        Self {
            seed,
            voters: *[3, 3, 3, 5].choose(rng).expect("some"),
            clients: rng.random_range(1..=2),
            pause_ms: *[10, 40, 150].choose(rng).expect("some"),
            length: Duration::from_millis(rng.random_range(4_000..14_000)),
            fault_every_ms: *[150, 400, 1200].choose(rng).expect("some"),
        }
    }
}

fn common(rng: &mut StdRng, laws: &SharedLaws, network: &Network) -> Common {
    let pick = |rng: &mut StdRng, from: &[u64]| *from.choose(rng).expect("some");
    let options = Options {
        append_entries_max: pick(rng, &[2, 16, 1024]),
        apply_entries_max: pick(rng, &[1, 8, 1024]) as usize,
        snapshot_log_bytes: pick(rng, &[256, 512, 8 << 10]),
        log_bytes_kept: pick(rng, &[0, 0, 0, 2 << 10]),
        catch_up_entries: 64,
        catch_up_timeout: Duration::from_secs(5),
        change_timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let in_place_max = Duration::from_millis(pick(rng, &[0, 2]));
    let wal = WalOptions {
        segment_bytes: pick(rng, &[4 << 10, 64 << 10]),
        segment_bytes_first: 2 << 10,
        segments_recycled: 2,
        segments_max: 4,
        cache_bytes: pick(rng, &[500, 1 << 20]) as usize,
        read_bytes: pick(rng, &[400, 1 << 20]) as usize,
        in_place_max,
        ..WalOptions::default()
    };
    let sync_us = pick(rng, &[0, 3_000, 40_000]);
    let (network, laws, installs) = (network.clone(), Arc::clone(laws), Arc::default());
    Common { network, laws, options, wal, sync_us, installs }
}

impl World {
    /// A cluster that has just been founded.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let plan = Plan::draw(seed, &mut rng);
        let usual_us = *[300, 2_000, 20_000].choose(&mut rng).expect("some");
        let network = Network::new(rng.random(), Latency { usual_us, rare_us: 20 * usual_us });
        let laws = SharedLaws::default();
        let common = common(&mut rng, &laws, &network);
        let mut world = Self {
            rng,
            network,
            nodes: BTreeMap::new(),
            changes: Arc::default(),
            faults: BTreeMap::new(),
            amid: BTreeMap::new(),
            plan,
            common,
            history: SharedHistory::default(),
            laws,
            served: BTreeSet::new(),
            is_mended: false,
            dir: directory(),
        };
        world.found();
        world
    }

    fn found(&mut self) {
        let members: BTreeMap<NodeId, Member> =
            (1..=self.plan.voters).map(|id| (id, member(id))).collect();
        members.keys().for_each(|id| self.start_new(*id));
        self.until(Duration::from_secs(5), "to start", |world| {
            world.nodes.values().all(|node| node.parts().is_some())
        });
        let first = &self.nodes[&1];
        let consensus = first.parts().expect("it has started").consensus.clone();
        first.spawn(async move { consensus.initialize(members).await.expect("is founded") });
        // What is lost before that was never a cluster.
        self.until(Duration::from_secs(10), "to be founded", |world| world.leader().is_some());
    }

    /// Starts a node that never was.
    pub fn start_new(&mut self, id: NodeId) {
        let dir = self.dir.path().to_owned();
        let mut node = Node::new(id, self.plan.seed, dir, self.common.clone());
        node.start();
        self.nodes.insert(id, node);
    }

    /// Goes through the whole run.
    pub fn run(&mut self) {
        let end = Instant::now() + self.plan.length;
        while Instant::now() < end {
            let pause = self.rng.random_range(1..=2 * self.plan.fault_every_ms);
            let until = (Instant::now() + Duration::from_millis(pause)).min(end);
            self.run_until(until);
            self.happen();
        }
        self.mend();
        self.come_to_rest();
        self.check_end();
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Instant) {
        let mut look = Instant::now() + LOOK_EVERY;
        while Instant::now() < end {
            self.step(end.min(look));
            if Instant::now() >= look {
                self.look();
                look = Instant::now() + LOOK_EVERY;
            }
        }
    }

    /// Runs what is ready, then lets time pass until something is due, at most until `end`.
    fn step(&mut self, end: Instant) {
        let mut ready: Vec<NodeId> = self.nodes.keys().copied().collect();
        while !ready.is_empty() {
            ready.shuffle(&mut self.rng);
            for id in ready {
                let amid = self.nodes.get_mut(&id).and_then(Node::run);
                amid.into_iter().for_each(|what| *self.amid.entry(what).or_default() += 1);
            }
            ready = self.network.take_woken().into_iter().collect();
        }
        self.change_members();
        self.start_clients();
        if self.is_mended {
            self.nodes.values_mut().filter(|node| !node.is_on()).for_each(Node::start);
        }
        let now = Instant::now();
        let next = self.network.next().map_or(end, |due| due.min(end));
        // Ends early if a timer of a node is due: see `os.c`.
        std::thread::sleep(next.saturating_duration_since(now));
        self.network.deliver(Instant::now());
    }

    fn change_members(&mut self) {
        let changes = std::mem::take(&mut *self.changes.lock());
        for change in changes {
            note!("{change:?}");
            match change {
                Change::Joined(id) => {
                    self.start_new(id);
                    // What it lacks is mostly a snapshot by now.
                    if self.rng.random_bool(0.5) && !self.is_mended {
                        self.doom(id);
                    }
                }
                Change::Removed(id) => self.stop(id),
            }
        }
    }

    /// Ends a node for good.
    fn stop(&mut self, id: NodeId) {
        if let Some(mut node) = self.nodes.remove(&id) {
            node.lose_power(false);
        }
    }

    fn start_clients(&mut self) {
        if self.history.lock().is_over() {
            return;
        }
        for node in self.nodes.values() {
            let Some(parts) = node.parts() else { continue };
            if !self.served.insert((parts.node, parts.life)) {
                continue;
            }
            for _ in 0..self.plan.clients {
                let (parts, history) = (Arc::clone(&parts), Arc::clone(&self.history));
                let client = Client::new(parts, history, self.rng.random(), self.plan.pause_ms);
                node.spawn(client.run());
            }
        }
    }

    /// Compares the states of nodes.
    fn look(&mut self) {
        for node in self.nodes.values().filter(|node| !node.is_paused) {
            let Some(parts) = node.parts() else { continue };
            if parts.consensus.applied() > 0 && self.rng.random_bool(0.3) {
                let digest = parts.current.load_full().digest().expect("a digest");
                self.laws.lock().state(node.id, parts.consensus.applied(), digest);
            }
        }
    }

    fn until(&mut self, limit: Duration, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + limit;
        while !is_so(self) {
            if Instant::now() >= end {
                let shown: Vec<Status> =
                    self.parts().iter().map(|parts| parts.consensus.status()).collect();
                panic!("waited {limit:?} for the cluster {what}: {shown:#?}");
            }
            self.run_until(end.min(Instant::now() + Duration::from_millis(20)));
        }
    }

    /// The parts of all nodes that serve.
    pub fn parts(&self) -> Vec<Arc<Parts>> {
        self.nodes.values().filter_map(Node::parts).collect()
    }

    /// The node that leads, as far as it knows.
    pub fn leader(&self) -> Option<Arc<Parts>> {
        let leads = |parts: &Arc<Parts>| parts.consensus.status().role == Role::Leader;
        self.parts().into_iter().filter(leads).max_by_key(|parts| parts.consensus.status().term)
    }

    /// From now on nothing fails.
    fn mend(&mut self) {
        note!("everything is mended");
        self.network.heal();
        self.network.set_latency(Latency { usual_us: 500, rare_us: 1_000 });
        self.nodes.values_mut().for_each(Node::mend);
        self.is_mended = true;
        self.history.lock().close();
    }

    /// Every node that is a member has everything, and nothing more comes.
    fn come_to_rest(&mut self) {
        // Whoever still waits for an answer gets one, or gives up.
        self.run_until(Instant::now() + PATIENCE);
        let mut last = 0;
        self.until(REST_MAX, "to come to rest", |world| {
            let Some(leader) = world.leader() else { return false };
            let status = leader.consensus.status();
            let rests = |parts: &Arc<Parts>| parts.consensus.applied() == status.last_log;
            let members = world.parts().into_iter();
            let mut members = members.filter(|it| status.members.contains_key(&it.node));
            let at_rest = !status.is_joint() && members.all(|parts| rests(&parts));
            let stays = std::mem::replace(&mut last, status.last_log) == status.last_log;
            at_rest && stays
        });
    }

    fn check_end(&mut self) {
        let leader = self.leader().expect("there is one");
        let members = leader.consensus.status().members;
        let begun = note!("the end");
        for parts in self.parts().into_iter().filter(|it| members.contains_key(&it.node)) {
            let digest = parts.current.load_full().digest().expect("a digest");
            self.laws.lock().state(parts.node, parts.consensus.applied(), digest);
            let client = Client::new(parts, Arc::clone(&self.history), 0, 0);
            client.look(begun);
            client.check_counters();
        }
    }

    /// One line about it.
    pub fn report(&self) -> String {
        let (events, hash) = journal::so_far();
        let [done, refused, unknown, reads] = self.history.lock().counts();
        let laws = self.laws.lock();
        format!(
            "hash {hash:016x} events {events} ms {} entries {} elections {} installs {} \
             writes {done} refused {refused} unknown {unknown} reads {reads} amid {:?} faults {:?}",
            journal::elapsed_ms(),
            laws.entries(),
            laws.elections(),
            self.common.installs.load(Ordering::Relaxed),
            self.amid,
            self.faults
        )
    }
}

/// How the others know a node.
pub fn member(id: NodeId) -> Member {
    Member { rpc: Network::address(id), ..Member::default() }
}

/// In memory where that is possible: what is tried here is not the machine's disk.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}
