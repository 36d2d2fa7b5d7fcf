#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use super::anomaly::Anomalies;
use super::log::Log;
use super::versions::Versions;
use super::{check, cycles, graph};
use crate::check::deadline::Deadline;
use crate::check::scripted::Script;
use crate::check::{Finding, Verdict};

mod brute;
mod simulated;
mod view;

const PATIENCE: Duration = Duration::from_secs(60);

/// The types of anomaly that were found.
fn types(finding: &Finding) -> Vec<String> {
    let anomalies = finding.details["anomalies"].as_object();
    anomalies.into_iter().flat_map(|map| map.keys().cloned()).collect()
}

/// Judges a history and tells the types of its anomalies.
fn anomalies(text: &str) -> Vec<String> {
    let finding = check(&Script::parse(text), PATIENCE);
    let types = types(&finding);
    assert_eq!(finding.verdict == Verdict::Invalid, !types.is_empty(), "{}", finding.summary);
    types
}

/// Transactions that all ran at once, each by a process of its own.
fn concurrent(transactions: &[&str]) -> String {
    let events = |kind| {
        let line =
            move |(process, value): (usize, &&str)| format!("{process} {kind} txn {value}\n");
        transactions.iter().enumerate().map(line).collect::<String>()
    };
    events("invoke") + &events("ok")
}

#[test]
fn what_holds_in_some_order_is_valid() {
    let text = concurrent(&["append x 1, r y", "r x 1, append y 1", "r x 1, r y 1, r z"]);
    let finding = check(&Script::parse(&text), PATIENCE);
    assert_eq!(finding.verdict, Verdict::Valid, "{}", finding.summary);
}

#[test]
fn nothing_to_look_at_is_unknown() {
    for text in ["", "0 invoke txn append x 1\n0 ok txn append x 1", "0 invoke txn r x"] {
        assert_eq!(check(&Script::parse(text), PATIENCE).verdict, Verdict::Unknown);
    }
    let text = concurrent(&["append x 1, r y", "r x 1"]);
    assert_eq!(check(&Script::parse(&text), Duration::ZERO).verdict, Verdict::Unknown);
}

/// A read of what failed needs no search, and that there is a cycle is known before it is named.
#[test]
fn what_is_found_in_time_counts() {
    let failed = "0 invoke txn append x 1\n0 fail txn append x 1\n1 invoke txn r x\n1 ok txn r x 1";
    assert_eq!(check(&Script::parse(failed), Duration::ZERO).verdict, Verdict::Invalid);
    let history = Script::parse(&concurrent(&["r x, append y 1", "r y, append x 1"]));
    let log = Log::read(&history).unwrap();
    let (versions, mut anomalies) = (Versions::new(&log), Anomalies::default());
    let graph = graph::build(&log, &versions);
    cycles::find(&log, &versions, &graph, Deadline::after(Duration::ZERO), &mut anomalies);
    assert!(!anomalies.is_empty());
}

#[test]
fn what_is_no_transaction_is_told_with_its_event() {
    let summary = |text: &str| {
        let finding = check(&Script::parse(text), PATIENCE);
        assert_eq!(finding.verdict, Verdict::Unknown);
        finding.summary
    };
    assert_eq!(summary("0 invoke txn w x 1"), "event 0: [[:w :x [1]]] is no transaction on lists");
    let twice = "0 invoke txn append x 1\n1 invoke txn append x 1";
    assert_eq!(summary(twice), "event 1: 1 was appended to :x before: nothing can be told");
}

#[test]
fn a_transaction_sees_its_own_appends_and_nothing_between() {
    for contradictory in [
        "append x 1, r x",
        "append x 3, append x 1, r x 1 3",
        "r x, append x 1, r x 2 1",
        "r x, r x 2",
        "append x 1, r x 1 2",
    ] {
        let found = anomalies(&concurrent(&[contradictory, "append x 2"]));
        // Without it having begun the other could not have been seen; that is told too.
        assert!(found.contains(&"internal".to_owned()), "{contradictory}: {found:?}");
    }
    let finding = concurrent(&["append x 2, r x 1 2, append x 3, r x 1 2 3", "append x 1"]);
    assert!(anomalies(&finding).is_empty());
}

