//! The systems a cluster can be made of: how their processes are started, and how they are asked who
//! leads.
//!
//! Beside Talus there are two whose behaviour is known, to check the harness: Redis with Sentinel
//! loses writes in a partition, etcd does not.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ureq::Agent;

use super::http::{self, Request, TOKEN};
use super::{Target, tool};

/// Where a node runs, and with whom.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its number, from 1.
    pub node: u32,
    /// Where it listens.
    pub address: Ipv4Addr,
    /// Where the others reach it.
    pub advertised: Ipv4Addr,
    /// Its data.
    pub data: PathBuf,
    /// Where the nodes that the cluster begins with are reached, itself among them.
    pub members: Vec<Ipv4Addr>,
    /// Whom to join; nobody if it founds the cluster.
    pub join: Vec<SocketAddr>,
    /// Whether it never votes.
    pub replica: bool,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it leads.
    pub leads: bool,
    /// Whether it knows a leader, be it itself.
    pub has_leader: bool,
    /// Whether it has a vote, as far as it knows.
    pub votes: bool,
    /// The newest term it has seen.
    pub term: u64,
}

impl Target {
    /// Where clients are served.
    pub fn client_port(&self) -> u16 {
        if matches!(self, Self::Etcd) { 2379 } else { 6379 }
    }

    /// Where HTTP is served, if it is.
    pub fn http_port(&self) -> u16 {
        if matches!(self, Self::Etcd) { 2379 } else { 6380 }
    }

    /// Where nodes talk to each other.
    pub fn peer_ports(&self) -> &'static [u16] {
        match self {
            Self::Talus(_) => &[6379, 16379],
            Self::Sentinel => &[6379, 26379],
            Self::Etcd => &[2380],
        }
    }

    /// What must be installed for it.
    pub fn lacks(&self) -> Vec<String> {
        let missing = |program: &str| format!("the program {program}");
        match self {
            Self::Talus(path) if !path.is_file() => vec![format!("the file {}", path.display())],
            Self::Sentinel if !tool::has("redis-server") => vec![missing("redis-server")],
            Self::Etcd if !tool::has("etcd") => vec![missing("etcd")],
            _ => Vec::new(),
        }
    }

    /// The processes of a node.
    pub fn commands(&self, site: &Site, settings: &[(String, String)]) -> io::Result<Vec<Command>> {
        match self {
            Self::Talus(program) => Ok(vec![talus(program, site, settings)]),
            Self::Sentinel => sentinel(site),
            Self::Etcd => Ok(vec![etcd(site)]),
        }
    }

    /// Asks the node at `address` how it stands.
    pub fn standing(&self, agent: &Agent, address: Ipv4Addr) -> Option<Standing> {
        let at = |port| SocketAddr::from((address, port));
        let names = match self {
            Self::Sentinel => return redis_standing(at(self.client_port())),
            Self::Talus(_) => [
                "talus_raft_leads",
                "talus_raft_leader_known",
                "talus_raft_term",
                "talus_raft_votes",
            ],
            // It does not tell its term here; of two leaders the newer cannot be told. All vote.
            Self::Etcd => ["etcd_server_is_leader", "etcd_server_has_leader", "", ""],
        };
        let (_, text) = http::ask(agent, at(self.http_port()), "/metrics", &Request::Get).ok()?;
        let [leads, has_leader, term, votes] = names.map(|name| http::metric(&text, name));
        Some(Standing {
            leads: leads? > 0.0,
            has_leader: has_leader? > 0.0,
            term: term.unwrap_or_default() as u64,
            votes: votes.is_none_or(|votes| votes > 0.0),
        })
    }

    /// Whether clients can be sent to the node, which is one of `nodes`.
    pub fn is_ready(&self, agent: &Agent, address: Ipv4Addr, nodes: u32) -> bool {
        let path = match self {
            Self::Talus(_) => "/health/ready",
            Self::Etcd => "/health",
            Self::Sentinel => return sentinel_is_ready(address, nodes),
        };
        let at = SocketAddr::from((address, self.http_port()));
        http::ask(agent, at, path, &Request::Get).is_ok_and(|(status, _)| status == 200)
    }
}

