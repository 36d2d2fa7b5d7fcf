//! Nodes that join while the leader changes under them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proto::node::v1::cluster_client::ClusterClient;
use proto::node::v1::{JoinReply, JoinRequest, NodeInfo};
use resp::Reply;
use rustix::process::{Signal, kill_process};

use crate::load::{Counting, Load, assert_found};
use crate::processes::{Cluster, Node, cli_at, free_port};

fn ask(node: &Node, request: JoinRequest) -> JoinReply {
    let url = format!("http://127.0.0.1:{}", node.port + 10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(async {
        let mut client = ClusterClient::connect(url).await.unwrap();
        client.join(request).await.unwrap()
    });
    reply.into_inner()
}

fn member_ids(node: &Node) -> Vec<u64> {
    let members = node.get("/v1/cluster")["members"].take();
    members.as_array().unwrap().iter().map(|member| member["id"].as_u64().unwrap()).collect()
}

/// A request from a node that is not there.
fn request(id: u64, cluster: &Bytes) -> JoinRequest {
    let address = |port: u16| format!("192.0.2.1:{port}");
    let info = NodeInfo { resp: address(1), rpc: address(2), http: address(3), replica: false };
    JoinRequest { info: Some(info), cluster: cluster.clone(), replica: false, id }
}

#[test]
fn a_refusal_says_whether_it_passes_and_an_id_is_added_once() {
    let cluster = Cluster::start(2);
    let leader = cluster.await_leader();
    let (leader, follower) = (&cluster.nodes[leader], &cluster.nodes[1 - leader]);
    let moved = ask(follower, request(0, &Bytes::new()));
    assert!(moved.refused.contains("does not lead") && moved.retry, "{moved:?}");
    let given = ask(leader, request(0, &Bytes::new()));
    assert!(given.refused.is_empty() && given.id > 0, "{given:?}");
    assert_eq!(cluster.members(), 2, "who has only an id is no member yet");
    for _ in 0..2 {
        let added = ask(leader, request(given.id, &given.cluster));
        assert_eq!((added.refused.as_str(), added.id), ("", given.id));
    }
    cluster.wait_for("the member", |c| c.members() == 3);
    // It was killed before it knew, and starts over: its place is taken by itself.
    let next = ask(leader, request(0, &Bytes::new()));
    assert!(next.id > given.id, "an id was given twice");
    assert_eq!(ask(leader, request(next.id, &next.cluster)).refused, "");
    let ids = || member_ids(leader);
    assert!(ids().contains(&next.id) && !ids().contains(&given.id), "{:?}", ids());
    let mut voter = request(next.id + 100, &given.cluster);
    voter.info.as_mut().unwrap().rpc = format!("127.0.0.1:{}", follower.port + 10_000);
    let taken = ask(leader, voter);
    assert!(taken.refused.contains("belongs to node") && !taken.retry, "{taken:?}");
    let foreign = ask(leader, request(next.id, &Bytes::from_static(&[7; 16])));
    assert!(foreign.refused.contains("another cluster") && !foreign.retry, "{foreign:?}");
}

/// Served by the thread of consensus while that has nobody to wait for, and by another from then on.
#[test]
fn connections_make_way_for_consensus_when_a_node_gets_company() {
    let mut cluster = Cluster::start_with(1, &["--set", "server.io_threads=1"]);
    let moved = |cluster: &Cluster| cluster.nodes[0].number("connections_moved");
    cluster.wait_for("local reads", |c| c.nodes[0].number("reads_are_local") == 1);
    let mut client = cluster.nodes[0].client().unwrap();
    let before = moved(&cluster);
    assert_eq!(client.request(&["SET", "k", "1"]).unwrap(), Reply::OK);
    // The next one that asks moves, too.
    assert_eq!(moved(&cluster), before + 2);
    cluster.join(&[]);
    cluster.wait_for("two voters", |c| c.voters() == 2);
    // Every other connection is a fresh one, which has no reason to move any more.
    let before = moved(&cluster);
    let pipeline = [vec!["SET", "k", "2"], vec!["GET", "k"], vec!["INCR", "k"]];
    let replies = client.pipeline(&pipeline).unwrap();
    assert_eq!(replies, [Reply::OK, Reply::bulk("2"), Reply::Integer(3)]);
    assert_eq!(moved(&cluster), before + 1);
}

/// Answers TALUS MEMBERS; at first it names one as the leader who is not.
fn outdated_member(right: String, wrong: String, times: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let outdated = count.fetch_add(1, Ordering::Relaxed) < times;
            let json = if outdated { &wrong } else { &right };
            let _ = stream.write_all(format!("${}\r\n{json}\r\n", json.len()).as_bytes());
        }
    });
    (address, asked)
}

#[test]
fn a_node_sent_to_one_who_leads_no_more_asks_again() {
    let mut cluster = Cluster::start(2);
    let leader = cluster.await_leader();
    let Reply::Bulk(right) = cluster.nodes[leader].ask(&["TALUS", "MEMBERS"]) else {
        panic!("no members");
    };
    let mut wrong: serde_json::Value = serde_json::from_slice(&right).unwrap();
    wrong["leader"] = cluster.id(1 - leader).into();
    let right = String::from_utf8(right.to_vec()).unwrap();
    let (address, asked) = outdated_member(right, wrong.to_string(), 3);
    cluster.nodes.push(Node::start(cluster.dir(), &["--join", &address]));
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    cluster.wait_for("its vote", |c| c.voters() == 3);
}

