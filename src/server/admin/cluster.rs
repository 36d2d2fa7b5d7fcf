//! CLUSTER, for one shard that every node serves.
//!
//! Redis refuses all of it unless it runs as a cluster. Here it is answered, although INFO and
//! HELLO say `standalone`: those two are what clients go by that can do either, so they stay plain
//! clients with all databases; whoever asks CLUSTER anyway is a client of clusters, and is told
//! the truth, one shard whose master is the leader. It then finds the leader by itself and needs
//! no forwarding. What would change a cluster of Redis is unknown here: members change by
//! `talus cluster`.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use raft::NodeId;
use resp::{Reply, ReplyError};
use storage::{SLOTS, Store, View};

use super::place::{Member, Place, host_and_port};
use super::store::with_store;
use crate::commands::verbs::ClusterVerb;
use crate::server::{Server, reads};

const LAST_SLOT: u16 = SLOTS - 1;

/// CLUSTER.
pub async fn cluster(server: &Server, verb: ClusterVerb) -> Reply {
    let place = Place::of(&server.replica.load());
    match verb {
        ClusterVerb::MyId => Reply::bulk(place.node_name(place.me)),
        ClusterVerb::MyShardId => Reply::bulk(place.shard_name()),
        ClusterVerb::Info => Reply::text(info(&place)),
        ClusterVerb::Nodes => Reply::text(nodes(&place)),
        ClusterVerb::Slots => slots(&place),
        ClusterVerb::Shards => shards(&place),
        // Nodes are not linked by Redis's bus.
        ClusterVerb::Links => Reply::EMPTY_ARRAY,
        ClusterVerb::Replicas(node) => replicas(&place, &node).into(),
        ClusterVerb::CountKeysInSlot(slot) => count_keys_in(server, slot).await.into(),
        ClusterVerb::GetKeysInSlot { slot, count } => keys_in(server, slot, count).await.into(),
    }
}

fn info(place: &Place) -> String {
    let has_leader = place.leader.is_some();
    let served = if has_leader { SLOTS } else { 0 };
    let facts = [
        ("cluster_state", if has_leader { "ok" } else { "fail" }.to_owned()),
        ("cluster_slots_assigned", SLOTS.to_string()),
        ("cluster_slots_ok", served.to_string()),
        ("cluster_slots_pfail", "0".into()),
        ("cluster_slots_fail", (SLOTS - served).to_string()),
        ("cluster_known_nodes", place.members.len().to_string()),
        ("cluster_size", "1".into()),
        ("cluster_current_epoch", place.term.to_string()),
        ("cluster_my_epoch", place.term.to_string()),
        ("cluster_stats_messages_sent", "0".into()),
        ("cluster_stats_messages_received", "0".into()),
        ("total_cluster_links_buffer_limit_exceeded", "0".into()),
    ];
    facts.into_iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect()
}

fn nodes(place: &Place) -> String {
    place.members.iter().map(|member| node_line(place, member) + "\n").collect()
}

/// `id ip:port@bus-port flags master ping pong epoch link slots`
fn node_line(place: &Place, member: &Member) -> String {
    let leads = place.leader == Some(member.id);
    let role = if leads { "master" } else { "slave" };
    let flags = if member.id == place.me { format!("myself,{role}") } else { role.to_owned() };
    let master = match place.leader {
        Some(leader) if !leads => place.node_name(leader),
        _ => "-".to_owned(),
    };
    let slots = if leads { format!(" 0-{LAST_SLOT}") } else { String::new() };
    format!(
        "{} {}:{}@{} {flags} {master} 0 0 {} connected{slots}",
        place.node_name(member.id),
        member.host,
        member.port,
        host_and_port(&member.rpc).1,
        place.term,
    )
}

/// The leader, then those that follow it.
fn leader_first(place: &Place) -> Option<Vec<&Member>> {
    let leader = place.leader()?;
    let followers = place.members.iter().filter(|member| member.id != leader.id);
    Some(std::iter::once(leader).chain(followers).collect())
}

