//! Whatever can be said survives the wire, and nothing that arrives brings a node down.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proto::Message;
use proto::log::v1 as log;
use proto::node::v1 as node;

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

prop_compose! {
    fn item()(
        db in any::<u32>(),
        transaction in any::<bool>(),
        watches in vec((any::<u32>(), blob(), any::<u64>()), 0..3),
        requests in vec(vec(blob(), 0..4), 0..4),
    ) -> log::Item {
        let watches = watches.into_iter().map(|(db, key, version)| log::Watch { db, key, version });
        let requests = requests.into_iter().map(|args| log::Request { args });
        log::Item { db, transaction, watches: watches.collect(), requests: requests.collect() }
    }
}

prop_compose! {
    fn batch()(
        origin in option::of(any::<(u64, u64, u64, u64, u64)>()),
        items in vec(item(), 0..4),
    ) -> log::Batch {
        let origin = origin.map(|(node, incarnation, sequence, after, acknowledged)| {
            log::Origin { node, incarnation, sequence, after, acknowledged }
        });
        log::Batch { origin, items }
    }
}

prop_compose! {
    fn entry()(
        version in any::<u32>(),
        now_ms in any::<u64>(),
        seed in any::<u64>(),
        batches in vec(batch(), 0..4),
    ) -> log::Entry {
        log::Entry { version, now_ms, seed, batches }
    }
}

fn log_id() -> impl Strategy<Value = node::LogId> {
    any::<(u64, u64, u64)>().prop_map(|(term, node, index)| node::LogId { term, node, index })
}

prop_compose! {
    fn membership()(
        configs in vec(vec(any::<u64>(), 0..4), 0..3),
        members in vec((any::<u64>(), "[a-z:0-9]{0,12}", any::<bool>()), 0..4),
    ) -> node::Membership {
        let member = |(id, rpc, replica)| {
            let info = node::NodeInfo { rpc, replica, ..Default::default() };
            node::Member { id, info: Some(info) }
        };
        let configs = configs.into_iter().map(|ids| node::NodeSet { ids }).collect();
        node::Membership { configs, members: members.into_iter().map(member).collect() }
    }
}

fn payload() -> impl Strategy<Value = node::log_entry::Payload> {
    use node::log_entry::Payload;
    prop_oneof![
        Just(Payload::Blank(node::Nothing {})),
        blob().prop_map(Payload::Command),
        membership().prop_map(Payload::Membership),
    ]
}

prop_compose! {
    fn append()(
        previous in option::of(log_id()),
        committed in option::of(log_id()),
        entries in vec((option::of(log_id()), option::of(payload())), 0..4),
        vote in option::of(any::<(u64, u64, bool)>()),
    ) -> node::AppendRequest {
        let vote = vote.map(|(term, node, committed)| node::Vote { term, node, committed });
        let entries = entries.into_iter().map(|(id, payload)| node::LogEntry { id, payload });
        node::AppendRequest { route: None, vote, previous, committed, entries: entries.collect() }
    }
}

proptest! {
    #[test]
    fn entries_survive(entry in entry()) {
        prop_assert_eq!(log::Entry::decode(Bytes::from(entry.encode_to_vec())), Ok(entry));
    }

    #[test]
    fn appends_survive(append in append()) {
        let bytes = Bytes::from(append.encode_to_vec());
        prop_assert_eq!(node::AppendRequest::decode(bytes), Ok(append));
    }

    #[test]
    fn a_shortened_entry_is_an_error_or_another_entry(entry in entry(), cut in any::<usize>()) {
        let mut bytes = entry.encode_to_vec();
        if !bytes.is_empty() {
            bytes.truncate(cut % bytes.len());
            prop_assert!(log::Entry::decode(bytes.as_slice()).as_ref() != Ok(&entry));
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in vec(any::<u8>(), 0..256)) {
        let _ = log::Entry::decode(bytes.as_slice());
        let _ = node::AppendRequest::decode(bytes.as_slice());
        let _ = node::SnapshotManifest::decode(bytes.as_slice());
    }
}
