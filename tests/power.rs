//! Loss of power: what was acknowledged is there when it comes back, on however many nodes.
//!
//! Every node has a disk of its own, which forgets under load whatever was not fsynced. That kill
//! -9 cannot show: what a process has written survives it. Without root the tests are skipped.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "power/count.rs"]
mod count;
#[path = "power/disk.rs"]
mod disk;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/mod.rs"]
mod processes;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use count::{Count, Counting};
use disk::Disk;
use load::{Load, Tally, assert_found};
use processes::{Cluster, Node};
use resp::Reply;

const DISK_MEGABYTES: u64 = 512;

/// Small, so that within seconds segments are filled, snapshots taken and the log is purged.
const SETTINGS: &[&str] = &[
    "--set=raft.log_segment_bytes=4mb",
    "--set=raft.snapshot_log_bytes=2mb",
    "--set=raft.log_keep_bytes=1mb",
    "--set=storage.memory_bytes=32mb",
];

/// How long a node may run on after it lost its disk. It notices with its next write to the log,
/// for which there may have to be an election first.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

/// A cluster on disks whose power can be cut. The order of the fields is that of their end: a disk
/// is unmounted when no process uses it any more.
struct Machines {
    cluster: Cluster,
    disks: Vec<Disk>,
    acknowledged: Vec<Tally>,
    counts: Vec<Count>,
    _dir: tempfile::TempDir,
}

impl Machines {
    /// So many voters, or none on a machine that lacks something.
    fn start(voters: usize) -> Option<Self> {
        let dir = dir_for_disks()?;
        let disk = |number| Disk::new(dir.path(), &format!("disk-{number}"), DISK_MEGABYTES);
        let disks: Vec<Disk> = (0..voters).map(disk).collect();
        let places: Vec<PathBuf> = disks.iter().map(|disk| disk.path().to_owned()).collect();
        let cluster = Cluster::start_in(&places, SETTINGS);
        Some(Self { cluster, disks, acknowledged: Vec::new(), counts: Vec::new(), _dir: dir })
    }

    /// All nodes, the leader first.
    fn by_role(&self) -> Vec<usize> {
        let leader = self.cluster.await_leader();
        let voters = self.cluster.nodes.len();
        (0..voters).map(|offset| (leader + offset) % voters).collect()
    }

    /// Under load the power of `victims` fails and comes back. Those that are `away` have been
    /// killed before, and know nothing of what is then acknowledged.
    fn lose_power(&mut self, name: &'static str, victims: &[usize], away: &[usize]) {
        away.iter().for_each(|node| self.cluster.nodes[*node].kill());
        let addresses: Vec<String> = self.cluster.nodes.iter().map(Node::address).collect();
        let work = (Load::start(&addresses, name), Counting::start(&addresses, name));
        std::thread::sleep(Duration::from_millis(1500));
        self.cut_power(victims, away.len());
        victims.iter().for_each(|node| self.disks[*node].come_back());
        [victims, away].concat().iter().for_each(|node| self.cluster.nodes[*node].restart());
        self.cluster.await_leader();
        self.take_in(name, work);
        self.assert_kept();
    }

    /// Nodes without a disk end by themselves, and say so. The last one that is up has nobody to
    /// elect it, hence nothing to write, and may not notice.
    fn cut_power(&mut self, victims: &[usize], away: usize) {
        let others = self.disks.len() - victims.len() - away;
        let expected = if others > 0 { victims.len() } else { (victims.len() - 1).max(1) };
        let nodes = &mut self.cluster.nodes;
        let said: Vec<usize> = victims.iter().map(|node| nodes[*node].log().len()).collect();
        Disk::cut_all(victims.iter().map(|node| &self.disks[*node]));
        let begun = Instant::now();
        while victims.iter().filter(|node| nodes[**node].has_ended()).count() < expected {
            assert!(begun.elapsed() < NOTICED_WITHIN, "a node runs on without its disk");
            std::thread::sleep(Duration::from_millis(20));
        }
        for (node, said) in victims.iter().zip(said) {
            let node = &mut nodes[*node];
            assert!(!node.has_ended() || says_so(node, said), "a node ends without a word");
            node.kill();
        }
    }

    /// Ends the work of clients, and keeps what was acknowledged for all rounds to come.
    fn take_in(&mut self, name: &str, (load, counting): (Load, Counting)) {
        let tallies = load.stop();
        let written: usize = tallies.iter().map(|tally| tally.acknowledged.len()).sum();
        let uncertain: usize = tallies.iter().map(|tally| tally.uncertain).sum();
        println!("{name}: {written} writes acknowledged, {uncertain} uncertain");
        assert!(written > 20, "hardly anything was written");
        self.acknowledged.extend(tallies);
        self.counts.extend(counting.stop());
    }

    fn assert_kept(&self) {
        for node in &self.cluster.nodes {
            assert_found(&node.address(), &self.acknowledged);
            self.counts.iter().for_each(|count| count.assert_exact(&node.address()));
        }
        self.cluster.assert_equal_digests();
    }
}

