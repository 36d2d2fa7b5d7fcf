//! The log store as openraft sees it, with two observers between them.
//!
//! One knows, without asking anybody, whether this node may answer reads alone: it does while it
//! leads and is the only voter. Whatever may end that passes through the log first, as a vote or
//! as an entry with another membership, and is seen here before the log has it. The other counts
//! bytes, to know when a snapshot is due and how much log can go.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;

use crate::consensus::LogStore;
use crate::convert::{entry_size, since_proposal};
use crate::machine::StateMachine;
use crate::stage::{OnStage, Stage};
use crate::types::{Entry, LogId, Membership, NodeId, Payload, Types, Vote};

/// Whether reads need nobody else's word.
#[derive(Debug)]
pub(crate) struct LocalReads {
    node: NodeId,
    local: AtomicBool,
}

impl LocalReads {
    pub fn new(node: NodeId) -> Self {
        Self { node, local: AtomicBool::new(false) }
    }

    pub fn get(&self) -> bool {
        self.local.load(Ordering::Acquire)
    }

    /// Only to be called where consensus cannot move meanwhile: inside its own task.
    pub fn allow(&self) {
        self.local.store(true, Ordering::Release);
    }

    pub fn forbid(&self) {
        self.local.store(false, Ordering::Release);
    }

    fn on_entry(&self, entry: &Entry) {
        if let Payload::Membership(membership) = &entry.payload
            && !sole_voter(membership, self.node)
        {
            self.forbid();
        }
    }

    fn on_vote(&self, vote: &Vote) {
        if vote.leader_id.node_id != self.node || !vote.committed {
            self.forbid();
        }
    }
}

/// Whether no quorum can be had without `node`, nor needs more than it.
pub(crate) fn sole_voter(membership: &Membership, node: NodeId) -> bool {
    let mut voters = membership.voter_ids();
    voters.next() == Some(node) && voters.next().is_none()
}

/// How many bytes of log were written, and where.
#[derive(Debug)]
pub(crate) struct Growth {
    /// Bytes between two marks.
    grain: u64,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    /// Bytes written since the start.
    total: u64,
    /// Bytes that had been written before the entry at each of these indexes; coarse, ascending.
    marks: VecDeque<(u64, u64)>,
}

impl Growth {
    /// Marks so close that `kept` bytes are known well enough.
    pub fn new(kept: u64) -> Self {
        Self { grain: (kept / 256).min(1 << 20), marks: Mutex::default() }
    }

    pub fn total(&self) -> u64 {
        self.marks.lock().total
    }

    /// The last index that `kept` bytes of log follow, as far as is known.
    pub fn index_before(&self, kept: u64) -> Option<u64> {
        let marks = self.marks.lock();
        let limit = marks.total.checked_sub(kept)?;
        let beyond = marks.marks.partition_point(|mark| mark.1 <= limit);
        marks.marks.get(beyond.checked_sub(1)?)?.0.checked_sub(1)
    }

    /// Log up to `index` is gone.
    pub fn forget(&self, index: u64) {
        let mut marks = self.marks.lock();
        while marks.marks.front().is_some_and(|mark| mark.0 <= index) {
            marks.marks.pop_front();
        }
    }

    fn add(&self, bytes: u64, first: u64) {
        let mut marks = self.marks.lock();
        // A log that was cut off continues at a lower index.
        while marks.marks.back().is_some_and(|mark| mark.0 >= first) {
            marks.marks.pop_back();
        }
        if marks.marks.back().is_none_or(|mark| marks.total >= mark.1 + self.grain) {
            let mark = (first, marks.total);
            marks.marks.push_back(mark);
        }
        marks.total += bytes;
    }
}

/// A log store and its observers.
pub(crate) struct Observed<L> {
    pub log: L,
    pub local: Arc<LocalReads>,
    pub leads: bool,
    pub growth: Arc<Growth>,
    pub on_stage: OnStage,
}

impl<S, L> RaftLogStorage<Types<S>> for Observed<L>
where
    S: StateMachine,
    L: LogStore<S>,
{
    type LogReader = L::LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<S>>> {
        self.log.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.log.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.local.on_vote(vote);
        self.leads = vote.committed && vote.leader_id.node_id == self.local.node;
        self.log.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.log.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<S>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let (local, growth) = (Arc::clone(&self.local), Arc::clone(&self.growth));
        let on_stage = Arc::clone(&self.on_stage);
        let observed = entries.into_iter().inspect(move |entry| {
            local.on_entry(entry);
            since_proposal(entry).into_iter().for_each(|took| on_stage(Stage::Append, took));
            growth.add(entry_size(entry) as u64, entry.log_id.index);
        });
        // A leader sends entries to the others while its own disk works.
        self.log.write_in_place(!self.leads || self.local.get());
        self.log.append(observed, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        // Whatever membership comes back by this, it is not one this node leads.
        self.local.forbid();
        self.log.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(upto).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::types::{LeaderId, Node};

    fn membership_entry(voters: &[u64]) -> Entry {
        let voters: BTreeSet<u64> = voters.iter().copied().collect();
        let nodes: BTreeMap<u64, Node> = voters.iter().map(|id| (*id, Node::default())).collect();
        let membership = Membership::new(vec![voters], nodes).expect("valid");
        let log_id = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index: 5 };
        Entry { log_id, payload: Payload::Membership(membership) }
    }

    #[test]
    fn another_voter_ends_local_reads() {
        let local = LocalReads::new(1);
        local.allow();
        local.on_entry(&membership_entry(&[1]));
        local.on_vote(&Vote::new_committed(2, 1));
        assert!(local.get());
        local.on_entry(&membership_entry(&[1, 2]));
        assert!(!local.get());
    }

    #[test]
    fn another_leader_ends_local_reads() {
        for vote in [Vote::new(3, 1), Vote::new_committed(3, 2)] {
            let local = LocalReads::new(1);
            local.allow();
            local.on_vote(&vote);
            assert!(!local.get(), "{vote:?}");
        }
    }

    #[test]
    fn growth_finds_what_may_go() {
        const GRAIN: u64 = 1 << 20;
        let growth = Growth::new(256 * GRAIN);
        for index in 1..=10 {
            growth.add(GRAIN, index);
        }
        assert_eq!(growth.total(), 10 * GRAIN);
        assert_eq!(growth.index_before(11 * GRAIN), None);
        assert_eq!(growth.index_before(4 * GRAIN), Some(6));
        growth.forget(6);
        assert_eq!(growth.index_before(4 * GRAIN), Some(6));
        assert_eq!(growth.index_before(5 * GRAIN), None, "forgotten");
    }
}
