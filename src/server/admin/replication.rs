//! ROLE, REPLICAOF and FAILOVER: consensus in Redis's words.

use std::time::Duration;

use raft::{NodeId, Role};
use resp::{Reply, ReplyError};

use super::place::{Link, Member, Place};
use crate::commands::verbs::Failover;
use crate::server::Server;

/// ROLE.
pub fn role(server: &Server) -> Reply {
    let place = Place::of(&server.replica.load());
    if place.is_master() { master(&place) } else { slave(&place) }
}

fn master(place: &Place) -> Reply {
    let replica = |member: &Member| {
        let offset = member.matched.unwrap_or(0).to_string();
        let facts = [member.host.clone(), member.port.to_string(), offset];
        Reply::Array(facts.into_iter().map(Reply::bulk).collect())
    };
    Reply::Array(vec![
        Reply::bulk("master"),
        Reply::count(place.applied),
        Reply::Array(place.replicas().map(replica).collect()),
    ])
}

fn slave(place: &Place) -> Reply {
    let (host, port) = place.leader().map_or(("", 0), |leader| (&leader.host, leader.port));
    Reply::Array(vec![
        Reply::bulk("slave"),
        Reply::bulk(host.to_owned()),
        Reply::Integer(port.into()),
        Reply::bulk(link_state(place)),
        Reply::count(place.applied),
    ])
}

/// What Redis calls the state of the way to the leader.
fn link_state(place: &Place) -> &'static str {
    match place.link {
        Link::Down => "connect",
        Link::Sync => "sync",
        Link::Up => "connected",
    }
}

/// REPLICAOF host port.
pub async fn replica_of(server: &Server, host: String, port: u16) -> Reply {
    let place = Place::of(&server.replica.load());
    let follows = |leader: &Member| leader.host == host && leader.port == port;
    if !place.is_master() && place.leader().is_some_and(follows) {
        return Reply::simple("OK Already connected to specified master");
    }
    server.control.replica_of(host, port).await.map(|()| Reply::OK).into()
}

/// REPLICAOF NO ONE. A master is nobody's replica already.
pub async fn replica_of_no_one(server: &Server) -> Reply {
    if Place::of(&server.replica.load()).is_master() {
        return Reply::OK;
    }
    server.control.detach().await.map(|()| Reply::OK).into()
}

/// FAILOVER: the leadership has moved when this answers.
///
/// FORCE changes nothing: a member that lacks entries a quorum has acknowledged is never elected.
pub async fn failover(server: &Server, request: &Failover) -> Reply {
    if request.abort {
        return Reply::Error(refusal("No failover in progress."));
    }
    let replica = server.replica.load_full();
    let place = Place::of(&replica);
    let target = match choose_target(&place, request) {
        Ok(target) => target,
        Err(error) => return Reply::Error(error),
    };
    let transfer = replica.consensus.transfer_leader(target);
    let limit = Duration::from_millis(match request.timeout_ms {
        0 => FAILOVER_MS_MAX,
        asked => asked.min(FAILOVER_MS_MAX),
    });
    match tokio::time::timeout(limit, transfer).await {
        Ok(Ok(_)) => Reply::OK,
        Ok(Err(error)) => Reply::Error(refusal(&error.to_string())),
        Err(_) => Reply::Error(refusal("the failover did not happen in time; it may yet")),
    }
}

/// A transfer that takes longer than this is not going to happen.
const FAILOVER_MS_MAX: u64 = 60_000;

/// Whom the client asked for; `None` lets consensus choose.
fn choose_target(place: &Place, request: &Failover) -> Result<Option<NodeId>, ReplyError> {
    if place.role != Role::Leader {
        return Err(refusal("FAILOVER is not valid when server is a replica."));
    }
    if !place.replicas().any(|member| member.is_voter) {
        return Err(refusal("FAILOVER requires connected replicas."));
    }
    if request.force && (request.to.is_none() || request.timeout_ms == 0) {
        let text = "FAILOVER with force option requires both a timeout and target HOST and IP.";
        return Err(refusal(text));
    }
    request.to.as_ref().map(|(host, port)| named_target(place, host, *port)).transpose()
}

fn named_target(place: &Place, host: &str, port: i64) -> Result<NodeId, ReplyError> {
    let asked = u16::try_from(port).ok().and_then(|port| place.at(host, port));
    match asked.filter(|member| member.id != place.me) {
        Some(member) if member.is_voter => Ok(member.id),
        Some(_) => Err(refusal("FAILOVER target has no vote: promote it first.")),
        None => Err(refusal("FAILOVER target HOST and PORT is not a replica.")),
    }
}

fn refusal(text: &str) -> ReplyError {
    ReplyError::Raw(format!("ERR {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::place::tests::shard_of_three;

    #[test]
    fn a_master_lists_its_replicas() {
        let replica = |host: &'static str, offset: &'static str| {
            Reply::Array(vec![Reply::bulk(host), Reply::bulk("6379"), Reply::bulk(offset)])
        };
        let replicas = Reply::Array(vec![replica("10.0.0.2", "98"), replica("10.0.0.3", "97")]);
        let expected = vec![Reply::bulk("master"), Reply::Integer(98), replicas];
        assert_eq!(master(&shard_of_three(1)), Reply::Array(expected));
    }

    #[test]
    fn a_slave_names_its_master() {
        let mut place = shard_of_three(3);
        let shape = |host: &'static str, port, state| {
            let head = [Reply::bulk("slave"), Reply::bulk(host), Reply::Integer(port)];
            Reply::Array([&head[..], &[Reply::bulk(state), Reply::Integer(98)]].concat())
        };
        assert_eq!(slave(&place), shape("10.0.0.1", 6379, "connected"));
        place.link = Link::Down;
        assert_eq!(slave(&place), shape("10.0.0.1", 6379, "connect"));
        place.leader = None;
        assert_eq!(slave(&place), shape("", 0, "connect"));
        let syncing = Place { link: Link::Sync, ..shard_of_three(3) };
        assert_eq!(slave(&syncing), shape("10.0.0.1", 6379, "sync"));
    }

    #[test]
    fn failover_goes_to_a_voter() {
        let any = Failover::default();
        assert_eq!(choose_target(&shard_of_three(1), &any), Ok(None));
        assert!(choose_target(&shard_of_three(2), &any).is_err());
        let to = |host: &str| Failover { to: Some((host.into(), 6379)), ..Failover::default() };
        assert_eq!(choose_target(&shard_of_three(1), &to("10.0.0.2")), Ok(Some(2)));
        assert!(choose_target(&shard_of_three(1), &to("10.0.0.1")).is_err());
        assert!(choose_target(&shard_of_three(1), &to("10.0.0.3")).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_failover_is_found_in_redis_order() {
        let refusal = |place: &Place, request: &Failover| {
            choose_target(place, request).expect_err("refused").to_string()
        };
        let to = |port| Failover { to: Some(("10.0.0.2".into(), port)), ..Failover::default() };
        let mut place = shard_of_three(1);
        assert!(refusal(&place, &to(70_000)).contains("is not a replica"));
        assert!(refusal(&place, &to(-1)).contains("is not a replica"));
        let forced = Failover { force: true, ..to(70_000) };
        assert!(refusal(&place, &forced).contains("requires both"));
        assert!(
            choose_target(&place, &Failover { timeout_ms: 1, force: true, ..to(6379) }).is_ok()
        );
        assert!(refusal(&shard_of_three(2), &forced).contains("server is a replica"));
        place.members.retain(|member| member.id == 1);
        assert!(refusal(&place, &forced).contains("requires connected replicas"));
    }
}
