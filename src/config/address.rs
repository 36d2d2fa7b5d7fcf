//! Where a node listens, and under which names others reach it.

use super::settings::Config;
use super::value::Listen;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Where.
    pub address: SocketAddr,
    /// Whether the node starts without it.
    pub optional: bool,
}

/// `HOST:PORT` of a node's three services, as others see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// For Redis clients.
    pub resp: String,
    /// For other nodes.
    pub rpc: String,
    /// For HTTP; empty if others cannot reach it.
    pub http: String,
}

impl Config {
    /// Where Redis clients are served. IPv6 addresses serve IPv6 only.
    pub fn resp_bindings(&self) -> Vec<Binding> {
        self.bindings(self.server.port)
    }

    /// Where other nodes are served.
    pub fn rpc_bindings(&self) -> Vec<Binding> {
        self.bindings(self.rpc_port())
    }

    fn bindings(&self, port: u16) -> Vec<Binding> {
        self.server.bind.0.iter().filter_map(|word| binding(word, port)).collect()
    }

    /// The port for other nodes.
    pub fn rpc_port(&self) -> u16 {
        match self.raft.port {
            0 => self.server.port.saturating_add(10_000),
            port => port,
        }
    }

    /// Where HTTP is served, if it is.
    pub fn http_address(&self) -> Option<SocketAddr> {
        match self.admin.listen {
            Listen::Auto => Some((Ipv4Addr::LOCALHOST, self.server.port.saturating_add(1)).into()),
            Listen::Off => None,
            Listen::At(address) => Some(address),
        }
    }

    /// Under which names others reach this node.
    pub fn advertised(&self) -> Advertised {
        let own = || join_host_port(&self.own_address().to_string(), self.server.port);
        let given = host_and_port(&self.node.advertise, self.server.port);
        let resp = given.map_or_else(own, |(host, port)| join_host_port(&host, port));
        let host = host_and_port(&resp, 0).map_or_else(String::new, |(host, _)| host);
        let rpc = join_host_port(&host, self.rpc_port());
        Advertised { http: self.advertised_http(&host), resp, rpc }
    }

    fn advertised_http(&self, host: &str) -> String {
        let reachable_by = |ip: IpAddr| {
            let local = host.parse().is_ok_and(|host: IpAddr| host.is_loopback());
            !ip.is_loopback() || local
        };
        match self.http_address() {
            Some(address) if address.ip().is_unspecified() => join_host_port(host, address.port()),
            Some(address) if reachable_by(address.ip()) => address.to_string(),
            _ => String::new(),
        }
    }

    /// The first address that is one, or, listening on all, the one this machine would use
    /// towards the cluster (or the rest of the world). Nothing is sent to find out.
    fn own_address(&self) -> IpAddr {
        let bindings = self.resp_bindings();
        let listens = |ip: &IpAddr| !ip.is_unspecified();
        let mut listened = bindings.iter().map(|binding| binding.address.ip());
        listened
            .find(listens)
            .or_else(|| self.outward_address())
            .unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    fn outward_address(&self) -> Option<IpAddr> {
        const ELSEWHERE: &str = "192.0.2.1:9";
        let target = self.node.join.0.first().map_or(ELSEWHERE, String::as_str);
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    }
}

/// Reads one word of `server.bind`.
pub(super) fn binding(word: &str, port: u16) -> Option<Binding> {
    let (optional, name) = match word.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, word),
    };
    let ip = match name {
        "*" => Ipv4Addr::UNSPECIFIED.into(),
        "::*" => Ipv6Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => name.parse().ok()?,
    };
    Some(Binding { address: SocketAddr::new(ip, port), optional })
}

/// Reads HOST or HOST:PORT. IPv6 addresses with a port are in brackets.
pub fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Some((ip.to_string(), default_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, default_port),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (!host.is_empty() && host.chars().all(letter)).then(|| (host.to_string(), port))
}

/// Writes HOST:PORT, with brackets around an IPv6 address.
pub fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