#[test]
fn reads_of_a_list_are_prefixes_of_each_other() {
    let text = concurrent(&["append x 1", "append x 2", "r x 1 2", "r x 2 1"]);
    assert_eq!(anomalies(&text), ["incompatible-order"]);
    let text = concurrent(&["append x 1", "append x 2", "r x 1 2", "r x 2"]);
    assert_eq!(anomalies(&text), ["incompatible-order"]);
}

#[test]
fn an_element_is_in_a_list_once() {
    assert!(
        anomalies(&concurrent(&["append x 1", "r x 1 1"])).contains(&"duplicate-elements".into())
    );
}

#[test]
fn what_is_read_was_appended() {
    assert_eq!(anomalies(&concurrent(&["append x 1", "r x 1 9"])), ["garbage-read"]);
}

#[test]
fn what_failed_is_never_seen_nor_built_upon() {
    let text = "
        0 invoke txn append x 1
        0 fail txn append x 1
        1 invoke txn append x 2
        2 invoke txn r x SEEN
        2 ok txn r x SEEN
        1 ok txn append x 2";
    assert_eq!(anomalies(&text.replace("SEEN", "1")), ["G1a"]);
    assert_eq!(anomalies(&text.replace("SEEN", "1 2")), ["G1a", "dirty-update"]);
    assert!(anomalies(&text.replace("SEEN", "2")).is_empty());
}

#[test]
fn appends_of_a_transaction_are_seen_together() {
    let text = concurrent(&["append x 1, append x 2", "r x 1"]);
    assert_eq!(anomalies(&text), ["G-single", "G1b"]);
}

#[test]
fn two_that_read_a_version_do_not_both_append_to_it() {
    let text = concurrent(&["r x, append x 1", "r x, append x 2", "r x 1 2"]);
    assert_eq!(anomalies(&text), ["G-single", "lost-update"]);
    let text = concurrent(&["r x, append x 1", "r x, append x 2"]);
    assert_eq!(anomalies(&text), ["G2-item", "lost-update"]);
}

#[test]
fn appends_follow_each_other_in_one_order() {
    let text =
        concurrent(&["append x 1, append y 1", "append x 2, append y 2", "r x 1 2, r y 2 1"]);
    assert_eq!(anomalies(&text), ["G0"]);
    let text = "
        0 invoke txn append x 1
        0 ok txn append x 1
        PROCESS invoke txn append x 2
        PROCESS ok txn append x 2
        2 invoke txn r x 2 1
        2 ok txn r x 2 1";
    assert_eq!(anomalies(&text.replace("PROCESS", "0")), ["G0-process"]);
    assert_eq!(anomalies(&text.replace("PROCESS", "1")), ["G0-realtime"]);
}

#[test]
fn information_flows_one_way() {
    let text = concurrent(&["append x 1, r y 1", "append y 1, r x 1"]);
    assert_eq!(anomalies(&text), ["G1c"]);
    let text = "
        0 invoke txn r x 1
        0 ok txn r x 1
        PROCESS invoke txn append x 1
        PROCESS ok txn append x 1";
    assert_eq!(anomalies(&text.replace("PROCESS", "0")), ["G1c-process"]);
    assert_eq!(anomalies(&text.replace("PROCESS", "1")), ["G1c-realtime"]);
}

#[test]
fn a_read_does_not_miss_a_part() {
    let text = concurrent(&["append x 1, append y 1", "r x 1, r y", "r y 1"]);
    assert_eq!(anomalies(&text), ["G-single"]);
    let stale = "
        0 invoke txn append x 1
        0 ok txn append x 1
        PROCESS invoke final-txn r x
        PROCESS ok final-txn r x";
    assert_eq!(anomalies(&stale.replace("PROCESS", "0")), ["G-single-process"]);
    assert_eq!(anomalies(&stale.replace("PROCESS", "1")), ["G-single-realtime"]);
}

