//! The outbox of a node: writes that wait, and batches that are on their way. No I/O here.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::log::v1::{Item, Origin};
use raft::{Mutant, NodeId};
use resp::{Reply, ReplyError};
use tokio::sync::oneshot;

use super::RouterLimits;

/// Where batches go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Route {
    /// This node leads.
    Local,
    /// Another node leads.
    Remote(NodeId),
}

/// What became of a batch.
#[derive(Debug)]
pub enum Verdict {
    /// Applied; one reply per command.
    Replies(Vec<Reply>),
    /// Applied before, its answers are no longer kept.
    Forgotten,
    /// Not proposed: the receiver does not lead.
    NotLeader,
    /// Proposed perhaps; nobody knows yet.
    Unknown,
    /// Not applied, because the batch before it was not.
    Gap,
    /// Refused for good, with nothing proposed.
    Refused(ReplyError),
}

/// A batch to be sent now.
#[derive(Debug)]
pub struct Shipment {
    /// Number of the batch.
    pub sequence: u64,
    /// The route's number; answers for older routes are stale.
    pub epoch: u64,
    /// Where to.
    pub route: Route,
    /// The encoded `talus.log.v1.Batch`.
    pub batch: Bytes,
    /// Commands in it.
    pub commands: usize,
    /// When the first of them was handed over.
    pub since: Instant,
}

/// The writes of one connection that were handed over together.
#[derive(Debug)]
struct Ticket {
    commands: usize,
    /// Encoded size of the commands.
    bytes: usize,
    answer: oneshot::Sender<Vec<Reply>>,
    since: Instant,
    deadline: Instant,
}

/// A batch from its first sending until its answer.
#[derive(Debug)]
struct Flight {
    sequence: u64,
    items: Bytes,
    tickets: Vec<Ticket>,
    /// The epoch in which it was last sent; none: it must be sent (again).
    sent: Option<u64>,
    /// What was sent last has left this node's hands. Until then it is known not to be proposed.
    departed: bool,
    /// Some sending of it may have been proposed.
    perhaps_proposed: bool,
}

/// All writes of this node that are not answered yet.
#[derive(Debug)]
pub struct Outbox {
    node: NodeId,
    incarnation: u64,
    limits: RouterLimits,
    waiting: BytesMut,
    waiting_tickets: VecDeque<Ticket>,
    flights: VecDeque<Flight>,
    flying_bytes: usize,
    last_sequence: u64,
    last_applied: u64,
    route: Option<Route>,
    epoch: u64,
    term: u64,
}

impl Outbox {
    /// An empty outbox that knows no leader yet.
    pub fn new(node: NodeId, incarnation: u64, limits: RouterLimits) -> Self {
        Self {
            node,
            incarnation,
            limits,
            waiting: BytesMut::new(),
            waiting_tickets: VecDeque::new(),
            flights: VecDeque::new(),
            flying_bytes: 0,
            last_sequence: 0,
            last_applied: 0,
            route: None,
            epoch: 0,
            term: 0,
        }
    }

    /// Bytes of commands that wait or fly.
    pub fn bytes(&self) -> usize {
        self.waiting.len() + self.flying_bytes
    }

    /// Takes commands of one connection.
    ///
    /// # Errors
    /// `BUSY` when the limit of waiting bytes is reached.
    pub fn accept(
        &mut self,
        items: &[Item],
        now: Instant,
    ) -> Result<oneshot::Receiver<Vec<Reply>>, ReplyError> {
        if self.bytes() >= self.limits.waiting_bytes_max {
            return Err(ReplyError::Raw("BUSY too many writes are waiting for the log".into()));
        }
        let before = self.waiting.len();
        for item in items {
            encode_key(2, WireType::LengthDelimited, &mut self.waiting);
            encode_varint(item.encoded_len() as u64, &mut self.waiting);
            item.encode_raw(&mut self.waiting);
        }
        let (answer, replies) = oneshot::channel();
        self.waiting_tickets.push_back(Ticket {
            commands: items.len(),
            bytes: self.waiting.len() - before,
            answer,
            since: now,
            deadline: now + self.limits.timeout,
        });
        Ok(replies)
    }

    /// The next batch that may be sent now, if any.
    pub fn next_shipment(&mut self) -> Option<Shipment> {
        let route = self.route?;
        self.board();
        let at = self.flights.iter().position(|f| f.sent.is_none())?;
        let after = self.before(at);
        let acknowledged = self.flights.front().map_or(self.last_sequence, |f| f.sequence - 1);
        let flight = self.flights.get_mut(at)?;
        flight.sent = Some(self.epoch);
        // What goes to another node leaves when the connection takes it: see `depart`.
        flight.departed = route == Route::Local;
        let origin = Origin {
            node: self.node,
            incarnation: self.incarnation,
            sequence: flight.sequence,
            after,
            acknowledged,
        };
        let batch = encode_batch(&origin, &flight.items);
        Some(Shipment {
            sequence: flight.sequence,
            epoch: self.epoch,
            route,
            batch,
            commands: flight.tickets.iter().map(|ticket| ticket.commands).sum(),
            since: flight.tickets.first()?.since,
        })
    }

