//! Snapshots: taken while writes go on, sent in pieces, resumed, installed as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::proxy::Proxy;
use crate::support::{Disk, TestNode, eventually, info};
use bytes::Bytes;
use raft::{Options, SnapshotError};

const ITEM: usize = 4 << 10;
const LONG: Duration = Duration::from_secs(15);

fn options() -> Options {
    Options {
        snapshot_chunk_bytes: 64 << 10,
        snapshot_bytes_per_second: Some(8 << 20),
        snapshot_log_bytes: 2 << 20,
        log_bytes_kept: 1 << 20,
        ..Options::default()
    }
}

async fn fill(node: &TestNode, items: usize) {
    let item = Bytes::from(vec![b'x'; ITEM]);
    for _ in 0..items / 64 {
        let writes = (0..64).map(|_| node.consensus.write(item.clone()));
        for answer in futures::future::join_all(writes).await {
            answer.expect("written");
        }
    }
}

async fn alone() -> TestNode {
    let node = Disk::new(1).await.start(options()).await;
    node.consensus.initialize([(1, node.info())].into()).await.expect("founded");
    eventually("a leader", || node.consensus.status().is_leader()).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lagging_learner_resumes_a_broken_transfer_under_writes() {
    let leader = Arc::new(alone().await);
    fill(&leader, 2048).await;
    eventually("a purge", || leader.consensus.status().purged > 1000).await;
    let size = (2048 * ITEM) as u64;
    let learner = Disk::new(2).await;
    let proxy = Proxy::start(learner.address).await;
    let learner = learner.start(options()).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (leader, done) = (leader.clone(), done.clone());
        async move {
            while !done.load(Ordering::Relaxed) {
                leader.write("meanwhile").await.expect("written");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    leader.consensus.add_learner(2, info(proxy.address)).await.expect("added");
    eventually("half of the snapshot", || proxy.forwarded() > size / 2).await;
    assert!(learner.items().is_empty());
    proxy.cut();
    eventually("the snapshot", || learner.items().len() >= 2048).await;
    let forwarded = proxy.forwarded();
    assert!(forwarded < size + size / 4, "sent again from the start: {forwarded} of {size}");
    done.store(true, Ordering::Relaxed);
    writer.await.expect("writes went on");
    eventually("the rest", || learner.items() == leader.items()).await;
    assert!(learner.consensus.status().snapshot > 0, "kept for others that lag");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_restarts_from_its_snapshot() {
    let node = alone().await;
    fill(&node, 1024).await;
    node.write("last").await.expect("written");
    eventually("a purge", || node.consensus.status().purged > 100).await;
    let items = node.items();
    let again = node.kill().start(options()).await;
    again.consensus.wait_recovered(Duration::from_secs(5)).await.expect("recovers");
    assert_eq!(again.items(), items);
    let before = again.consensus.status().snapshot;
    again.write("new").await.expect("written");
    assert!(again.consensus.snapshot(LONG).await.expect("taken") > before);
    let dir = again.disk.dir.path().join("shard/snapshots");
    let count = || std::fs::read_dir(&dir).expect("reads").count();
    eventually("one snapshot", || count() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_snapshot_that_is_asked_for_while_one_is_taken_comes_after_it() {
    let node = Arc::new(alone().await);
    node.list.lock().checkpoint_takes = Duration::from_millis(700);
    node.write("first").await.expect("written");
    let asked = Arc::clone(&node);
    let first = tokio::spawn(async move { asked.consensus.snapshot(LONG).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!first.is_finished(), "it takes its time");
    node.write("second").await.expect("written");
    let index = node.consensus.applied();
    let none = node.consensus.snapshot(Duration::from_millis(1)).await;
    assert!(matches!(none, Err(SnapshotError::Late { index: late, .. }) if late == index));
    // Nobody waits for it any more, and it comes.
    eventually("the second", || node.consensus.status().snapshot >= index).await;
    assert!(first.await.expect("it ends").expect("taken") < index);
}
