#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use super::super::fault::{Damage, Who};
use super::*;

const LONG: Duration = Duration::from_secs(600);

/// All that can be done to so many nodes.
fn all(nodes: u32, liveness: bool) -> Vec<String> {
    let possible = NAMES.iter().filter(|name| nodes > 2 || **name != "wipe");
    let possible = possible.filter(|name| !liveness || **name != "outage");
    possible.map(|name| (*name).to_owned()).collect()
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn plans(liveness: bool) -> impl Iterator<Item = (u32, Plan)> {
    let sizes = if liveness { [3, 5, 7] } else { [1, 3, 5] };
    (0..60).flat_map(move |seed| {
        sizes.map(|nodes| {
            (nodes, Plan::new(seed, &all(nodes, liveness), LONG, nodes, liveness).unwrap())
        })
    })
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
    let plan = |seed| Plan::new(seed, &all(5, false), LONG, 5, false).unwrap();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    let mut reversed = all(5, false);
    reversed.reverse();
    assert_eq!(Plan::new(7, &reversed, LONG, 5, false).unwrap(), plan(7));
}

/// What a run of long ago recorded: its seed must still repeat it.
#[test]
fn seeds_stay_what_they_were() {
    let length = Duration::from_secs(60);
    let plan = Plan::new(212, &named(&["kill", "partition"]), length, 3, false).unwrap();
    let recorded = [
        (2045, "partition"),
        (28426, "kill"),
        (41784, "kill"),
        (43100, "partition"),
        (56647, "partition"),
        (57662, "kill"),
    ];
    assert_eq!(plan.steps.len(), recorded.len());
    for (step, (start, name)) in plan.steps.iter().zip(recorded) {
        assert_eq!(step.fault.name(), name);
        let planned = step.start.as_millis();
        assert!(planned <= start && start < planned + 100, "{name}: {planned} and not {start}");
    }
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
    for liveness in [false, true] {
        for (nodes, plan) in plans(liveness) {
            let seen: BTreeSet<&str> = plan.steps.iter().map(|step| step.fault.name()).collect();
            assert_eq!(seen.len(), all(nodes, liveness).len(), "{nodes} nodes: only {seen:?}");
        }
    }
}

#[test]
fn where_snapshots_are_wanted_one_is_surely_installed_and_has_the_time_for_it() {
    let sets: [&[&str]; 4] = [
        &["snapshot"],
        &["kill", "snapshot"],
        &["power", "snapshot"],
        &["slow", "snapshot", "member"],
    ];
    for (seed, (faults, liveness)) in (0..100).flat_map(|seed| {
        sets.iter().flat_map(move |set| [(seed, (set, false)), (seed, (set, true))])
    }) {
        for (nodes, seconds) in [(3, 30), (3, 45), (5, 60)] {
            let length = Duration::from_secs(seconds);
            let plan = Plan::new(seed, &named(faults), length, nodes, liveness).unwrap();
            let installs = || plan.steps.iter().filter(|step| step.fault.installs());
            assert!(installs().next().is_some(), "{plan:?}");
            for step in installs() {
                let during = |other: &&Step| other.end > step.start && other.start < step.end;
                let others = plan.steps.iter().filter(|other| *other != step).filter(during);
                let last = others.map(|other| other.end).max().unwrap_or(step.start);
                assert!(step.end >= last + INSTALL && step.end <= length, "{plan:?}");
            }
        }
    }
    // Of one node there is nobody to send it.
    let alone = Plan::new(1, &named(&["snapshot"]), LONG, 1, false).unwrap();
    assert!(alone.steps.iter().all(|step| !step.fault.installs()));
}

#[test]
fn pauses_alone_have_one_of_the_leader_that_outlasts_all_patience() {
    for (seed, liveness) in (0..50).flat_map(|seed| [(seed, false), (seed, true)]) {
        let pauses = |seconds| {
            let length = Duration::from_secs(seconds);
            Plan::new(seed, &named(&["pause"]), length, 3, liveness).unwrap().steps
        };
        let long = |step: &Step| {
            step.end - step.start == FAULT_LONG && step.fault == Fault::Pause(Who::Leader)
        };
        assert!(pauses(50).iter().any(long), "seed {seed}");
        assert!(!pauses(45).iter().any(long), "seed {seed}");
    }
}

#[test]
fn an_outage_is_of_all_and_a_majority_comes_back_first() {
    for nodes in [1, 3, 5] {
        let plan = Plan::new(1, &named(&["outage"]), LONG, nodes, false).unwrap();
        assert!(!plan.steps.is_empty());
        for step in &plan.steps {
            let Fault::Outage(first) = &step.fault else { panic!("{step:?}") };
            assert_eq!(first.len(), nodes as usize / 2 + 1, "{step:?}");
        }
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
    let plan = |faults: &[&str], seconds, nodes, liveness| {
        Plan::new(1, &named(faults), Duration::from_secs(seconds), nodes, liveness)
    };
    assert!(
        plan(&["kil"], 60, 3, false).unwrap_err().contains("no fault kil; there are partition")
    );
    assert!(plan(&["kill"], 1, 3, false).unwrap_err().contains("too short"));
    assert!(plan(&["kill"], 60, 2, true).unwrap_err().contains("2 nodes"));
    assert!(plan(&["wipe"], 60, 1, false).unwrap_err().contains("1 nodes"));
    assert!(plan(&["outage"], 60, 3, true).unwrap_err().contains("no majority"));
    assert!(plan(&[], 60, 1, true).unwrap().steps.is_empty());
}
