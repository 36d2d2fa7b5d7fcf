//! What must hold at every moment, whatever fails: the laws of consensus, checked against what each
//! node writes to its log and not against what it says of itself.
//!
//! * Promises of a node only grow, over restarts too.
//! * An entry is one entry: two logs that hold the same place and leader hold the same there and
//!   before (log matching).
//! * What is committed stays as it is, and whoever leads has it (leader completeness).
//! * What was durable when the power failed is there afterwards.
//! * States at the same place are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::EntryPayload;
use parking_lot::Mutex;
use raft::NodeId;
use raft::types::{Entry, LeaderId, LogId, Vote};
use xxhash_rust::xxh3::xxh3_64;

use crate::journal::note;

/// Laws that all nodes of a run share.
pub type SharedLaws = Arc<Mutex<Laws>>;

/// What is known of all nodes.
#[derive(Default)]
pub struct Laws {
    logs: BTreeMap<NodeId, Log>,
    /// By place and leader.
    entries: BTreeMap<(u64, LeaderId), Fingerprint>,
    committed: BTreeMap<u64, Committed>,
    digests: BTreeMap<u64, (NodeId, [u8; 16])>,
    /// Who led, by term and node.
    leaders: BTreeMap<LeaderId, NodeId>,
}

/// Whose entry is committed at a place, and by which leader, who may be a later one. A leader of
/// lower rank than that one may still believe in itself and write what nobody will commit.
#[derive(Debug, Clone, Copy)]
struct Committed {
    leader: LeaderId,
    by: LeaderId,
}

/// What a node's log is.
#[derive(Default)]
struct Log {
    entries: BTreeMap<u64, LeaderId>,
    purged: u64,
    promised: Option<Vote>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Fingerprint {
    previous: Option<LeaderId>,
    content: u64,
}

fn content(entry: &Entry) -> u64 {
    match &entry.payload {
        EntryPayload::Blank => 0,
        EntryPayload::Normal(command) => xxh3_64(&command.bytes),
        EntryPayload::Membership(membership) => xxh3_64(format!("{membership:?}").as_bytes()),
    }
}

impl Laws {
    /// A node's log as it was found at a start.
    pub fn opened(&mut self, node: NodeId, vote: Option<Vote>, purged: u64, entries: &[Entry]) {
        let log = self.logs.entry(node).or_default();
        assert!(
            vote >= log.promised,
            "node {node} promised {:?} and comes back with {vote:?}",
            log.promised
        );
        log.entries.clear();
        log.purged = purged;
        self.appended(node, entries);
    }

    /// What a node had durably when its power failed must be there again.
    pub fn survived(&self, node: NodeId, durable: u64) {
        let log = &self.logs[&node];
        let last = log.entries.keys().next_back().copied().unwrap_or(log.purged);
        assert!(last >= durable, "node {node} comes back with entries up to {last}, not {durable}");
    }

    /// A node has promised something, durably.
    pub fn promised(&mut self, node: NodeId, vote: Vote) {
        let log = self.logs.entry(node).or_default();
        assert!(Some(vote) >= log.promised, "node {node} promised {:?}, then {vote}", log.promised);
        log.promised = Some(vote);
        note!("node {node} promises {vote}");
        if vote.committed && vote.leader_id.node_id == node {
            self.leads(node, vote.leader_id);
        }
    }

    fn leads(&mut self, node: NodeId, id: LeaderId) {
        self.leaders.insert(id, node);
        let Some((&index, &Committed { leader, by })) = self.committed.last_key_value() else {
            return;
        };
        let log = &self.logs[&node];
        let held = log.entries.get(&index);
        assert!(
            held == Some(&leader) || log.purged >= index || by > id,
            "node {node} leads as {id:?} with {held:?} at {index}, where {leader:?} is committed"
        );
    }

    /// A node appends entries to its log.
    pub fn appended(&mut self, node: NodeId, entries: &[Entry]) {
        for entry in entries {
            let LogId { leader_id, index } = entry.log_id;
            let log = self.logs.entry(node).or_default();
            let previous = log.entries.get(&index.wrapping_sub(1)).copied();
            let found = Fingerprint { previous, content: content(entry) };
            let known = self.entries.entry((index, leader_id)).or_insert(found);
            known.previous = known.previous.or(previous);
            let same = known.content == found.content
                && (previous.is_none() || previous == known.previous);
            assert!(same, "node {node} holds another entry {index} of {leader_id:?} than others");
            if let Some(committed) = self.committed.get(&index) {
                let fits = leader_id == committed.leader || leader_id < committed.by;
                assert!(fits, "node {node} appends {}, and has {committed:?}", entry.log_id);
            }
            log.entries.insert(index, leader_id);
        }
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            note!("node {node} appends {}..={}", first.log_id.index, last.log_id);
        }
    }

    /// A node removes the entries after `last`.
    pub fn cut_off(&mut self, node: NodeId, last: Option<LogId>) {
        let next = last.map_or(0, |id| id.index + 1);
        let log = self.logs.entry(node).or_default();
        for (index, leader) in log.entries.split_off(&next) {
            let committed = self.committed.get(&index).map(|committed| committed.leader);
            assert!(committed != Some(leader), "node {node} cuts off {index}, which is committed");
        }
        note!("node {node} cuts off from {next}");
    }

    /// A node removes the entries up to `id`.
    pub fn purged(&mut self, node: NodeId, id: LogId) {
        let log = self.logs.entry(node).or_default();
        log.entries = log.entries.split_off(&(id.index + 1));
        log.purged = log.purged.max(id.index);
        note!("node {node} purges up to {}", id.index);
    }

    /// A node knows that everything up to `id` is committed.
    pub fn committed(&mut self, node: NodeId, id: LogId) {
        let known = self.committed.get(&id.index);
        let (index, leader) = (id.index, id.leader_id);
        assert!(
            known.is_none_or(|known| known.leader == leader),
            "node {node} takes {leader:?} for committed at {index}, where {known:?} was"
        );
        let after = self.committed.last_key_value().map_or(0, |(last, _)| last + 1);
        let Some(log) = self.logs.get(&node) else { return };
        let by = log.promised.map_or(leader, |vote| vote.leader_id);
        let known = log.entries.range(after..).take_while(|(at, _)| **at <= index);
        self.committed.extend(known.map(|(at, leader)| (*at, Committed { leader: *leader, by })));
        self.committed.entry(index).or_insert(Committed { leader, by });
    }

    /// A node has this state after entry `applied`.
    pub fn state(&mut self, node: NodeId, applied: u64, digest: [u8; 16]) {
        let last = self.committed.last_key_value().map_or(0, |(index, _)| *index);
        assert!(applied <= last, "node {node} has applied {applied}, only {last} is committed");
        let (other, known) = *self.digests.entry(applied).or_insert((node, digest));
        assert!(known == digest, "nodes {other} and {node} differ after entry {applied}");
    }

    /// How many elections were won.
    pub fn elections(&self) -> usize {
        self.leaders.len()
    }

    /// How many entries are committed.
    pub fn entries(&self) -> usize {
        self.committed.len()
    }
}
