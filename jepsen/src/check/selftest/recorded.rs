//! What servers with known bugs left: `CHECKER-invalid-ANOMALY-by-MUTANT` among the golden histories.
//!
//! Runs that caught the mutant recorded them. They are trimmed to the keys and moments that matter,
//! so that what the harness sees of each bug is tested without a build that has it. That each is
//! invalid is told with the other golden histories; here, that nothing but the bug makes it so: a
//! set without the elements that are accused is valid, and any other history is valid up to the event
//! that proves the first anomaly.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Outcome, checker, differs, golden};
use crate::check::{Finding, Verdict};
use crate::history::{Format, History, Value};

pub(super) fn all() -> impl Iterator<Item = Outcome> {
    let recorded = golden::HISTORIES.iter().filter(|(name, _)| mutant(name).is_some());
    recorded.filter_map(|(name, text)| {
        let failure = repaired(name, text)?;
        Some(Outcome { name: format!("{name} without its anomalies"), failure })
    })
}

/// The mutant that left it.
pub(super) fn mutant(name: &str) -> Option<&str> {
    let (_, mutant) = name.rsplit_once("-by-").filter(|_| name.contains("-invalid-"))?;
    mutant.split('.').next()
}

/// What is wrong with it still; `None` if it is a log.
fn repaired(name: &str, text: &str) -> Option<Option<String>> {
    let subject = name.split('-').next()?;
    let check = checker(subject)?;
    let mut history = History::parse(text.as_bytes(), Format::Edn).ok()?;
    let proofs = proofs(&check(&history));
    match subject {
        "set" => forget(&mut history, &proofs),
        _ => history.events.truncate(proofs.iter().filter_map(|it| it.last()).min().copied()?),
    }
    // Of replicas that differ there is nothing before, and of a counter that goes on no end.
    let open = ["digests", "counter"].contains(&subject);
    let wanted = if open { Verdict::Unknown } else { Verdict::Valid };
    Some(differs(&check(&history), wanted))
}

/// As if the elements whose events these are had never been.
fn forget(history: &mut History, events: &[BTreeSet<usize>]) {
    let accused = events.iter().flatten().filter_map(|index| history.events.get(*index));
    let added = accused.filter(|event| event.f == "add").map(|event| event.value.clone());
    let gone: Vec<Value> = added.collect();
    history.events.retain(|event| event.f != "add" || !gone.contains(&event.value));
    for (index, event) in history.events.iter_mut().enumerate() {
        event.index = index;
        if let Value::List(elements) = &mut event.value {
            elements.retain(|element| !gone.contains(element));
        }
    }
}

/// The events of each anomaly.
fn proofs(finding: &Finding) -> Vec<BTreeSet<usize>> {
    let mut found = Vec::new();
    collect(&finding.details, &mut found);
    found
}

fn collect(json: &Json, found: &mut Vec<BTreeSet<usize>>) {
    let index = |json: &Json| json.as_u64().and_then(|index| usize::try_from(index).ok());
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(fields) => fields.iter().for_each(|(key, value)| match (&**key, value) {
            ("event", _) => found.push(index(value).into_iter().collect()),
            ("events", Json::Array(events)) => {
                found.push(events.iter().filter_map(index).collect());
            }
            _ => collect(value, found),
        }),
        _ => {}
    }
}