    /// The connection is about to carry away what was sent in `epoch`. False: it must not, for the
    /// batch is answered already or was sent again.
    pub fn depart(&mut self, sequence: u64, epoch: u64) -> bool {
        let Ok(at) = self.flights.binary_search_by_key(&sequence, |f| f.sequence) else {
            return false;
        };
        let flight = self.flights.get_mut(at).filter(|flight| flight.sent == Some(epoch));
        flight.map(|flight| flight.departed = true).is_some()
    }

    /// The batch that must be applied before the one at `at`.
    fn before(&self, at: usize) -> u64 {
        let previous = at.checked_sub(1).and_then(|p| self.flights.get(p));
        previous.map_or(self.last_applied, |f| f.sequence)
    }

    /// Makes a batch of what waits, if another one may fly.
    fn board(&mut self) {
        let full = self.flights.len() >= self.limits.batches_in_flight_max;
        if full || self.waiting_tickets.is_empty() {
            return;
        }
        self.last_sequence += 1;
        let (tickets, bytes) = self.take_tickets();
        let items = self.waiting.split_to(bytes).freeze();
        self.flying_bytes += items.len();
        self.flights.push_back(Flight {
            sequence: self.last_sequence,
            items,
            tickets,
            sent: None,
            departed: false,
            perhaps_proposed: false,
        });
    }

    /// As many tickets as one batch may carry, at least one, and their bytes.
    fn take_tickets(&mut self) -> (Vec<Ticket>, usize) {
        let mut bytes = 0;
        let mut taken = 0;
        for ticket in &self.waiting_tickets {
            if taken > 0 && bytes + ticket.bytes > self.limits.batch_bytes_max {
                break;
            }
            bytes += ticket.bytes;
            taken += 1;
        }
        (self.waiting_tickets.drain(..taken).collect(), bytes)
    }

    /// Takes note of what became of a batch that was sent in `epoch`.
    pub fn complete(&mut self, sequence: u64, epoch: u64, verdict: Verdict) {
        let Ok(at) = self.flights.binary_search_by_key(&sequence, |f| f.sequence) else { return };
        match verdict {
            Verdict::Replies(replies) => self.answer(at, replies),
            Verdict::Forgotten => self.fail(at, &crate::keyspace::forgotten()),
            Verdict::Refused(error) => self.refuse(at, epoch, &error),
            Verdict::NotLeader | Verdict::Gap => self.send_again(at, epoch, false),
            Verdict::Unknown => self.send_again(at, epoch, true),
        }
    }

    fn answer(&mut self, at: usize, mut replies: Vec<Reply>) {
        let Some(flight) = self.land(at) else { return };
        self.last_applied = self.last_applied.max(flight.sequence);
        for ticket in flight.tickets {
            let rest = replies.split_off(ticket.commands.min(replies.len()));
            // A connection that is gone wants no answer.
            let _ = ticket.answer.send(std::mem::replace(&mut replies, rest));
        }
    }

    /// Answers every command of a batch with one error.
    fn fail(&mut self, at: usize, error: &ReplyError) {
        if let Some(flight) = self.land(at) {
            flight.tickets.into_iter().for_each(|ticket| ticket.fail(error));
        }
    }

    fn refuse(&mut self, at: usize, epoch: u64, error: &ReplyError) {
        let flight = self.flights.get(at);
        if flight.is_some_and(|f| f.perhaps_proposed || f.sent != Some(epoch)) {
            return self.send_again(at, epoch, false);
        }
        self.fail(at, error);
    }

    /// Takes a batch out of the air.
    fn land(&mut self, at: usize) -> Option<Flight> {
        let flight = self.flights.remove(at)?;
        self.flying_bytes -= flight.items.len();
        Some(flight)
    }

    fn send_again(&mut self, at: usize, epoch: u64, perhaps_proposed: bool) {
        let Some(flight) = self.flights.get_mut(at) else { return };
        flight.perhaps_proposed |= perhaps_proposed;
        if flight.sent == Some(epoch) {
            flight.sent = None;
            self.pause();
        }
    }

    /// Whoever said no says no again at once: the next tick or the next leader decides.
    fn pause(&mut self) {
        self.route = None;
    }

    /// What was sent in `epoch` must be sent again; what has departed may have been proposed.
    pub fn lost(&mut self, epoch: u64) {
        for flight in self.flights.iter_mut().filter(|f| f.sent == Some(epoch)) {
            flight.sent = None;
            flight.perhaps_proposed |= flight.departed;
        }
        if epoch == self.epoch {
            self.pause();
        }
    }

