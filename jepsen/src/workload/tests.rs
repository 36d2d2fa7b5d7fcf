//! What workloads make up, and how a history tells which of them made it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::cluster::Problem;
use crate::history::{Event, Kind, Process};
use rand::SeedableRng;
use std::collections::BTreeSet;

fn operation(f: &str, invoked: Value, done: Value) -> [Event; 2] {
    [(Kind::Invoke, invoked), (Kind::Ok, done)].map(|(kind, value)| Event {
        index: 0,
        kind,
        process: Process::Client(0),
        time: 0,
        f: f.to_owned(),
        value,
        error: None,
        node: None,
    })
}

fn generated(row: &Row, seed: u64) -> Vec<Invocation> {
    let (workload, mut rng) = ((row.make)(), ChaCha8Rng::seed_from_u64(seed));
    (0..300).map(|number| workload.next(number % 4, &mut rng)).collect()
}

#[test]
fn the_same_seed_makes_the_same_operations() {
    for row in ROWS {
        assert_eq!(generated(row, 7), generated(row, 7), "{}", row.name);
        assert_ne!(generated(row, 7), generated(row, 8), "{}", row.name);
    }
}

#[test]
fn a_history_tells_its_workload() {
    for row in ROWS {
        let invocations = generated(row, 1);
        let done = |f: &str| match (row.name, f) {
            ("set", "read") => values::ints([1, 2]),
            ("counter", "read") => Value::Int(3),
            _ => Value::Nil,
        };
        let events = invocations.into_iter().flat_map(|i| operation(i.f, i.value, done(i.f)));
        let history = History { events: events.collect() };
        let name = Row::inferred(&history).map(|row| row.name);
        // What differs between these two is not in the history, and neither in who judges it.
        let wanted = if row.name == "single" { "append" } else { row.name };
        assert_eq!(name, Some(wanted));
    }
    let adds = History { events: operation("add", Value::Int(1), Value::Int(1)).to_vec() };
    assert!(Row::inferred(&adds).is_none());
}

#[test]
fn appended_values_are_unique_per_list() {
    let mut seen = BTreeSet::new();
    for invocation in generated(Row::named("append").unwrap(), 3) {
        for step in values::items(&invocation.value).unwrap() {
            if values::items(step).unwrap()[0] == Value::Keyword("append".to_owned()) {
                let (key, value) = (values::int_at(step, 1), values::int_at(step, 2));
                assert!(seen.insert((key.unwrap(), value.unwrap())));
            }
        }
    }
    assert!(seen.len() > 200);
}

#[test]
fn a_torn_list_is_impossible() {
    assert!(values::parse_list("").unwrap().is_empty());
    assert_eq!(values::parse_list("1,22,").unwrap(), [1, 22]);
    for torn in ["1", "1,2", ",", "1,,2,", "x,"] {
        assert!(matches!(values::parse_list(torn), Err(Trouble::Impossible(_))), "{torn}");
    }
}

#[test]
fn an_impossible_reply_makes_any_history_invalid() {
    let mut events = operation("read", Value::Nil, Value::Int(1)).to_vec();
    let verdict = |events: &[Event]| replies(&History { events: events.to_vec() }).verdict;
    assert_eq!(verdict(&events), Verdict::Valid);
    events[1].error = Some(Trouble::Impossible("Nil instead of OK".to_owned()).to_string());
    assert_eq!(verdict(&events), Verdict::Invalid);
    // A fault may meet one too.
    for (problem, expected) in [
        (Problem::impossible("node 1 is ready"), Verdict::Invalid),
        (Problem::new("node 1", "is down"), Verdict::Valid),
    ] {
        events[1].error = Some(problem.to_string());
        assert_eq!(verdict(&events), expected);
    }
}
