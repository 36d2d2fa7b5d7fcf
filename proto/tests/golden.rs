//! The bytes of every message, as released. A change that alters them breaks running clusters.
//!
//! One file per message under `golden/`, in hexadecimal. `UPDATE_GOLDEN=1 cargo test -p
//! talus-proto` writes files that are missing; it never overwrites one.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use proto::Message;
use proto::log::v1 as log;
use proto::node::v1 as node;

fn text(name: &'static str) -> Bytes {
    Bytes::from_static(name.as_bytes())
}

fn dir() -> PathBuf {
    PathBuf::from("tests/golden")
}

/// Compares a message with its released bytes, both ways.
fn check<M: Message + Default + PartialEq + Debug>(name: &str, message: M) {
    let path = dir().join(format!("{name}.hex"));
    let hex: String = message.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(dir()).expect("creates");
        fs::write(&path, format!("{hex}\n")).expect("writes");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{path:?} is missing"));
    let golden = golden.trim();
    assert_eq!(hex, golden, "{name} is encoded in another way than it was released");
    let bytes: Vec<u8> = (0..golden.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&golden[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    assert_eq!(
        M::decode(bytes.as_slice()).expect("decodes"),
        message,
        "{name} is read differently"
    );
}

fn request() -> log::Request {
    log::Request { args: vec![text("SET"), text("key"), text("value")] }
}

fn watch() -> log::Watch {
    log::Watch { db: 1, key: text("watched"), version: 17 }
}

fn item() -> log::Item {
    log::Item { db: 3, transaction: true, watches: vec![watch()], requests: vec![request()] }
}

fn origin() -> log::Origin {
    log::Origin { node: 2, incarnation: 1 << 40, sequence: 9, after: 8, acknowledged: 7 }
}

fn batch() -> log::Batch {
    log::Batch { origin: Some(origin()), items: vec![item()] }
}

#[test]
fn the_log() {
    check("log.Request", request());
    check("log.Watch", watch());
    check("log.Item", item());
    check("log.Origin", origin());
    check("log.Batch", batch());
    let (now_ms, seed) = (1_700_000_000_000, u64::MAX);
    check("log.Entry", log::Entry { version: 1, now_ms, seed, batches: vec![batch()] });
}

fn route() -> node::Route {
    node::Route { cluster: text("0123456789abcdef"), shard: 1, target: 2, source: 3 }
}

fn log_id() -> node::LogId {
    node::LogId { term: 5, node: 2, index: 300 }
}

fn vote() -> node::Vote {
    node::Vote { term: 5, node: 2, committed: true }
}

fn info() -> node::NodeInfo {
    let address = |port: u16| format!("a.example:{port}");
    node::NodeInfo { resp: address(6379), rpc: address(16379), http: address(6380), replica: true }
}

fn member() -> node::Member {
    node::Member { id: 2, info: Some(info()) }
}

fn membership() -> node::Membership {
    let configs = vec![node::NodeSet { ids: vec![1, 2] }, node::NodeSet { ids: vec![2] }];
    node::Membership { configs, members: vec![member()] }
}

fn log_entry(payload: node::log_entry::Payload) -> node::LogEntry {
    node::LogEntry { id: Some(log_id()), payload: Some(payload) }
}

#[test]
fn parts_of_messages() {
    use node::log_entry::Payload;
    check("node.Nothing", node::Nothing {});
    check("node.Route", route());
    check("node.LogId", log_id());
    check("node.Vote", vote());
    check("node.NodeInfo", info());
    check("node.Member", member());
    check("node.NodeSet", node::NodeSet { ids: vec![1, 300] });
    check("node.Membership", membership());
    check("node.LogEntry-blank", log_entry(Payload::Blank(node::Nothing {})));
    check("node.LogEntry-command", log_entry(Payload::Command(text("command"))));
    check("node.LogEntry-membership", log_entry(Payload::Membership(membership())));
    check("node.Matched", node::Matched { log_id: Some(log_id()) });
}

#[test]
fn consensus() {
    use node::append_reply::Outcome;
    let entries = vec![log_entry(node::log_entry::Payload::Command(text("command")))];
    let (previous, committed) = (Some(log_id()), Some(log_id()));
    let (route, vote) = (Some(route()), Some(vote()));
    let request = node::AppendRequest { route: route.clone(), vote, previous, committed, entries };
    check("node.AppendRequest", request);
    let reply = |outcome| node::AppendReply { outcome: Some(outcome) };
    check("node.AppendReply-matched", reply(Outcome::Matched(node::Matched { log_id: None })));
    check("node.AppendReply-conflict", reply(Outcome::Conflict(log_id())));
    check("node.AppendReply-vote", reply(Outcome::HigherVote(self::vote())));
    check("node.AppendReply-refused", reply(Outcome::Refused("no".into())));
    let last_log_id = Some(log_id());
    let request = node::VoteRequest {
        route: route.clone(),
        vote,
        last_log_id,
        pre_vote: true,
        transfer: true,
    };
    check("node.VoteRequest", request);
    check("node.VoteReply", node::VoteReply { vote, granted: true, last_log_id });
    let request = node::TransferRequest { route: route.clone(), from: vote, to: 3, last_log_id };
    check("node.TransferRequest", request);
    check("node.TransferReply", node::TransferReply { refused: "no".into() });
    check("node.ReadIndexRequest", node::ReadIndexRequest { route });
    let reply = |outcome| node::ReadIndexReply { outcome: Some(outcome) };
    check("node.ReadIndexReply-index", reply(node::read_index_reply::Outcome::Index(300)));
    check("node.ReadIndexReply-leader", reply(node::read_index_reply::Outcome::Leader(0)));
    let unavailable = node::read_index_reply::Outcome::Unavailable("no quorum".into());
    check("node.ReadIndexReply-unavailable", reply(unavailable));
}

#[test]
fn snapshots() {
    let file = node::SnapshotFile { name: "000007.sst".into(), size: 1 << 33, crc32: u32::MAX };
    let (last_log_id, membership_log_id) = (Some(log_id()), Some(log_id()));
    let membership = Some(membership());
    let applied = node::Applied { last_log_id, membership_log_id, membership: membership.clone() };
    check("node.Applied", applied);
    let files = vec![file.clone()];
    let manifest = node::SnapshotManifest { last_log_id, membership_log_id, membership, files };
    check("node.SnapshotFile", file);
    check("node.SnapshotManifest", manifest.clone());
    let (route, vote) = (Some(route()), Some(vote()));
    let offer = node::SnapshotOffer { route: route.clone(), vote, manifest: Some(manifest) };
    check("node.SnapshotOffer", offer);
    let want = node::SnapshotWant { name: "000007.sst".into(), offset: 1 << 20 };
    check("node.SnapshotWant", want.clone());
    let wants = node::SnapshotWants { transfer: 4, files: vec![want], refused: "no".into() };
    check("node.SnapshotWants", wants);
    let (name, data) = ("000007.sst".into(), text("data"));
    let chunk = node::SnapshotChunk { route, transfer: 4, name, offset: 5, data, crc32: 6 };
    check("node.SnapshotChunk", chunk);
    check("node.SnapshotReply", node::SnapshotReply { vote, refused: "no".into() });
}

#[test]
fn the_cluster() {
    use node::forward_reply::Outcome;
    let (route, cluster) = (Some(route()), text("0123456789abcdef"));
    check("node.ForwardRequest", node::ForwardRequest { route, batch: text("batch") });
    let reply = |outcome| node::ForwardReply { sequence: 9, outcome: Some(outcome) };
    check("node.ForwardReply-replies", reply(Outcome::Replies(text("+OK\r\n"))));
    check("node.ForwardReply-not-leader", reply(Outcome::NotLeader(0)));
    check("node.ForwardReply-unknown", reply(Outcome::Unknown("why".into())));
    check("node.ForwardReply-refused", reply(Outcome::Refused("BUSY".into())));
    check("node.ForwardReply-gap", reply(Outcome::Gap(node::Nothing {})));
    let info = Some(info());
    let request = node::JoinRequest { info, cluster: cluster.clone(), replica: true, id: 0 };
    check("node.JoinRequest", request.clone());
    check("node.JoinRequest-id", node::JoinRequest { id: 9, ..request });
    let (members, refused) = (vec![member()], "no".to_owned());
    let reply = node::JoinReply { cluster, id: 9, members, refused, retry: false };
    check("node.JoinReply", reply.clone());
    check("node.JoinReply-retry", node::JoinReply { retry: true, ..reply });
    let request = node::AdminRequest { verb: "members".into(), body: text("{}") };
    check("node.AdminRequest", request);
    check("node.AdminReply", node::AdminReply { status: 200, body: text("{}") });
    check("node.StatusRequest", node::StatusRequest { digest_at: 300 });
    check("node.StatusReply", node::StatusReply { body: text("{}") });
}

#[test]
fn no_message_is_without_golden_bytes() {
    let golden: BTreeSet<String> = fs::read_dir(dir())
        .expect("reads")
        .map(|entry| entry.expect("reads").file_name().into_string().expect("plain"))
        .map(|name| name.trim_end_matches(".hex").split('-').next().expect("one").to_owned())
        .collect();
    let mut declared = BTreeSet::new();
    for package in ["log", "node"] {
        let path = PathBuf::from(format!("proto/{package}.proto"));
        let source = fs::read_to_string(path).expect("reads");
        let messages = source.lines().filter_map(|line| line.strip_prefix("message "));
        let names = messages.filter_map(|rest| rest.split_whitespace().next());
        declared.extend(names.map(|name| format!("{package}.{name}")));
    }
    assert_eq!(golden, declared);
}
