//! A run that never was: a history as a cluster under faults would give it, from a seed.
//!
//! Clients read, write and swap registers of a cluster whose leader is killed, cut off or paused now
//! and then. Nothing is simulated faithfully; the shapes are what counts: outages, slow times,
//! failures, unknown outcomes and retired processes where a real run has them.

use std::time::Duration;

use jepsen::check::{Finding, Verdict};
use jepsen::cluster::server::Identity;
use jepsen::cluster::{Role, Sample};
use jepsen::history::{Event, History, Kind, Process, Value};
use jepsen::report::Summary;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// How large the run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub seed: u64,
    pub seconds: u64,
    pub nodes: u32,
    pub threads: u64,
    pub operations: u64,
}

/// A fault and what it does to the cluster.
struct Fault {
    name: &'static str,
    targets: Vec<u32>,
    from: u64,
    until: u64,
    outage: Option<(u64, u64)>,
    error: Option<&'static str>,
}

/// The invented run.
pub fn run(size: Size) -> (History, Vec<Sample>, Summary) {
    let mut rng = ChaCha8Rng::seed_from_u64(size.seed);
    let faults = faults(size, &mut rng);
    let mut events = operations(size, &faults, &mut rng);
    events.extend(faults.iter().flat_map(fault_events));
    events.push(event(size.seconds * SECOND, Kind::Info, Process::Nemesis, "heal", Value::Nil));
    events.sort_by_key(|event| event.time);
    events.iter_mut().enumerate().for_each(|(index, event)| event.index = index);
    let history = History { events };
    let summary = summary(size, &history);
    (history, samples(size, &faults), summary)
}

fn faults(size: Size, rng: &mut ChaCha8Rng) -> Vec<Fault> {
    let mut names = ["kill", "clock", "partition", "transfer", "pause"].into_iter().cycle();
    let (mut faults, mut at) = (Vec::new(), 4 * SECOND);
    while at + 9 * SECOND < size.seconds * SECOND {
        let name = names.next().unwrap_or_default();
        let targets = vec![rng.random_range(1..=size.nodes)];
        let lasts = if name == "transfer" { 0 } else { rng.random_range(2 * SECOND..6 * SECOND) };
        let until = at + lasts;
        let costly = matches!(name, "partition" | "kill" | "pause");
        let outage = costly.then(|| (at, at + rng.random_range(600..2_400) * MILLISECOND));
        let error = (name == "clock").then_some("libfaketime is not <installed>");
        faults.push(Fault { name, targets, from: at, until, outage, error });
        at += rng.random_range(3 * SECOND..9 * SECOND);
    }
    faults
}

fn fault_events(fault: &Fault) -> Vec<Event> {
    let targets = Value::List(fault.targets.iter().map(|it| Value::Int(i64::from(*it))).collect());
    let step = |time, f: &str, error: Option<&str>| {
        let mut event = event(time, Kind::Info, Process::Nemesis, f, targets.clone());
        event.error = error.map(String::from);
        event
    };
    let start = format!("start-{}", fault.name);
    let stop = format!("stop-{}", fault.name);
    vec![
        step(fault.from, &start, None),
        step(fault.from + 20 * MILLISECOND, &start, fault.error),
        step(fault.until.max(fault.from + 30 * MILLISECOND), &stop, None),
    ]
}

fn operations(size: Size, faults: &[Fault], rng: &mut ChaCha8Rng) -> Vec<Event> {
    let each = size.operations / size.threads;
    let pause = size.seconds * SECOND / each.max(1);
    let mut events = Vec::new();
    for thread in 0..size.threads {
        let node = u32::try_from(thread).unwrap_or(0) % size.nodes + 1;
        let (mut process, mut at) = (thread, rng.random_range(0..pause));
        while at < size.seconds * SECOND {
            let (kind, end) = outcome(at, node, faults, rng);
            operation(&mut events, (process, node), (at, end), kind, rng);
            at = end + rng.random_range(0..pause * 2);
            process += if kind == Kind::Info { size.threads } else { 0 };
        }
    }
    events
}

/// How an operation ends that begins at `at`.
fn outcome(at: u64, node: u32, faults: &[Fault], rng: &mut ChaCha8Rng) -> (Kind, u64) {
    let usual = at + 2 * MILLISECOND + (rng.random::<f64>().powi(6) * 6e7) as u64;
    let hit =
        faults.iter().find(|it| it.targets.contains(&node) && (it.from..it.until).contains(&at));
    let out = faults.iter().filter_map(|it| it.outage).find(|it| (it.0..it.1).contains(&at));
    match (hit, out) {
        (Some(fault), _) if fault.name == "kill" => (Kind::Fail, at + 200 * MILLISECOND),
        (Some(fault), _) if fault.outage.is_some() => (Kind::Info, at + SECOND),
        (_, Some(_)) if rng.random_bool(0.1) => (Kind::Info, at + SECOND),
        (_, Some((_, until))) => {
            (Kind::Ok, until.max(usual) + rng.random_range(0..9 * MILLISECOND))
        }
        _ => (Kind::Ok, usual),
    }
}