fn dir_for_disks() -> Option<tempfile::TempDir> {
    if let Some(what) = disk::lacks() {
        println!("skipped: needs {what}");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

/// Whether a node has said that it stops because of a fault, after so many bytes of its log.
fn says_so(node: &Node, said: usize) -> bool {
    let is_fatal = |line: &str| line.contains("node stops") || line.starts_with("error: ");
    node.log()[said..].lines().any(is_fatal)
}

#[test]
fn a_single_node_that_loses_power_keeps_what_it_acknowledged() {
    let Some(mut machines) = Machines::start(1) else { return };
    for round in ["a", "b", "c"] {
        machines.lose_power(round, &[0], &[]);
    }
}

#[test]
fn a_majority_that_loses_power_keeps_what_it_acknowledged() {
    let Some(mut machines) = Machines::start(3) else { return };
    let nodes = machines.by_role();
    machines.lose_power("with the leader", &nodes[..2], &[]);
    let nodes = machines.by_role();
    machines.lose_power("all but the leader", &nodes[1..], &[]);
    let nodes = machines.by_role();
    machines.lose_power("all who know", &nodes[..2], &nodes[2..]);
}

#[test]
fn a_whole_cluster_that_loses_power_keeps_what_it_acknowledged() {
    let Some(mut machines) = Machines::start(3) else { return };
    for round in ["a", "b", "c"] {
        machines.lose_power(round, &[0, 1, 2], &[]);
    }
}

/// Writes until a write fails. Returns the keys that were acknowledged.
fn fill(node: &Node) -> Vec<String> {
    let mut client = node.client().unwrap();
    let mut value = vec![0; 64 << 10];
    rand::fill(&mut value);
    let write = |number: u32| {
        let key = format!("full:{number}");
        let reply = client.request(&[b"SET", key.as_bytes(), &value]);
        matches!(reply, Ok(Reply::Simple(_))).then_some(key)
    };
    (0..).map_while(write).collect()
}

/// On a full disk a node either serves or ends and says so, after so many bytes of its log.
fn assert_clear(node: &mut Node, said: usize) {
    let begun = Instant::now();
    while !(node.has_ended() && says_so(node, said)) {
        let serves = node.client().and_then(|mut client| client.request(&["PING"])).is_ok();
        if serves && begun.elapsed() > Duration::from_secs(1) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "neither serves nor ends");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fill_and_make_room(settings: &[&str]) {
    let Some(dir) = dir_for_disks() else { return };
    let disk = Disk::new(dir.path(), "disk", 112);
    // Beside the node's own files there may be no others but here. Later the room is for segments
    // made ahead, and for all that was written, once more: it is not in RocksDB yet.
    let filler = disk.path().join("lost+found/filler");
    std::fs::write(&filler, vec![1; 56 << 20]).unwrap();
    let mut cluster = Cluster::start_in(&[disk.path().to_owned()], settings);
    let node = &mut cluster.nodes[0];
    let acknowledged = fill(node);
    println!("{} writes acknowledged", acknowledged.len());
    assert!(acknowledged.len() > 100, "hardly anything was written");
    assert_clear(node, 0);
    for _ in 0..2 {
        node.kill();
        let said = node.log().len();
        node.spawn();
        assert_clear(node, said);
    }
    node.kill();
    std::fs::remove_file(filler).unwrap();
    node.restart();
    cluster.await_leader();
    let node = &cluster.nodes[0];
    assert_eq!(node.ask(&["SET", "room", "again"]), Reply::OK);
    assert_found(&node.address(), &[Tally { acknowledged, ..Tally::default() }]);
}

#[test]
fn a_disk_filled_by_the_log_costs_nothing_acknowledged() {
    fill_and_make_room(&["--set=raft.log_segment_bytes=4mb"]);
}

#[test]
fn a_disk_filled_by_snapshots_costs_nothing_acknowledged() {
    fill_and_make_room(SETTINGS);
}

#[test]
fn a_killed_test_leaves_no_disk_behind() {
    // This test starts itself anew, to hold a disk here until it is killed.
    const HELD_IN: &str = "TALUS_TEST_DISK_HELD_IN";
    if let Some(dir) = std::env::var_os(HELD_IN).map(PathBuf::from) {
        let _disk = Disk::new(&dir, "held", 8);
        return std::thread::sleep(Duration::from_secs(60));
    }
    let Some(dir) = dir_for_disks() else { return };
    let mount = dir.path().join("held");
    let is_mounted = || {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.contains(&format!(" {} ", mount.display()))
    };
    let wait_for = |mounted: bool| {
        let begun = Instant::now();
        while is_mounted() != mounted {
            assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {mounted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "a_killed_test_leaves_no_disk_behind"]).env(HELD_IN, dir.path());
    let mut test = test.stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for(true);
    test.kill().unwrap();
    test.wait().unwrap();
    wait_for(false);
}
