//! Checkers: what a history proves about a promise.
//!
//! A checker is a function from a [`History`](crate::history::History) to a [`Finding`]. It never
//! says `valid` of what it could not decide: time that ran out, or nothing to look at, is `unknown`.
//!
//! | checker | from | promise |
//! |---|---|---|
//! | [`set`] | Jepsen's `set-full` | what was added is in every later read |
//! | [`counter`] | Jepsen's `counter`, made exact | each addition counts exactly once |
//! | [`bank`] | Jepsen's `bank` | a read of all accounts is one moment |
//! | [`queue`] | Jepsen's `total-queue`; Henzinger, Sezgin, Vafeiadis 2013 | a FIFO queue loses, repeats and reorders nothing |
//! | [`lock`] | Kleppmann's fencing tokens; Jepsen's etcd 3.4.3 | who holds an old token writes nothing |
//! | [`ttl`] | none known | a key is gone at its deadline, for everybody and for good |
//! | [`digests`] | etcd's hash check | replicas at one index are equal |
//! | [`availability`] | Jepsen's RedisRaft issues #14, #21 | what is healed serves |
//! | [`crashes`] | Jepsen's `log-file-pattern` | no process falls over |
//! | [`coverage`] | Jepsen's `stats`, extended | the run did what it was asked to do |

mod deadline;
pub mod elle;
mod place;
#[cfg(test)]
mod scripted;
pub mod wgl;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::history::Malformed;

pub mod availability;
pub mod bank;
pub mod counter;
pub mod coverage;
pub mod crashes;
pub mod digests;
mod faults;
mod leadership;
pub mod lock;
pub mod queue;
pub mod selftest;
pub mod set;
mod shape;
pub mod ttl;

/// A judgement; of several, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The promise held.
    Valid,
    /// It could not be decided.
    Unknown,
    /// The promise was broken.
    Invalid,
}

/// What one checker found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The checker.
    pub checker: &'static str,
    /// Its judgement.
    pub verdict: Verdict,
    /// One or few lines for a person; for `invalid`, a counter-example with the operations' indexes.
    pub summary: String,
    /// Figures and the anomalies found, for programs.
    pub details: serde_json::Value,
}

/// One broken promise.
#[derive(Debug, Clone, Serialize)]
pub struct Anomaly {
    /// Its kind, such as `lost`.
    pub name: &'static str,
    /// What was seen, for a person.
    pub what: String,
    /// The events that prove it.
    pub events: Vec<usize>,
}

/// What is said of a history that could not be read.
pub fn unreadable(malformed: &Malformed) -> Finding {
    let mut case = Case::new("history");
    case.doubt(malformed.to_string());
    case.figure("line", malformed.line);
    case.close()
}

/// A checker's work: anomalies, doubts and figures become its finding.
struct Case {
    checker: &'static str,
    anomalies: Vec<Anomaly>,
    found: Map<String, Json>,
    doubts: Vec<String>,
    figures: Map<String, Json>,
}

impl Case {
    /// So many anomalies are kept; all are counted.
    const KEPT_MAX: usize = 100;
    /// So many of them are told in the summary.
    const TOLD_MAX: usize = 3;

    fn new(checker: &'static str) -> Self {
        let (found, figures) = (Map::new(), Map::new());
        Self { checker, anomalies: Vec::new(), found, doubts: Vec::new(), figures }
    }

    /// Lets `examine` look; an operation of a shape that it does not know is a doubt.
    fn run(
        checker: &'static str,
        examine: impl FnOnce(&mut Self) -> Result<(), shape::Odd>,
    ) -> Finding {
        let mut case = Self::new(checker);
        if let Err(odd) = examine(&mut case) {
            case.doubt(odd.0);
        }
        case.close()
    }

    /// A promise was broken, as these events prove.
    fn accuse(&mut self, name: &'static str, events: &[usize], what: String) {
        let count = self.found.get(name).and_then(Json::as_u64).unwrap_or(0) + 1;
        self.found.insert(name.to_owned(), json!(count));
        if self.anomalies.len() < Self::KEPT_MAX {
            self.anomalies.push(Anomaly { name, what, events: events.to_vec() });
        }
    }

    /// Why nothing better than `unknown` can be said.
    fn doubt(&mut self, why: impl Into<String>) {
        self.doubts.push(why.into());
    }

    fn figure(&mut self, name: &str, value: impl Into<Json>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    fn close(self) -> Finding {
        let verdict = match (self.anomalies.is_empty(), self.doubts.is_empty()) {
            (false, _) => Verdict::Invalid,
            (true, false) => Verdict::Unknown,
            (true, true) => Verdict::Valid,
        };
        let summary = self.summary(verdict);
        let mut details = self.figures;
        details.insert("found".to_owned(), Json::Object(self.found));
        details.insert("anomalies".to_owned(), json!(self.anomalies));
        details.insert("doubts".to_owned(), json!(self.doubts));
        Finding { checker: self.checker, verdict, summary, details: Json::Object(details) }
    }

    fn summary(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Valid => {
                let plain = |(_, value): &(&String, &Json)| value.is_number() || value.is_string();
                let told = self.figures.iter().filter(plain);
                told.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
            }
            Verdict::Unknown => self.doubts.join("; "),
            Verdict::Invalid => {
                let counts = self.found.iter().map(|(name, count)| format!("{count} {name}"));
                let counts = counts.collect::<Vec<_>>().join(", ");
                let told = self.anomalies.iter().take(Self::TOLD_MAX);
                let told = told.map(|anomaly| format!("\n  {}: {}", anomaly.name, anomaly.what));
                counts + &told.collect::<String>()
            }
        }
    }
}

/// Quantiles of milliseconds.
fn quantiles(mut values: Vec<u64>) -> Json {
    values.sort_unstable();
    let at = |part: usize| values.get((values.len().max(1) - 1) * part / 100);
    json!({ "p50": at(50), "p95": at(95), "p99": at(99), "max": at(100) })
}
