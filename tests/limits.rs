//! What clients may take of a node: files, memory, time. Whatever they do, it goes on.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/mod.rs"]
mod processes;

use processes::Node;
use resp::Reply;

fn config(node: &Node, name: &str) -> String {
    let Reply::Array(pair) = node.ask(&["CONFIG", "GET", name]) else { panic!("no pair") };
    let Reply::Bulk(value) = &pair[1] else { panic!("no value") };
    String::from_utf8_lossy(value).into_owned()
}

/// A soft limit that allows no clients at all is raised.
#[test]
fn a_low_soft_limit_of_open_files_costs_no_clients() {
    let dir = tempfile::tempdir().unwrap();
    // Files of the log that are smaller than the first one usually is are files of a log too.
    let args = ["--set", "server.clients_max=200", "--set", "raft.log_segment_bytes=1mb"];
    let node = Node::start_within("-Sn 300", dir.path(), &args);
    assert_eq!(config(&node, "maxclients"), "200");
    let path = format!("/proc/{}/limits", node.pid().as_raw_nonzero());
    let limits = std::fs::read_to_string(path).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(soft > 900, "{line}");
}

/// Where the hard limit forbids it, fewer clients are admitted, and the log gets its files.
#[test]
fn a_low_hard_limit_of_open_files_lowers_the_number_of_clients() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--set", "raft.log_segment_bytes=8mb"];
    let mut node = Node::start_within("-n 1000", dir.path(), &args);
    let admitted: usize = config(&node, "maxclients").parse().unwrap();
    assert!((16..100).contains(&admitted), "{admitted}");
    assert!(node.log().contains("server.clients_max has been reduced from 10000"));
    let Reply::Error(refusal) = node.ask(&["CONFIG", "SET", "maxclients", "5000"]) else {
        panic!("it was set")
    };
    assert!(refusal.to_string().contains(&format!("try with {admitted}")), "{refusal}");
    // The connections that asked may take a moment to go.
    let mut clients: Vec<_> = (0..admitted - 4).map(|_| node.client().unwrap()).collect();
    let value = "x".repeat(256 << 10);
    for client in &mut clients {
        assert_eq!(client.request(&["SET", "k", &value]).unwrap(), Reply::OK);
    }
    assert!(!node.has_ended());
}
