//! TALUS MEMBERS: what one node must know to reach all others.

use resp::Reply;
use serde_json::{Value, json};

use super::place::{Member, Place};
use crate::server::Server;

/// The cluster's id, its members with their addresses, and the leader; as JSON.
pub fn members(server: &Server) -> Reply {
    let replica = server.replica.load();
    let name = &replica.identity.cluster_name;
    Reply::bulk(describe(&Place::of(&replica), name).to_string())
}

fn describe(place: &Place, name: &str) -> Value {
    let resp = |member: &Member| match member.host.contains(':') {
        true => format!("[{}]:{}", member.host, member.port),
        false => format!("{}:{}", member.host, member.port),
    };
    let member = |member: &Member| {
        json!({
            "id": member.id,
            "resp": resp(member),
            "rpc": member.rpc,
            "http": member.http,
        })
    };
    json!({
        "cluster": place.cluster,
        "cluster_name": name,
        "members": place.members.iter().map(member).collect::<Vec<Value>>(),
        "leader": place.leader,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::place::tests::shard_of_three;

    #[test]
    fn members_come_with_all_their_addresses() {
        let place = shard_of_three(2);
        let json = describe(&place, "default");
        assert_eq!(json["leader"], 1);
        assert_eq!(json["members"][2]["resp"], "10.0.0.3:6379");
        assert_eq!(json["members"][2]["rpc"], "10.0.0.3:16379");
        let mut lost = place;
        lost.leader = None;
        lost.members[0].host = "::1".into();
        assert!(describe(&lost, "default")["leader"].is_null());
        assert_eq!(describe(&lost, "default")["members"][0]["resp"], "[::1]:6379");
    }
}
