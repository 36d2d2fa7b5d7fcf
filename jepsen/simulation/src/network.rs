//! The network between machines: connections whose bytes arrive late, in order, or not for a while.
//!
//! A link is one direction between two nodes. What is sent over a link that is cut waits, as it
//! would in TCP until it is sent again; connecting over it takes for ever. A machine that lost its
//! power answers nothing until it is back, and then does not know its old connections; nothing that
//! it sends in the same turn leaves it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use raft::{Dial, NodeId, Wire};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use crate::journal::note;
use crate::power;

/// Bytes on their way, over which a writer waits.
const WINDOW: usize = 4 << 20;
/// How often a connection is tried that is not answered.
const RETRY: Duration = Duration::from_millis(200);

/// All links; clones share them.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

/// How long bytes travel, in microseconds: mostly up to the first, sometimes up to the second.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    pub usual_us: u64,
    pub rare_us: u64,
}

struct State {
    rng: StdRng,
    latency: Latency,
    pipes: BTreeMap<u64, Pipe>,
    last_pipe: u64,
    /// When something arrives, and in which pipe.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    dead: BTreeSet<NodeId>,
    listeners: BTreeMap<NodeId, mpsc::UnboundedSender<Connection>>,
    /// Nodes for which something has arrived.
    woken: BTreeSet<NodeId>,
}

/// One direction of a connection.
struct Pipe {
    link: (NodeId, NodeId),
    /// Nothing instead of bytes is the end.
    sent: VecDeque<(Instant, Option<Bytes>)>,
    arrived: VecDeque<Bytes>,
    waiting: usize,
    last: Instant,
    ended: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(from: NodeId, to: NodeId) -> Self {
        Self {
            link: (from, to),
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            waiting: 0,
            last: Instant::now(),
            ended: false,
            broken: false,
            reader: None,
            writer: None,
        }
    }

    fn touches(&self, node: NodeId) -> bool {
        self.link.0 == node || self.link.1 == node
    }

    /// Both ends are to look again.
    fn wake(&mut self, woken: &mut BTreeSet<NodeId>) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
        woken.extend([self.link.0, self.link.1]);
    }

    fn arrive(&mut self, now: Instant) {
        while let Some((_, what)) = self.sent.pop_front_if(|(due, _)| *due <= now) {
            match what {
                Some(bytes) => self.arrived.push_back(bytes),
                None => self.ended = true,
            }
        }
    }
}

impl State {
    fn delay(&mut self) -> Duration {
        let Latency { usual_us, rare_us } = self.latency;
        let most = if self.rng.random_bool(0.02) { rare_us } else { usual_us };
        Duration::from_micros(self.rng.random_range(50..=most.max(51)))
    }

    fn is_cut(&self, link: (NodeId, NodeId)) -> bool {
        self.cuts.contains(&link)
    }

    fn send(&mut self, id: u64, what: Option<Bytes>) {
        let delay = self.delay();
        let Some(pipe) = self.pipes.get_mut(&id).filter(|_| power::is_on()) else { return };
        let due = pipe.last.max(Instant::now() + delay);
        pipe.last = due;
        pipe.waiting += what.as_ref().map_or(0, Bytes::len);
        pipe.sent.push_back((due, what));
        self.due.push(Reverse((due, id)));
    }

    /// What waited at a cut travels again.
    fn resume(&mut self) {
        let ids: Vec<u64> = self.pipes.keys().copied().collect();
        for id in ids {
            let due = Instant::now() + self.delay();
            if self.pipes.get(&id).is_some_and(|pipe| !pipe.sent.is_empty()) {
                self.due.push(Reverse((due, id)));
            }
        }
    }

    fn break_all(&mut self, of: impl Fn(&Pipe) -> bool) {
        for pipe in self.pipes.values_mut().filter(|pipe| of(pipe)) {
            pipe.broken = true;
            pipe.wake(&mut self.woken);
        }
    }

    /// A connection to a node that listens, if the way is free.
    fn connect(&mut self, from: NodeId, to: NodeId, network: &Network) -> Connect {
        let away = self.is_cut((from, to)) || self.is_cut((to, from)) || self.dead.contains(&to);
        if away || !power::is_on() {
            return Connect::Silence;
        }
        let Some(listener) = self.listeners.get(&to).cloned() else { return Connect::Refused };
        let (there, back) = (self.last_pipe + 1, self.last_pipe + 2);
        self.last_pipe = back;
        self.pipes.insert(there, Pipe::new(from, to));
        self.pipes.insert(back, Pipe::new(to, from));
        let end =
            |node, reads, writes| Connection { network: network.clone(), node, reads, writes };
        let (ours, theirs) = (end(from, back, there), end(to, there, back));
        self.woken.insert(to);
        match listener.send(theirs) {
            Ok(()) => Connect::Open(ours),
            Err(_) => Connect::Refused,
        }
    }
}

enum Connect {
    Silence,
    Refused,
    Open(Connection),
}

