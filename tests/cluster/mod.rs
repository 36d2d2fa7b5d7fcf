//! Clusters of real processes on loopback, with data that goes away with the test.
#![allow(dead_code, reason = "every test uses another part of it")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use resp::Reply;
use resp::client::Client;
use rustix::process::{Pid, Signal, kill_process};

/// A process of `talus serve`. Dropping it kills it.
pub struct Node {
    /// Its port for Redis clients; HTTP is one above.
    pub port: u16,
    dir: PathBuf,
    args: Vec<String>,
    /// What `ulimit` is told in the process's shell, such as `-Sn 256`.
    ulimit: Option<String>,
    child: Option<Child>,
    frozen: bool,
}

impl Node {
    /// Starts a node with data below `dir`, and waits until it answers.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        Self::start_in(dir.join(format!("node-{}", free_number())), args)
    }

    /// Starts a node with its data in `dir`, its log beside it, and waits until it answers.
    pub fn start_in(dir: PathBuf, args: &[&str]) -> Self {
        let mut node = Self::new(dir, args);
        node.restart();
        node
    }

    /// As `start`, within what `ulimit` is told.
    pub fn start_within(ulimit: &str, dir: &Path, args: &[&str]) -> Self {
        let mut node = Self::new(dir.join(format!("node-{}", free_number())), args);
        node.ulimit = Some(ulimit.to_owned());
        node.restart();
        node
    }

    fn new(dir: PathBuf, args: &[&str]) -> Self {
        Self {
            port: free_port(),
            dir,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ulimit: None,
            child: None,
            frozen: false,
        }
    }

    /// The node that runs at the same ports from now on, with its data elsewhere.
    pub fn move_to(mut self, dir: PathBuf, args: &[&str]) -> Self {
        self.kill();
        self.dir = dir;
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.restart();
        self
    }

    /// Starts the process again, with the same data.
    pub fn restart(&mut self) {
        self.spawn();
        let begun = Instant::now();
        while self.try_request(&["PING"]).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "node {} has ended: {ended:?}", self.port);
            assert!(begun.elapsed() < Duration::from_secs(20), "node {} does not start", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the process again, and does not wait for it.
    pub fn spawn(&mut self) {
        let path = self.dir.with_extension("log");
        let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        let child = self
            .program()
            .args(["serve", "--port", &self.port.to_string(), "--data-dir"])
            .arg(&self.dir)
            .args(["--until-stdin-closes"])
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn program(&self) -> Command {
        let talus = env!("CARGO_BIN_EXE_talus");
        let Some(ulimit) = &self.ulimit else { return Command::new(talus) };
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"ulimit {ulimit} && exec "$0" "$@""#), talus]);
        shell
    }

    /// Whether the process is gone, by itself or not.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// HOST:PORT for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.frozen = false;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// kill -STOP: it answers nobody, and nobody is told.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.frozen = true;
        // The signal only asks for it: until a thread has taken it, all go on.
        while !self.threads_have_stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn threads_have_stopped(&self) -> bool {
        let pid = self.pid().as_raw_nonzero();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let mut states = threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")));
        // The state comes after the name, which is in brackets.
        states.all(|stat| stat.is_ok_and(|s| s.rsplit(')').next().unwrap().starts_with(" T")))
    }

    /// kill -CONT.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
        self.frozen = false;
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// For whoever must kill it while somebody else holds the node.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    fn runs(&self) -> bool {
        self.child.is_some() && !self.frozen
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that the process has said, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        // Closing its standard input is how this process is asked to stop.
        let mut child = self.child.take()?;
        drop(child.stdin.take());
        child.wait().ok()?.code()
    }

    /// A connection with a short patience.
    pub fn client(&self) -> std::io::Result<Client> {
        let client = Client::connect(self.address())?;
        client.set_timeout(Some(Duration::from_secs(8)))?;
        Ok(client)
    }

    fn try_request(&self, args: &[&str]) -> std::io::Result<Reply> {
        self.client()?.request(args)
    }

    /// One request on a connection of its own, which must be answered.
    pub fn ask(&self, args: &[&str]) -> Reply {
        self.try_request(args).unwrap_or_else(|error| panic!("{args:?} at {}: {error}", self.port))
    }

    /// The body of a GET over HTTP.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port + 1);
        ureq::get(&url).call().unwrap().body_mut().read_json().unwrap()
    }

    /// What it says of its cluster, if it answers soon.
    fn status(&self) -> Option<serde_json::Value> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let url = format!("http://127.0.0.1:{}/v1/cluster", self.port + 1);
        let request = ureq::get(&url).config().timeout_global(Some(PATIENCE)).build();
        request.call().ok()?.body_mut().read_json().ok()
    }

    /// `talus cluster ARGS` against this node: exit code and output.
    pub fn cli(&self, args: &[&str]) -> (i32, String) {
        cli_at(self.port, args)
    }

    /// A field of INFO that is a number.
    pub fn number(&self, field: &str) -> u64 {
        self.info(field).parse().unwrap()
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> String {
        let (Reply::Bulk(text) | Reply::Verbatim { text, .. }) = self.ask(&["INFO", "everything"])
        else {
            panic!("INFO answers no text");
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("--- node {}", self.port);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// `talus cluster ARGS` against the node whose Redis clients are served at `port`.
pub fn cli_at(port: u16, args: &[&str]) -> (i32, String) {
    let url = format!("http://127.0.0.1:{}", port + 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_talus"));
    let output = command.arg("cluster").args(args).args(["--url", &url]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// Nodes of one cluster.
pub struct Cluster {
    /// The nodes, by the order of their start.
    pub nodes: Vec<Node>,
    dir: tempfile::TempDir,
}

impl Cluster {
    /// So many voters.
    pub fn start(voters: usize) -> Self {
        Self::start_with(voters, &[])
    }

    /// So many voters, with these options.
    pub fn start_with(voters: usize, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { nodes: vec![Node::start(dir.path(), args)], dir };
        for _ in 1..voters {
            cluster.join(args);
        }
        cluster.wait_for("all to vote", |c| c.voters() == voters);
        cluster
    }

    /// A voter with its data in each of these directories.
    pub fn start_in(dirs: &[PathBuf], args: &[&str]) -> Self {
        let founder = Node::start_in(dirs[0].clone(), args);
        let join = founder.address();
        let args = [&["--join", join.as_str()], args].concat();
        let mut cluster = Self { nodes: vec![founder], dir: tempfile::tempdir().unwrap() };
        cluster.nodes.extend(dirs[1..].iter().map(|dir| Node::start_in(dir.clone(), &args)));
        cluster.wait_for("all to vote", |c| c.voters() == dirs.len());
        cluster
    }

    /// Starts another node that joins; it need not vote yet.
    pub fn join(&mut self, args: &[&str]) {
        let members = self.nodes.iter().filter(|n| n.runs()).map(Node::address);
        let members = members.collect::<Vec<_>>().join(" ");
        let args = [&["--join", &members], args].concat();
        self.nodes.push(Node::start(self.dir.path(), &args));
    }

    /// The temporary directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the first node that answers says of the cluster. One that was removed says what was.
    fn status(&self) -> Option<serde_json::Value> {
        self.nodes.iter().filter(|n| n.runs()).find_map(Node::status)
    }

    /// Where clients reach the nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// Waits until every member is there and follows.
    pub fn await_health(&self) {
        self.wait_for("health", |c| c.status().is_some_and(|s| s["health"] == "healthy"));
    }

    /// So many members, voters or not.
    pub fn members(&self) -> usize {
        self.status().map_or(0, |s| s["members"].as_array().map_or(0, Vec::len))
    }

    /// How many members have a vote.
    pub fn voters(&self) -> usize {
        self.status().map_or(0, |s| s["quorum"]["voters"].as_u64().unwrap_or(0) as usize)
    }

    /// The place in `nodes` of the leader.
    pub fn leader(&self) -> Option<usize> {
        let status = self.status()?;
        let leader = status["leader"].as_u64()?;
        let members = status["members"].as_array()?;
        let address = members.iter().find(|m| m["id"] == leader)?["resp"].as_str()?;
        self.nodes.iter().position(|n| n.runs() && n.address() == address)
    }

    /// The member id of a node.
    pub fn id(&self, node: usize) -> u64 {
        self.id_at(&self.nodes[node].address())
    }

    /// The id of the member whose clients are served at an address.
    pub fn id_at(&self, address: &str) -> u64 {
        let status = self.status().unwrap();
        let members = status["members"].as_array().unwrap().clone();
        let member = members.iter().find(|m| m["resp"] == address);
        member.unwrap_or_else(|| panic!("{address} is no member"))["id"].as_u64().unwrap()
    }

    /// Waits until something holds.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(40), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
        begun.elapsed()
    }

    /// Waits for a leader.
    pub fn await_leader(&self) -> usize {
        self.wait_for("a leader", |c| c.leader().is_some());
        self.leader().unwrap()
    }

    /// Fails unless every replica has the same state at one log index.
    pub fn assert_equal_digests(&self) {
        let leader = self.await_leader();
        let view = self.nodes[leader].get("/v1/digest");
        assert_eq!(view["equal"], true, "replicas differ: {view}");
        let replicas = view["replicas"].as_array().unwrap();
        assert!(replicas.iter().all(|r| r["digest"].is_string()), "no digest: {view}");
    }
}

/// A port whose neighbours for HTTP and gRPC are free too.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() as u16).wrapping_mul(97) % 9000;
    loop {
        let port = 12_000 + (offset + NEXT.fetch_add(2, Ordering::Relaxed)) % 9000;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) && free(port + 10_000) {
            return port;
        }
    }
}

fn free_number() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
