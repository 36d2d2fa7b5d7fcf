//! How a write reaches the leader, whoever that is, in order and once.
//!
//! ```text
//! connections → Router (this node's outbox) ─┬─ leads ──→ Packer → consensus
//!                                            └─ follows → Link ══gRPC══→ leader's Packer
//! ```
//! Commands that wait together travel as one batch; batches are numbered and stay in the outbox
//! until they are answered. When the leader changes, they are sent again in the same order; the
//! replicated sessions (see [`crate::keyspace`]) see to it that each is applied once.
//!
//! Invariants
//! * Batches are sent in the order of their numbers, each naming the one before it.
//! * An answer is definite (`CLUSTERDOWN`) only if no send of the batch can have been proposed.
//! * Everything that waits has a deadline, and the bytes that wait have a limit.

mod clock;
mod link;
mod outbox;
mod packer;
mod service;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::log::v1::Item;
use raft::{Consensus, NodeId, Peers, ShardId};
use resp::{Reply, ReplyError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::keyspace::Keyspace;
use crate::telemetry::Metrics;
use crate::threads::Threads;
use link::Link;
use outbox::{Outbox, Route, Verdict};
use packer::Done;

pub use clock::{Clock, LogClock, wall_clock_ms};
pub use outbox::uncertain;
pub use packer::{Hold, Packer, PackerLimits};
pub use service::{ForwardStream, serve as serve_forward};

/// Limits of the writes that wait on this node.
#[derive(Debug, Clone, Copy)]
pub struct RouterLimits {
    /// Bytes of commands waiting or unanswered, over which new ones are refused with `-BUSY`.
    pub waiting_bytes_max: usize,
    /// Bytes of one batch, unless a single hand-over is larger.
    pub batch_bytes_max: usize,
    /// Unanswered batches.
    pub batches_in_flight_max: usize,
    /// How long a write may take before its client gets an error.
    pub timeout: Duration,
}

/// What the router needs to know of its node.
#[derive(Clone)]
pub struct RouterContext {
    /// Cluster id: 16 bytes.
    pub cluster: Bytes,
    /// The shard it writes to.
    pub shard: ShardId,
    /// This node.
    pub node: NodeId,
    /// This run of the node's process; grows with each.
    pub incarnation: u64,
    /// Where its tasks run.
    pub threads: Threads,
    /// The clock by which it proposes log time.
    pub clock: LogClock,
}

/// Carries the writes of this node's clients to the leader. A cheap handle.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

/// What the handles share; named by the packer to tell it what became of its batches.
pub struct Inner {
    context: RouterContext,
    consensus: Consensus<Keyspace>,
    peers: Peers,
    telemetry: Arc<Metrics>,
    packer: Packer,
    outbox: Mutex<Outbox>,
    link: Mutex<Option<Link>>,
    /// Something waits to be sent, and soon will be.
    is_due: AtomicBool,
}

impl Router {
    /// A router over the consensus of a shard; starts its timer and its watch of the leader.
    pub fn start(
        context: RouterContext,
        consensus: Consensus<Keyspace>,
        peers: Peers,
        telemetry: Arc<Metrics>,
        limits: RouterLimits,
        packer_limits: PackerLimits,
    ) -> Self {
        let packer = Packer::new(
            consensus.clone(),
            Arc::clone(&telemetry),
            packer_limits,
            context.threads.clone(),
            context.clock.clone(),
        );
        let outbox = Outbox::new(context.node, context.incarnation, limits);
        let inner = Arc::new(Inner {
            context,
            consensus,
            peers,
            telemetry,
            packer,
            outbox: Mutex::new(outbox),
            link: Mutex::new(None),
            is_due: AtomicBool::default(),
        });
        inner.home().spawn(watch_leader(Arc::downgrade(&inner)));
        inner.home().spawn(watch_deadlines(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// Hands over commands of one connection; their replies come in the same order.
    ///
    /// # Errors
    /// `BUSY` when too much is waiting: nothing was proposed.
    pub fn submit(&self, items: &[Item]) -> Result<oneshot::Receiver<Vec<Reply>>, ReplyError> {
        let answer = self.inner.outbox.lock().accept(items, Instant::now())?;
        if !self.inner.is_due.swap(true, Ordering::AcqRel) {
            self.inner.home().spawn(send_soon(Arc::clone(&self.inner)));
        }
        Ok(answer)
    }

    /// Pushes log time forward to the leader's clock, and waits until that is applied there.
    pub async fn push_time(&self) {
        if let Ok(answer) = self.submit(&[]) {
            // An error here leaves log time as it is, which is always a correct time.
            let _ = answer.await;
        }
    }

    /// The time that this node would give the log, in milliseconds since the Unix epoch: by it a key
    /// is due.
    pub fn now_ms(&self) -> u64 {
        self.inner.context.clock.now_ms()
    }

    /// Bytes of commands that wait or are unanswered.
    pub fn waiting_bytes(&self) -> usize {
        self.inner.outbox.lock().bytes()
    }

    /// What proposes the batches of all nodes while this one leads.
    pub fn packer(&self) -> Packer {
        self.inner.packer.clone()
    }
}

impl Inner {
    /// Where work for clients is done now.
    fn home(&self) -> &Handle {
        self.context.threads.home(&self.consensus)
    }

    /// Sends what can be sent.
    fn pump(self: &Arc<Self>, outbox: &mut Outbox) {
        while let Some(shipment) = outbox.next_shipment() {
            match shipment.route {
                Route::Local => {
                    let done = Done::Local {
                        router: Arc::downgrade(self),
                        sequence: shipment.sequence,
                        epoch: shipment.epoch,
                    };
                    self.packer.push(shipment.batch, shipment.since, done);
                }
                Route::Remote(leader) => self.forward(leader, shipment),
            }
        }
    }

    fn forward(self: &Arc<Self>, leader: NodeId, shipment: outbox::Shipment) {
        let mut link = self.link.lock();
        if link.as_ref().is_none_or(|l| l.epoch() != shipment.epoch) {
            *link = self.connect(leader, shipment.epoch);
        }
        if let Some(link) = link.as_ref() {
            self.telemetry.counters.requests_forwarded.add(shipment.commands as u64);
            link.send(shipment.sequence, shipment.batch);
        }
    }

    fn connect(self: &Arc<Self>, leader: NodeId, epoch: u64) -> Option<Link> {
        let status = self.consensus.status();
        let node = status.members.get(&leader)?;
        let route = proto::node::v1::Route {
            cluster: self.context.cluster.clone(),
            shard: self.context.shard.0,
            target: leader,
            source: self.context.node,
        };
        let channel = self.peers.channel(node).ok()?;
        Some(Link::open(self.home(), channel, route, epoch, Arc::downgrade(self)))
    }

    /// What became of a batch, from the packer or from the leader's answer.
    fn complete(self: &Arc<Self>, sequence: u64, epoch: u64, verdict: Verdict) {
        let mut outbox = self.outbox.lock();
        outbox.complete(sequence, epoch, verdict);
        self.pump(&mut outbox);
    }

    /// Whether the stream to the leader shall carry a batch away, which it is about to.
    fn depart(&self, sequence: u64, epoch: u64) -> bool {
        self.outbox.lock().depart(sequence, epoch)
    }

    /// The stream to the leader broke: what it carried may have been proposed.
    fn link_lost(self: &Arc<Self>, epoch: u64) {
        let mut outbox = self.outbox.lock();
        outbox.lost(epoch);
    }

    fn reroute(self: &Arc<Self>, term: u64, leader: Option<NodeId>) {
        let mut outbox = self.outbox.lock();
        outbox.route_to(term, leader);
        self.pump(&mut outbox);
    }

    fn tick(self: &Arc<Self>) {
        let mut outbox = self.outbox.lock();
        outbox.expire(Instant::now());
        if outbox.stuck() {
            let status = self.consensus.status();
            outbox.route_to(status.term, status.leader);
        }
        self.pump(&mut outbox);
    }
}

/// Sends what was handed over, once all connections that are ready now have had their turn: what
/// they hand over then travels in the same batch.
async fn send_soon(router: Arc<Inner>) {
    tokio::task::yield_now().await;
    router.is_due.swap(false, Ordering::AcqRel);
    router.pump(&mut router.outbox.lock());
}

/// Follows the leader of the shard until the router is gone.
async fn watch_leader(router: Weak<Inner>) {
    let Some(mut status) = router.upgrade().map(|r| r.consensus.watch()) else { return };
    let mut last = None;
    loop {
        let (term, leader) = {
            let now = status.borrow_and_update();
            (now.term, now.leader)
        };
        let Some(inner) = router.upgrade() else { return };
        if leader.is_some() && leader != last {
            inner.telemetry.counters.leader_changes.add(u64::from(last.is_some()));
            last = leader;
        }
        inner.reroute(term, leader);
        drop(inner);
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Ends waits that took too long, and retries what had to wait.
async fn watch_deadlines(router: Weak<Inner>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let Some(inner) = router.upgrade() else { return };
        inner.tick();
    }
}