    /// Sends everything to this leader from now on.
    pub fn route_to(&mut self, term: u64, leader: Option<NodeId>) {
        let route = leader.map(|l| if l == self.node { Route::Local } else { Route::Remote(l) });
        if route == self.route && term == self.term {
            return;
        }
        let old = self.epoch;
        self.lost(old);
        self.epoch += 1;
        self.term = term;
        self.route = route;
    }

    /// True while nothing can be sent although something waits.
    pub fn stuck(&self) -> bool {
        self.route.is_none() && !(self.flights.is_empty() && self.waiting_tickets.is_empty())
    }

    /// Ends the waits whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let due = |t: &Ticket| t.deadline <= now;
        while let Some(at) = self.flights.iter().position(|f| f.tickets.iter().all(due)) {
            let error = match self.flights.get(at) {
                Some(f) if f.perhaps_proposed || (f.sent.is_some() && f.departed) => uncertain(),
                _ => ReplyError::Raw(NO_LEADER.into()),
            };
            self.fail(at, &error);
        }
        while let Some(ticket) = self.waiting_tickets.pop_front_if(|t| t.deadline <= now) {
            self.waiting.advance(ticket.bytes);
            ticket.fail(&ReplyError::Raw(NO_LEADER.into()));
        }
    }
}

/// What a client hears when nothing was proposed because there is no leader or no quorum.
pub const NO_LEADER: &str = "CLUSTERDOWN no leader with a quorum; nothing was written";

/// What a client hears when the outcome of its write is unknown.
pub fn uncertain() -> ReplyError {
    if Mutant::WrongErrorClass.is_on() {
        return ReplyError::Raw("CLUSTERDOWN the write was not proposed, or so".into());
    }
    ReplyError::Raw("UNCERTAIN the write was proposed, its outcome is unknown".into())
}

impl Ticket {
    fn fail(self, error: &ReplyError) {
        let replies = vec![Reply::Error(error.clone()); self.commands];
        let _ = self.answer.send(replies);
    }
}

/// `Batch { origin, items }`; the items are encoded fields already.
fn encode_batch(origin: &Origin, items: &Bytes) -> Bytes {
    let mut batch = BytesMut::with_capacity(items.len() + 48);
    encode_key(1, WireType::LengthDelimited, &mut batch);
    encode_varint(origin.encoded_len() as u64, &mut batch);
    origin.encode_raw(&mut batch);
    batch.extend_from_slice(items);
    batch.freeze()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LEADER: Route = Route::Remote(2);

    fn outbox() -> Outbox {
        let limits = RouterLimits {
            waiting_bytes_max: 1 << 20,
            batch_bytes_max: 1 << 10,
            batches_in_flight_max: 4,
            timeout: Duration::from_secs(1),
        };
        let mut outbox = Outbox::new(1, 1, limits);
        outbox.route_to(1, Some(2));
        outbox
    }

    /// A write, and the batch that carries it to the leader.
    fn send(outbox: &mut Outbox) -> (oneshot::Receiver<Vec<Reply>>, Shipment) {
        let answer = outbox.accept(&[Item::default()], Instant::now()).expect("there is room");
        let shipment = outbox.next_shipment().expect("it is sent");
        assert_eq!(shipment.route, LEADER);
        (answer, shipment)
    }

    /// What the client hears when its time is over.
    fn expired(outbox: &mut Outbox, mut answer: oneshot::Receiver<Vec<Reply>>) -> String {
        outbox.expire(Instant::now() + Duration::from_secs(2));
        let replies = answer.try_recv().expect("answered");
        let Some(Reply::Error(error)) = replies.first() else { panic!("no error: {replies:?}") };
        error.to_string()
    }

    #[test]
    fn what_never_left_was_certainly_not_written() {
        let mut outbox = outbox();
        let (answer, shipment) = send(&mut outbox);
        outbox.lost(shipment.epoch);
        outbox.route_to(2, Some(2));
        let again = outbox.next_shipment().expect("it is sent again");
        assert!(!outbox.depart(shipment.sequence, shipment.epoch), "the old stream is closed");
        assert_eq!(expired(&mut outbox, answer), NO_LEADER);
        assert!(!outbox.depart(again.sequence, again.epoch), "it is answered: it must not go");
    }

    #[test]
    fn what_has_left_is_uncertain_from_then_on() {
        let mut outbox = outbox();
        let (answer, shipment) = send(&mut outbox);
        assert!(outbox.depart(shipment.sequence, shipment.epoch));
        outbox.lost(shipment.epoch);
        outbox.route_to(2, Some(2));
        outbox.next_shipment().expect("it is sent again");
        assert_eq!(expired(&mut outbox, answer), uncertain().to_string());
    }

    #[test]
    fn a_refusal_makes_it_certain_again() {
        let mut outbox = outbox();
        let (answer, shipment) = send(&mut outbox);
        assert!(outbox.depart(shipment.sequence, shipment.epoch));
        outbox.complete(shipment.sequence, shipment.epoch, Verdict::NotLeader);
        assert_eq!(expired(&mut outbox, answer), NO_LEADER);
    }
}
