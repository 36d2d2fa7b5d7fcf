//! `# Replication`: the shard in the words of masters and slaves.
//!
//! Offsets are log indexes. The leader is the master; followers and learners are slaves.

use super::{Facts, Field, field};
use crate::server::admin::place::{Link, Member, Place};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    lines(&facts.place)
}

fn lines(place: &Place) -> Vec<Field> {
    let mut fields = vec![field("role", place.redis_role())];
    if !place.is_master() {
        fields.extend(as_slave(place));
    }
    fields.push(field("connected_slaves", place.replicas().count()));
    fields.extend(place.replicas().enumerate().map(slave));
    fields.extend([
        field("master_failover_state", "no-failover"),
        field("master_replid", place.shard_name()),
        field("master_replid2", "0".repeat(40)),
        field("master_repl_offset", place.applied),
        field("second_repl_offset", -1),
        field("repl_backlog_active", 0),
        field("repl_backlog_size", 0),
        field("repl_backlog_first_byte_offset", 0),
        field("repl_backlog_histlen", 0),
    ]);
    fields
}

fn as_slave(place: &Place) -> Vec<Field> {
    let leader = place.leader();
    let (host, port) = leader.map_or(("", 0), |leader| (&leader.host, leader.port));
    let (is_up, is_heard) = (place.link == Link::Up, place.link != Link::Down);
    let silent_s = place.leader_silent_ms.map_or(-1, |silent| (silent / 1000) as i64);
    let mut fields = vec![
        field("master_host", host),
        field("master_port", port),
        field("master_link_status", if is_up { "up" } else { "down" }),
        field("master_last_io_seconds_ago", if is_heard { silent_s } else { -1 }),
        field("master_sync_in_progress", u8::from(place.link == Link::Sync)),
        field("slave_read_repl_offset", place.last_log),
        field("slave_repl_offset", place.applied),
    ];
    if !is_up {
        fields.push(field("master_link_down_since_seconds", silent_s));
    }
    fields.extend([
        field("slave_priority", if may_lead(place) { 100 } else { 0 }),
        field("slave_read_only", 1),
        field("replica_announced", 1),
    ]);
    fields
}

/// Redis never makes a master of a slave with priority 0.
fn may_lead(place: &Place) -> bool {
    place.myself().is_some_and(|member| member.is_voter)
}

fn slave((number, member): (usize, &Member)) -> Field {
    let Member { host, port, .. } = member;
    let state = if member.matched.is_some() { "online" } else { "wait_bgsave" };
    let lag_s = member.silent_ms.unwrap_or(0) / 1000;
    let offset = member.matched.unwrap_or(0);
    field(
        format!("slave{number}"),
        format_args!("ip={host},port={port},state={state},offset={offset},lag={lag_s}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines as text;
    use crate::server::admin::place::tests::shard_of_three;

    #[test]
    fn the_leader_is_the_master() {
        let lines = text(&lines(&shard_of_three(1)));
        assert_eq!(
            lines[..4],
            [
                "role:master",
                "connected_slaves:2",
                "slave0:ip=10.0.0.2,port=6379,state=online,offset=98,lag=1",
                "slave1:ip=10.0.0.3,port=6379,state=online,offset=97,lag=1",
            ]
        );
        assert!(lines.contains(&"master_repl_offset:98".to_owned()));
    }

    #[test]
    fn learners_are_slaves_that_never_lead() {
        let mut place = shard_of_three(3);
        let has = |place: &Place, line: &str| text(&lines(place)).contains(&line.to_owned());
        assert!(has(&place, "role:slave") && has(&place, "master_host:10.0.0.1"));
        assert!(has(&place, "master_link_status:up") && has(&place, "slave_priority:0"));
        assert!(has(&shard_of_three(2), "slave_priority:100"));
        assert!(has(&place, "master_last_io_seconds_ago:1"));
        place.link = Link::Sync;
        assert!(has(&place, "master_link_status:down") && has(&place, "master_sync_in_progress:1"));
        place.link = Link::Down;
        assert!(has(&place, "master_link_status:down") && has(&place, "master_sync_in_progress:0"));
        assert!(has(&place, "master_last_io_seconds_ago:-1"));
    }
}