/// Long fork: two readers see two appends in two orders.
#[test]
fn readers_agree() {
    let fork = ["append x 1", "append y 1", "r x 1, r y", "r y 1, r x"];
    assert_eq!(anomalies(&concurrent(&fork)), ["G-nonadjacent"]);
    let unread = ["append x 1, append z 1", "r z 1, r y", "append y 1, append w 1", "r w 1, r x"];
    assert_eq!(anomalies(&concurrent(&unread)), ["G-nonadjacent"]);
    let text = "
        0 invoke txn append x 1
        1 invoke txn append y 1
        2 invoke txn r x 1
        2 ok txn r x 1
        READER invoke txn r y
        READER ok txn r y
        3 invoke txn r y 1
        3 ok txn r y 1
        OTHER invoke txn r x
        OTHER ok txn r x
        0 ok txn append x 1
        1 ok txn append y 1";
    let text = |reader, other| text.replace("READER", reader).replace("OTHER", other);
    assert_eq!(anomalies(&text("2", "3")), ["G-single-realtime"]);
    assert_eq!(anomalies(&text("2", "4")), ["G-single-realtime"]);
}

#[test]
fn write_skew_is_found() {
    let skew = ["r x, append y 1", "r y, append x 1"];
    assert_eq!(anomalies(&concurrent(&skew)), ["G2-item"]);
    let text = "
        0 invoke txn r x
        1 invoke txn r y
        0 ok txn r x
        1 ok txn r y
        A invoke txn append y 1
        B invoke txn append x 1
        A ok txn append y 1
        B ok txn append x 1
        4 invoke txn r x 1, r y 1
        4 ok txn r x 1, r y 1";
    let text = |a, b| text.replace('A', a).replace('B', b);
    assert!(anomalies(&text("0", "1")).is_empty());
}

/// Four and three transactions, of which the last had completed when the first began.
#[test]
fn several_rw_and_time_make_variants() {
    let fork = "
        8 invoke txn append x 1
        9 invoke txn r x 1, r y
        0 invoke txn append y 1
        0 ok txn append y 1
        PROCESS invoke txn r x
        PROCESS ok txn r x
        9 ok txn r x 1, r y
        8 ok txn append x 1
        7 invoke txn r y 1
        7 ok txn r y 1";
    assert_eq!(anomalies(&fork.replace("PROCESS", "0")), ["G-nonadjacent-process"]);
    assert_eq!(anomalies(&fork.replace("PROCESS", "1")), ["G-nonadjacent-realtime"]);
    let skew = "
        8 invoke txn append x 1, r y
        0 invoke txn append y 1
        0 ok txn append y 1
        PROCESS invoke txn r x
        PROCESS ok txn r x
        8 ok txn append x 1, r y";
    assert_eq!(anomalies(&skew.replace("PROCESS", "0")), ["G2-item-process"]);
    assert_eq!(anomalies(&skew.replace("PROCESS", "1")), ["G2-item-realtime"]);
}

#[test]
fn what_is_unknown_happened_if_it_was_seen() {
    let text = "
        0 invoke txn append x 1, append y 1
        0 info txn append x 1, append y 1
        1 invoke txn r x X
        1 ok txn r x X
        1 invoke txn r y Y
        1 ok txn r y Y";
    let seen = |x, y| anomalies(&text.replace('X', x).replace('Y', y));
    assert!(seen("nil", "nil").is_empty());
    assert!(seen("nil", "1").is_empty());
    assert!(seen("1", "1").is_empty());
    assert_eq!(seen("1", "nil"), ["G-single-process"]);
}

#[test]
fn a_lost_append_is_missed_by_all_later_reads() {
    let text = "
        0 invoke txn append x 1
        0 ok txn append x 1
        1 invoke txn append x 2
        1 ok txn append x 2
        2 invoke txn r x 2
        2 ok txn r x 2";
    assert_eq!(anomalies(text), ["G-single-realtime"]);
}

#[test]
fn the_shortest_cycle_is_told_with_every_reason() {
    let text = "
        0 invoke txn append x 1
        0 ok txn append x 1
        1 invoke txn append x 2
        1 ok txn append x 2
        2 invoke txn r x 1
        2 ok txn r x 1
        3 invoke txn r x 1 2
        3 ok txn r x 1 2";
    let expected = "G-single-realtime (1)
G-single-realtime:
  T0 = events 4-5, process 2, node 3: [[:r :x [1]]]
  T1 = events 2-3, process 1, node 2: [[:append :x 2]]
  T0 < T1 (rw): T0 read :x without 2, which T1 appended
  T1 < T0 (realtime): T1 had completed at event 3 when T0 began at event 4";
    assert_eq!(check(&Script::parse(text), PATIENCE).summary, expected);
}
