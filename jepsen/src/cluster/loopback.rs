//! A network without privileges: nodes listen on addresses of the loopback device, and what they
//! send each other passes a proxy in this process.
//!
//! Each node listens on `127.x.y.N` and says that it is reached at `127.x.y.(100+N)`, where the
//! proxy listens in its place. Who connects there is found from the kernel's list of sockets, so
//! every connection has two ends known, and its two directions are two links. A cut link holds what
//! it was sent until it is mended, as TCP would by sending it again; what a firewall's drop does to
//! packets cannot be done to a stream.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;

use super::Problem;
use super::network::{Conditions, Link};
use super::socket;

/// Added to a node's number to have its advertised address's last byte.
const ADVERTISED: u8 = 100;
const CHUNK_BYTES: usize = 16 << 10;
/// What TCP waits before it sends again what was lost.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Between two looks at whether to go on.
const TICK: Duration = Duration::from_millis(50);
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The proxies of one cluster. Dropping them ends them and every connection through them.
#[derive(Debug)]
pub struct Proxies {
    shared: Arc<Shared>,
    listeners: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Shared {
    subnet: [u8; 3],
    conditions: Mutex<Conditions>,
    changed: Condvar,
    /// Processes and the nodes they are.
    owners: Mutex<HashMap<u32, u32>>,
    stop: AtomicBool,
}

impl Proxies {
    /// Proxies before the `ports` of nodes 1 to `nodes`.
    pub fn new(nodes: u32, ports: &[u16]) -> Result<Self, Problem> {
        let shared = Arc::new(Shared {
            subnet: subnet(),
            conditions: Mutex::default(),
            changed: Condvar::new(),
            owners: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let mut proxies = Self { shared, listeners: Vec::new() };
        for node in 1..=nodes {
            for port in ports {
                proxies.listen(node, *port)?;
            }
        }
        Ok(proxies)
    }

    fn listen(&mut self, node: u32, port: u16) -> Result<(), Problem> {
        let at = SocketAddr::from((self.advertised(node), port));
        let listener = TcpListener::bind(at).map_err(|error| Problem::new(at, error))?;
        self.listeners.push(at);
        let (shared, target) = (Arc::clone(&self.shared), (self.address(node), port));
        std::thread::spawn(move || {
            for accepted in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = accepted else { continue };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(client, node, SocketAddr::from(target)));
            }
        });
        Ok(())
    }

    /// Where the node listens.
    pub fn address(&self, node: u32) -> Ipv4Addr {
        self.shared.host(u8::try_from(node).unwrap_or(u8::MAX))
    }

    /// Where the proxy listens for it.
    pub fn advertised(&self, node: u32) -> Ipv4Addr {
        self.shared.host(u8::try_from(node).unwrap_or(u8::MAX).saturating_add(ADVERTISED))
    }

    /// Connections of this process are the node's from now on.
    pub fn belongs(&self, pid: u32, node: u32) {
        lock(&self.shared.owners).insert(pid, node);
    }

    /// Makes the network so.
    pub fn apply(&self, conditions: &Conditions) -> Result<(), Problem> {
        lock(&self.shared.conditions).clone_from(conditions);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        // A connection makes a listener look at the flag.
        self.listeners.iter().for_each(|at| drop(TcpStream::connect_timeout(at, CONNECT_MAX)));
    }
}

/// Three bytes that no other harness of this machine uses: its process's number is in them.
fn subnet() -> [u8; 3] {
    use std::sync::atomic::AtomicU32;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() + (COUNT.fetch_add(1, Ordering::Relaxed) << 13);
    let [low, high, ..] = (number % (200 << 8)).to_le_bytes();
    [127, 20 + high, low]
}

impl Shared {
    fn host(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, last)
    }

    fn serve(self: &Arc<Self>, client: TcpStream, to: u32, target: SocketAddr) {
        let from = self.source(&client);
        // Both ways must be open for a connection to be made.
        if !self.wait_until_open((from, to)) || !self.wait_until_open((to, from)) {
            return;
        }
        let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_MAX) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let shared = Arc::clone(self);
        std::thread::spawn(move || shared.pump((to, from), server_again, client_again));
        self.pump((from, to), client, server);
    }

    /// The node at the other end; 0 if it is none.
    fn source(&self, client: &TcpStream) -> u32 {
        let (Ok(SocketAddr::V4(peer)), Ok(SocketAddr::V4(own))) =
            (client.peer_addr(), client.local_addr())
        else {
            return 0;
        };
        let owners = lock(&self.owners).clone();
        let pid = owner_of(peer, own, owners.keys().copied());
        pid.and_then(|pid| owners.get(&pid).copied()).unwrap_or_default()
    }

    /// Carries bytes along the link until either end closes.
    fn pump(&self, link: Link, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = from.read(&mut chunk).unwrap_or(0);
            if !self.travel(link, length) || length == 0 || to.write_all(&chunk[..length]).is_err()
            {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }

    /// Takes as long as so many bytes take along the link. False if the network is gone.
    fn travel(&self, link: Link, bytes: usize) -> bool {
        let wait = self.lateness(link, bytes);
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        self.wait_until_open(link)
    }

    fn lateness(&self, link: Link, bytes: usize) -> Duration {
        let conditions = lock(&self.conditions);
        let chance: f64 = rand::rng().random();
        let delay = conditions.delay.get(&link);
        let delay = delay.map_or(Duration::ZERO, |delay| delay.base + delay.jitter.mul_f64(chance));
        let lost = conditions.loss.get(&link).copied().unwrap_or(0);
        let again = match rand::rng().random_range(0..100) < lost {
            true => RETRANSMISSION,
            false => Duration::ZERO,
        };
        let rates = [link.0, link.1].into_iter().filter_map(|node| conditions.slow.get(&node));
        let slow = rates.min().map_or(0.0, |rate| bytes as f64 / (*rate).max(1) as f64);
        delay + again + Duration::from_secs_f64(slow)
    }

    /// False if the network is gone.
    fn wait_until_open(&self, link: Link) -> bool {
        let mut conditions = lock(&self.conditions);
        while conditions.cut.contains(&link) && !self.stop.load(Ordering::Relaxed) {
            let waited = self.changed.wait_timeout(conditions, TICK);
            conditions = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !self.stop.load(Ordering::Relaxed)
    }
}

/// The process that connected from `peer` to `own`. It may be so new that it is not listed yet.
fn owner_of(
    peer: SocketAddrV4,
    own: SocketAddrV4,
    among: impl Iterator<Item = u32> + Clone,
) -> Option<u32> {
    const TRIES: u32 = 5;
    (0..TRIES).find_map(|attempt| {
        std::thread::sleep(Duration::from_millis(5) * attempt);
        socket::owner(peer, own, among.clone())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this machine lacks: addresses of the loopback device beside the first.
pub fn lacks() -> Vec<String> {
    let bound: io::Result<TcpListener> = TcpListener::bind((Ipv4Addr::new(127, 19, 0, 1), 0));
    bound.err().map(|error| format!("addresses 127.x.y.z ({error})")).into_iter().collect()
}

#[cfg(test)]
mod tests;
