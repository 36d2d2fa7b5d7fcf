//! The verdict compared with trying every order, on tiny histories of stores that are wrong in every
//! way.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::super::log::{Log, Micro, Transaction};
use super::{PATIENCE, check};
use crate::check::Verdict;
use crate::check::scripted::{Script, cases, list};
use crate::history::{History, Kind, Value};

type Lists<'a> = HashMap<u32, Vec<&'a Value>>;

/// Whether any order of all `certain` and any `possible` transactions holds and agrees with time.
fn brute_force<'a>(
    certain: &[&Transaction<'a>],
    possible: &[&Transaction<'a>],
    lists: &Lists<'a>,
) -> bool {
    let Some(first_end) = certain.iter().filter_map(|t| t.operation.ended()).min() else {
        return true;
    };
    let follows = |transaction: &&Transaction<'a>| {
        let begun = transaction.operation.invoked.index < first_end;
        begun.then(|| run(transaction, lists.clone())).flatten()
    };
    let tries = |place: usize| match place.checked_sub(certain.len()) {
        None => follows(&certain[place])
            .is_some_and(|lists| brute_force(&without(certain, place), possible, &lists)),
        Some(place) => follows(&possible[place])
            .is_some_and(|lists| brute_force(certain, &without(possible, place), &lists)),
    };
    (0..certain.len() + possible.len()).any(tries)
}

fn without<T: Copy>(all: &[T], place: usize) -> Vec<T> {
    [&all[..place], &all[place + 1..]].concat()
}

/// The lists afterwards, if all reads hold.
fn run<'a>(transaction: &Transaction<'a>, mut lists: Lists<'a>) -> Option<Lists<'a>> {
    for micro in &transaction.micros {
        match *micro {
            Micro::Append(key, element) => lists.entry(key).or_default().push(element),
            Micro::Read(key, seen) => {
                let list = lists.entry(key).or_default();
                if !seen.iter().eq(list.iter().copied()) {
                    return None;
                }
            }
        }
    }
    Some(lists)
}

/// A transaction in the making: its steps as `(key, element)`, or `(key, None)` for a read, and
/// what it saw.
struct Draft {
    steps: Vec<(usize, Option<i64>)>,
    seen: Vec<Value>,
    kind: Kind,
}

fn drafts(random: &mut StdRng) -> Vec<Draft> {
    let mut element = 0;
    let mut step = |random: &mut StdRng| {
        element += 1;
        (random.random_range(0..2), random.random_bool(0.5).then_some(element))
    };
    let mut draft = |random: &mut StdRng| Draft {
        steps: (0..random.random_range(1..=3)).map(|_| step(random)).collect(),
        seen: Vec::new(),
        kind: match random.random_range(0..10) {
            0 => Kind::Fail,
            1 | 2 => Kind::Info,
            _ => Kind::Ok,
        },
    };
    (0..random.random_range(2..=6)).map(|_| draft(random)).collect()
}

/// Runs the steps, mostly one transaction after the other, mostly as told.
fn execute(drafts: &mut [Draft], random: &mut StdRng) {
    let mut turns: Vec<usize> = (0..drafts.len()).collect();
    turns.shuffle(random);
    let turns = turns.into_iter().flat_map(|turn| vec![turn; drafts[turn].steps.len()]);
    let mut turns: Vec<usize> = turns.collect();
    for _ in 0..random.random_range(0..4) {
        let place = random.random_range(0..turns.len());
        let other = random.random_range(0..turns.len());
        turns.swap(place, other);
    }
    let mut lists: [Vec<Value>; 2] = Default::default();
    for turn in turns {
        let draft = &mut drafts[turn];
        let (key, element) = draft.steps[draft.seen.len()];
        let seen = match element.map(Value::Int) {
            None if random.random_bool(0.05) => lists[key][..lists[key].len() / 2].to_vec(),
            None => lists[key].clone(),
            Some(element) => {
                let lost = draft.kind == Kind::Fail && random.random_bool(0.9);
                if !lost && !random.random_bool(0.03) {
                    lists[key].push(element.clone());
                }
                vec![element]
            }
        };
        draft.seen.push(Value::List(seen));
    }
}

/// The events, at random places, or in the order in which the drafts are.
fn history(drafts: &[Draft], random: &mut StdRng) -> History {
    let mut places = Vec::new();
    for number in 0..drafts.len() {
        let [a, b] = [(); 2].map(|()| random.random_range(0..20));
        places.extend([(a.min(b), false, number), (a.max(b), true, number)]);
    }
    places.sort_unstable();
    let mut script = Script::default();
    for (_, ends, number) in places {
        let draft = &drafts[number];
        let kind = if ends { draft.kind } else { Kind::Invoke };
        let micro = |(&(key, element), seen): (&(usize, Option<i64>), &Value)| {
            let (verb, argument) = match element {
                Some(element) => ("append", Value::Int(element)),
                None if kind == Kind::Ok => ("r", seen.clone()),
                None => ("r", Value::Nil),
            };
            list([Value::Keyword(verb.into()), Value::Int(key as i64), argument])
        };
        let value = list(draft.steps.iter().zip(&draft.seen).map(micro));
        script.event(number as u64, kind, "txn", value);
    }
    script.history
}

fn tiny(seed: u64) -> History {
    let random = &mut StdRng::seed_from_u64(seed);
    let mut drafts = drafts(random);
    execute(&mut drafts, random);
    history(&drafts, random)
}

/// Whether the history is strictly serializable; `None` if it has no read.
fn expected(history: &History) -> Option<bool> {
    let log = Log::read(history).unwrap();
    log.reads().next()?;
    let known = |kind: Kind| log.transactions.iter().filter(move |t| t.outcome == kind);
    let (certain, possible): (Vec<_>, Vec<_>) =
        (known(Kind::Ok).collect(), known(Kind::Info).collect());
    Some(brute_force(&certain, &possible, &Lists::new()))
}

proptest! {
    #![proptest_config(cases(6000))]

    #[test]
    fn the_verdict_agrees_with_trying_every_order(seed: u64) {
        let history = tiny(seed);
        let finding = check(&history, PATIENCE);
        let verdict = match expected(&history) {
            None => Verdict::Unknown,
            Some(true) => Verdict::Valid,
            Some(false) => Verdict::Invalid,
        };
        prop_assert_eq!(finding.verdict, verdict, "{}", finding.summary);
    }
}

/// The property above would say nothing if nearly all tiny histories had the same verdict.
#[test]
fn tiny_histories_are_of_both_sorts() {
    let verdicts: Vec<bool> = (0..1000).filter_map(|seed| expected(&tiny(seed))).collect();
    let valid = verdicts.iter().filter(|valid| **valid).count();
    assert!(verdicts.len() > 900 && valid > 200 && verdicts.len() - valid > 200, "{valid}");
}
