//! Three nodes of Talus whose leader changes between the lines of a script.
//!
//! The clients of a script go to different nodes, so lines are answered by the leader, by followers,
//! and by nodes that were the other a line ago. Where clients go and when the leader changes follows
//! from the script's name: a script that fails fails again when it is run alone.

use std::io;
use std::net::SocketAddr;

use super::script::{Deed, Flavor, Script, Step};
use super::target::{Link, Target, connect_to};
use crate::processes::Cluster;

const NODES: usize = 3;
/// How many lines there are, on average, between two changes of leader.
const LINES_PER_LEADER: usize = 4;
/// The leader stays while one of so many next lines depends on how much time has passed.
const QUIET_LINES: usize = 4;
/// Requests about what a node has for itself: settings, connections, measurements. The clients of
/// a script with such a request go to one node, whoever leads.
const OF_ONE_NODE: [&str; 7] =
    ["CLIENT", "CONFIG", "DEBUG", "INFO", "LATENCY", "MEMORY", "SLOWLOG"];

pub struct Trio {
    cluster: Cluster,
    ids: Vec<u64>,
    leader: usize,
    chance: Chance,
    first_node: usize,
    is_spread: bool,
    /// How often leadership moved, and how often it was asked to.
    pub moved: usize,
    pub asked: usize,
}

impl Trio {
    pub fn start() -> Self {
        let cluster = Cluster::start(NODES);
        Self {
            ids: (0..NODES).map(|node| cluster.id(node)).collect(),
            leader: cluster.await_leader(),
            cluster,
            chance: Chance(0),
            first_node: 0,
            is_spread: true,
            moved: 0,
            asked: 0,
        }
    }

    /// Fails unless the three have the same state.
    pub fn assert_equal(&self) {
        self.cluster.assert_equal_digests();
    }

    fn move_leadership(&mut self, to: usize) {
        let http = self.cluster.nodes[self.leader].port + 1;
        let url = format!("http://127.0.0.1:{http}/v1/leader/transfer");
        self.asked += 1;
        if ureq::post(&url).send_json(serde_json::json!({ "to": self.ids[to] })).is_ok() {
            self.moved += 1;
            self.leader = to;
        }
    }
}

impl Target for Trio {
    fn flavor(&self) -> Flavor {
        Flavor::Talus
    }

    fn name(&self) -> String {
        format!("Talus on three nodes, leadership moved {} times of {},", self.moved, self.asked)
    }

    fn refuses(&self, script: &Script) -> Option<String> {
        (script.header("cluster") == Some("no")).then(|| "not on a cluster".to_owned())
    }

    fn begin(&mut self, script: &Script) {
        self.chance = Chance(crc32fast::hash(script.name.as_bytes()).into());
        self.first_node = self.chance.below(NODES);
        let leader = self.chance.below(NODES);
        self.move_leadership(leader);
        let is_of_one_node = |args: &[Vec<u8>]| {
            OF_ONE_NODE.iter().any(|name| args[0].eq_ignore_ascii_case(name.as_bytes()))
        };
        self.is_spread = !script.requests().any(is_of_one_node);
    }

    fn before_step(&mut self, steps: &[Step]) {
        let is_quiet = steps.iter().take(QUIET_LINES).any(is_timed);
        if self.chance.below(LINES_PER_LEADER) == 0 && !is_quiet {
            let other = 1 + self.chance.below(NODES - 1);
            self.move_leadership((self.leader + other) % NODES);
        }
    }

    fn connect(&self, client: usize) -> io::Result<Box<dyn Link>> {
        let other = if self.is_spread { client } else { 0 };
        let node = &self.cluster.nodes[(self.first_node + other) % NODES];
        connect_to(SocketAddr::from(([127, 0, 0, 1], node.port)))
    }
}

fn is_timed(step: &Step) -> bool {
    match &step.deed {
        Deed::Advance(_) => true,
        Deed::Request { args, .. } => {
            [&b"TTL"[..], b"PTTL"].iter().any(|name| args[0].eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
