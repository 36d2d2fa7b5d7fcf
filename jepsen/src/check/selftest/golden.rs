//! Golden histories: each says in its name which checker must say what of it.
//!
//! `CHECKER-VERDICT-what.edn`; where the verdict is `invalid`, one of the anomalies that the checker
//! found is named `what`, or `what` begins with it. `history-unknown-N-what.edn` is malformed in line
//! N, and `crashes-VERDICT-what.log` is a node's log. Those that end in `-by-MUTANT` are [recorded].
//!
//! [recorded]: super::recorded

use serde_json::Value as Json;

use super::{Outcome, checker, coverage, differs};
use crate::check::{Finding, Verdict, crashes, unreadable};
use crate::cluster::{Role, Sample};
use crate::history::{Format, History};

/// The size of the clusters in golden histories of availability and coverage.
pub(super) const NODES: u32 = 3;

/// What golden histories of coverage have to cover.
pub(super) fn expected() -> coverage::Expected {
    let faults = vec!["partition".to_owned()];
    coverage::Expected { nodes: NODES, faults, operations_min: 2, ..Default::default() }
}

/// What golden histories of installed snapshots have to cover.
pub(super) fn expected_installs() -> coverage::Expected {
    coverage::Expected { faults: vec!["snapshot".to_owned()], installs: true, ..expected() }
}

/// What golden histories of elections have to cover: node 1 says for ten seconds that it leads term 1,
/// and the others say so too.
pub(super) fn expected_elections() -> coverage::Expected {
    let said = |tenth: u64, node| Sample {
        time: tenth * 100_000_000,
        node,
        role: if node == 1 { Role::Leader } else { Role::Follower },
        term: 1,
        leader: Some(1),
    };
    let roles = (0..100).flat_map(|tenth| (1..=NODES).map(move |node| said(tenth, node)));
    coverage::Expected { faults: Vec::new(), roles: Some(roles.collect()), ..expected() }
}

/// What golden logs of crashes may contain.
fn excuses() -> crashes::Excuses {
    crashes::Excuses { always: vec!["Input/output error"], stopping: vec!["raft stopped"] }
}

macro_rules! golden {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../histories/", $name)))),*]
    };
}

