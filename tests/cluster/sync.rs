//! Members that need a snapshot, while writes go on and processes die in the middle of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand::RngExt;
use resp::Reply;

use crate::load::{Load, Tally, assert_found};
use crate::processes::{Cluster, Node};

/// Little log is kept, so that a member without it needs a snapshot, which takes seconds to send.
const OPTIONS: [&str; 8] = [
    "--set",
    "raft.snapshot_log_bytes=2mb",
    "--set",
    "raft.log_keep_bytes=1mb",
    "--set",
    "raft.log_segment_bytes=4mb",
    "--set",
    "raft.snapshot_bytes_per_s=3mb",
];
const VALUE_BYTES: usize = 8 << 10;
const VALUES: usize = 1200;
/// What a snapshot of them has at least: they cannot be compressed.
const DATA_BYTES: u64 = (VALUE_BYTES * VALUES) as u64;

/// Writes data that is large enough, and has every node take a snapshot of it.
fn fill(cluster: &Cluster, nodes: &[usize]) -> Tally {
    let mut client = cluster.nodes[nodes[0]].client().unwrap();
    let mut tally = Tally::default();
    for number in 0..VALUES {
        let key = format!("filled:{number}");
        let mut value = vec![0; VALUE_BYTES];
        rand::rng().fill(&mut value[..]);
        client.send(&[b"SET", key.as_bytes(), &value]).unwrap();
        tally.acknowledged.push(key);
    }
    client.flush().unwrap();
    (0..VALUES).for_each(|_| assert_eq!(client.receive().unwrap(), Reply::OK));
    let written = cluster.nodes[nodes[0]].number("raft_last_log_index");
    for node in nodes.iter().map(|n| &cluster.nodes[*n]) {
        await_snapshot(cluster, node, written);
    }
    tally
}

fn await_snapshot(cluster: &Cluster, node: &Node, index: u64) {
    cluster.wait_for("the data", |_| node.number("raft_applied_index") >= index);
    let (code, text) = node.cli(&["snapshot"]);
    assert_eq!(code, 0, "snapshot: {text}");
    assert!(node.number("raft_snapshot_index") >= index, "{text}");
    cluster.wait_for("a purge", |_| node.number("raft_purged_index") > 0);
}

/// Writers that leave the log shorter than what makes a new snapshot due while one is sent.
fn load(cluster: &Cluster) -> Load {
    Load::paced(&cluster.addresses(), "s", Duration::from_millis(5))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flatten().flat_map(|entry| below(entry.path())).collect()
}

/// When the data files below `dir` came into being: a file that is sent again is a new one.
fn births(dir: &Path) -> Vec<SystemTime> {
    let tables = files(dir).into_iter().filter(|path| path.extension().is_some_and(|e| e == "sst"));
    tables.filter_map(|path| path.metadata().ok()?.created().ok()).collect()
}

fn incoming(node: &Node) -> PathBuf {
    node.dir().join("life-1/shard-0/incoming")
}

/// Bytes of a snapshot that is arriving.
fn arrived(node: &Node) -> u64 {
    files(&incoming(node)).iter().map(|path| path.metadata().map_or(0, |m| m.len())).sum()
}

/// Waits until so many tenths of the data have arrived at a node.
fn await_arrival(cluster: &Cluster, node: usize, tenths: u64) {
    let part = DATA_BYTES * tenths / 10;
    cluster.wait_for("a part of a snapshot", |c| arrived(&c.nodes[node]) >= part);
}

/// Fails if nothing of a snapshot was there, or all of it, when its transfer ended.
fn assert_cut(node: &Node) {
    let arrived = arrived(node);
    assert!(arrived > 0 && arrived < DATA_BYTES, "{arrived} of {DATA_BYTES} bytes have arrived");
}

/// What a node shows to a read at once: nothing if it refuses, or lets the client wait.
fn shown(node: &Node, key: &str) -> Option<Reply> {
    let mut client = node.client().unwrap();
    client.set_timeout(Some(Duration::from_millis(200))).unwrap();
    client.request(&["GET", key]).ok().filter(|reply| !matches!(reply, Reply::Error(_)))
}

/// Waits until a node has caught up, and fails unless all is there then.
fn assert_synced(cluster: &Cluster, node: usize, load: Load, filled: Tally) {
    cluster.wait_for("the rest", |c| shown(&c.nodes[node], "filled:0").is_some());
    let mut tallies = load.stop();
    tallies.push(filled);
    assert_found(&cluster.nodes[node].address(), &tallies);
    cluster.assert_equal_digests();
}

