//! Without a quorum nothing is promised, everybody hears so in time, and it passes by itself.

use std::time::{Duration, Instant};

use resp::Reply;

use crate::load::{Tally, assert_found};
use crate::processes::{Cluster, Node};

const OPTIONS: [&str; 4] =
    ["--set", "raft.write_timeout_ms=1000", "--set", "raft.read_timeout_ms=800"];
const WRITE_MAX: Duration = Duration::from_millis(1000);
const READ_MAX: Duration = Duration::from_millis(800);
/// What a machine that is busy may add.
const SLACK: Duration = Duration::from_secs(2);
/// How long a node is asked while it is alone.
const ALONE: Duration = Duration::from_millis(3500);

/// A request to a node without a quorum: the error it answers with in time.
fn refused(client: &mut resp::client::Client, request: &[&str], limit: Duration) -> String {
    let begun = Instant::now();
    let reply = client.request(request).unwrap();
    let took = begun.elapsed();
    assert!(took < limit + SLACK, "{request:?} took {took:?}");
    match reply {
        Reply::Error(error) => error.to_string(),
        reply => panic!("{request:?} is answered with {reply:?} without a quorum"),
    }
}

fn write(node: &Node, name: &str) -> Tally {
    let (mut client, mut tally) = (node.client().unwrap(), Tally::default());
    let begun = Instant::now();
    while begun.elapsed() < ALONE {
        let key = format!("{name}:{}", tally.refused.len() + tally.uncertain);
        let error = refused(&mut client, &["SET", &key, "x"], WRITE_MAX);
        match error.split(' ').next().unwrap() {
            "CLUSTERDOWN" => tally.refused.push(key),
            "UNCERTAIN" => tally.uncertain += 1,
            _ => panic!("SET is answered with {error}"),
        }
    }
    tally
}

fn read(node: &Node) {
    let mut client = node.client().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < ALONE {
        let error = refused(&mut client, &["GET", "k"], READ_MAX);
        assert!(error.starts_with("CLUSTERDOWN"), "{error}");
    }
}

/// Asks a node that is alone, on several connections.
fn besiege(node: &Node, names: &[String]) -> Vec<Tally> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = names.iter().map(|name| scope.spawn(|| write(node, name))).collect();
        scope.spawn(|| read(node));
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

type Deed = fn(&mut Node);

fn to_others(cluster: &mut Cluster, alone: usize, deed: Deed) {
    let others = cluster.nodes.iter_mut().enumerate().filter(|(at, _)| *at != alone);
    others.for_each(|(_, node)| deed(node));
}

/// Takes the two others from a node, asks it, and gives them back. Returns what it answered.
fn isolate(cluster: &mut Cluster, alone: usize, name: &str, cut: Deed, mend: Deed) -> Vec<Tally> {
    to_others(cluster, alone, cut);
    let names = ["a", "b", "c"].map(|writer| format!("{name}:{writer}"));
    let tallies = besiege(&cluster.nodes[alone], &names);
    let (code, text) = cluster.nodes[alone].cli(&["status"]);
    assert_eq!(code, 2, "status: {text}");
    to_others(cluster, alone, mend);
    cluster.wait_for("writes", |c| c.nodes[alone].ask(&["SET", name, "x"]) == Reply::OK);
    // A node that has just come back lags, and says so to readers.
    let reads = |node: &Node| !node.ask(&["GET", "k"]).is_error();
    cluster.wait_for("all to read", |c| c.nodes.iter().all(reads));
    for node in &cluster.nodes {
        assert_found(&node.address(), &tallies);
    }
    tallies
}

fn isolate_leader_and_follower(cut: Deed, mend: Deed) {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    cluster.nodes[0].ask(&["SET", "k", "1"]);
    let leader = cluster.await_leader();
    let tallies = isolate(&mut cluster, leader, "leader", cut, mend);
    assert!(
        tallies.iter().any(|t| !t.refused.is_empty()),
        "it knows of no write what became of it"
    );
    let follower = (cluster.await_leader() + 1) % 3;
    isolate(&mut cluster, follower, "follower", cut, mend);
    cluster.await_health();
    cluster.assert_equal_digests();
}

