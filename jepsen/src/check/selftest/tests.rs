#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use super::{CHECKERS, golden, recorded, selftest, simulate};
use crate::history::{Format, History};
use crate::run::mutants::MUTANTS;

#[test]
fn every_checker_says_what_it_must() {
    let told =
        selftest().into_iter().filter_map(|one| Some(format!("{}: {}", one.name, one.failure?)));
    let failures: Vec<String> = told.collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_golden_history_is_carried_and_every_checker_has_some() {
    // Tests run in the directory of their package, wherever they were compiled.
    let files = std::fs::read_dir("histories").unwrap().map(|file| file.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    let carried: BTreeSet<String> =
        golden::HISTORIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, carried);
    for name in CHECKERS.iter().map(|(name, _)| name) {
        for verdict in ["valid", "unknown"] {
            let prefix = format!("{name}-{verdict}-");
            assert!(carried.iter().any(|file| file.starts_with(&prefix)), "none for {prefix}");
        }
    }
}

/// What shows in words of the harness only: a node does not serve, or is who it must not be.
const NOT_RECORDED: &[&str] = &["torn-tail-kept", "wiped-node-keeps-its-id"];

#[test]
fn every_mutant_has_left_a_history() {
    let recorded = golden::HISTORIES.iter().filter_map(|(name, _)| recorded::mutant(name));
    let recorded: BTreeSet<&str> = recorded.chain(NOT_RECORDED.iter().copied()).collect();
    let known: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.id).collect();
    assert_eq!(recorded, known);
    let logs = golden::HISTORIES.iter().filter(|(name, _)| name.ends_with(".log"));
    let logs = logs.filter(|(name, _)| recorded::mutant(name).is_some()).count();
    assert_eq!(recorded::all().count() + logs, known.len() - NOT_RECORDED.len());
}

#[test]
fn a_seed_gives_one_history_and_each_is_well_formed() {
    for workload in simulate::WORKLOADS {
        let history = simulate::run(workload, 7);
        assert_eq!(history, simulate::run(workload, 7), "{}", workload.name);
        assert_ne!(history, simulate::run(workload, 8), "{}", workload.name);
        let mut written = Vec::new();
        history.write_jsonl(&mut written).unwrap();
        assert_eq!(History::parse(&*written, Format::Jsonl), Ok(history), "{}", workload.name);
    }
}