/// How often any node has noticed that it could not finish sending a snapshot.
fn cuts(cluster: &Cluster) -> usize {
    cluster.nodes.iter().map(|node| node.log().matches("snapshot not sent").count()).sum()
}

#[test]
fn a_new_voter_that_is_killed_resumes_its_snapshot() {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    let filled = fill(&cluster, &[0, 1, 2]);
    let load = load(&cluster);
    cluster.join(&OPTIONS);
    let mut before = Vec::new();
    for (cut, tenths) in [(1, 3), (2, 6)] {
        await_arrival(&cluster, 3, tenths);
        assert_eq!(shown(&cluster.nodes[3], "filled:0"), None, "half a snapshot is read");
        assert_eq!(cluster.voters(), 3, "it votes, and has nothing");
        cluster.nodes[3].kill();
        assert_cut(&cluster.nodes[3]);
        before = births(&incoming(&cluster.nodes[3]));
        cluster.wait_for("the sender to notice", |c| cuts(c) >= cut);
        cluster.nodes[3].restart();
    }
    cluster.wait_for("four voters", |c| c.voters() == 4);
    let installed = |c: &Cluster| c.nodes[3].number("raft_snapshot_index") > 0;
    cluster.wait_for("the snapshot", installed);
    let kept = births(cluster.nodes[3].dir());
    assert!(before.iter().any(|birth| kept.contains(birth)), "it began from the start");
    assert_synced(&cluster, 3, load, filled);
}

#[test]
fn a_new_learner_outlives_the_sender_of_its_snapshot() {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    let filled = fill(&cluster, &[0, 1, 2]);
    let load = load(&cluster);
    cluster.join(&[&["--replica"][..], &OPTIONS].concat());
    await_arrival(&cluster, 3, 4);
    assert_eq!(cluster.nodes[3].info("master_sync_in_progress"), "1");
    let leader = cluster.await_leader();
    cluster.nodes[leader].kill();
    let learner = &cluster.nodes[3];
    assert_cut(learner);
    assert_eq!(learner.info("role"), "slave", "it awaits its first data");
    assert_eq!(learner.info("master_link_status"), "down");
    assert_eq!(learner.number("raft_snapshot_index"), 0, "it has a snapshot");
    cluster.wait_for("the snapshot", |_| learner.number("raft_snapshot_index") > 0);
    let sender = &cluster.nodes[cluster.await_leader()];
    let counts = || (sender.number("sync_full"), learner.number("snapshots_received"));
    cluster.wait_for("it to be counted", |_| counts().0 > 0 && counts().1 > 0);
    assert!(sender.number("sync_partial_err") > 0 && sender.number("sync_partial_ok") > 0);
    cluster.nodes[leader].restart();
    cluster.await_health();
    assert_synced(&cluster, 3, load, filled);
}

#[test]
fn a_voter_that_was_away_for_too_long_never_shows_a_mixture() {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    fill(&cluster, &[0, 1, 2]);
    let leader = cluster.await_leader();
    let away = (leader + 1) % 3;
    cluster.nodes[leader].ask(&["SET", "k", "old"]);
    let last = cluster.nodes[away].number("raft_last_log_index");
    cluster.nodes[away].kill();
    cluster.nodes[leader].ask(&["SET", "k", "new"]);
    let filled = fill(&cluster, &[leader, (leader + 2) % 3]);
    let purged = |c: &Cluster| c.nodes[leader].number("raft_purged_index") > last;
    cluster.wait_for("a purge of what it lacks", purged);
    let load = load(&cluster);
    for tenths in [3, 6] {
        cluster.nodes[away].restart();
        await_arrival(&cluster, away, tenths);
        let reply = shown(&cluster.nodes[away], "k");
        assert!(reply.is_none() || reply == Some(Reply::bulk("new")), "{reply:?}");
        cluster.nodes[away].kill();
        assert_cut(&cluster.nodes[away]);
    }
    cluster.nodes[away].restart();
    cluster.await_health();
    assert!(cuts(&cluster) > 0, "nobody has noticed");
    assert_synced(&cluster, away, load, filled);
    assert_eq!(cluster.nodes[away].ask(&["GET", "k"]), Reply::bulk("new"));
}