#[test]
fn a_node_whose_peers_are_dead_promises_nothing() {
    isolate_leader_and_follower(Node::kill, Node::restart);
}

#[test]
fn a_node_whose_peers_are_frozen_promises_nothing() {
    isolate_leader_and_follower(Node::freeze, Node::thaw);
}

#[test]
fn a_leader_that_slept_answers_nothing_stale() {
    let mut cluster = Cluster::start(3);
    let sleeper = cluster.await_leader();
    cluster.nodes[sleeper].ask(&["SET", "k", "old"]);
    let mut client = cluster.nodes[sleeper].client().unwrap();
    assert_eq!(client.request(&["GET", "k"]).unwrap(), Reply::bulk("old"));
    cluster.nodes[sleeper].freeze();
    let leader = cluster.await_leader();
    cluster.wait_for("a write", |c| c.nodes[leader].ask(&["SET", "k", "new"]) == Reply::OK);
    // It is there when the sleeper wakes, before anybody tells it what it has missed.
    client.send(&["GET", "k"]).unwrap();
    client.flush().unwrap();
    cluster.nodes[sleeper].thaw();
    match client.receive().unwrap() {
        Reply::Error(error) => assert!(error.to_string().starts_with("CLUSTERDOWN"), "{error}"),
        reply => assert_eq!(reply, Reply::bulk("new")),
    }
    let fresh = |c: &Cluster| c.nodes[sleeper].ask(&["GET", "k"]) == Reply::bulk("new");
    cluster.wait_for("the sleeper to follow", fresh);
    cluster.assert_equal_digests();
}

/// Whether HTTP says that clients should be sent to a node, and why not.
fn readiness(node: &Node) -> (bool, String) {
    let url = format!("http://127.0.0.1:{}/health/ready", node.port + 1);
    let request = ureq::get(&url).config().http_status_as_error(false).build();
    let mut answer = request.call().unwrap();
    let is_ready = answer.status().as_u16() == 200;
    (is_ready, answer.body_mut().read_to_string().unwrap())
}

fn roles(node: &Node) -> (String, String) {
    let Reply::Array(role) = node.ask(&["ROLE"]) else { panic!("no role") };
    let Reply::Bulk(state) = &role[3] else { panic!("no state in {role:?}") };
    (node.info("role"), String::from_utf8_lossy(state).into_owned())
}

#[test]
fn a_follower_that_is_cut_off_says_so_and_what_it_never_sent_is_refused() {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    let alone = (cluster.await_leader() + 1) % 3;
    cluster.wait_for("readiness", |c| c.nodes.iter().all(|node| readiness(node).0));
    to_others(&mut cluster, alone, Node::kill);
    let node = &cluster.nodes[alone];
    cluster.wait_for("it to notice", |_| !readiness(node).0);
    assert_eq!(node.info("master_link_status"), "down");
    assert_eq!(roles(node), ("slave".into(), "connect".into()));
    let mut client = node.client().unwrap();
    for number in 0..3 {
        let error = refused(&mut client, &["SET", &number.to_string(), "x"], WRITE_MAX);
        assert!(error.starts_with("CLUSTERDOWN "), "{error}");
    }
    to_others(&mut cluster, alone, Node::restart);
    cluster.wait_for("readiness", |c| c.nodes.iter().all(|node| readiness(node).0));
    assert_eq!(cluster.nodes[alone].ask(&["EXISTS", "0", "1", "2"]), Reply::Integer(0));
}

#[test]
fn a_leader_that_is_cut_off_is_not_ready() {
    let mut cluster = Cluster::start_with(3, &OPTIONS);
    let leader = cluster.await_leader();
    to_others(&mut cluster, leader, Node::freeze);
    cluster.wait_for("it to notice", |c| !readiness(&c.nodes[leader]).0);
    to_others(&mut cluster, leader, Node::thaw);
    cluster.wait_for("readiness", |c| c.nodes.iter().all(|node| readiness(node).0));
}