/// Without a leader nobody serves a slot, and there is nothing to list.
fn slots(place: &Place) -> Reply {
    let Some(members) = leader_first(place) else { return Reply::EMPTY_ARRAY };
    let endpoint = |member: &Member| {
        Reply::Array(vec![
            Reply::bulk(member.host.clone()),
            Reply::Integer(member.port.into()),
            Reply::bulk(place.node_name(member.id)),
            Reply::Map(Vec::new()),
        ])
    };
    let range = [Reply::Integer(0), Reply::Integer(LAST_SLOT.into())];
    let range = range.into_iter().chain(members.into_iter().map(endpoint));
    Reply::Array(vec![Reply::Array(range.collect())])
}

fn shards(place: &Place) -> Reply {
    let ranges = match place.leader {
        Some(_) => vec![Reply::Integer(0), Reply::Integer(LAST_SLOT.into())],
        None => Vec::new(),
    };
    let nodes = place.members.iter().map(|member| shard_node(place, member)).collect();
    let shard = [("slots", Reply::Array(ranges)), ("nodes", Reply::Array(nodes))];
    Reply::Array(vec![map(shard)])
}

fn shard_node(place: &Place, member: &Member) -> Reply {
    let leads = place.leader == Some(member.id);
    let offset = if member.id == place.me { place.applied } else { member.matched.unwrap_or(0) };
    map([
        ("id", Reply::bulk(place.node_name(member.id))),
        ("port", Reply::Integer(member.port.into())),
        ("ip", Reply::bulk(member.host.clone())),
        ("endpoint", Reply::bulk(member.host.clone())),
        ("role", Reply::bulk(if leads { "master" } else { "replica" })),
        ("replication-offset", Reply::count(offset)),
        ("health", Reply::bulk(health(place, member))),
    ])
}

/// The leader knows who is silent; the others do not.
fn health(place: &Place, member: &Member) -> &'static str {
    let is_judge = place.leader == Some(place.me) && member.id != place.me;
    if is_judge && !member.is_connected() { "fail" } else { "online" }
}

