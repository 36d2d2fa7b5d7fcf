//! Strict serializability of transactions on lists, as Elle finds it (Kingsbury and Alvaro, "Elle:
//! Inferring Isolation Anomalies from Experimental Observations", VLDB 2020).
//!
//! A list remembers all that was appended to it, and each element is appended once; so the longest
//! read of a list tells in which order its versions came, and the last element of any read who wrote
//! what was read. The steps:
//! 1. `log`: the transactions and who appended what.
//! 2. `versions`: the order of each list's versions, and which transactions took effect. One whose
//!    outcome is unknown did if somebody read an element of it.
//! 3. `direct`: anomalies that need no more than that, such as a read of what failed.
//! 4. `graph`: who must come before whom: ww, wr and rw dependencies, each process's order, and
//!    real time.
//! 5. `cycles`: a cycle means that no order exists; its dependencies tell which anomaly it is.
//!
//! For lists this is complete: where no anomaly is found, sorting the graph gives an order in which
//! every read holds. The tests compare it with trying every order.

mod anomaly;
mod cycles;
mod direct;
mod explain;
mod graph;
mod log;
mod search;
#[cfg(test)]
mod tests;
mod versions;
mod view;

use std::time::Duration;

use serde_json::json;

use super::deadline::Deadline;
use super::{Finding, Verdict};
use crate::history::History;
use anomaly::Anomalies;
use log::Log;
use versions::Versions;

/// Checks `txn` and `final-txn`, of `append` and `r`, for strict serializability.
pub fn check(history: &History, patience: Duration) -> Finding {
    match Log::read(history) {
        Ok(log) => judge(&log, Deadline::after(patience)),
        Err(problem) => finding(Verdict::Unknown, problem, json!({})),
    }
}

fn judge(log: &Log<'_>, deadline: Deadline) -> Finding {
    let mut anomalies = Anomalies::default();
    let versions = Versions::new(log);
    direct::find(log, &versions, &mut anomalies);
    let in_time = !deadline.passed();
    if in_time {
        let graph = graph::build(log, &versions);
        cycles::find(log, &versions, &graph, deadline, &mut anomalies);
    }
    let (count, read) = (log.transactions.len(), log.reads().next().is_some());
    let details = json!({ "transactions": count, "lists": log.keys.len(), "anomalies": anomalies });
    if !anomalies.is_empty() {
        finding(Verdict::Invalid, anomalies.summary(), details)
    } else if !read {
        finding(Verdict::Unknown, "no transaction with a read succeeded".to_owned(), details)
    } else if !in_time {
        finding(Verdict::Unknown, "time ran out".to_owned(), details)
    } else {
        finding(Verdict::Valid, format!("{count} transactions strictly serializable"), details)
    }
}

fn finding(verdict: Verdict, summary: String, details: serde_json::Value) -> Finding {
    Finding { checker: "elle", verdict, summary, details }
}