fn talus(program: &Path, site: &Site, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--until-stdin-closes", "--port", "6379", "--log-format", "text"]);
    command.args(["--bind", &site.address.to_string(), "--advertise"]);
    command.arg(site.advertised.to_string());
    command.arg("--http").arg(format!("{}:6380", site.address));
    command.arg("--data-dir").arg(site.data.join("data"));
    command.args(["--set", "server.protected_mode=false"]);
    command.args(["--set", &format!("admin.token={TOKEN}")]);
    for (key, value) in settings {
        command.args(["--set", &format!("{key}={value}")]);
    }
    if !site.join.is_empty() {
        let join: Vec<String> = site.join.iter().map(SocketAddr::to_string).collect();
        command.args(["--join", &join.join(" ")]);
    }
    if site.replica {
        command.arg("--replica");
    }
    command
}

/// Node 1 is the master at first. Both processes rewrite their files: those of a node that starts
/// again are left as they are.
fn sentinel(site: &Site) -> io::Result<Vec<Command>> {
    const DOWN_AFTER_MS: u32 = 1000;
    let Site { address, advertised, data, .. } = site;
    let master = site.members.first().copied().unwrap_or(*advertised);
    let quorum = site.members.len() / 2 + 1;
    let (redis, sentinel) = (data.join("redis.conf"), data.join("sentinel.conf"));
    if !redis.exists() {
        let follow = match site.node {
            1 => String::new(),
            _ => format!("replicaof {master} 6379\n"),
        };
        let text = format!(
            "port 6379\nbind {address}\nprotected-mode no\ndir {}\nappendonly yes\n\
             appendfsync always\nsave \"\"\nrepl-diskless-sync-delay 0\n\
             replica-announce-ip {advertised}\n{follow}",
            data.display()
        );
        fs::write(&redis, text)?;
        let text = format!(
            "port 26379\nbind {address}\nprotected-mode no\ndir {}\n\
             sentinel announce-ip {advertised}\nsentinel monitor jepsen {master} 6379 {quorum}\n\
             sentinel down-after-milliseconds jepsen {DOWN_AFTER_MS}\n\
             sentinel failover-timeout jepsen 5000\n",
            data.display()
        );
        fs::write(&sentinel, text)?;
    }
    let (mut server, mut watcher) = (Command::new("redis-server"), Command::new("redis-server"));
    server.arg(redis);
    watcher.arg(sentinel).arg("--sentinel");
    Ok(vec![server, watcher])
}

fn etcd(site: &Site) -> Command {
    let Site { node, address, advertised, .. } = site;
    let numbered = site.members.iter().zip(1..);
    let members: Vec<String> =
        numbered.map(|(ip, node)| format!("n{node}=http://{ip}:2380")).collect();
    let mut command = Command::new("etcd");
    command.args(["--name", &format!("n{node}"), "--data-dir"]).arg(site.data.join("data"));
    for (option, value) in [
        ("--listen-client-urls", format!("http://{address}:2379")),
        ("--advertise-client-urls", format!("http://{address}:2379")),
        ("--listen-peer-urls", format!("http://{address}:2380")),
        ("--initial-advertise-peer-urls", format!("http://{advertised}:2380")),
        ("--initial-cluster", members.join(",")),
        ("--heartbeat-interval", "100".to_owned()),
        ("--election-timeout", "500".to_owned()),
    ] {
        command.args([option, &value]);
    }
    command.arg("--enable-v2");
    command
}

/// A replica that is linked to its master has a leader; it has no terms.
fn redis_standing(at: SocketAddr) -> Option<Standing> {
    let lines = redis_info(at, "replication")?;
    let field =
        |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let leads = field("role")? == "master";
    let linked = field("master_link_status").is_some_and(|status| status == "up");
    Some(Standing { leads, has_leader: leads || linked, votes: true, term: 0 })
}

/// Whether it serves, and the Sentinel beside it has found all the others.
fn sentinel_is_ready(address: Ipv4Addr, nodes: u32) -> bool {
    let serves = redis_standing((address, 6379).into()).is_some_and(|it| it.has_leader);
    let knows = redis_info((address, 26379).into(), "sentinel").unwrap_or_default();
    let all = format!("slaves={},sentinels={nodes}", nodes - 1);
    serves && knows.iter().any(|line| line.starts_with("master0:") && line.ends_with(&all))
}

/// The lines of a section of INFO.
fn redis_info(at: SocketAddr, section: &str) -> Option<Vec<String>> {
    const PATIENCE: Duration = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes()).ok()?;
    Some(BufReader::new(stream).lines().map_while(Result::ok).collect())
}
