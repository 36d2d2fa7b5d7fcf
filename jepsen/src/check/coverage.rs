//! Coverage: the run did what it was asked to do.
//!
//! Extends Jepsen's `stats`. A run in which no fault was carried out, a node never answered or nobody
//! was elected, not even where a leader was lost, proves nothing about those: its verdict is `unknown`, never `valid`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Case, Finding, faults, leadership, shape};
use crate::cluster::Sample;
use crate::history::{History, Kind, Operation, Value};

/// What has to be seen.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// How many nodes have to answer, numbered from 1.
    pub nodes: u32,
    /// Names of faults that have to be carried out at least once.
    pub faults: Vec<String>,
    /// Whether a node has to be sent a snapshot.
    pub installs: bool,
    /// Where it can be seen who leads: what nodes said about it.
    pub roles: Option<Vec<Sample>>,
    /// How many of each operation have to succeed.
    pub operations_min: u64,
}

/// These are rare by design, and so are those of the final phase: one has to succeed.
const RARE: &[&str] = &["drain", "digest"];

/// The faults of snapshots at whose end a node has been sent one.
const INSTALLS: &[&str] = &["install", "interrupt"];

/// Checks that all expected things happened.
pub fn check(history: &History, expected: &Expected) -> Finding {
    Case::run("coverage", |case| {
        faults(history, &expected.faults, case);
        let operations = history.operations();
        successes(&operations, expected.operations_min, case);
        nodes(&operations, expected.nodes, case);
        if expected.installs {
            installs(history, case);
        }
        if let Some(roles) = &expected.roles {
            leadership::check(history, roles, expected.nodes, case);
        }
        Ok(())
    })
}

type Counts<'a> = BTreeMap<&'a str, u64>;

fn faults(history: &History, wanted: &[String], case: &mut Case) {
    let (mut carried_out, mut failed): (Counts<'_>, Counts<'_>) = Default::default();
    let all = faults::all(history);
    for fault in &all {
        let counts = if fault.is_carried_out() { &mut carried_out } else { &mut failed };
        *counts.entry(fault.name).or_default() += 1;
    }
    for name in wanted.iter().filter(|name| !carried_out.contains_key(name.as_str())) {
        let tried = all.iter().rev().find(|fault| fault.name == name);
        case.doubt(match tried.and_then(faults::Fault::failure) {
            Some(error) => format!("{name} was never carried out: {error}"),
            None => format!("{name} was never carried out"),
        });
    }
    case.figure("faults", json!(carried_out));
    case.figure("faults_failed", json!(failed));
}

/// A snapshot that was taken is none that a node began with.
fn installs(history: &History, case: &mut Case) {
    let is_install = |fault: &faults::Fault<'_>| match &fault.installed.value {
        Value::List(value) => INSTALLS.iter().any(|kind| value.first() == Some(&keyword(kind))),
        _ => false,
    };
    let mut faults = faults::of(history);
    faults.retain(|fault| fault.name == "snapshot" && is_install(fault));
    let installed = faults.iter().filter(|fault| fault.is_carried_out()).count();
    if installed == 0 {
        case.doubt(match faults.iter().rev().find_map(faults::Fault::failure) {
            Some(why) => format!("no snapshot was installed: {why}"),
            None => "no snapshot was installed".to_owned(),
        });
    }
    case.figure("snapshots_installed", installed);
}

fn keyword(name: &str) -> Value {
    Value::Keyword(name.to_owned())
}

fn successes(operations: &[Operation<'_>], wanted: u64, case: &mut Case) {
    let mut outcomes: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for operation in operations {
        let by_kind = outcomes.entry(&operation.invoked.f).or_default();
        *by_kind.entry(operation.outcome().name()).or_default() += 1;
    }
    if outcomes.is_empty() {
        case.doubt("there are no operations");
    }
    for (f, by_kind) in &outcomes {
        let rare = RARE.contains(f) || shape::verb(f) != *f;
        let wanted = if rare { 1 } else { wanted };
        let ok = by_kind.get(Kind::Ok.name()).copied().unwrap_or(0);
        if ok < wanted {
            case.doubt(format!("{f} succeeded {ok} times, wanted are {wanted}"));
        }
    }
    case.figure("outcomes", json!(outcomes));
}

fn nodes(operations: &[Operation<'_>], nodes: u32, case: &mut Case) {
    let ok = operations.iter().filter(|operation| operation.ok().is_some());
    let answered: BTreeSet<u32> = ok.filter_map(|operation| operation.invoked.node).collect();
    for node in (1..=nodes).filter(|node| !answered.contains(node)) {
        case.doubt(format!("node {node} never answered"));
    }
    case.figure("nodes", answered.len());
}
