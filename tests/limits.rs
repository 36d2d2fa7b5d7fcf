//! What clients may take of a node: files, memory, time. Whatever they do, it goes on.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/mod.rs"]
mod processes;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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

fn node(args: &[&str]) -> (tempfile::TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), args);
    (dir, node)
}

const MB: usize = 1 << 20;

/// A connection that says what it is told to, and reads when it is told to.
struct Raw {
    stream: BufReader<TcpStream>,
}

impl Raw {
    fn open(node: &Node) -> Self {
        let stream = TcpStream::connect(node.address()).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_write_timeout(patience).unwrap();
        stream.set_read_timeout(patience).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The length of a string that is a reply.
    fn bulk(&mut self) -> usize {
        let line = self.line();
        let length: usize =
            line.strip_prefix('$').unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        length
    }

    fn id(&mut self) -> String {
        self.send(b"CLIENT ID\r\n");
        self.line()[1..].to_owned()
    }
}

/// The most memory that the process ever had, in bytes.
fn peak_memory(node: &Node) -> usize {
    let path = format!("/proc/{}/status", node.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// Waits until CLIENT LIST, without the client that asks, is as it should be.
fn await_clients(node: &Node, what: &str, is_right: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    loop {
        let Reply::Bulk(list) = node.ask(&["CLIENT", "LIST"]) else { panic!("no list") };
        let list = String::from_utf8_lossy(&list).into_owned();
        if is_right(&list) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "not {what}: {list}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_long_pipeline_may_be_sent_before_anything_is_read() {
    let (_dir, node) = node(&[]);
    assert_eq!(node.ask(&["SET", "k", &"x".repeat(100)]), Reply::OK);
    let mut raw = Raw::open(&node);
    // More than the kernel keeps for both ends.
    let requests = 800_000;
    raw.send("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(requests).as_bytes());
    assert!((0..requests).all(|_| raw.bulk() == 100));
}

#[test]
fn a_client_that_does_not_read_its_replies_can_be_killed() {
    for budget in ["1mb", "512mb"] {
        let (_dir, node) = node(&["--set", &format!("limits.clients_bytes_max={budget}")]);
        node.ask(&["SETRANGE", "k", "40000000", "x"]);
        let mut raw = Raw::open(&node);
        let id = raw.id();
        raw.send(b"GET k\r\nGET k\r\n");
        let line = format!("id={id} ");
        await_clients(&node, "stalled", |list| {
            let line = list.lines().find(|l| l.starts_with(&line)).unwrap();
            line.contains(" events=rw ") && !line.contains(" omem=0 ")
        });
        assert_eq!(node.ask(&["CLIENT", "KILL", "ID", &id]), Reply::Integer(1));
        await_clients(&node, "gone", |list| !list.contains(&line));
    }
}

#[test]
fn replies_that_are_not_read_are_bounded_and_lost_by_nobody() {
    let (_dir, node) = node(&["--set", "limits.clients_bytes_max=32mb"]);
    node.ask(&["SETRANGE", "k", "9999999", "x"]);
    let before = peak_memory(&node);
    let mut raw = Raw::open(&node);
    let requests = 60;
    raw.send("GET k\r\n".repeat(requests).as_bytes());
    std::thread::sleep(Duration::from_millis(500));
    assert!((0..requests).all(|_| raw.bulk() == 10_000_000));
    let grown = peak_memory(&node).saturating_sub(before);
    assert!(grown < 250 * MB, "{grown} bytes for replies");
}

#[test]
fn a_large_request_without_room_is_refused_and_small_ones_are_served() {
    let (_dir, node) = node(&["--set", "limits.clients_bytes_max=48mb"]);
    let mut idler = Raw::open(&node);
    idler.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$41943040\r\nbegun");
    await_clients(&node, "announced", |list| list.lines().count() >= 2);
    let mut raw = Raw::open(&node);
    let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$31457280\r\n".to_vec();
    request.resize(request.len() + 30 * MB, b'x');
    request.extend(b"\r\nPING\r\n");
    raw.send(&request);
    assert_eq!(node.ask(&["SET", "small", "1"]), Reply::OK);
    let line = raw.line();
    assert!(line.starts_with("-BUSY "), "{line}");
    assert_eq!(raw.line(), "+PONG");
    assert_eq!(node.ask(&["EXISTS", "b"]), Reply::Integer(0));
    drop(idler);
    raw.send(&request);
    assert_eq!((raw.line().as_str(), raw.line().as_str()), ("+OK", "+PONG"));
}

#[test]
fn many_who_announce_much_cost_nothing() {
    let (_dir, node) = node(&[]);
    let before = peak_memory(&node);
    let mut clients: Vec<Raw> = (0..200).map(|_| Raw::open(&node)).collect();
    for raw in &mut clients {
        raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nxxxx");
    }
    assert_eq!(node.ask(&["SET", "k", "v"]), Reply::OK);
    let grown = peak_memory(&node).saturating_sub(before);
    assert!(grown < 100 * MB, "{grown} bytes for nothing");
}

#[test]
fn a_transaction_too_large_for_the_log_is_refused_when_it_is_queued() {
    let (_dir, node) = node(&["--set", "raft.entry_bytes_max=2mb"]);
    let mut client = node.client().unwrap();
    let value = "x".repeat(900_000);
    assert_eq!(client.request(&["MULTI"]).unwrap(), Reply::OK);
    assert_eq!(client.request(&["SET", "a", &value]).unwrap(), Reply::QUEUED);
    assert_eq!(client.request(&["SET", "b", &value]).unwrap(), Reply::QUEUED);
    assert!(client.request(&["SET", "c", &value]).unwrap().is_error());
    let Reply::Error(error) = client.request(&["EXEC"]).unwrap() else { panic!("it was run") };
    assert!(error.to_string().starts_with("EXECABORT"), "{error}");
    assert_eq!(node.ask(&["EXISTS", "a", "b", "c"]), Reply::Integer(0));
}

#[test]
fn what_a_client_holds_is_listed() {
    let (_dir, node) = node(&[]);
    let mut client = node.client().unwrap();
    client.request(&["MULTI"]).unwrap();
    client.request(&["SET", "k", &"x".repeat(5000)]).unwrap();
    await_clients(&node, "listed", |list| {
        let line = list.lines().find(|line| line.contains(" multi=1 ")).unwrap_or_default();
        let number = |name: &str| -> usize {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name));
            word.map_or(0, |word| word.parse().unwrap())
        };
        number("fd=") > 0 && number("multi-mem=") >= 5000 && number("tot-mem=") > 5000
    });
}

#[test]
fn what_a_browser_was_made_to_send_is_not_carried_out() {
    let (_dir, node) = node(&[]);
    for head in ["POST / HTTP/1.1\r\n", "hOsT: 127.0.0.1\r\n"] {
        let mut raw = Raw::open(&node);
        raw.send(format!("{head}SET attacked 1\r\n").as_bytes());
        assert_eq!(raw.line(), "", "it is answered");
    }
    assert_eq!(node.ask(&["EXISTS", "attacked"]), Reply::Integer(0));
    assert_eq!(node.log().matches("SECURITY ATTACK").count(), 2);
}

#[test]
fn no_time_for_keepalive_that_redis_takes_keeps_clients_out() {
    let (_dir, node) = node(&[]);
    assert_eq!(node.ask(&["CONFIG", "SET", "tcp-keepalive", "2147483647"]), Reply::OK);
    assert_eq!(node.ask(&["PING"]), Reply::simple("PONG"));
}

#[test]
fn a_node_that_is_told_to_stop_says_so() {
    let (_dir, mut node) = node(&[]);
    assert_eq!(node.stop(), Some(0));
    assert!(node.log().contains("SIGTERM: "), "{}", node.log());
}
