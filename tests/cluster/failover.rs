//! How long nobody is served when the leader goes, with and without warning.

use std::time::{Duration, Instant};

use resp::Reply;

use crate::load::{Load, assert_found};
use crate::processes::Cluster;
use crate::settle;

const KILLS: usize = 5;

/// Kills the leader. Returns how long it takes until a write that begins then is acknowledged.
fn fail_over(cluster: &mut Cluster) -> Duration {
    let leader = cluster.await_leader();
    let mut client = cluster.nodes[(leader + 1) % 3].client().unwrap();
    let begun = Instant::now();
    cluster.nodes[leader].kill();
    while client.request(&["SET", "probe", "x"]).unwrap() != Reply::OK {}
    let took = begun.elapsed();
    cluster.nodes[leader].restart();
    cluster.await_health();
    took
}

#[test]
fn a_leader_that_dies_is_replaced_within_two_seconds() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "k");
    settle();
    let mut times: Vec<Duration> = (0..KILLS).map(|_| fail_over(&mut cluster)).collect();
    let tallies = load.stop();
    times.sort();
    println!("from kill -9 of the leader until the next acknowledged write: {times:?}");
    assert!(times[KILLS / 2] <= Duration::from_secs(2), "too slow: {times:?}");
    // Machines that run tests stall.
    assert!(times[KILLS - 1] <= Duration::from_secs(4), "too slow: {times:?}");
    for node in &cluster.nodes {
        assert_found(&node.address(), &tallies);
    }
    cluster.assert_equal_digests();
}

#[test]
fn a_leader_that_is_told_to_stop_hands_over() {
    let mut cluster = Cluster::start(3);
    for name in ["s", "t"] {
        let leader = cluster.await_leader();
        let mut others = cluster.addresses();
        others.remove(leader);
        let load = Load::start(&others, name);
        settle();
        assert_eq!(cluster.nodes[leader].stop(), Some(0));
        assert!(cluster.leader().is_some(), "it went before somebody else led");
        settle();
        let tallies = load.stop();
        let longest = tallies.iter().map(|t| t.longest_gap).max().unwrap();
        println!("longest time without an acknowledged write: {longest:?}");
        assert!(longest < Duration::from_secs(2), "not served for {longest:?}");
        for tally in &tallies {
            assert!(tally.refused.is_empty() && tally.uncertain == 0, "a write failed");
        }
        cluster.nodes[leader].restart();
        cluster.await_health();
        assert_found(&cluster.nodes[leader].address(), &tallies);
    }
    cluster.assert_equal_digests();
}
