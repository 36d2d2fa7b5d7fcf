#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use proptest::prelude::*;

use super::check;
use super::register::{Action, Call, NIL, partition};
use super::search::{Limits, Outcome, search};
use crate::check::deadline::Deadline;
use crate::check::scripted::{Script, cases, list};
use crate::check::{Finding, Verdict};
use crate::history::{Event, History, Kind, Value};

mod simulated;

const PATIENCE: Duration = Duration::from_secs(60);

fn judged(text: &str) -> Finding {
    check(&Script::parse(text), PATIENCE)
}

fn verdict(text: &str) -> Verdict {
    judged(text).verdict
}

#[test]
fn a_read_sees_the_last_write_or_one_beside_it() {
    let concurrent = "
        0 invoke write x 1
        0 ok write x 1
        1 invoke write x 2
        2 invoke read x nil
        2 ok read x SEEN
        1 ok write x 2
        2 invoke final-read x nil
        2 ok final-read x 2";
    for (seen, expected) in [
        ("1", Verdict::Valid),
        ("2", Verdict::Valid),
        ("3", Verdict::Invalid),
        ("nil", Verdict::Invalid),
    ] {
        assert_eq!(verdict(&concurrent.replace("SEEN", seen)), expected, "{seen}");
    }
}

#[test]
fn a_cas_that_succeeded_saw_its_old_value() {
    let swap = "
        0 invoke cas x nil 1
        0 ok cas x nil 1
        0 invoke cas x OLD 2
        0 ok cas x OLD 2
        0 invoke read x nil
        0 ok read x 2";
    assert_eq!(verdict(&swap.replace("OLD", "1")), Verdict::Valid);
    assert_eq!(verdict(&swap.replace("OLD", "nil")), Verdict::Invalid);
}

#[test]
fn what_failed_did_nothing_and_proves_nothing() {
    let text = "
        0 invoke write x 1
        0 ok write x 1
        1 invoke write x 2
        1 fail write x 2
        1 invoke cas x 1 3
        1 fail cas x 1 3
        0 invoke read x nil
        0 ok read x SEEN";
    assert_eq!(verdict(&text.replace("SEEN", "1")), Verdict::Valid);
    assert_eq!(verdict(&text.replace("SEEN", "2")), Verdict::Invalid);
    assert_eq!(verdict(&text.replace("SEEN", "3")), Verdict::Invalid);
}

#[test]
fn what_is_unknown_may_happen_once_late_or_never() {
    let text = "
        0 invoke write x 1
        0 ok write x 1
        1 invoke write x 2
        1 info write x 2
        0 invoke read x nil
        0 ok read x A
        0 invoke read x nil
        0 ok read x B
        0 invoke read x nil
        0 ok read x C";
    let seen = |a, b, c| verdict(&text.replace('A', a).replace('B', b).replace('C', c));
    assert_eq!(seen("1", "1", "1"), Verdict::Valid);
    assert_eq!(seen("1", "2", "2"), Verdict::Valid);
    assert_eq!(seen("2", "1", "1"), Verdict::Invalid);
    assert_eq!(seen("1", "2", "1"), Verdict::Invalid);
}

#[test]
fn an_operation_that_never_completed_is_unknown() {
    let text = "
        0 invoke write x 1
        1 invoke read x nil
        1 ok read x 1
        2 invoke read x nil";
    assert_eq!(verdict(text), Verdict::Valid);
}

#[test]
fn keys_are_judged_apart_and_may_be_any_value() {
    let mut script = Script::default();
    let keys = [Value::Text("a".into()), list([Value::Bool(true)]), Value::Int(-1)];
    for (key, seen) in keys.iter().zip([1, 1, 2]) {
        let value = |argument| list([key.clone(), argument]);
        script.event(0, Kind::Invoke, "write", value(Value::Int(1)));
        script.event(0, Kind::Ok, "write", value(Value::Int(1)));
        script.event(0, Kind::Invoke, "read", value(Value::Nil));
        script.event(0, Kind::Ok, "read", value(Value::Int(seen)));
    }
    let finding = check(&script.history, PATIENCE);
    assert_eq!(finding.verdict, Verdict::Invalid);
    assert_eq!(finding.details["broken"], serde_json::json!(["-1"]));
}

#[test]
fn nothing_to_look_at_is_unknown() {
    assert_eq!(verdict(""), Verdict::Unknown);
    assert_eq!(verdict("0 invoke write x 1\n0 ok write x 1"), Verdict::Unknown);
}

#[test]
fn what_is_no_register_operation_is_told_with_its_event() {
    let finding = judged("0 invoke read x nil\n0 ok read x");
    assert_eq!(finding.verdict, Verdict::Unknown);
    assert_eq!(finding.summary, "event 1: [:x] is no value of read");
}

#[test]
fn a_counter_example_names_the_prefix_the_misfit_and_what_was_open() {
    let finding = judged(
        "
        0 invoke write x 1
        0 ok write x 1
        0 invoke write x 2
        0 ok write x 2
        3 invoke write x 3
        1 invoke read x nil
        1 ok read x 1
        2 invoke read x nil
        2 ok read x 7",
    );
    let expected = "1 of 1 keys not linearizable
key :x: linearizable before event 6, not with it
  fits nowhere: events 5-6, process 1, node 2: read 1
  an order of the 2 operations before it ends with
    events 0-1, process 0, node 1: write 1
    events 2-3, process 0, node 1: write 2
  and leaves 2
  what it saw may be from
    events 0-1, process 0, node 1: write 1
";
    assert_eq!(finding.summary, expected);
}

