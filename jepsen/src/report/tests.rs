#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::json;

use super::facts::{Facts, quantile, writes};
use super::faults::{self, Cost};
use super::leadership::{Stretch, leaders, learners, rivals, stretches};
use super::{Summary, text};
use crate::check::{Finding, Verdict};
use crate::cluster::{Role, Sample};
use crate::history::{Event, History, Kind, Process, Value};

const MS: u64 = 1_000_000;

fn client(ms: u64, kind: Kind, process: u64, f: &str) -> Event {
    let (process, time) = (Process::Client(process), ms * MS);
    Event { index: 0, kind, process, time, f: f.into(), value: Value::Nil, error: None, node: None }
}

fn nemesis(ms: u64, f: &str, target: i64) -> Event {
    let value = Value::List(vec![Value::Int(target)]);
    Event { process: Process::Nemesis, value, ..client(ms, Kind::Info, 0, f) }
}

fn history(events: Vec<Event>) -> History {
    let mut history = History { events };
    history.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index);
    history
}

fn ended(history: &History) -> Vec<(String, u64, u64)> {
    let bands = faults::bands(history, 1_000 * MS);
    bands.iter().map(|band| (band.label(), band.from / MS, band.until / MS)).collect()
}

#[test]
fn one_fault_may_be_told_by_four_events_or_two() {
    let four = history(vec![
        nemesis(10, "start-kill", 1),
        nemesis(12, "start-kill", 1),
        nemesis(50, "stop-kill", 1),
        nemesis(55, "stop-kill", 1),
    ]);
    assert_eq!(ended(&four), [("kill [1]".to_string(), 10, 55)]);
    let two = history(vec![nemesis(10, "start-kill", 1), nemesis(50, "stop-kill", 1)]);
    assert_eq!(ended(&two), [("kill [1]".to_string(), 10, 50)]);
}

#[test]
fn faults_of_one_name_end_by_their_targets() {
    let events = vec![
        nemesis(10, "start-kill", 1),
        nemesis(20, "start-kill", 2),
        nemesis(30, "stop-kill", 1),
        nemesis(40, "start-pause", 3),
        nemesis(60, "heal", 0),
        nemesis(65, "readmitted", 1),
        nemesis(70, "start-slow", 3),
    ];
    let expected = [
        ("kill [1]", 10, 30),
        ("kill [2]", 20, 60),
        ("pause [3]", 40, 60),
        ("slow [3]", 70, 1_000),
    ];
    let expected = expected.map(|(label, from, until)| (label.to_string(), from, until));
    assert_eq!(ended(&history(events)), expected);
}

#[test]
fn a_fault_that_was_not_installed_says_why_and_lasts_no_time() {
    let mut refused = nemesis(12, "start-clock", 1);
    refused.error = Some("no libfaketime".into());
    let history = history(vec![nemesis(10, "start-clock", 1), refused]);
    assert_eq!(
        ended(&history),
        [("clock [1] (not installed: no libfaketime)".to_string(), 10, 10)]
    );
    assert!(faults::carried_out(&faults::bands(&history, MS)).is_empty());
}

#[test]
fn a_fault_that_failed_leaves_others_of_its_name_alone() {
    let none = |ms, f: &str| Event { value: Value::Nil, ..nemesis(ms, f, 0) };
    let failed = Event { error: Some("no leader".into()), ..none(20, "start-kill") };
    let stuck = Event { error: Some("it does not start".into()), ..nemesis(90, "stop-kill", 1) };
    let events = vec![
        nemesis(10, "start-kill", 1),
        failed,
        nemesis(25, "start-kill", 2),
        none(30, "stop-kill"),
        nemesis(60, "stop-kill", 2),
        stuck,
    ];
    let expected = [
        ("kill [1] (not undone: it does not start)", 10, 90),
        ("kill (not installed: no leader)", 20, 20),
        ("kill [2]", 25, 60),
    ];
    let expected = expected.map(|(label, from, until)| (label.to_string(), from, until));
    assert_eq!(ended(&history(events)), expected);
}