impl Network {
    /// A whole network.
    pub fn new(seed: u64, latency: Latency) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: StdRng::seed_from_u64(seed),
            latency,
            pipes: BTreeMap::new(),
            last_pipe: 0,
            due: BinaryHeap::new(),
            cuts: BTreeSet::new(),
            dead: BTreeSet::new(),
            listeners: BTreeMap::new(),
            woken: BTreeSet::new(),
        })))
    }

    /// The address of a node.
    pub fn address(node: NodeId) -> String {
        format!("n{node}:1")
    }

    /// Connections to a node from now on. It is back, if it was away.
    pub fn listen(&self, node: NodeId) -> mpsc::UnboundedReceiver<Connection> {
        let (listener, connections) = mpsc::unbounded_channel();
        let mut state = self.0.lock();
        state.dead.remove(&node);
        state.listeners.insert(node, listener);
        connections
    }

    /// How a node reaches the others.
    pub fn dial(&self, from: NodeId) -> Dial {
        let network = self.clone();
        Arc::new(move |address| {
            let to =
                address.strip_prefix('n').and_then(|rest| rest.split(':').next()?.parse().ok());
            let network = network.clone();
            Box::pin(async move {
                let to = to.ok_or(ErrorKind::InvalidInput)?;
                network.connect(from, to).await.map(|it| Box::new(it) as Box<dyn Wire>)
            })
        })
    }

    async fn connect(&self, from: NodeId, to: NodeId) -> io::Result<Connection> {
        let trip = 2 * self.0.lock().delay();
        tokio::time::sleep(trip).await;
        loop {
            let connect = self.0.lock().connect(from, to, self);
            match connect {
                Connect::Open(connection) => return Ok(connection),
                Connect::Refused => return Err(ErrorKind::ConnectionRefused.into()),
                Connect::Silence => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// A node is gone. Its kernel says so to the others, or nobody does.
    pub fn lose(&self, node: NodeId, silently: bool) {
        let mut state = self.0.lock();
        state.listeners.remove(&node);
        if silently {
            state.dead.insert(node);
        } else {
            state.break_all(|pipe| pipe.touches(node));
        }
    }

    /// A node is back, and does not know its old connections.
    pub fn reset(&self, node: NodeId) {
        self.0.lock().break_all(|pipe| pipe.touches(node));
    }

    /// Breaks the connections between two nodes.
    pub fn reset_between(&self, one: NodeId, other: NodeId) {
        self.0.lock().break_all(|pipe| pipe.touches(one) && pipe.touches(other));
    }

    /// Cuts links.
    pub fn cut(&self, links: impl IntoIterator<Item = (NodeId, NodeId)>) {
        self.0.lock().cuts.extend(links);
    }

    /// Mends all links.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.cuts.clear();
        state.resume();
    }

    /// Changes how long bytes travel from now on.
    pub fn set_latency(&self, latency: Latency) {
        self.0.lock().latency = latency;
    }

    /// When something arrives next.
    pub fn next(&self) -> Option<Instant> {
        self.0.lock().due.peek().map(|Reverse((due, _))| *due)
    }

    /// Lets arrive what is due, and wakes whom it is for.
    pub fn deliver(&self, now: Instant) {
        let mut state = self.0.lock();
        let state = &mut *state;
        while let Some(Reverse((_, id))) = state.due.pop_if_due(now) {
            let Some(pipe) = state.pipes.get_mut(&id) else { continue };
            if state.cuts.contains(&pipe.link) || state.dead.contains(&pipe.link.1) {
                continue;
            }
            pipe.arrive(now);
            if let Some(reader) = pipe.reader.take() {
                note!("{} → {}", pipe.link.0, pipe.link.1);
                reader.wake();
            }
        }
    }

    /// Whether something happened for a node since this was last asked.
    pub fn take_woken(&self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.0.lock().woken)
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<(Instant, u64)>>;
}

impl PopIfDue for BinaryHeap<Reverse<(Instant, u64)>> {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<(Instant, u64)>> {
        self.peek().is_some_and(|Reverse((due, _))| *due <= now).then(|| self.pop())?
    }
}

/// One end of a connection.
pub struct Connection {
    network: Network,
    node: NodeId,
    reads: u64,
    writes: u64,
}

fn broken() -> io::Error {
    ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.network.0.lock();
        let state = &mut *state;
        let Some(pipe) = state.pipes.get_mut(&self.reads) else {
            return Poll::Ready(Err(broken()));
        };
        let Some(bytes) = pipe.arrived.front_mut() else {
            pipe.reader = Some(context.waker().clone());
            return match (pipe.broken, pipe.ended) {
                (true, _) => Poll::Ready(Err(broken())),
                (_, true) => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            };
        };
        let count = bytes.len().min(into.remaining());
        into.put_slice(&bytes[..count]);
        bytes.advance(count);
        if bytes.is_empty() {
            pipe.arrived.pop_front();
        }
        pipe.waiting -= count;
        if let Some(writer) = pipe.writer.take() {
            state.woken.insert(pipe.link.0);
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.0.lock();
        match state.pipes.get_mut(&self.writes) {
            Some(pipe) if !pipe.broken && pipe.waiting >= WINDOW => {
                pipe.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Some(pipe) if !pipe.broken => {}
            _ => return Poll::Ready(Err(broken())),
        }
        state.send(self.writes, Some(Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.0.lock().send(self.writes, None);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.network.0.lock();
        let state = &mut *state;
        if state.dead.contains(&self.node) || !power::is_on() {
            return;
        }
        if let Some(mut pipe) = state.pipes.remove(&self.reads) {
            pipe.wake(&mut state.woken);
        }
        state.send(self.writes, None);
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
