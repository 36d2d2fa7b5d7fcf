//! Nodes that must not start: one line that says why, another exit code than 0, and nothing written.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/mod.rs"]
mod processes;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use processes::{Cluster, Node, free_port};
use resp::Reply;

/// Runs `talus serve` until it ends by itself, which it must do soon.
fn serve(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_talus"))
        .arg("serve")
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(12) {
            child.kill().unwrap();
            panic!("{args:?} serves: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Fails unless the node ends with one error, which contains `why`.
fn assert_refused(args: &[&str], why: &str) {
    assert_output(&serve(args, &[]), why);
}

fn assert_output(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    let others = text.lines().filter(|line| !line.starts_with("error: "));
    assert!(others.clone().all(|line| line.starts_with("help: ")), "{text}");
    assert!(text.contains(why), "not {why:?}, but: {text}");
    assert!(output.stdout.is_empty(), "it says that it is ready");
}

/// A directory in which nothing is, and a path in it at which nothing may appear.
fn nowhere() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").to_str().unwrap().to_owned();
    (dir, data)
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_taken_port_is_named() {
    for above in [0, 1, 10_000] {
        let (dir, data) = nowhere();
        let port = free_port();
        let taken = TcpListener::bind(("127.0.0.1", port + above)).unwrap();
        let why = format!("cannot listen on {}", taken.local_addr().unwrap());
        assert_refused(&["--port", &port.to_string(), "--data-dir", &data], &why);
        assert!(is_empty(dir.path()), "something was written");
    }
}

#[test]
fn an_unknown_setting_is_named_with_its_place() {
    let (dir, data) = nowhere();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let toml = file("a.toml", "[raft]\nheartbeat_ms = 100\nheartbeats = 3\n");
    let section = file("b.toml", "[rafts]\nheartbeat_ms = 100\n");
    let redis = file("c.conf", "port 7000\nno-such-thing yes\n");
    let value = file("d.toml", "[server]\nport = 0\n");
    let with = |option: &str, value: &str, why: &str| {
        assert_refused(&["--data-dir", &data, option, value], why);
    };
    with("--config", &toml, "a.toml:3: unknown setting 'raft.heartbeats'");
    with("--config", &section, "b.toml:1: unknown section [rafts]");
    with("--config", &redis, "c.conf:2: unknown setting 'no-such-thing'");
    with("--config", &value, "d.toml:2: 'server.port' cannot be '0'");
    with("--config", &(toml.clone() + ".gone"), "a.toml.gone");
    with("--set", "raft.heartbeats=3", "unknown setting 'raft.heartbeats'");
    with("--set", "raft.heartbeat_ms=soon", "'raft.heartbeat_ms' cannot be 'soon'");
    let output = serve(&["--data-dir", &data], &[("TALUS_RAFT__HEARTBEATS", "3")]);
    assert_output(&output, "TALUS_RAFT__HEARTBEATS");
    let usage = serve(&["--data-dir", &data, "--heartbeats", "3"], &[]);
    assert_eq!(usage.status.code(), Some(64), "{usage:?}");
    assert!(!Path::new(&data).exists(), "something was written");
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let port = free_port().to_string();
    let with = |data: &Path, why: &str| {
        assert_refused(&["--port", &port, "--data-dir", data.to_str().unwrap()], why);
    };
    with(node.dir(), "in use by another process");
    assert_eq!(node.ask(&["SET", "k", "v"]), Reply::OK);
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("notes.txt"), "mine").unwrap();
    with(foreign.path(), "not a data directory of Talus");
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1, "something was written");
}

#[test]
fn a_damaged_or_newer_identity_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path(), &[]);
    node.kill();
    let path = node.dir().join("life-1/IDENTITY");
    let sound = std::fs::read(&path).unwrap();
    for (at, byte, why) in [(8, 0xff, "damaged"), (0, 9, "format version 9")] {
        let mut bytes = sound.clone();
        bytes[at] ^= byte;
        bytes[at] = if at == 0 { byte } else { bytes[at] };
        std::fs::write(&path, &bytes).unwrap();
        let port = node.port.to_string();
        assert_refused(&["--port", &port, "--data-dir", node.dir().to_str().unwrap()], why);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "it was changed");
    }
    std::fs::write(&path, sound).unwrap();
    node.restart();
}

