//! What INFO counts, as Redis counts it.

use resp::Reply;

use crate::processes::{Cluster, Node};

/// calls, rejected_calls and failed_calls of a command.
fn calls(node: &Node, command: &str) -> [u64; 3] {
    let line = node.info(&format!("cmdstat_{command}"));
    let fields = ["calls", "rejected_calls", "failed_calls"];
    fields.map(|name| {
        let value = line.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().unwrap()
    })
}

#[test]
fn calls_are_counted_where_they_are_carried_out() {
    let cluster = Cluster::start(1);
    let node = &cluster.nodes[0];
    let mut client = node.client().unwrap();
    let mut ask = |args: &[&str]| client.request(args).unwrap();
    ask(&["SET", "k", "text"]);
    ask(&["MULTI"]);
    ask(&["SET", "k", "text"]);
    ask(&["INCR", "k"]);
    ask(&["ECHO", "hello"]);
    assert_eq!(calls(node, "set"), [1, 0, 0], "queued is not called");
    assert!(matches!(ask(&["EXEC"]), Reply::Array(replies) if replies.len() == 3));
    assert_eq!(calls(node, "set"), [2, 0, 0]);
    assert_eq!(calls(node, "incr"), [1, 0, 1]);
    assert_eq!(calls(node, "echo"), [1, 0, 0]);
    assert_eq!(calls(node, "exec"), [1, 0, 0]);
    ask(&["SET", "k"]);
    ask(&["SET", "k", "v", "NO"]);
    assert_eq!(calls(node, "set"), [3, 1, 1], "too few words, then wrong ones");
    ask(&["MULTI"]);
    ask(&["WATCH", "k"]);
    ask(&["DISCARD"]);
    assert_eq!(calls(node, "watch")[2], 1);
}