fn map<const N: usize>(facts: [(&'static str, Reply); N]) -> Reply {
    Reply::Map(facts.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn replicas(place: &Place, node: &str) -> Result<Reply, ReplyError> {
    let named = |id: &NodeId| place.node_name(*id).eq_ignore_ascii_case(node);
    let Some(id) = place.members.iter().map(|member| member.id).find(named) else {
        return Err(ReplyError::Raw(format!("ERR Unknown node {node}")));
    };
    if place.leader != Some(id) {
        return Err(ReplyError::Raw("ERR The specified node is not a master".into()));
    }
    let followers = place.members.iter().filter(|member| member.id != id);
    let lines = followers.map(|member| Reply::bulk(node_line(place, member)));
    Ok(Reply::Array(lines.collect()))
}

async fn count_keys_in(server: &Server, slot: u16) -> Result<Reply, ReplyError> {
    let store = current_store(server, slot).await?;
    let count = with_store(store, move |store| {
        let mut count = 0;
        visit_slot(&store.view(DB, 0), slot, |_| {
            count += 1;
            true
        })?;
        Ok(count)
    });
    Ok(Reply::Integer(count.await))
}

async fn keys_in(server: &Server, slot: u16, count_max: u64) -> Result<Reply, ReplyError> {
    let store = current_store(server, slot).await?;
    let keys = with_store(store, move |store| {
        let mut keys = Vec::new();
        visit_slot(&store.view(DB, 0), slot, |key| {
            if (keys.len() as u64) < count_max {
                keys.push(Reply::bulk(Bytes::copy_from_slice(key)));
            }
            (keys.len() as u64) < count_max
        })?;
        Ok(keys)
    });
    Ok(Reply::Array(keys.await))
}

/// The only database that clients of clusters know.
const DB: u32 = 0;

async fn current_store(server: &Server, slot: u16) -> Result<Arc<Store>, ReplyError> {
    if slot >= SLOTS {
        return Err(ReplyError::Raw("ERR Invalid slot".into()));
    }
    let replica = server.replica.load_full();
    reads::barrier(&replica).await?;
    Ok(replica.current.load_full())
}

/// Calls `f` with the keys of a slot until it has enough of them.
fn visit_slot(view: &View<'_>, slot: u16, mut f: impl FnMut(&[u8]) -> bool) -> storage::Result<()> {
    view.for_each_key_in(slot..slot + 1, |key, _| {
        if f(key) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::place::tests::shard_of_three;

    #[test]
    fn nodes_are_lines_as_in_redis() {
        let text = nodes(&shard_of_three(2));
        let lines: Vec<&str> = text.lines().collect();
        let (one, two) = (shard_of_three(2).node_name(1), shard_of_three(2).node_name(2));
        assert_eq!(lines[0], format!("{one} 10.0.0.1:6379@16379 master - 0 0 4 connected 0-16383"));
        assert_eq!(
            lines[1],
            format!("{two} 10.0.0.2:6379@16379 myself,slave {one} 0 0 4 connected")
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_leader_comes_first_in_slots() {
        let Reply::Array(ranges) = slots(&shard_of_three(3)) else { panic!("an array") };
        let Reply::Array(range) = &ranges[0] else { panic!("an array") };
        assert_eq!(range[..2], [Reply::Integer(0), Reply::Integer(16383)]);
        let Reply::Array(leader) = &range[2] else { panic!("an array") };
        assert_eq!(leader[..2], [Reply::bulk("10.0.0.1"), Reply::Integer(6379)]);
        assert_eq!(range.len(), 5);
        let mut lost = shard_of_three(3);
        lost.leader = None;
        assert_eq!(slots(&lost), Reply::EMPTY_ARRAY);
        assert!(info(&lost).starts_with("cluster_state:fail\r\n"));
    }

    #[test]
    fn replicas_are_those_of_the_master() {
        let place = shard_of_three(1);
        let Ok(Reply::Array(lines)) = replicas(&place, &place.node_name(1)) else {
            panic!("an array")
        };
        assert_eq!(lines.len(), 2);
        assert!(replicas(&place, &place.node_name(2)).is_err());
        assert!(replicas(&place, "nobody").is_err());
    }

    #[test]
    fn only_the_leader_judges_health() {
        let mut place = shard_of_three(1);
        place.members[1].silent_ms = Some(60_000);
        assert_eq!(health(&place, &place.members[1]), "fail");
        assert_eq!(health(&place, &place.members[0]), "online");
        place.me = 3;
        assert_eq!(health(&place, &place.members[1]), "online");
    }

    #[test]
    fn a_slot_is_visited_whole_and_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let shared = storage::Shared::new(32 << 20);
        let options = storage::Options { background: false, ..storage::Options::default() };
        let store = Store::open(dir.path(), &options, &shared).expect("opens");
        let mut txn = store.begin();
        txn.set_entry(1, 1, 1);
        txn.select(DB);
        for number in 0..1000 {
            for tag in ["{a}", "{b}", ""] {
                let key = format!("{tag}{number}");
                txn.set_string(key.as_bytes(), b"value", None).expect("is set");
            }
        }
        store.commit(txn, Bytes::from_static(b"1")).expect("commits");
        let view = store.view(DB, 0);
        let count = |tag: &str, enough: usize| {
            let mut keys = std::collections::BTreeSet::new();
            let visited = visit_slot(&view, storage::slot_of(tag.as_bytes()), |key| {
                keys.insert(key.to_vec());
                keys.len() < enough
            });
            visited.expect("reads");
            keys.iter().filter(|key| key.starts_with(tag.as_bytes())).count()
        };
        assert_eq!((count("{a}", usize::MAX), count("{b}", usize::MAX)), (1000, 1000));
        assert_eq!(count("{b}", 300), 300);
        let all: usize = (0..SLOTS)
            .map(|slot| {
                let mut keys = 0;
                visit_slot(&view, slot, |_| {
                    keys += 1;
                    true
                })
                .expect("reads");
                keys
            })
            .sum();
        assert_eq!(all, 3000);
    }
}
