//! The applied record: what a state machine stores together with its data, so that data and
//! position in the log can never disagree.
//!
//! One byte of version, then a `talus.node.v1.Applied`. It travels inside snapshots, so it obeys
//! the same rules as messages between nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use proto::Message;
use proto::node::v1 as wire;

use crate::convert::{log_id_in, log_id_out, membership_in, membership_out, some_log_id_in};
use crate::types::{LeaderId, LogId, Membership, Node, NodeId, StoredMembership};

const VERSION: u8 = 1;

/// How much of the log a state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub last: LogId,
    pub membership: StoredMembership,
}

impl Applied {
    pub fn encode(&self) -> Bytes {
        let message = wire::Applied {
            last_log_id: Some(log_id_out(&self.last)),
            membership_log_id: self.membership.log_id().as_ref().map(log_id_out),
            membership: Some(membership_out(self.membership.membership())),
        };
        let mut out = BytesMut::with_capacity(1 + message.encoded_len());
        out.put_u8(VERSION);
        message.encode(&mut out).expect("a BytesMut grows");
        out.freeze()
    }

    pub fn decode(record: &Bytes) -> io::Result<Self> {
        let corrupt = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        match record.first() {
            Some(&VERSION) => {}
            version => return Err(corrupt(format!("applied record of version {version:?}"))),
        }
        let message = wire::Applied::decode(record.slice(1..))
            .map_err(|error| corrupt(format!("applied record: {error}")))?;
        let last = message.last_log_id.as_ref().map(log_id_in);
        let last = last.ok_or_else(|| corrupt("applied record without a log id".into()))?;
        let membership = membership_in(message.membership.unwrap_or_default())
            .map_err(|error| corrupt(format!("applied record: {error}")))?;
        let log_id = some_log_id_in(&message.membership_log_id);
        Ok(Self { last, membership: StoredMembership::new(log_id, membership) })
    }
}

/// The record of a state that goes on as a cluster of its own, with `node` as its one voter.
///
/// # Errors
/// When `applied`, the record of the state so far, is damaged.
pub fn founding_record(applied: Option<Bytes>, id: NodeId, node: Node) -> io::Result<Bytes> {
    let index = applied.map(|record| Applied::decode(&record)).transpose()?;
    let index = index.map_or(0, |applied| applied.last.index) + 1;
    // Term 0: whatever the new cluster writes comes after it.
    let last = LogId { leader_id: LeaderId { term: 0, node_id: id }, index };
    let membership = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, node)]));
    let membership = membership.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Applied { last, membership: StoredMembership::new(Some(last), membership) }.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied() -> Applied {
        let last = LogId { leader_id: LeaderId { term: 3, node_id: 2 }, index: 99 };
        let nodes = BTreeMap::from([(2, Node { rpc: "b:1".into(), ..Node::default() })]);
        let membership = Membership::new(vec![BTreeSet::from([2])], nodes).expect("valid");
        Applied { last, membership: StoredMembership::new(Some(last), membership) }
    }

    #[test]
    fn a_record_survives() {
        assert_eq!(Applied::decode(&applied().encode()).expect("decodes"), applied());
    }

    #[test]
    fn damage_is_noticed() {
        let whole = applied().encode();
        assert!(Applied::decode(&Bytes::new()).is_err());
        assert!(Applied::decode(&whole.slice(..whole.len() - 1)).is_err());
        let mut other = whole.to_vec();
        other[0] = 2;
        assert!(Applied::decode(&other.into()).is_err());
    }
}
