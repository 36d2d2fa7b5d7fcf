//! What a node says when it is ready: a block on a terminal, one JSON line elsewhere.

use super::table::size;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What there is to say.
#[derive(Debug, Clone)]
pub struct Started {
    /// This node's id.
    pub node: u64,
    /// The cluster's name.
    pub cluster_name: String,
    /// The cluster's id, in hexadecimal.
    pub cluster: String,
    /// How long it took.
    pub took: Duration,
    /// Where Redis clients are served.
    pub resp: Vec<SocketAddr>,
    /// Where other nodes are served.
    pub rpc: Vec<SocketAddr>,
    /// Where HTTP is served.
    pub http: Option<SocketAddr>,
    /// leader, voter, learner, replica.
    pub role: String,
    /// The term.
    pub term: u64,
    /// How many voters there are.
    pub voters: usize,
    /// Where the files are.
    pub data_dir: PathBuf,
    /// Whether only loopback clients are served for want of a password.
    pub protected: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    version: &'static str,
    node: u64,
    cluster: &'a str,
    cluster_name: &'a str,
    took_ms: u128,
    resp: &'a [SocketAddr],
    rpc: &'a [SocketAddr],
    http: Option<SocketAddr>,
    role: &'a str,
    term: u64,
    voters: usize,
    data_dir: String,
    protected: bool,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Started {
    /// Says it on standard output.
    pub fn announce(&self) {
        let mut output = std::io::stdout().lock();
        let text = if output.is_terminal() { self.block() } else { self.line() };
        // A node serves whether or not anybody listens to what it says.
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }

    /// One line for programs.
    pub fn line(&self) -> String {
        let line = Line {
            event: "ready",
            version: VERSION,
            node: self.node,
            cluster: &self.cluster,
            cluster_name: &self.cluster_name,
            took_ms: self.took.as_millis(),
            resp: &self.resp,
            rpc: &self.rpc,
            http: self.http,
            role: &self.role,
            term: self.term,
            voters: self.voters,
            data_dir: self.data_dir.display().to_string(),
            protected: self.protected,
        };
        serde_json::to_string(&line).expect("numbers and strings are JSON") + "\n"
    }

    /// A few lines for people.
    pub fn block(&self) -> String {
        let id: String = self.cluster.chars().take(4).collect();
        let head = format!(
            "talus {VERSION} · node {} · cluster \"{}\" ({id}…)",
            self.node, self.cluster_name
        );
        let mut text = format!("\n  {head:<56} ready in {:.2} s\n", self.took.as_secs_f64());
        if let Some(resp) = self.resp.first() {
            let url = format!("redis://{resp}");
            text += &format!("  redis     {url:<28} try: redis-cli -p {}\n", resp.port());
        }
        if let Some(http) = self.http {
            let url = format!("http://{http}/");
            text += &format!(
                "  http      {url:<28} health /health/ready · metrics /metrics · API /api/openapi.json\n"
            );
        }
        let voters =
            if self.voters == 1 { "1 voter".into() } else { format!("{} voters", self.voters) };
        let raft = format!("{}, term {}, {voters}", self.role, self.term);
        text +=
            &format!("  raft      {raft:<28} data {}{}\n", self.data_dir.display(), self.free());
        if self.protected {
            text += "  ! protected: only loopback may connect until a password is set (server.password)\n";
        }
        text + "\n"
    }

    fn free(&self) -> String {
        let free =
            rustix::fs::statvfs(&self.data_dir).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        free.map_or_else(
            |_| String::new(),
            |bytes| format!(" (synced writes, {} free)", size(bytes)),
        )
    }
}