/// File names and contents: the binary carries them.
pub(super) const HISTORIES: &[(&str, &str)] = golden! {
    "availability-invalid-not-serving-after-heal.edn"
    "availability-invalid-not-serving-after-it-was-readmitted.edn"
    "availability-invalid-not-serving-while-another-was-readmitted.edn"
    "availability-invalid-refused-without-fault.edn"
    "availability-unknown-never-healed.edn"
    "availability-unknown-node-asked-late.edn"
    "availability-unknown-node-not-asked.edn"
    "availability-unknown-run-ended-early.edn"
    "availability-valid-after-heal.edn"
    "availability-valid-error-while-warming-up.edn"
    "availability-valid-readmitted-later.edn"
    "availability-valid-refused-by-its-own-condition.edn"
    "bank-invalid-missing.edn"
    "bank-invalid-negative.edn"
    "bank-invalid-wrong-total-applied-twice.edn"
    "bank-invalid-wrong-total-by-watch-ignored.edn"
    "bank-invalid-wrong-total-half-a-transfer.edn"
    "bank-unknown-no-read.edn"
    "bank-valid-transfers.edn"
    "counter-invalid-backwards.edn"
    "counter-invalid-miscounted-no-selection.edn"
    "counter-invalid-miscounted-twice.edn"
    "counter-invalid-out-of-bounds-by-forward-without-dedup.edn"
    "counter-invalid-out-of-bounds-failed-add.edn"
    "counter-invalid-out-of-bounds-too-low.edn"
    "counter-unknown-no-final-read.edn"
    "counter-valid-concurrent.edn"
    "counter-valid-unknown-add-counts.edn"
    "counter-valid-unknown-add-does-not-count.edn"
    "coverage-unknown-fault-not-carried-out.edn"
    "coverage-unknown-fault-not-installed.edn"
    "coverage-unknown-fault-not-tried.edn"
    "coverage-unknown-final-phase-failed.edn"
    "coverage-unknown-node-never-answered.edn"
    "coverage-unknown-too-few-of-one-operation.edn"
    "coverage-valid-all-seen.edn"
    "coverage-valid-fault-not-undone.edn"
    "coverage-valid-one-of-two-at-a-time-not-carried-out.edn"
    "crashes-invalid-crashed-by-vote-not-persisted.log"
    "crashes-invalid-crashed-panic.log"
    "crashes-invalid-crashed-stack.log"
    "crashes-invalid-crashed-while-it-ended.log"
    "crashes-invalid-ended-in-bad-order.log"
    "crashes-invalid-ended-with-a-signal.log"
    "crashes-invalid-error-after-it-had-ended.log"
    "crashes-invalid-error-level.log"
    "crashes-invalid-error-stopped-unasked.log"
    "crashes-invalid-refused-a-torn-tail.log"
    "crashes-invalid-refused-when-it-had-begun-anew.log"
    "crashes-unknown-no-log.log"
    "crashes-valid-ends-as-asked.log"
    "crashes-valid-quiet-and-allowed.log"
    "crashes-valid-refuses-what-is-damaged.log"
    "digests-invalid-diverged-by-apply-twice-after-restart.edn"
    "digests-invalid-diverged-by-local-clock-expiry.edn"
    "digests-invalid-diverged-by-skip-one-apply.edn"
    "digests-invalid-diverged-by-snapshot-without-deadlines.edn"
    "digests-invalid-diverged-over-time.edn"
    "digests-invalid-diverged.edn"
    "digests-unknown-nothing-to-compare.edn"
    "digests-valid-laggard-at-another-index.edn"
    "elections-unknown-leader-killed-and-no-other-followed.edn"
    "elections-valid-follower-killed.edn"
    "elections-valid-leader-not-carried-out.edn"
    "elle-invalid-G-nonadjacent-long-fork.edn"
    "elle-invalid-G-single-by-transaction-as-two-entries.edn"
    "elle-invalid-G-single-realtime-lost-append.edn"
    "elle-invalid-G-single-realtime-stale-read.edn"
    "elle-invalid-G-single-realtime-unknown-append-seen-and-unseen.edn"
    "elle-invalid-G-single.edn"
    "elle-invalid-G0-realtime-order-of-appends.edn"
    "elle-invalid-G0.edn"
    "elle-invalid-G1a-by-wrong-error-class.edn"
    "elle-invalid-G1a.edn"
    "elle-invalid-G1b.edn"
    "elle-invalid-G1c.edn"
    "elle-invalid-G2-item.edn"
    "elle-invalid-dirty-update.edn"
    "elle-invalid-duplicate-elements.edn"
    "elle-invalid-garbage-read.edn"
    "elle-invalid-incompatible-order.edn"
    "elle-invalid-internal.edn"
    "elle-invalid-lost-update.edn"
    "elle-unknown-empty.edn"
    "elle-valid-concurrent.edn"
    "elle-valid-failed-append.edn"
    "elle-valid-serial.edn"
    "elle-valid-unknown-append-not-seen.edn"
    "elle-valid-unknown-append-seen.edn"
    "history-unknown-2-completion-without-invocation.edn"
    "history-unknown-2-line-missing.edn"
    "history-unknown-2-time-goes-back.edn"
    "history-unknown-2-truncated.edn"
    "history-unknown-2-two-open-operations.edn"
    "history-unknown-2-wrong-type.edn"
    "installs-unknown-install-not-carried-out.edn"
    "installs-unknown-only-taken.edn"
    "installs-valid-interrupted-and-not-undone.edn"
    "liveness-invalid-unavailable-after-an-answer.edn"
    "liveness-invalid-unavailable-beyond-the-end-of-the-fault.edn"
    "liveness-invalid-unavailable-to-a-question-that-was-open.edn"
    "liveness-invalid-unavailable.edn"
    "liveness-unknown-nobody-asked-for-a-while.edn"
    "liveness-unknown-nobody-asked.edn"
    "liveness-valid-further-fault-ends-and-begins.edn"
    "liveness-valid-majority-serves.edn"
    "liveness-valid-second-fault-starts-the-time-anew.edn"
    "lock-invalid-token-fell.edn"
    "lock-invalid-token-repeated.edn"
    "lock-invalid-unfenced.edn"
    "lock-unknown-no-store.edn"
    "lock-valid-concurrent-stores.edn"
    "lock-valid-overlap-is-fenced.edn"
    "queue-invalid-duplicated.edn"
    "queue-invalid-empty.edn"
    "queue-invalid-lost.edn"
    "queue-invalid-overtaken-between-dequeues.edn"
    "queue-invalid-overtaken-within-a-drain.edn"
    "queue-invalid-unexpected-failed-enqueue.edn"
    "queue-invalid-unexpected-never-enqueued.edn"
    "queue-unknown-drain-of-unknown-outcome.edn"
    "queue-unknown-not-drained.edn"
    "queue-valid-concurrent-enqueues-in-any-order.edn"
    "queue-valid-unknown-dequeue-took-one.edn"
    "queue-valid-unknown-enqueue-comes-out.edn"
    "set-invalid-duplicated.edn"
    "set-invalid-lost-after-unknown-was-seen.edn"
    "set-invalid-lost-by-ack-before-fsync.edn"
    "set-invalid-lost-by-fsync-error-ignored.edn"
    "set-invalid-lost.edn"
    "set-invalid-stale-by-ack-before-commit.edn"
    "set-invalid-stale-by-snapshot-without-last-entry.edn"
    "set-invalid-stale.edn"
    "set-invalid-unexpected-before-its-add.edn"
    "set-invalid-unexpected-failed-add.edn"
    "set-invalid-unexpected-never-added.edn"
    "set-unknown-misshapen.edn"
    "set-unknown-never-read.edn"
    "set-unknown-no-read.edn"
    "set-valid-concurrent-read-misses.edn"
    "set-valid-unknown-add-seen-or-not.edn"
    "ttl-invalid-early-as-only-a-replaced-value-was-short.edn"
    "ttl-invalid-early.edn"
    "ttl-invalid-late.edn"
    "ttl-invalid-remaining-none.edn"
    "ttl-invalid-remaining-too-long.edn"
    "ttl-invalid-resurrected-on-another-node.edn"
    "ttl-invalid-resurrected-under-a-clock-jump.edn"
    "ttl-invalid-resurrected-unknown-set.edn"
    "ttl-invalid-stale-replaced.edn"
    "ttl-invalid-stale-went-back.edn"
    "ttl-invalid-unexpected-failed-set.edn"
    "ttl-unknown-nothing-expired.edn"
    "ttl-valid-early-after-a-clock-jump.edn"
    "ttl-valid-expires.edn"
    "ttl-valid-set-again.edn"
    "ttl-valid-unknown-set-comes-late.edn"
    "wgl-invalid-cas-of-what-was-not-there.edn"
    "wgl-invalid-concurrent-write-seen-and-unseen.edn"
    "wgl-invalid-lost-write.edn"
    "wgl-invalid-read-of-a-failed-write.edn"
    "wgl-invalid-read-of-what-nobody-wrote.edn"
    "wgl-invalid-stale-by-long-lease.edn"
    "wgl-invalid-stale-by-no-read-barrier.edn"
    "wgl-invalid-stale-by-no-term-gate.edn"
    "wgl-invalid-stale-read.edn"
    "wgl-invalid-two-cas-of-one-value.edn"
    "wgl-invalid-two-readers-disagree-on-order.edn"
    "wgl-invalid-unknown-write-seen-and-unseen.edn"
    "wgl-unknown-empty.edn"
    "wgl-valid-concurrent-reads-in-either-order.edn"
    "wgl-valid-failed-cas-changes-nothing.edn"
    "wgl-valid-keys-are-independent.edn"
    "wgl-valid-sequential.edn"
    "wgl-valid-unknown-cas-seen.edn"
    "wgl-valid-unknown-write-not-seen.edn"
    "wgl-valid-unknown-write-seen.edn"
};

