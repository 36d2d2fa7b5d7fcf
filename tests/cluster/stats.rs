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

/// A number of `/metrics`.
fn metric(node: &Node, name: &str) -> f64 {
    let url = format!("http://127.0.0.1:{}/metrics", node.port + 1);
    let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn a_reset_is_seen_in_info_and_not_in_the_metrics() {
    let cluster = Cluster::start(1);
    let node = &cluster.nodes[0];
    for _ in 0..50 {
        node.ask(&["INCR", "k"]);
    }
    let series = [
        "talus_commands_processed_total",
        "talus_command_seconds_count{command=\"incr\"}",
        "talus_write_stage_seconds_count{stage=\"total\"}",
    ];
    let before = series.map(|name| metric(node, name));
    assert_eq!(calls(node, "incr")[0], 50);
    node.ask(&["CONFIG", "RESETSTAT"]);
    node.ask(&["INCR", "k"]);
    assert_eq!(calls(node, "incr")[0], 1);
    assert!(node.number("total_commands_processed") < 50);
    assert!(node.number("entries_proposed") < 50);
    for (name, before) in series.into_iter().zip(before) {
        assert!(metric(node, name) > before, "{name} was {before}");
    }
}
