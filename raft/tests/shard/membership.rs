//! Members come and go while writes continue; what would break the shard is refused.

use std::time::Duration;

use crate::support::{Disk, TestNode, eventually, leader, three};
use raft::{MembershipError, Node, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn members_join_vote_and_leave() {
    let nodes = three(Options::default()).await;
    let at = &nodes[leader(&nodes).await];
    at.write("before").await.expect("written");
    let id = at.consensus.allocate_node_id().await.expect("an id");
    let later = at.consensus.allocate_node_id().await.expect("an id");
    assert!(id > 3 && later > id, "ids only grow");
    let fourth = Disk::new(id).await.start(Options::default()).await;
    at.consensus.add_learner(id, fourth.info()).await.expect("added");
    eventually("the learner", || fourth.items().len() == 1).await;
    assert!(at.consensus.status().learners.contains(&id));
    at.consensus.promote(id, false).await.expect("promoted");
    assert_eq!(at.consensus.status().voters.len(), 4);
    let other = nodes.iter().find(|node| node.id() != at.id()).expect("three");
    at.consensus.demote(other.id(), false).await.expect("demoted");
    assert!(at.consensus.status().learners.contains(&other.id()));
    at.consensus.remove(other.id(), false).await.expect("removed");
    let fifth = Disk::new(later).await.start(Options::default()).await;
    at.consensus.add_learner(later, fifth.info()).await.expect("added");
    at.consensus.replace(id, later, false).await.expect("replaced");
    let status = at.consensus.status();
    assert!(
        !status.is_joint() && status.voters.contains(&later) && !status.members.contains_key(&id)
    );
    assert_eq!(at.write("after").await, Ok(Some(2)));
    eventually("the newcomer", || fifth.items().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_breaks_the_shard_is_refused() {
    let mut nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    nodes.swap(0, position);
    let (first, second, third) = (nodes[0].id(), nodes[1].id(), nodes[2].id());
    let at = nodes[0].consensus.clone();
    let refused = nodes[1].consensus.remove(third, false).await;
    assert_eq!(refused, Err(MembershipError::NotLeader { leader: Some(first) }));
    assert_eq!(at.promote(99, false).await, Err(MembershipError::UnknownMember(99)));
    assert_eq!(at.promote(second, false).await, Err(MembershipError::AlreadyVoter(second)));
    let taken = at.join(nodes[1].info()).await;
    assert!(matches!(taken, Err(MembershipError::AddressTaken { node, .. }) if node == second));
    let replica = Node { rpc: "127.0.0.1:1".into(), replica: true, ..Node::default() };
    let id = at.join(replica).await.expect("added");
    assert_eq!(at.promote(id, false).await, Err(MembershipError::Replica(id)));
    assert_eq!(at.replace(second, id, false).await, Err(MembershipError::Replica(id)));
    assert_eq!(at.replace(second, third, false).await, Err(MembershipError::AlreadyVoter(third)));
    assert_eq!(at.transfer_leader(Some(id)).await, Err(MembershipError::NotVoter(id)));
    at.remove(id, false).await.expect("removed");
    nodes.pop().expect("three").kill();
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert_eq!(at.transfer_leader(Some(third)).await, Err(MembershipError::Silent(third)));
    let broken = at.remove(second, false).await.expect_err("no quorum would be left");
    let text = format!("removing node {second} leaves 1 of 2 voters reachable: no quorum");
    assert_eq!(broken.to_string(), text);
    at.remove(third, false).await.expect("the dead one may go");
    at.remove(second, false).await.expect("one alone is a quorum");
    let last = MembershipError::LastVoter(first);
    assert_eq!(at.remove(first, false).await, Err(last));
    assert_eq!(nodes[0].write("alone").await, Ok(Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_for_a_learner_but_who_promotes_it() {
    let nodes = three(Options { catch_up_entries: 1, ..Options::default() }).await;
    let at = &nodes[leader(&nodes).await];
    at.write("one").await.expect("written");
    let absent = |port: u16| Node { rpc: format!("127.0.0.1:{port}"), ..Node::default() };
    let id = at.consensus.join(absent(1)).await.expect("added");
    let consensus = at.consensus.clone();
    let promotion = tokio::spawn(async move { consensus.promote(id, false).await });
    let consensus = at.consensus.clone();
    let to = nodes.iter().map(TestNode::id).find(|id| *id != at.id()).expect("three");
    let replacing = tokio::spawn(async move { consensus.replace(to, id, false).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!promotion.is_finished() && !replacing.is_finished(), "it has not caught up");
    let meanwhile = async {
        at.consensus.join(absent(2)).await.expect("added");
        at.consensus.transfer_leader(Some(to)).await.expect("moved");
    };
    tokio::time::timeout(Duration::from_secs(15), meanwhile).await.expect("they wait for nobody");
    // Whoever leads no more promotes nobody.
    for waiting in [promotion, replacing] {
        let ended = waiting.await.expect("it ends");
        assert!(matches!(ended, Err(MembershipError::NotLeader { .. })), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn leadership_moves_when_asked() {
    let nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    let to = nodes[(position + 1) % 3].id();
    nodes[position].write("before").await.expect("written");
    assert_eq!(nodes[position].consensus.transfer_leader(Some(to)).await, Ok(to));
    let now = leader(&nodes).await;
    assert_eq!(nodes[now].id(), to);
    assert_eq!(nodes[now].write("after").await, Ok(Some(2)));
    // A leader that is to be removed hands over first and says to whom.
    let moved = nodes[now].consensus.remove(to, false).await;
    let Err(MembershipError::NotLeader { leader: Some(next) }) = moved else {
        panic!("{moved:?}");
    };
    let next = nodes.iter().find(|node| node.id() == next).expect("one of three");
    eventually("the new leader", || next.consensus.status().is_leader()).await;
    next.consensus.remove(to, false).await.expect("removed");
    assert_eq!(next.consensus.status().voters.len(), 2);
}