fn operation(
    events: &mut Vec<Event>,
    (process, node): (u64, u32),
    (from, until): (u64, u64),
    kind: Kind,
    rng: &mut ChaCha8Rng,
) {
    let (key, value) = (rng.random_range(0..9), rng.random_range(0..1000));
    let pair = |value| Value::List(vec![Value::Int(key), value]);
    let swap = Value::List(vec![Value::Int(value), Value::Int(value + 1)]);
    let (f, asked, told) = match rng.random_range(0..10) {
        0..5 => ("read", pair(Value::Nil), pair(Value::Int(value))),
        5..9 => ("write", pair(Value::Int(value)), pair(Value::Int(value))),
        _ => ("cas", pair(swap.clone()), pair(swap)),
    };
    let kind = if f == "cas" && kind == Kind::Ok && value % 2 == 0 { Kind::Fail } else { kind };
    let process = Process::Client(process);
    let mut invoked = event(from, Kind::Invoke, process, f, asked.clone());
    let mut completed = event(until, kind, process, f, if kind == Kind::Ok { told } else { asked });
    completed.error = match kind {
        Kind::Info => Some("timed out after 1 s".to_string()),
        Kind::Fail if f == "cas" => Some("it was another".to_string()),
        Kind::Fail => Some("connection refused".to_string()),
        _ => None,
    };
    (invoked.node, completed.node) = (Some(node), Some(node));
    events.extend([invoked, completed]);
}

fn event(time: u64, kind: Kind, process: Process, f: &str, value: Value) -> Event {
    Event { index: 0, kind, process, time, f: f.to_string(), value, error: None, node: None }
}

/// Node 1 leads until a fault hits the leader; then the next node that is not hit. The last node has
/// no vote at first.
fn samples(size: Size, faults: &[Fault]) -> Vec<Sample> {
    let (mut leader, mut term) = (1, 1);
    let mut samples = Vec::new();
    for time in (0..size.seconds * 10).map(|tenth| tenth * 100 * MILLISECOND) {
        let now: Vec<&Fault> = faults
            .iter()
            .filter(|it| it.error.is_none() && (it.from..it.until).contains(&time))
            .collect();
        let hit = |node: u32| now.iter().any(|fault| fault.targets.contains(&node));
        let out = now.iter().any(|it| it.outage.is_some_and(|(_, until)| time < until));
        if hit(leader) && !out {
            leader = (1..=size.nodes).find(|node| !hit(*node)).unwrap_or(leader);
            term += 2;
        }
        for node in 1..=size.nodes {
            let role = match (hit(node), node == leader) {
                (true, _) => Role::Down,
                (_, true) => Role::Leader,
                _ if out && hit(leader) => Role::Candidate,
                _ if node == size.nodes && time < 2 * SECOND => Role::Learner,
                _ => Role::Follower,
            };
            let knows = !matches!(role, Role::Candidate | Role::Down);
            let term = if role == Role::Down { 0 } else { term };
            samples.push(Sample { time, node, role, term, leader: knows.then_some(leader) });
        }
    }
    samples
}

fn summary(size: Size, history: &History) -> Summary {
    let nemeses = ["partition", "kill", "pause", "clock", "transfer"];
    let (nodes, seconds, seed) = (size.nodes, size.seconds, size.seed);
    Summary {
        verdict: Verdict::Invalid,
        workload: "register".to_string(),
        nemeses: nemeses.map(String::from).to_vec(),
        nodes,
        concurrency: size.threads,
        seed: Some(seed),
        server: Identity { version: "talus 0.1.0".into(), binary: "9c26f03aa17b".into() },
        duration: Duration::from_secs(seconds + 14),
        phases: vec![("load".to_string(), Duration::from_secs(seconds))],
        findings: findings(history),
        skipped: vec!["clock: libfaketime is not installed".to_string()],
        ..Summary::new(format!(
            "talus-jepsen run --workload register --nemesis {} --nodes {nodes} --time {seconds} \
             --seed {seed} --out target/run",
            nemeses.join(",")
        ))
    }
}

/// One of each verdict; a read at two thirds of the run and what has its value are accused.
fn findings(history: &History) -> Vec<Finding> {
    let operations = history.operations();
    let late = &operations[operations.len() * 2 / 3..];
    let read = late.iter().find(|it| it.invoked.f == "read" && it.outcome() == Kind::Ok);
    let alike = late.iter().filter(|it| read.is_some_and(|read| it.value() == read.value()));
    let events: Vec<usize> = alike.map(|it| it.invoked.index).take(3).collect();
    let stale =
        format!("key 3: no order explains these\n  a read saw <old> & stale, events {events:?}");
    let anomalies = json!({ "anomalies": [{ "name": "stale", "events": events }] });
    let finding = |checker, verdict, summary: &str, details| {
        let summary = summary.to_string();
        Finding { checker, verdict, summary, details }
    };
    vec![
        finding("availability", Verdict::Valid, "every node served within 1.2 s", json!({})),
        finding("coverage", Verdict::Unknown, "clock was never installed", json!({})),
        finding("linearizable", Verdict::Invalid, &stale, anomalies),
    ]
}
