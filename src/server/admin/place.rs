//! This node's place in its shard, as ROLE, INFO, CLUSTER, WAIT and FAILOVER see it.
//!
//! Taken once per request from the status of consensus, so that one answer never mixes two
//! states. Redis knows masters and slaves: the leader is the master, every other member a slave.

use raft::{ClusterId, Lost, NodeId, Role, ShardId, Status};

use crate::server::Replica;

/// A member, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its host for clients, without brackets.
    pub host: String,
    /// Its port for clients.
    pub port: u16,
    /// `host:port` for other nodes.
    pub rpc: String,
    /// `host:port` for people and their monitoring.
    pub http: String,
    /// Whether it has a vote.
    pub is_voter: bool,
    /// Up to where its log is known to equal the leader's; only the leader knows.
    pub matched: Option<u64>,
    /// Milliseconds since it last answered the leader; only the leader knows.
    pub silent_ms: Option<u64>,
}

/// Who has been silent for longer is not counted as connected.
const SILENT_MS_MAX: u64 = 10_000;

impl Member {
    /// Whether it follows the leader at present, as far as the leader knows.
    pub fn is_connected(&self) -> bool {
        self.silent_ms.is_some_and(|silent| silent <= SILENT_MS_MAX)
    }
}

/// The way of a node to its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// There is none, or nothing comes over it.
    Down,
    /// The data is on its way.
    Sync,
    /// The log comes as it grows.
    Up,
}

impl Link {
    fn of(contact: &Result<(), Lost>) -> Self {
        match contact {
            Ok(()) => Self::Up,
            Err(Lost::Syncing) => Self::Sync,
            Err(_) => Self::Down,
        }
    }
}

/// The shard as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cluster's id, 32 hexadecimal digits.
    pub cluster: String,
    /// The shard.
    pub shard: ShardId,
    /// This node.
    pub me: NodeId,
    /// What it does in its shard.
    pub role: Role,
    /// The term it is in.
    pub term: u64,
    /// Whom it follows; itself if it leads.
    pub leader: Option<NodeId>,
    /// Milliseconds since it last heard of its leader, if ever.
    pub leader_silent_ms: Option<u64>,
    /// The way to its leader, if it follows one.
    pub link: Link,
    /// It is no member any more.
    pub is_removed: bool,
    /// The last entry of its log.
    pub last_log: u64,
    /// The last entry it knows to be on a quorum.
    pub committed: u64,
    /// The last entry in its state.
    pub applied: u64,
    /// All members, this one included, by id.
    pub members: Vec<Member>,
}

impl Place {
    /// Where this node is now.
    pub fn of(replica: &Replica) -> Self {
        let consensus = &replica.consensus;
        let place = Self::new(consensus.cluster(), consensus.shard(), &consensus.status());
        let silence = consensus.leader_silence();
        let leader_silent_ms = silence.map(|silence| silence.as_millis() as u64);
        let (link, is_removed) = (Link::of(&consensus.contact()), replica.is_removed());
        Self { leader_silent_ms, link, is_removed, ..place }
    }

    /// Where `status` puts this node.
    fn new(cluster: ClusterId, shard: ShardId, status: &Status) -> Self {
        let member = |(id, node): (&NodeId, &raft::Node)| {
            let (host, port) = host_and_port(&node.resp);
            Member {
                id: *id,
                host: host.to_owned(),
                port,
                rpc: node.rpc.clone(),
                http: node.http.clone(),
                is_voter: status.voters.contains(id),
                matched: status.replication.get(id).copied(),
                silent_ms: status.silent_ms.get(id).copied(),
            }
        };
        Self {
            cluster: cluster.to_string(),
            shard,
            me: status.node,
            role: status.role,
            term: status.term,
            leader: status.leader,
            leader_silent_ms: None,
            link: Link::Down,
            is_removed: false,
            last_log: status.last_log,
            committed: status.committed,
            applied: status.applied,
            members: status.members.iter().map(member).collect(),
        }
    }