#[test]
fn a_fault_that_was_not_carried_out_lasts_and_survives_nothing() {
    let failed = Event {
        error: Some("not carried out: ballast: nobody leads".into()),
        ..nemesis(50, "stop-snapshot", 1)
    };
    let stuck = Event { error: Some("it does not start".into()), ..nemesis(60, "stop-kill", 2) };
    let events = vec![
        nemesis(10, "start-snapshot", 1),
        nemesis(20, "start-kill", 2),
        failed,
        stuck,
        client(70, Kind::Invoke, 0, "write"),
        client(80, Kind::Ok, 0, "write"),
    ];
    let history = history(events);
    let expected = [
        ("snapshot [1] (not carried out: ballast: nobody leads)", 10, 50),
        ("kill [2] (not undone: it does not start)", 20, 60),
    ];
    let expected = expected.map(|(label, from, until)| (label.to_string(), from, until));
    assert_eq!(ended(&history), expected);
    let facts = Facts::new(&history, &[], &Summary::new("run"));
    let survived: Vec<bool> = faults::costs(&facts).iter().map(|cost| cost.survived).collect();
    assert_eq!(survived, [false, true]);
    assert_eq!(faults::carried_out(&facts.bands).into_iter().collect::<Vec<_>>(), [("kill", 1)]);
}

#[test]
fn the_cost_of_a_fault_is_the_longest_time_without_a_write() {
    let events = vec![
        client(0, Kind::Invoke, 0, "write"),
        client(90, Kind::Ok, 0, "write"),
        nemesis(100, "start-kill", 1),
        client(150, Kind::Invoke, 0, "write"),
        client(200, Kind::Ok, 0, "write"),
        client(210, Kind::Invoke, 0, "read"),
        client(300, Kind::Ok, 0, "read"),
        client(310, Kind::Invoke, 0, "write"),
        client(380, Kind::Fail, 0, "write"),
        nemesis(500, "stop-kill", 1),
        client(510, Kind::Invoke, 0, "write"),
        client(525, Kind::Ok, 0, "write"),
    ];
    let history = history(events);
    let facts = Facts::new(&history, &[], &Summary::new("run"));
    let cost = Cost { silence: Some(300 * MS), recovery: Some(25 * MS), survived: true };
    assert_eq!(faults::costs(&facts), [cost]);
}

#[test]
fn nobody_who_only_reads_misses_a_write() {
    let events = vec![
        nemesis(1, "start-kill", 1),
        client(2, Kind::Invoke, 0, "read"),
        client(3, Kind::Ok, 0, "read"),
        nemesis(9, "stop-kill", 1),
    ];
    let history = history(events);
    let facts = Facts::new(&history, &[], &Summary::new("run"));
    assert_eq!(faults::costs(&facts), [Cost { silence: None, recovery: None, survived: false }]);
}

#[test]
fn transactions_that_only_read_are_no_writes() {
    let step = |f: &str| Value::List(vec![Value::Keyword(f.into()), Value::Int(1), Value::Int(2)]);
    let txn = |steps| Event { value: Value::List(steps), ..client(0, Kind::Invoke, 0, "txn") };
    assert!(!writes(&txn(vec![step("r"), step("r")])));
    assert!(writes(&txn(vec![step("r"), step("append")])));
    assert!(!writes(&client(0, Kind::Invoke, 0, "final-read")));
    assert!(writes(&client(0, Kind::Invoke, 0, "dequeue")));
}

#[test]
fn threads_are_found_from_who_follows_whom() {
    let retire = |process, ms| {
        [client(ms, Kind::Invoke, process, "r"), client(ms, Kind::Info, process, "r")]
    };
    let mut events: Vec<Event> = Vec::new();
    events.extend((0..3).map(|process| client(0, Kind::Invoke, process, "r")));
    events.push(client(1, Kind::Info, 1, "r"));
    events.extend([4, 7].into_iter().flat_map(|process| retire(process, process)));
    let history = history(events);
    let threads = |summary: &Summary| Facts::new(&history, &[], summary).threads;
    assert_eq!(threads(&Summary::new("run")), 3);
    assert_eq!(threads(&Summary { concurrency: 5, ..Summary::new("run") }), 5);
    let empty = History::default();
    assert_eq!(Facts::new(&empty, &[], &Summary::new("run")).threads, 1);
}

fn finding(verdict: Verdict, details: serde_json::Value) -> Finding {
    Finding { checker: "elle", verdict, summary: "a cycle\n  #1 then #0".into(), details }
}

