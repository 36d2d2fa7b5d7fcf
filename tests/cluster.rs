//! Clusters of real processes: kills, restarts, joins, removals; nothing acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/failover.rs"]
mod failover;
#[path = "cluster/join.rs"]
mod join;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/members.rs"]
mod members;
#[path = "cluster/mod.rs"]
mod processes;
#[path = "cluster/quorum.rs"]
mod quorum;
#[path = "cluster/stats.rs"]
mod stats;
#[path = "cluster/sync.rs"]
mod sync;

use std::time::Duration;

use load::{Counting, Load, assert_found};
use processes::{Cluster, Node};
use resp::Reply;

fn settle() {
    std::thread::sleep(Duration::from_millis(1500));
}

#[test]
fn a_single_node_keeps_what_it_acknowledged_over_kill_9() {
    let mut cluster = Cluster::start(1);
    for round in 0..3 {
        let load = Load::start(&cluster.addresses(), ["a", "b", "c"][round]);
        settle();
        cluster.nodes[0].kill();
        let tallies = load.stop();
        assert!(tallies[0].acknowledged.len() > 100, "hardly anything was written");
        cluster.nodes[0].restart();
        cluster.await_leader();
        assert_found(&cluster.nodes[0].address(), &tallies);
    }
}

#[test]
fn a_killed_leader_is_replaced_and_rejoins() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "k");
    settle();
    let leader = cluster.await_leader();
    cluster.nodes[leader].kill();
    settle();
    settle();
    cluster.nodes[leader].restart();
    settle();
    let tallies = load.stop();
    let longest = tallies.iter().map(|t| t.longest_gap).max().unwrap();
    println!("longest time without an acknowledged write: {longest:?}");
    assert!(longest < Duration::from_secs(4), "not served for {longest:?}");
    for node in &cluster.nodes {
        assert_found(&node.address(), &tallies);
    }
    cluster.assert_equal_digests();
}

#[test]
fn killed_followers_and_whole_clusters_come_back() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "f");
    settle();
    let follower = (cluster.await_leader() + 1) % 3;
    cluster.nodes[follower].kill();
    settle();
    cluster.nodes[follower].restart();
    settle();
    for node in &mut cluster.nodes {
        node.kill();
    }
    let tallies = load.stop();
    for node in &mut cluster.nodes {
        node.restart();
    }
    cluster.await_leader();
    for node in &cluster.nodes {
        assert_found(&node.address(), &tallies);
    }
    cluster.assert_equal_digests();
}

#[test]
fn increments_count_once_while_leadership_moves() {
    let cluster = Cluster::start(3);
    let counting = Counting::start(&cluster.addresses(), "counter");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(700));
        let leader = cluster.await_leader();
        let to = cluster.id((leader + 1) % 3).to_string();
        let (code, text) = cluster.nodes[leader].cli(&["transfer", &to]);
        assert_eq!(code, 0, "transfer: {text}");
    }
    let counted = counting.stop();
    for node in &cluster.nodes {
        assert_eq!(node.ask(&["GET", "counter"]), Reply::bulk(counted.to_string()));
    }
}

#[test]
fn members_leave_and_others_take_their_place() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "m");
    let leader = cluster.await_leader();
    let leaving = (leader + 1) % 3;
    let id = cluster.id(leaving).to_string();
    let (code, text) = cluster.nodes[leader].cli(&["remove", &id]);
    assert_eq!(code, 0, "remove: {text}");
    cluster.wait_for("two voters", |c| c.voters() == 2);
    cluster.nodes[leaving].kill();
    cluster.join(&[]);
    cluster.wait_for("three voters", |c| c.voters() == 3);
    let tallies = load.stop();
    assert_found(&cluster.nodes[3].address(), &tallies);
    let (code, text) = cluster.nodes[3].cli(&["status"]);
    assert_eq!(code, 0, "status: {text}");
    cluster.assert_equal_digests();
}

#[test]
fn a_replica_follows_for_good_and_leaves_with_its_data() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].ask(&["SET", "before", "1"]);
    let dir = cluster.dir().to_path_buf();
    let replica = Node::start(&dir, &[]);
    let port = cluster.nodes[0].port.to_string();
    assert_eq!(replica.ask(&["REPLICAOF", "127.0.0.1", &port]), Reply::OK);
    cluster.nodes[0].ask(&["SET", "after", "2"]);
    assert_eq!(replica.ask(&["GET", "before"]), Reply::bulk("1"));
    assert_eq!(replica.ask(&["GET", "after"]), Reply::bulk("2"));
    assert_eq!(replica.info("role"), "slave");
    assert_eq!(cluster.nodes[0].info("connected_slaves"), "1");
    assert_eq!(replica.ask(&["SET", "through", "3"]), Reply::OK);
    assert_eq!(cluster.nodes[0].ask(&["WAIT", "1", "1000"]), Reply::Integer(1));
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), Reply::OK);
    assert_eq!(replica.ask(&["GET", "through"]), Reply::bulk("3"));
    assert_eq!(replica.ask(&["SET", "own", "4"]), Reply::OK);
    assert_eq!(cluster.nodes[0].ask(&["GET", "own"]), Reply::Null);
    assert_eq!(replica.info("role"), "master");
    cluster.nodes.push(replica);
    cluster.nodes[1].kill();
    cluster.nodes[1].restart();
    assert_eq!(cluster.nodes[1].ask(&["GET", "own"]), Reply::bulk("4"));
}

#[test]
fn a_node_stops_in_good_order() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].ask(&["SET", "k", "v"]);
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    cluster.nodes[0].restart();
    cluster.await_leader();
    assert_eq!(cluster.nodes[0].ask(&["GET", "k"]), Reply::bulk("v"));
}
