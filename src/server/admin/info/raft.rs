//! `# Raft`: consensus of the shard in its own words.

use raft::Status;

use super::{Facts, Field, field};
use crate::server::admin::place::{Member, Place};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    lines(&facts.place, &facts.replica.consensus.status())
}

fn lines(place: &Place, status: &Status) -> Vec<Field> {
    let leader = place.leader.map_or_else(String::new, |leader| leader.to_string());
    let mut fields = vec![
        field("raft_node_id", place.me),
        field("raft_role", place.raft_role()),
        field("raft_term", place.term),
        field("raft_leader_id", leader),
        field("raft_last_log_index", place.last_log),
        field("raft_committed_index", place.committed),
        field("raft_applied_index", place.applied),
        field("raft_snapshot_index", status.snapshot),
        field("raft_purged_index", status.purged),
        field("raft_membership_index", status.membership_index),
        field("raft_voters_changing", u8::from(status.is_joint())),
        field("raft_removed", u8::from(place.is_removed)),
        field("raft_voters", place.members.iter().filter(|member| member.is_voter).count()),
        field("raft_learners", place.members.iter().filter(|member| !member.is_voter).count()),
    ];
    fields.extend(
        place
            .members
            .iter()
            .enumerate()
            .map(|(number, member)| field(format!("raft_member{number}"), describe(place, member))),
    );
    fields
}

/// What only the leader knows is left out elsewhere.
fn describe(place: &Place, member: &Member) -> String {
    let Member { id, host, port, .. } = member;
    let vote = if member.is_voter { "voter" } else { "learner" };
    let leads = u8::from(place.leader == Some(*id));
    let mut text = format!("id={id},ip={host},port={port},kind={vote},leader={leads}");
    if let Some(matched) = member.matched {
        text += &format!(",matched={matched}");
    }
    if let Some(silent_ms) = member.silent_ms {
        text += &format!(",silent_ms={silent_ms}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines as text;
    use crate::server::admin::place::tests::shard_of_three;

    #[test]
    fn members_are_listed_with_what_is_known() {
        let has = |me, line: &str| {
            let found = text(&lines(&shard_of_three(me), &Status::default()));
            assert!(found.contains(&line.to_owned()), "{line}: {found:?}");
        };
        has(1, "raft_role:leader");
        has(1, "raft_voters:2");
        has(
            1,
            "raft_member1:id=2,ip=10.0.0.2,port=6379,kind=voter,leader=0,matched=98,silent_ms=1200",
        );
        has(2, "raft_member0:id=1,ip=10.0.0.1,port=6379,kind=voter,leader=1");
        has(3, "raft_role:learner");
    }
}
