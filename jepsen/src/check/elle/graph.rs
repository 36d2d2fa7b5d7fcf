//! Which transaction must come before which.
//!
//! Nodes are the transactions, by number, and after them relays. A relay stands for many dependencies
//! at once: if `a`, `b` → relay → `c`, `d`, then both come before both. So the graph stays linear in
//! the size of the history:
//! - Real time: what completed before a moment comes before what began after it. Such moments are
//!   a chain of relays, and each transaction hangs on two of them.
//! - What was appended to a list but is in no read came after whoever read the longest version.
//!
//! No transaction depends on itself, nor do relays make it so.

use std::collections::HashMap;

use super::log::Log;
use super::versions::{Order, Versions};
use crate::history::{Kind as Outcome, Process};

/// Why one comes before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It appended to a list what the other appended behind.
    Ww,
    /// It appended what the other read.
    Wr,
    /// It read a list without what the other appended.
    Rw,
    /// The same process began it earlier.
    Process,
    /// It completed before the other began.
    Realtime,
    /// Out of a relay: whatever the dependency into it says.
    Through,
}

impl Kind {
    /// As people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ww => "ww",
            Self::Wr => "wr",
            Self::Rw => "rw",
            Self::Process => "process",
            Self::Realtime => "realtime",
            Self::Through => "through",
        }
    }
}

/// A dependency.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) kind: Kind,
    /// The list.
    pub(super) key: u32,
    /// The place in its longest read of what `to` appended or, for wr, read last. The length of
    /// the longest read if it is in none.
    pub(super) at: u32,
}

/// All dependencies.
#[derive(Debug)]
pub(super) struct Graph {
    /// Nodes below this are transactions, others relays.
    pub(super) transactions: u32,
    pub(super) nodes: u32,
    pub(super) edges: Vec<Edge>,
}

impl Graph {
    pub(super) fn is_relay(&self, node: u32) -> bool {
        node >= self.transactions
    }

    fn relay(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    fn add(&mut self, kind: Kind, from: u32, to: u32, key: u32, at: usize) {
        if from != to {
            self.edges.push(Edge { from, to, kind, key, at: at as u32 });
        }
    }

    /// Dependencies of list `key`.
    fn add_list(&mut self, key: u32, order: &Order<'_>) {
        let owned = order.owners.iter().enumerate().filter_map(|(at, owner)| Some((at, (*owner)?)));
        let mut last = None;
        for (at, owner) in owned {
            if let Some(last) = last.replace(owner) {
                self.add(Kind::Ww, last, owner, key, at);
            }
        }
        for (reader, seen) in order.fitting() {
            let owner = |at: usize| Some((at, order.owners[at]?));
            if let Some((at, owner)) = seen.len().checked_sub(1).and_then(owner) {
                self.add(Kind::Wr, owner, reader, key, at);
            }
            if let Some((at, owner)) = (seen.len()..order.owners.len()).find_map(owner) {
                self.add(Kind::Rw, reader, owner, key, at);
            }
        }
        self.add_unread(key, order);
    }

    /// Whoever read all that was ever read of the list comes before whoever appended what is in no
    /// read, except itself: `up` leads to the appends from a place on, `down` to those up to it.
    fn add_unread(&mut self, key: u32, order: &Order<'_>) {
        let mut behind: Vec<u32> = order.unread.iter().map(|&(id, _)| id).collect();
        behind.dedup();
        let down = self.chain(behind.iter());
        let mut up = self.chain(behind.iter().rev());
        up.reverse();
        let places: HashMap<u32, usize> = behind.iter().copied().zip(0..).collect();
        let at = order.elements.len();
        for (reader, _) in order.fitting().filter(|(_, seen)| seen.len() == at) {
            let relays = match places.get(&reader) {
                None => [up.first(), None],
                Some(&place) => [up.get(place + 1), down[..place].last()],
            };
            for &relay in relays.into_iter().flatten() {
                self.add(Kind::Rw, reader, relay, key, at);
            }
        }
    }

    /// Relays of which each leads to its target and to those of the relays before it.
    fn chain<'t>(&mut self, targets: impl Iterator<Item = &'t u32>) -> Vec<u32> {
        let mut relays: Vec<u32> = Vec::new();
        for &target in targets {
            let relay = self.relay();
            self.add(Kind::Through, relay, target, 0, 0);
            if let Some(&before) = relays.last() {
                self.add(Kind::Through, relay, before, 0, 0);
            }
            relays.push(relay);
        }
        relays
    }

    /// Of each process what it knows to have happened, in order.
    fn add_processes(&mut self, log: &Log<'_>, happened: &[bool]) {
        let mut last: HashMap<Process, u32> = HashMap::new();
        for (id, transaction) in (0..).zip(&log.transactions) {
            if !happened[id as usize] {
                continue;
            }
            let process = transaction.operation.invoked.process;
            if let Some(&before) = last.get(&process) {
                self.add(Kind::Process, before, id, 0, 0);
            }
            if transaction.outcome == Outcome::Ok {
                last.insert(process, id);
            }
        }
    }

    /// A relay for each moment at which transactions had completed since the last one and another
    /// begins.
    fn add_realtime(&mut self, log: &Log<'_>, happened: &[bool]) {
        let (mut moment, mut completed) = (None, Vec::new());
        for (_, completes, id) in events(log, happened) {
            if completes {
                completed.push(id);
                continue;
            }
            if !completed.is_empty() {
                let relay = self.relay();
                completed.extend(moment.replace(relay));
                for before in completed.drain(..) {
                    self.add(Kind::Realtime, before, relay, 0, 0);
                }
            }
            if let Some(relay) = moment {
                self.add(Kind::Realtime, relay, id, 0, 0);
            }
        }
    }
}

/// Invocations of what happened, and completions with ok: the index, whether it completes, which.
fn events(log: &Log<'_>, happened: &[bool]) -> Vec<(usize, bool, u32)> {
    let mut events = Vec::with_capacity(2 * log.transactions.len());
    for (id, transaction) in (0..).zip(&log.transactions).filter(|(id, _)| happened[*id as usize]) {
        events.push((transaction.operation.invoked.index, false, id));
        if transaction.outcome == Outcome::Ok {
            events.extend(transaction.operation.ended().map(|index| (index, true, id)));
        }
    }
    events.sort_unstable();
    events
}

/// The dependencies of all transactions that happened.
pub(super) fn build(log: &Log<'_>, versions: &Versions<'_>) -> Graph {
    let transactions = log.transactions.len() as u32;
    let mut graph = Graph { transactions, nodes: transactions, edges: Vec::new() };
    for (key, order) in (0..).zip(&versions.orders) {
        graph.add_list(key, order);
    }
    graph.add_processes(log, &versions.happened);
    graph.add_realtime(log, &versions.happened);
    graph
}