pub(super) fn all() -> Vec<Outcome> {
    let judged = |(name, text): &(&str, &str)| Outcome {
        name: (*name).to_owned(),
        failure: judge(name, text),
    };
    HISTORIES.iter().map(judged).collect()
}

/// What is wrong with what its checker says.
fn judge(name: &str, text: &str) -> Option<String> {
    let mut parts = name.splitn(3, '-');
    let (Some(subject), Some(verdict), Some(what)) = (parts.next(), parts.next(), parts.next())
    else {
        return Some("no name of the form CHECKER-VERDICT-what".to_owned());
    };
    let wanted = match verdict {
        "valid" => Verdict::Valid,
        "unknown" => Verdict::Unknown,
        "invalid" => Verdict::Invalid,
        other => return Some(format!("{other} is no verdict")),
    };
    let finding = match examine(subject, text) {
        Ok(finding) => finding,
        Err(why) => return Some(why),
    };
    differs(&finding, wanted).or_else(|| unlike(subject, wanted, what, &finding))
}

fn examine(subject: &str, text: &str) -> Result<Finding, String> {
    if subject == "crashes" {
        return Ok(crashes::check(&[(1, text.to_owned())], &excuses()));
    }
    match History::parse(text.as_bytes(), Format::Edn) {
        Err(malformed) if subject == "history" => Ok(unreadable(&malformed)),
        Err(malformed) => Err(malformed.to_string()),
        Ok(history) => match checker(subject) {
            Some(check) => Ok(check(&history)),
            None => Err(format!("there is no checker {subject}")),
        },
    }
}

/// The right verdict for the wrong reason is wrong.
fn unlike(subject: &str, verdict: Verdict, what: &str, finding: &Finding) -> Option<String> {
    let summary = &finding.summary;
    let alike = match (subject, verdict) {
        ("history", _) => {
            let line = what.split('-').next().unwrap_or_default();
            summary.starts_with(&format!("line {line}:"))
        }
        // Linearizability has one anomaly only.
        ("wgl", _) => true,
        (_, Verdict::Invalid) => names(finding).iter().any(|name| what.starts_with(name)),
        _ => true,
    };
    (!alike).then(|| format!("found something else: {summary}"))
}

/// The anomalies that were found: a list of them, or a map by their names.
fn names(finding: &Finding) -> Vec<&str> {
    match &finding.details["anomalies"] {
        Json::Object(groups) => groups.keys().map(String::as_str).collect(),
        Json::Array(all) => all.iter().filter_map(|one| one["name"].as_str()).collect(),
        _ => Vec::new(),
    }
}
