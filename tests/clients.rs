//! Clients that Redis's users have, unchanged: their scripts in `clients/` run against real nodes,
//! also while those are killed.
//!
//! `make setup-test` installs them beside the target directory. Where they are missing the tests
//! say so and pass, except in CI.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/mod.rs"]
mod processes;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use processes::{Cluster, Node};

/// How scripts of a language are run: an interpreter that has the client.
struct Clients {
    interpreter: PathBuf,
    script: &'static str,
}

impl Clients {
    fn redis_py() -> Option<Self> {
        let venv = installed().join("venv/bin/python");
        Self { interpreter: venv, script: "redis_py.py" }.if_there(&["-c", "import redis"])
    }

    fn node() -> Option<Self> {
        let probe = "const from = require('module').createRequire(process.env.TALUS_CLIENTS + '/'); \
                     from('redis'); from('ioredis')";
        Self { interpreter: "node".into(), script: "node_redis.mjs" }.if_there(&["-e", probe])
    }

    fn if_there(self, probe: &[&str]) -> Option<Self> {
        let probe = self.command().args(probe).stderr(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            return Some(self);
        }
        assert!(std::env::var_os("CI").is_none(), "no client for {}: setup-test", self.script);
        println!("skipped: no client for {}; `make setup-test` installs it", self.script);
        None
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.env("TALUS_CLIENTS", installed());
        command
    }

    fn start(&self, mode: &str, nodes: &[Node]) -> Script {
        let dir = Path::new("tests/clients");
        let mut command = self.command();
        command.arg(dir.join(self.script)).arg(mode);
        command.args(nodes.iter().map(|node| node.port.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Script { child: command.spawn().unwrap() }
    }
}

/// Where `make setup-test` puts the clients.
fn installed() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_talus"));
    binary.ancestors().nth(3).unwrap().join("clients")
}

/// A script that runs. What it has against the server is on standard error.
struct Script {
    child: Child,
}

impl Script {
    /// Waits until it says something: its clients are connected and write.
    fn await_running(&mut self) {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
    }

    /// Closes its standard input and demands that it found nothing wrong.
    fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "see above what the script found");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every check, at a node that leads and at one that does not; then a life of writes through all
/// nodes, while the leader is killed and comes back.
fn is_served(clients: Option<Clients>) {
    let Some(clients) = clients else { return };
    let mut cluster = Cluster::start(3);
    let leader = cluster.await_leader();
    let follower = (leader + 1) % 3;
    for node in [leader, follower] {
        clients.start("check", &cluster.nodes[node..=node]).finish();
    }
    let mut script = clients.start("survive", &cluster.nodes);
    script.await_running();
    std::thread::sleep(std::time::Duration::from_millis(500));
    cluster.nodes[leader].kill();
    cluster.await_leader();
    cluster.nodes[leader].restart();
    script.finish();
}

#[test]
fn redis_py_is_served_by_every_node_and_over_a_change_of_leader() {
    is_served(Clients::redis_py());
}

#[test]
fn node_redis_and_ioredis_are_served_by_every_node_and_over_a_change_of_leader() {
    is_served(Clients::node());
}