/// Every file below a directory, with a checksum of its content.
fn contents(dir: &Path) -> BTreeMap<PathBuf, u32> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| match path.is_dir() {
        true => contents(&path),
        false => [(path.clone(), crc32fast::hash(&std::fs::read(&path).unwrap()))].into(),
    });
    below.collect()
}

#[test]
fn a_node_whose_files_are_gone_does_not_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path(), &[]);
    assert_eq!(node.ask(&["SET", "k", "v"]), Reply::OK);
    node.kill();
    let whole = node.dir().to_path_buf();
    let gone: [(&[&str], &str); 5] = [
        (&["life-1/log", "life-1/shard-0"], "life-1/log: missing"),
        (&["life-1/log"], "life-1/log: missing"),
        (&["life-1/log/*"], "the log of this node is missing"),
        (&["life-1/shard-0"], "life-1/shard-0: missing"),
        (&["CURRENT"], "CURRENT: missing"),
    ];
    for (number, (parts, why)) in gone.into_iter().enumerate() {
        let copy = dir.path().join(format!("copy-{number}"));
        assert!(Command::new("cp").arg("-a").args([&whole, &copy]).status().unwrap().success());
        for part in parts {
            let path = copy.join(part.trim_end_matches("/*"));
            std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)).unwrap();
            if part.ends_with("/*") {
                std::fs::create_dir(&path).unwrap();
            }
        }
        let before = contents(&copy);
        let port = node.port.to_string();
        assert_refused(&["--port", &port, "--data-dir", copy.to_str().unwrap()], why);
        assert_eq!(contents(&copy), before, "something was written");
    }
    node.restart();
    assert_eq!(node.ask(&["GET", "k"]), Reply::bulk("v"));
}

#[test]
fn a_member_of_one_cluster_is_not_started_into_another() {
    let dir = tempfile::tempdir().unwrap();
    let (other, mut node) = (Node::start(dir.path(), &[]), Node::start(dir.path(), &[]));
    node.kill();
    let before = contents(node.dir());
    let (port, data) = (node.port.to_string(), node.dir().to_str().unwrap().to_owned());
    let args = ["--port", &port, "--data-dir", &data, "--join", &other.address()];
    assert_refused(&args, "belongs to cluster ");
    assert_eq!(contents(node.dir()), before, "something was written");
    assert_eq!(other.number("connected_slaves"), 0, "it was added");
    node.restart();
}

#[test]
fn a_wiped_member_does_not_come_back_as_itself() {
    let mut cluster = Cluster::start(3);
    let wiped = (cluster.await_leader() + 1) % 3;
    let (id, port) = (cluster.id(wiped).to_string(), cluster.nodes[wiped].port.to_string());
    cluster.nodes[wiped].kill();
    std::fs::remove_dir_all(cluster.nodes[wiped].dir()).unwrap();
    let other = (wiped + 1) % 3;
    let join = cluster.nodes[other].address();
    let data = cluster.nodes[wiped].dir().to_str().unwrap().to_owned();
    let args = ["--port", &port, "--data-dir", &data, "--join", &join];
    assert_refused(&args, &format!("belongs to node {id}"));
    assert!(is_empty(Path::new(&data)), "something was written");
    assert_eq!(cluster.members(), 3, "it was refused, and added");
    let (code, text) = cluster.nodes[other].cli(&["remove", &id]);
    assert_eq!(code, 0, "{text}");
    cluster.nodes.remove(wiped);
    let (dir, args) = (cluster.dir().to_path_buf(), ["--join", join.as_str()]);
    cluster.nodes.push(Node::start(&dir, &args));
    cluster.wait_for("a new member", |c| (c.voters(), c.members()) == (3, 3));
}

#[test]
fn too_few_open_files_are_refused() {
    let (dir, data) = nowhere();
    let port = free_port().to_string();
    let script = r#"ulimit -n 300 && exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_talus"), "serve"])
        .args(["--port", &port, "--data-dir", &data])
        .output()
        .unwrap();
    assert_output(&output, "open files");
    assert!(is_empty(dir.path()), "something was written");
}

/// The harness in `jepsen/` is tried on builds with known bugs; this is none of them.
#[test]
#[cfg(not(feature = "mutants"))]
fn no_known_bug_is_built_in() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_talus")).unwrap();
    let variable = b"TALUS_MUTANT";
    assert!(!program.windows(variable.len()).any(|bytes| bytes == variable));
}
