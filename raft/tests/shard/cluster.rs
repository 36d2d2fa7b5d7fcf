//! Clusters over real connections: what is acknowledged stays, whoever leads.

use std::time::{Duration, Instant};

use crate::support::{CLUSTER, Disk, TestNode, eventually, leader, three};
use bytes::Bytes;
use futures::future::join_all;
use raft::{Options, ReadError, WriteError};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn writes_keep_their_order_and_reach_everybody() {
    let nodes = three(Options::default()).await;
    let leader = &nodes[leader(&nodes).await];
    let writes: Vec<_> =
        (0..500).map(|number| leader.consensus.write(Bytes::from(format!("{number}")))).collect();
    let answers = join_all(writes).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, Ok(Some(number + 1)), "answers follow the order of calls");
    }
    for node in &nodes {
        eventually("all items", || node.items().len() == 500).await;
        assert_eq!(node.items(), leader.items());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn followers_refuse_and_name_the_leader() {
    let nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    let follower = &nodes[(position + 1) % 3];
    let refused = WriteError::NotLeader { leader: Some(nodes[position].id()) };
    assert_eq!(follower.write("x").await, Err(refused));
    let options = Options { command_bytes_max: 3, ..Options::default() };
    let small = Disk::new(9).await.start(options).await;
    assert_eq!(small.write("four").await, Err(WriteError::TooLarge));
    assert_eq!(small.write("x").await, Err(WriteError::NotLeader { leader: None }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_killed_leader_is_replaced_in_time() {
    let mut nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    for number in 0..100 {
        nodes[position].write(&format!("before {number}")).await.expect("written");
    }
    let disk = nodes.remove(position).kill();
    let died = Instant::now();
    loop {
        let next = &nodes[leader(&nodes).await];
        match next.write("after").await {
            Ok(answer) => {
                assert_eq!(answer, Some(101), "nothing lost, nothing twice");
                break;
            }
            Err(WriteError::NotLeader { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let gap = died.elapsed();
    assert!(gap < Duration::from_millis(2500), "without a leader for {gap:?}");
    let back = disk.start(Options::default()).await;
    back.consensus.wait_recovered(Duration::from_secs(10)).await.expect("recovers");
    eventually("the restarted node", || back.items().len() == 101).await;
    assert_eq!(back.items(), nodes[0].items());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reads_are_linearizable_on_every_node() {
    let nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    for number in 1..=50 {
        nodes[position].write("x").await.expect("written");
        let reader = &nodes[number % 3];
        let applied = reader.consensus.read_index().await.expect("a barrier");
        assert!(reader.consensus.applied() >= applied);
        assert!(reader.items().len() >= number, "a write that was answered is seen");
    }
    assert!(nodes.iter().all(|node| !node.consensus.reads_are_local()));
    let follower = &nodes[(position + 1) % 3];
    let many = join_all((0..1000).map(|_| follower.consensus.read_index())).await;
    assert!(many.iter().all(Result::is_ok));
}

/// Nobody writes meanwhile, so nothing is applied that would tell how far the state is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_follower_that_has_everything_reads_after_a_restart() {
    let mut nodes = three(Options::default()).await;
    let position = leader(&nodes).await;
    nodes[position].write("x").await.expect("written");
    let follower = nodes.remove((position + 1) % 3);
    eventually("the write", || follower.items().len() == 1).await;
    let (list, applied) = (follower.list.clone(), follower.consensus.applied());
    let back = follower.kill().start_with(list, CLUSTER, Options::default()).await;
    assert_eq!(back.consensus.read_index().await, Ok(applied));
    assert_eq!(back.items().len(), 1, "nothing is applied twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_quorum_reads_and_writes_are_refused() {
    let quick = Options { read_timeout: Duration::from_millis(300), ..Options::default() };
    let mut nodes = three(quick).await;
    let leader = nodes.remove(leader(&nodes).await);
    leader.write("x").await.expect("written");
    let dead: Vec<_> = nodes.into_iter().map(TestNode::kill).collect();
    assert_eq!(dead.len(), 2);
    assert_eq!(leader.consensus.read_index().await, Err(ReadError::NoQuorum));
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let refused = leader.write("y").await;
    assert_eq!(refused, Err(WriteError::NotLeader { leader: None }), "the lease is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_alone_reads_alone_until_another_votes() {
    let alone = Disk::new(1).await.start(Options::default()).await;
    alone.consensus.initialize([(1, alone.info())].into()).await.expect("founded");
    eventually("local reads", || alone.consensus.reads_are_local()).await;
    assert_eq!(alone.write("x").await, Ok(Some(1)));
    let other = Disk::new(2).await.start(Options::default()).await;
    let id = 2;
    alone.consensus.add_learner(id, other.info()).await.expect("added");
    assert!(alone.consensus.reads_are_local(), "a learner changes nothing");
    alone.consensus.promote(id, false).await.expect("promoted");
    assert!(!alone.consensus.reads_are_local());
    alone.consensus.remove(id, false).await.expect("removed");
    eventually("local reads again", || alone.consensus.reads_are_local()).await;
    let disk = alone.kill();
    let again = disk.start(Options::default()).await;
    again.consensus.wait_recovered(Duration::from_secs(5)).await.expect("recovers");
    assert_eq!(again.items(), [Bytes::from("x")]);
    again.consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_cluster_is_refused() {
    let ours = Disk::new(1).await.start(Options::default()).await;
    let theirs = Disk::new(2).await;
    let theirs = theirs.start_in(raft::ClusterId([7; 16]), Options::default()).await;
    ours.consensus.initialize([(1, ours.info())].into()).await.expect("founded");
    eventually("a leader", || ours.consensus.status().is_leader()).await;
    ours.consensus.add_learner(2, theirs.info()).await.expect("added");
    ours.write("secret").await.expect("written");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(theirs.consensus.status().last_log, 0, "nothing got through");
    assert_eq!(theirs.consensus.leader_silence(), None);
}