    /// Whether it answers as a master: it leads, or votes alone. A node that has yet to be told of
    /// the other members follows one of them.
    pub fn is_master(&self) -> bool {
        let votes_alone = || self.myself().is_some_and(|me| me.is_voter) && self.members.len() == 1;
        self.role == Role::Leader || votes_alone()
    }

    /// `master` or `slave`.
    pub fn redis_role(&self) -> &'static str {
        if self.is_master() { "master" } else { "slave" }
    }

    /// What consensus calls it.
    pub fn raft_role(&self) -> &'static str {
        match self.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Learner => "learner",
            Role::Stopped => "stopped",
        }
    }

    /// This node, unless it is no member yet.
    pub fn myself(&self) -> Option<&Member> {
        self.member(self.me)
    }

    /// The leader, if it is known.
    pub fn leader(&self) -> Option<&Member> {
        self.member(self.leader?)
    }

    /// The members that follow this node, if it leads.
    pub fn replicas(&self) -> impl Iterator<Item = &Member> {
        self.others().filter(|member| member.is_connected())
    }

    /// The other members.
    pub fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.me)
    }

    /// The member at an address for clients.
    pub fn at(&self, host: &str, port: u16) -> Option<&Member> {
        self.members.iter().find(|member| member.port == port && member.host == host)
    }

    fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// 40 hexadecimal digits, as Redis Cluster wants them, for a member.
    pub fn node_name(&self, id: NodeId) -> String {
        format!("{}{:08x}", self.cluster, id)
    }

    /// 40 hexadecimal digits for the shard, which are also the id of its replication history.
    pub fn shard_name(&self) -> String {
        format!("{:08x}{}", self.shard.0, self.cluster)
    }
}

/// The parts of `host:port`; the port is 0 when there is none.
pub fn host_and_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port.parse().unwrap_or(0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three members, of which the third has no vote; node 1 leads.
    pub fn shard_of_three(me: NodeId) -> Place {
        let role = [Role::Leader, Role::Follower, Role::Learner][me as usize - 1];
        let member = |id: NodeId| Member {
            id,
            host: format!("10.0.0.{id}"),
            port: 6379,
            rpc: format!("10.0.0.{id}:16379"),
            http: format!("10.0.0.{id}:6380"),
            is_voter: id < 3,
            matched: (me == 1).then_some(100 - id),
            silent_ms: (me == 1 && id > 1).then_some(1200),
        };
        Place {
            cluster: "0123456789abcdef0123456789abcdef".into(),
            shard: ShardId(0),
            me,
            role,
            term: 4,
            leader: Some(1),
            leader_silent_ms: (me > 1).then_some(1100),
            link: Link::Up,
            is_removed: false,
            last_log: 99,
            committed: 98,
            applied: 98,
            members: (1..=3).map(member).collect(),
        }
    }

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        assert_eq!(host_and_port("a.example:6379"), ("a.example", 6379));
        assert_eq!(host_and_port("[::1]:7000"), ("::1", 7000));
        assert_eq!(host_and_port("nowhere"), ("nowhere", 0));
    }

    #[test]
    fn names_have_forty_digits() {
        let place = shard_of_three(2);
        assert_eq!(place.node_name(255).len(), 40);
        assert_eq!(place.shard_name().len(), 40);
        assert!(place.node_name(255).ends_with("000000ff"));
    }

    #[test]
    fn only_the_leader_and_the_lonely_are_masters() {
        assert_eq!(shard_of_three(1).redis_role(), "master");
        assert_eq!(shard_of_three(2).redis_role(), "slave");
        let mut alone = shard_of_three(2);
        alone.members.retain(|member| member.id == 2);
        assert_eq!(alone.redis_role(), "master");
        // Before the first entry or snapshot has come, no members are known, not even oneself.
        let mut fresh = shard_of_three(3);
        fresh.members.clear();
        assert_eq!(fresh.redis_role(), "slave");
    }
}