/// Two keys: one with a fault, one whose search finds no end in time.
#[test]
fn what_cannot_be_decided_is_never_valid() {
    let text = "0 invoke write x 1\n0 ok write x 1\n0 invoke read x nil\n0 ok read x 1";
    assert_eq!(check(&Script::parse(text), Duration::ZERO).verdict, Verdict::Unknown);
    let history = Script::parse(text);
    let registers = partition(&history).unwrap();
    let limits = Limits { deadline: Deadline::after(PATIENCE), bytes: 0 };
    assert!(matches!(search(&registers[0], limits), Outcome::Undecided("memory ran out")));
}

/// Whether any order of all certain and any possible calls holds; tries every one.
fn brute_force(certain: &[Call<'_>], possible: &[Call<'_>], value: u32) -> bool {
    let first_return = certain.iter().map(|call| call.until).min();
    let Some(first_return) = first_return else { return true };
    let tries = |calls: &[Call<'_>], place: usize, other: &dyn Fn(Vec<Call<'_>>, u32) -> bool| {
        let mut rest = calls.to_vec();
        let call = rest.remove(place);
        let fits = call.from < first_return && call.action.can_follow(value);
        fits && other(rest, call.action.leaves())
    };
    (0..certain.len()).any(|i| tries(certain, i, &|rest, v| brute_force(&rest, possible, v)))
        || (0..possible.len())
            .any(|i| tries(possible, i, &|rest, v| brute_force(certain, &rest, v)))
}

/// All calls of a history on one key, none pruned.
fn unpruned(history: &History) -> (Vec<Call<'_>>, Vec<Call<'_>>) {
    let int = |value: &Value| match value {
        Value::Int(value) => *value as u32,
        _ => NIL,
    };
    let calls = history.operations().into_iter().filter_map(|operation| {
        let Value::List(pair) = operation.value() else { panic!() };
        let action = match (operation.invoked.f.as_str(), operation.outcome(), &pair[1]) {
            (_, Kind::Fail, _) | ("read", Kind::Info, _) => return None,
            ("read", _, value) => Action::Read(int(value)),
            ("write", _, value) => Action::Write(int(value)),
            (_, _, Value::List(values)) => Action::Cas(int(&values[0]), int(&values[1])),
            _ => panic!(),
        };
        let until = operation.ended().unwrap_or(usize::MAX);
        Some(Call { operation, action, from: operation.invoked.index, until })
    });
    calls.partition(|call| call.until < usize::MAX)
}

/// An operation of a tiny history: `f`, two values, how it ends, and where its events are.
type Tiny = (u8, i64, i64, u8, u32, u32);

/// A history of at most seven operations, with whatever results; values are few, so that they
/// often fit.
fn tiny(operations: &[Tiny]) -> History {
    let mut places = Vec::new();
    for (number, &(_, _, _, _, a, b)) in operations.iter().enumerate() {
        places.extend([(a.min(b), false, number), (a.max(b), true, number)]);
    }
    places.sort_unstable();
    let value = |number| if number == 0 { Value::Nil } else { Value::Int(number) };
    let mut script = Script::default();
    for (_, ends, number) in places {
        let (f, first, second, kind, ..) = operations[number];
        let (f, argument) = match f {
            0..4 => ("read", value(first)),
            4..7 => ("write", value(first)),
            _ => ("cas", list([value(first), value(second)])),
        };
        let kind = match kind {
            _ if !ends => Kind::Invoke,
            0..6 => Kind::Ok,
            6..9 => Kind::Info,
            _ => Kind::Fail,
        };
        script.event(number as u64, kind, f, list([Value::Nil, argument]));
    }
    script.history
}

/// The events before `front`, without those of operations that fail.
fn prefix(history: &History, front: usize) -> History {
    let fails = |event: &Event| {
        history.events.iter().any(|e| e.process == event.process && e.kind == Kind::Fail)
    };
    let events = history.events[..front].iter().filter(|event| !fails(event)).cloned().collect();
    History { events }
}

proptest! {
    #![proptest_config(cases(12_000))]

    /// Also that of an invalid history the part before the misfit is valid, and with it is not.
    #[test]
    fn the_search_agrees_with_trying_every_order(
        operations in prop::collection::vec(
            (0_u8..10, 0_i64..3, 0_i64..3, 0_u8..10, 0_u32..40, 0_u32..40), 1..=7),
    ) {
        let history = tiny(&operations);
        let (certain, possible) = unpruned(&history);
        let expected = brute_force(&certain, &possible, NIL);
        let registers = partition(&history).unwrap();
        let limits = Limits { deadline: Deadline::after(PATIENCE), bytes: 1 << 20 };
        match registers.first().map(|register| search(register, limits)) {
            None => prop_assert!(certain.is_empty()),
            Some(Outcome::Linearizable(_)) => prop_assert!(expected),
            Some(Outcome::Stuck(front)) => {
                prop_assert!(!expected);
                let holds = |history: &History| {
                    let (certain, possible) = unpruned(history);
                    brute_force(&certain, &possible, NIL)
                };
                prop_assert!(holds(&prefix(&history, front)));
                prop_assert!(!holds(&prefix(&history, front + 1)));
                let known = registers[0].before(front);
                prop_assert!(matches!(search(&known, limits), Outcome::Linearizable(_)));
            }
            Some(Outcome::Undecided(why)) => prop_assert!(false, "{}", why),
        }
    }
}
