//! Changes of membership by `talus cluster …`: done under load, or refused with a reason.

use std::time::{Duration, Instant};

use crate::load::{Counting, Load, assert_found};
use crate::processes::{Cluster, cli_at, free_port};
use crate::settle;

/// A change that must succeed, asked of the first node, whoever leads.
fn done(cluster: &Cluster, args: &[&str]) {
    let (code, text) = cluster.nodes[0].cli(args);
    assert_eq!(code, 0, "{args:?}: {text}");
}

/// A change that must be turned down because of `why`.
fn refused(cluster: &Cluster, args: &[&str], why: &str) {
    let (code, text) = cluster.nodes[0].cli(args);
    assert_eq!(code, 3, "{args:?}: {text}");
    assert!(text.starts_with("error: ") && text.contains(why), "{args:?}: {text}");
}

fn await_sizes(cluster: &Cluster, voters: usize, members: usize) {
    let what = format!("{voters} voters of {members} members");
    cluster.wait_for(&what, |c| (c.voters(), c.members()) == (voters, members));
}

#[test]
fn every_change_is_done_under_load() {
    let mut cluster = Cluster::start(3);
    let counting = Counting::start(&cluster.addresses(), "counter");
    let load = Load::start(&cluster.addresses(), "m");
    let follower = (cluster.await_leader() + 1) % 3;
    let id = cluster.id(follower).to_string();
    // Until it has seen that it votes, a node that joined asks for its vote.
    settle();
    done(&cluster, &["demote", &id]);
    await_sizes(&cluster, 2, 3);
    settle();
    assert_eq!(cluster.voters(), 2, "it has taken its vote back by itself");
    done(&cluster, &["promote", &id]);
    await_sizes(&cluster, 3, 3);
    replace_and_remove(&mut cluster);
    for to in (0..3).map(|node| cluster.id(node).to_string()) {
        done(&cluster, &["transfer", &to]);
    }
    take_snapshots(&cluster);
    let (counted, tallies) = (counting.stop(), load.stop());
    for node in &cluster.nodes[..3] {
        assert_eq!(node.ask(&["GET", "counter"]), resp::Reply::bulk(counted.to_string()));
        assert_found(&node.address(), &tallies);
    }
    assert!(tallies.iter().all(|t| t.refused.is_empty() && t.uncertain == 0), "a write failed");
    cluster.assert_equal_digests();
}

/// Two nodes come; one takes the place of the other; then it goes, too.
fn replace_and_remove(cluster: &mut Cluster) {
    cluster.join(&[]);
    cluster.join(&[]);
    await_sizes(cluster, 5, 5);
    let [old, new] = [3, 4].map(|node| cluster.id(node).to_string());
    done(cluster, &["demote", &new]);
    await_sizes(cluster, 4, 5);
    done(cluster, &["replace", &old, &new]);
    await_sizes(cluster, 4, 4);
    cluster.nodes[3].kill();
    done(cluster, &["remove", &new]);
    await_sizes(cluster, 3, 3);
    cluster.nodes[4].kill();
}

fn take_snapshots(cluster: &Cluster) {
    for node in &cluster.nodes[..3] {
        let applied = node.number("raft_applied_index");
        let (code, text) = node.cli(&["snapshot"]);
        assert_eq!(code, 0, "snapshot: {text}");
        assert!(node.number("raft_snapshot_index") >= applied, "{text}");
        assert!(node.number("snapshots_taken") > 0, "it is not counted");
    }
}

#[test]
fn what_would_break_something_is_refused_and_says_what() {
    let mut cluster = Cluster::start(3);
    cluster.join(&["--replica"]);
    let leader = cluster.await_leader();
    let [alive, dead] = [1, 2].map(|n| cluster.id((leader + n) % 3).to_string());
    let replica = &cluster.id(3).to_string();
    refused(&cluster, &["promote", &alive], "is a voter already");
    refused(&cluster, &["promote", replica], "is a replica for good");
    refused(&cluster, &["demote", replica], "is not a voter");
    refused(&cluster, &["transfer", replica], "is not a voter");
    for args in [["remove", "4711"], ["promote", "4711"], ["demote", "4711"], ["transfer", "4711"]]
    {
        refused(&cluster, &args, "4711 is not a ");
    }
    refused(&cluster, &["replace", &alive, "4711"], "4711 is not a member");
    refused(&cluster, &["replace", replica, &alive], "is not a voter");
    cluster.nodes[(leader + 2) % 3].kill();
    std::thread::sleep(Duration::from_secs(2));
    let why = "leaves 1 of 2 voters reachable: no quorum";
    refused(&cluster, &["remove", &alive], why);
    refused(&cluster, &["demote", &alive], why);
    refused(&cluster, &["transfer", &dead], "does not answer");
    assert_eq!((cluster.voters(), cluster.members()), (3, 4), "it was refused, and done");
    done(&cluster, &["remove", &dead]);
    done(&cluster, &["remove", &alive]);
    let last = cluster.id(leader).to_string();
    refused(&cluster, &["remove", &last], "is the last voter");
    refused(&cluster, &["demote", &last], "is the last voter");
    assert_eq!(cluster.nodes[leader].ask(&["SET", "k", "v"]), resp::Reply::OK);
}

#[test]
fn a_learner_that_is_waited_for_holds_nobody_up() {
    let mut cluster = Cluster::start_with(3, &["--set", "raft.catch_up_entries_max=5"]);
    let absent = format!("127.0.0.1:{}", free_port());
    let (code, text) = cluster.nodes[0].cli(&["add-learner", &absent]);
    assert_eq!(code, 0, "add-learner: {text}");
    let id = text.split(' ').nth(1).unwrap().to_owned();
    let leader = cluster.await_leader();
    let port = cluster.nodes[leader].port;
    let promotion = std::thread::spawn(move || cli_at(port, &["promote", &id]));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!promotion.is_finished(), "nobody is there to catch up");
    let begun = Instant::now();
    let to = (leader + 1) % 3;
    done(&cluster, &["transfer", &cluster.id(to).to_string()]);
    assert!(begun.elapsed() < Duration::from_secs(20), "the transfer has waited");
    cluster.join(&[]);
    await_sizes(&cluster, 4, 5);
    assert_eq!(cluster.nodes[to].stop(), Some(0));
    assert!(cluster.leader().is_some(), "it went before somebody else led");
    drop(cluster);
    assert_ne!(promotion.join().unwrap().0, 0, "nobody has caught up");
}

#[test]
fn a_leader_steps_down_and_goes_when_it_is_told_to() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.addresses(), "g");
    // Until it has seen that it votes, a node that joined asks for its vote.
    settle();
    for through in [0, 1] {
        // Asked of itself, or of a follower.
        let leader = cluster.await_leader();
        let id = cluster.id(leader).to_string();
        let at = (leader + through) % 3;
        let (code, text) = cluster.nodes[at].cli(&["demote", &id]);
        assert_eq!((code, text.trim()), (0, format!("node {id} is a learner").as_str()));
        await_sizes(&cluster, 2, 3);
        done(&cluster, &["promote", &id]);
        await_sizes(&cluster, 3, 3);
    }
    let leader = cluster.await_leader();
    let id = cluster.id(leader).to_string();
    let (code, text) = cluster.nodes[leader].cli(&["remove", &id]);
    assert_eq!((code, text.trim()), (0, format!("node {id} is removed").as_str()));
    cluster.nodes[leader].kill();
    await_sizes(&cluster, 2, 2);
    let tallies = load.stop();
    assert_found(&cluster.nodes[(leader + 1) % 3].address(), &tallies);
}
