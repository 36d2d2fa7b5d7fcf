//! Between openraft's types and the messages of `proto`, field by field.
//!
//! openraft's serde derives are not stable between versions; these messages are. Whatever a
//! required field lacks makes the whole message [`Malformed`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proto::node::v1 as wire;

use crate::types::{Entry, LeaderId, LogId, Membership, Node, Payload, Vote};

/// A message that lacks what it must have, or contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

impl From<Node> for wire::NodeInfo {
    fn from(node: Node) -> Self {
        Self { resp: node.resp, rpc: node.rpc, http: node.http, replica: node.replica }
    }
}

impl From<wire::NodeInfo> for Node {
    fn from(info: wire::NodeInfo) -> Self {
        Self { resp: info.resp, rpc: info.rpc, http: info.http, replica: info.replica }
    }
}

/// To the wire: a log id.
pub fn log_id_out(id: &LogId) -> wire::LogId {
    wire::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

/// From the wire: a log id.
pub fn log_id_in(id: &wire::LogId) -> LogId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.node }, index: id.index }
}

/// To the wire: a log id that may be absent.
pub fn some_log_id_out(id: &Option<LogId>) -> Option<wire::LogId> {
    id.as_ref().map(log_id_out)
}

/// From the wire: a log id that may be absent.
pub fn some_log_id_in(id: &Option<wire::LogId>) -> Option<LogId> {
    id.as_ref().map(log_id_in)
}

/// To the wire: a vote.
pub fn vote_out(vote: &Vote) -> wire::Vote {
    let LeaderId { term, node_id } = vote.leader_id;
    wire::Vote { term, node: node_id, committed: vote.committed }
}

/// From the wire: a vote.
pub fn vote_in(vote: &wire::Vote) -> Vote {
    let leader_id = LeaderId { term: vote.term, node_id: vote.node };
    Vote { leader_id, committed: vote.committed }
}

/// From the wire: a vote that must be there.
pub fn required_vote(vote: &Option<wire::Vote>) -> Result<Vote, Malformed> {
    vote.as_ref().map(vote_in).ok_or(Malformed("no vote"))
}

/// To the wire: a membership.
pub fn membership_out(membership: &Membership) -> wire::Membership {
    let set = |ids: &BTreeSet<u64>| wire::NodeSet { ids: ids.iter().copied().collect() };
    let member =
        |(id, node): (&u64, &Node)| wire::Member { id: *id, info: Some(node.clone().into()) };
    wire::Membership {
        configs: membership.get_joint_config().iter().map(set).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

/// From the wire: a membership. Every voter must be among the members.
pub fn membership_in(membership: wire::Membership) -> Result<Membership, Malformed> {
    let configs = membership.configs.into_iter().map(|set| set.ids.into_iter().collect());
    let nodes: BTreeMap<u64, Node> = membership
        .members
        .into_iter()
        .map(|member| Some((member.id, member.info?.into())))
        .collect::<Option<_>>()
        .ok_or(Malformed("a member without addresses"))?;
    let configs: Vec<BTreeSet<u64>> = configs.collect();
    // The membership of a node that has joined nothing yet; openraft's check refuses it.
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| Malformed("a membership that cannot be"))
}

/// To the wire: an entry. Copies no command.
pub fn entry_out(entry: &Entry) -> wire::LogEntry {
    use wire::log_entry::Payload as Out;
    let payload = match &entry.payload {
        Payload::Blank => Out::Blank(wire::Nothing {}),
        Payload::Normal(command) => Out::Command(command.bytes.clone()),
        Payload::Membership(membership) => Out::Membership(membership_out(membership)),
    };
    wire::LogEntry { id: Some(log_id_out(&entry.log_id)), payload: Some(payload) }
}

/// From the wire: an entry.
pub fn entry_in(entry: wire::LogEntry) -> Result<Entry, Malformed> {
    use wire::log_entry::Payload as In;
    let log_id = log_id_in(&entry.id.ok_or(Malformed("an entry without a log id"))?);
    let payload = match entry.payload.ok_or(Malformed("an entry without a payload"))? {
        In::Blank(_) => Payload::Blank,
        In::Command(command) => Payload::Normal(command.into()),
        In::Membership(membership) => Payload::Membership(membership_in(membership)?),
    };
    Ok(Entry { log_id, payload })
}

/// Time since this node proposed an entry, if it did.
pub(crate) fn since_proposal(entry: &Entry) -> Option<Duration> {
    match &entry.payload {
        Payload::Normal(command) => command.proposed.elapsed(),
        Payload::Blank | Payload::Membership(_) => None,
    }
}

/// How many bytes of a log or a message an entry takes, roughly: enough to bound batches by.
pub fn entry_size(entry: &Entry) -> usize {
    const HEAD: usize = 32;
    const MEMBER: usize = 128;
    HEAD + match &entry.payload {
        Payload::Blank => 0,
        Payload::Normal(command) => command.bytes.len(),
        Payload::Membership(membership) => membership.nodes().count() * MEMBER,
    }
}

/// From the wire: sixteen bytes of a cluster id.
pub fn cluster_in(bytes: &Bytes) -> Option<crate::ClusterId> {
    Some(crate::ClusterId(bytes.as_ref().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        let address = |port: u16| format!("{name}:{port}");
        Node { resp: address(6379), rpc: address(16379), http: address(6380), replica: name == "c" }
    }

    fn log_id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 7, node_id: 3 }, index }
    }

    #[test]
    fn entries_survive_the_wire() {
        let nodes = BTreeMap::from([(1, node("a")), (2, node("b")), (3, node("c"))]);
        let joint = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
        let membership = Membership::new(joint, nodes).expect("valid");
        let payloads = [
            Payload::Blank,
            Payload::Normal(Bytes::from_static(b"\0\xff").into()),
            Payload::Membership(membership),
        ];
        for (index, payload) in (1..).zip(payloads) {
            let entry = Entry { log_id: log_id(index), payload };
            assert_eq!(entry_in(entry_out(&entry)), Ok(entry));
        }
    }

    #[test]
    fn the_first_membership_is_empty() {
        let empty = Membership::default();
        assert_eq!(membership_in(membership_out(&empty)), Ok(empty));
    }

    #[test]
    fn votes_and_log_ids_survive_the_wire() {
        for vote in [Vote::new(4, 2), Vote::new_committed(u64::MAX, 1)] {
            assert_eq!(vote_in(&vote_out(&vote)), vote);
        }
        assert_eq!(log_id_in(&log_id_out(&log_id(0))), log_id(0));
        assert_eq!(some_log_id_in(&some_log_id_out(&None)), None);
    }

    #[test]
    fn what_is_missing_is_malformed() {
        let no_id = wire::LogEntry { id: None, payload: None };
        assert_eq!(entry_in(no_id), Err(Malformed("an entry without a log id")));
        let stranger =
            wire::Membership { configs: vec![wire::NodeSet { ids: vec![1] }], members: vec![] };
        assert_eq!(membership_in(stranger), Err(Malformed("a membership that cannot be")));
        assert_eq!(required_vote(&None), Err(Malformed("no vote")));
    }
}