#[test]
fn only_what_is_invalid_accuses_and_only_events_that_are_there() {
    let history = history((0..4).map(|at| client(at, Kind::Invoke, at, "r")).collect());
    let details = json!({
        "operations": 2, "count": 3, "cycle": { "index": 0 }, "examples": [{ "event": 2 }],
        "anomalies": [{ "events": [1, 99], "what": 3 }],
    });
    let accused = |verdict| {
        let findings = vec![finding(verdict, details.clone())];
        let summary = Summary { findings, ..Summary::new("run") };
        Facts::new(&history, &[], &summary).accused.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(accused(Verdict::Invalid), [0, 1, 2]);
    assert!(accused(Verdict::Unknown).is_empty());
}

#[test]
fn quantiles_are_values_that_were_seen() {
    let hundred: Vec<u64> = (1..=100).collect();
    let at = |q| quantile(&hundred, q);
    assert_eq!([at(0.5), at(0.95), at(0.99), at(1.0)], [Some(50), Some(95), Some(99), Some(100)]);
    assert_eq!((quantile(&[], 0.5), quantile(&[7], 0.01)), (None, Some(7)));
}

fn sample(ms: u64, node: u32, role: Role, term: u64) -> Sample {
    Sample { time: ms * MS, node, role, term, leader: None }
}

#[test]
fn samples_that_say_the_same_are_one_stretch() {
    let samples = [
        sample(0, 1, Role::Leader, 1),
        sample(0, 2, Role::Follower, 1),
        sample(100, 1, Role::Leader, 1),
        sample(100, 2, Role::Follower, 1),
        sample(200, 1, Role::Down, 0),
        sample(200, 2, Role::Leader, 2),
        sample(9_000, 1, Role::Leader, 1),
    ];
    let stretches = stretches(&samples, 9_500 * MS);
    let told = |it: &Stretch| (it.said.node, it.from / MS, it.until / MS, it.said.role);
    let expected = [
        (1, 0, 200, Role::Leader),
        (1, 200, 2_200, Role::Down), // And was not watched from then on.
        (1, 9_000, 9_500, Role::Leader),
        (2, 0, 200, Role::Follower),
        (2, 200, 2_200, Role::Leader),
    ];
    assert_eq!(stretches.iter().map(told).collect::<Vec<_>>(), expected);
    let leaders: Vec<_> = leaders(&stretches).iter().map(|it| (it.node, it.term)).collect();
    assert_eq!(leaders, [(1, 1), (2, 2)], "a deposed leader that still thinks so is none");
    assert!(rivals(&stretches).is_none());
}

#[test]
fn a_learner_stays_one_over_a_change_of_leader() {
    let at = |ms, role, term| sample(ms, 4, role, term);
    let samples = [
        at(0, Role::Learner, 1),
        at(100, Role::Learner, 2),
        at(200, Role::Follower, 2),
        at(300, Role::Learner, 2),
    ];
    let learners = learners(&stretches(&samples, 500 * MS));
    let told: Vec<_> = learners.iter().map(|it| (it.node, it.from / MS, it.until / MS)).collect();
    assert_eq!(told, [(4, 0, 200), (4, 300, 500)]);
}

#[test]
fn two_leaders_of_one_term_are_seen() {
    let at = |ms, node, term| sample(ms, node, Role::Leader, term);
    let stretches = stretches(&[at(0, 1, 4), at(300, 2, 4), at(100, 3, 5)], 900 * MS);
    let (one, other, time) = rivals(&stretches).unwrap();
    assert_eq!((one.said.node, other.said.node, time), (1, 2, 300 * MS));
}

#[test]
fn the_terminal_is_told_the_verdict_first_and_the_command_last() {
    let mut events = vec![client(0, Kind::Invoke, 0, "read"), client(2, Kind::Ok, 0, "read")];
    events.extend([nemesis(3, "start-kill", 1), nemesis(9, "stop-kill", 1)]);
    let summary = Summary {
        verdict: Verdict::Invalid,
        findings: vec![
            Finding { checker: "crashes", ..finding(Verdict::Valid, json!({})) },
            finding(Verdict::Invalid, json!({ "events": [0] })),
        ],
        ..Summary::new("talus-jepsen run --seed 7 \u{1b}[2J")
    };
    let text = text(&summary, &history(events));
    let expected = "\
INVALID  history

  elle     invalid  a cycle
  crashes  valid    a cycle

elle:
  a cycle
    #1 then #0

operations accused:
  #0 0.000 s +2 ms process 0: read ok nil

operations         ok       fail       info        p50        p99        max
read                1          0          0       2 ms       2 ms       2 ms

faults: kill ×1
repeat: talus-jepsen run --seed 7 \u{fffd}[2J
";
    assert_eq!(text, expected);
}
