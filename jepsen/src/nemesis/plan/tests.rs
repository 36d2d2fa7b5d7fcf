#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use super::super::fault::{Damage, Who};
use super::*;

const LONG: Duration = Duration::from_secs(600);

/// All that can be done to so many nodes.
fn all(nodes: u32) -> Vec<String> {
    let possible = NAMES.iter().filter(|name| nodes > 2 || **name != "wipe");
    possible.map(|name| (*name).to_owned()).collect()
}

fn plans(liveness: bool) -> impl Iterator<Item = (u32, Plan)> {
    let sizes = if liveness { [3, 5, 7] } else { [1, 3, 5] };
    (0..60).flat_map(move |seed| {
        sizes.map(|nodes| (nodes, Plan::new(seed, &all(nodes), LONG, nodes, liveness).unwrap()))
    })
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
    let plan = |seed| Plan::new(seed, &all(5), LONG, 5, false).unwrap();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    let mut reversed = all(5);
    reversed.reverse();
    assert_eq!(Plan::new(7, &reversed, LONG, 5, false).unwrap(), plan(7));
}

#[test]
fn every_fault_ends_in_time_and_none_overlaps_one_of_its_name() {
    for (_, plan) in plans(false).chain(plans(true)) {
        for (place, step) in plan.steps.iter().enumerate() {
            assert!(step.start >= CALM && step.end <= LONG && step.end > step.start, "{step:?}");
            let later = &plan.steps[place + 1..];
            let same = |other: &&Step| other.fault.name() == step.fault.name();
            assert!(later.iter().filter(same).all(|other| other.start >= step.end), "{step:?}");
        }
    }
}

#[test]
fn every_fault_that_is_wanted_has_its_turn() {
    for (nodes, plan) in plans(false).chain(plans(true)) {
        let seen: BTreeSet<&str> = plan.steps.iter().map(|step| step.fault.name()).collect();
        assert_eq!(seen.len(), all(nodes).len(), "{nodes} nodes: only {seen:?}");
    }
}

/// How many nodes are broken at most while both this step and others last.
fn broken(plan: &Plan, at: Duration) -> Option<usize> {
    let during = plan.steps.iter().filter(|step| step.start <= at && at < step.end);
    let victims: Option<Vec<Who>> = during.map(|step| step.fault.victims()).collect();
    let victims = victims?;
    let leaders = victims.iter().filter(|who| **who == Who::Leader).count();
    let named = victims.iter().filter_map(|who| match who {
        Who::Nodes(nodes) => Some(nodes),
        Who::Leader => None,
    });
    Some(leaders + named.flatten().collect::<BTreeSet<_>>().len())
}

#[test]
fn liveness_never_takes_a_majority() {
    for (nodes, plan) in plans(true) {
        let minority = (nodes as usize - 1) / 2;
        for step in &plan.steps {
            match broken(&plan, step.start) {
                Some(broken) => assert!(broken <= minority, "{nodes} nodes: {step:?}"),
                // What cannot be counted stands alone.
                None => {
                    let others = plan.steps.iter().filter(|other| *other != step);
                    let mut others = others.map(|other| (other.start, other.end));
                    assert!(others.all(|(start, end)| end <= step.start || start >= step.end));
                    assert!(["member", "transfer"].contains(&step.fault.name()), "{step:?}");
                }
            }
        }
    }
}

#[test]
fn safety_takes_more_than_a_minority_now_and_then() {
    let takes_all = |(nodes, plan): (u32, Plan)| {
        plan.steps.iter().any(|step| broken(&plan, step.start) == Some(nodes as usize))
    };
    assert!(plans(false).any(takes_all));
}

#[test]
fn only_a_minority_loses_what_was_durable() {
    let (mut flips, mut wipes) = (0, 0);
    for (nodes, plan) in plans(false).chain(plans(true)) {
        for step in &plan.steps {
            let who = match &step.fault {
                Fault::TornTail { who, damage: Damage::Flipped, .. } => (flips += 1, who).1,
                Fault::Wipe(who) => (wipes += 1, who).1,
                _ => continue,
            };
            let count = if let Who::Nodes(nodes) = who { nodes.len() } else { 1 };
            assert!(count <= (nodes as usize - 1) / 2, "{step:?}");
        }
    }
    assert!(flips > 100 && wipes > 100);
}

#[test]
fn what_cannot_be_planned_is_said() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let plan = |faults: &[&str], seconds, nodes, liveness| {
        Plan::new(1, &names(faults), Duration::from_secs(seconds), nodes, liveness)
    };
    assert!(
        plan(&["kil"], 60, 3, false).unwrap_err().contains("no fault kil; there are partition")
    );
    assert!(plan(&["kill"], 1, 3, false).unwrap_err().contains("too short"));
    assert!(plan(&["kill"], 60, 2, true).unwrap_err().contains("2 nodes"));
    assert!(plan(&["wipe"], 60, 1, false).unwrap_err().contains("1 nodes"));
    assert!(plan(&[], 60, 1, true).unwrap().steps.is_empty());
}