#[test]
fn nodes_join_while_leadership_moves() {
    let mut cluster = Cluster::start(3);
    let counting = Counting::start(&cluster.addresses(), "counter");
    let ids: Vec<String> = (0..3).map(|node| cluster.id(node).to_string()).collect();
    let (port, stop) = (cluster.nodes[0].port, Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let mover = std::thread::spawn(move || {
        let to = ids.iter().cycle().take_while(|_| !stopped.load(Ordering::Relaxed));
        to.filter(|to| cli_at(port, &["transfer", to]).0 == 0).count()
    });
    (0..3).for_each(|_| cluster.join(&[]));
    cluster.wait_for("six voters", |c| (c.voters(), c.members()) == (6, 6));
    stop.store(true, Ordering::Relaxed);
    let moved = mover.join().unwrap();
    assert!(moved > 3, "leadership moved {moved} times only");
    let counted = counting.stop().to_string();
    assert_eq!(cluster.nodes[5].ask(&["GET", "counter"]), Reply::bulk(counted));
    cluster.assert_equal_digests();
}

#[test]
fn nodes_join_while_leaders_die() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "j");
    for (members, after_ms) in [(4, 60), (5, 120), (6, 180)] {
        let leader = cluster.await_leader();
        let pid = cluster.nodes[leader].pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(after_ms));
            kill_process(pid, Signal::KILL).unwrap();
        });
        cluster.join(&[]);
        killer.join().unwrap();
        cluster.nodes[leader].kill();
        cluster.nodes[leader].restart();
        // Exactly: an attempt that failed half-way leaves no member behind.
        let all = |c: &Cluster| (c.voters(), c.members()) == (members, members);
        cluster.wait_for("all to vote", all);
        cluster.await_health();
    }
    let tallies = load.stop();
    for node in &cluster.nodes {
        assert_found(&node.address(), &tallies);
    }
    cluster.assert_equal_digests();
}

#[test]
fn a_node_that_nobody_lets_in_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let port = free_port().to_string();
    let Reply::Error(error) = node.ask(&["REPLICAOF", "127.0.0.1", &port]) else {
        panic!("it follows nobody");
    };
    assert!(error.to_string().contains("cannot follow"), "{error}");
    assert_eq!(node.ask(&["SET", "k", "v"]), Reply::OK, "it goes on as it was");
}

#[test]
fn a_node_comes_to_the_place_that_was_kept_for_its_address() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].ask(&["SET", "k", "v"]);
    let mut node = Node::start(cluster.dir(), &[]);
    node.stop();
    let (code, text) = cluster.nodes[0].cli(&["add-learner", &node.address()]);
    assert_eq!(code, 0, "add-learner: {text}");
    let (kept, join) = (cluster.id_at(&node.address()), cluster.nodes[0].address());
    let moved = node.move_to(cluster.dir().join("fresh"), &["--join", &join]);
    cluster.nodes.push(moved);
    cluster.wait_for("its vote", |c| (c.voters(), c.members()) == (2, 2));
    assert_ne!(cluster.id(1), kept, "an id that somebody may have had was given again");
    assert_eq!(cluster.nodes[1].ask(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_node_whose_address_answers_as_another_waits_until_that_is_gone() {
    let mut cluster = Cluster::start(1);
    cluster.join(&["--replica"]);
    cluster.wait_for("it to follow", |c| c.nodes[0].info("connected_slaves") == "1");
    let dir = cluster.dir().join("fresh");
    let (id, join) = (cluster.id(1), cluster.nodes[0].address());
    let replica = cluster.nodes.pop().unwrap();
    let mut request = request(0, &Bytes::new());
    request.info.as_mut().unwrap().rpc = format!("127.0.0.1:{}", replica.port + 10_000);
    let given = ask(&cluster.nodes[0], request.clone());
    let answers = ask(&cluster.nodes[0], JoinRequest { id: given.id, ..request });
    assert!(answers.refused.contains("answers at") && answers.retry, "{answers:?}");
    // Its disk is lost, and it comes back at once.
    cluster.nodes.push(replica.move_to(dir, &["--replica", "--join", &join]));
    cluster.wait_for("two members", |c| c.members() == 2);
    assert_ne!(cluster.id(1), id, "an id was given twice");
}

#[test]
fn a_node_that_was_removed_says_so() {
    let mut cluster = Cluster::start(3);
    cluster.nodes[0].ask(&["SET", "k", "v"]);
    let gone = (cluster.await_leader() + 1) % 3;
    let id = cluster.id(gone);
    let (code, text) = cluster.nodes[(gone + 1) % 3].cli(&["remove", &id.to_string()]);
    assert_eq!(code, 0, "remove: {text}");
    let says = |node: &Node| matches!(node.ask(&["GET", "k"]), Reply::Error(error) if error.to_string().contains("was removed"));
    cluster.wait_for("it to know", |c| says(&c.nodes[gone]));
    let what = format!("node {id} was removed from its cluster");
    let (code, text) = cluster.nodes[gone].cli(&["status"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.starts_with(&format!("error: {what}\nhelp: ask another node")), "{text}");
    let Reply::Error(error) = cluster.nodes[gone].ask(&["SET", "k", "w"]) else {
        panic!("written")
    };
    assert!(error.to_string().starts_with("CLUSTERDOWN this node was removed"), "{error}");
    assert_eq!(cluster.nodes[gone].info("raft_removed"), "1");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.nodes[gone].log().matches("was removed from its cluster").count(), 1);
    // It finds out again after a start, and may go on by itself with what it has.
    cluster.nodes[gone].kill();
    cluster.nodes[gone].restart();
    cluster.wait_for("it to know", |c| says(&c.nodes[gone]));
    assert_eq!(cluster.nodes[gone].ask(&["REPLICAOF", "NO", "ONE"]), Reply::OK);
    cluster.wait_for("it to lead", |c| c.nodes[gone].ask(&["GET", "k"]) == Reply::bulk("v"));
}
