//! Linearizability of registers: of each key, is there an order of its operations in which every
//! read and `cas` sees what was written last, and in which an operation that completed before
//! another began comes first?
//!
//! Linearizability is local, so each key is searched by itself (`search`). What an unknown outcome
//! means, and which operations say nothing, is in `register`. A key on which time or memory runs
//! out is undecided, and a history with one is never valid.

mod explain;
mod list;
mod register;
mod search;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::deadline::Deadline;
use super::{Finding, Verdict};
use crate::history::History;
use register::Register;
use search::{Limits, Outcome, search};

/// Roughly what the remembered configurations of one key may take.
const BYTES_MAX: usize = 256 << 20;

/// Of how many keys a counter-example is worked out.
const EXAMPLES_MAX: usize = 4;

/// Checks `read`, `write` and `cas` of each key, and their `final-` forms, for linearizability.
pub fn check(history: &History, patience: Duration) -> Finding {
    let mut report = Report::default();
    match register::partition(history) {
        Ok(registers) => report.examine(registers, Deadline::after(patience)),
        Err(problem) => report.problem = Some(problem),
    }
    report.finish()
}

/// What is known so far.
#[derive(Default)]
struct Report {
    problem: Option<String>,
    keys: usize,
    operations: usize,
    /// Whether anything was seen of the registers.
    observed: bool,
    undecided: Vec<Json>,
    broken: Vec<Json>,
    examples: Vec<explain::Example>,
}

impl Report {
    /// Small keys go first, and each may take its share of the time that is left: one that is hard
    /// hides no other.
    fn examine(&mut self, mut registers: Vec<Register<'_>>, deadline: Deadline) {
        registers.sort_by_key(|register| register.certain.len() + register.possible.len());
        self.keys = registers.len();
        for (done, register) in registers.iter().enumerate() {
            self.operations += register.certain.len() + register.possible.len();
            self.observed |= register.observed();
            let deadline = deadline.share(self.keys - done);
            self.judge(register, Limits { deadline, bytes: BYTES_MAX });
        }
    }

    fn judge(&mut self, register: &Register<'_>, limits: Limits) {
        let key = || register.key.to_string();
        match search(register, limits) {
            Outcome::Linearizable(_) => {}
            Outcome::Undecided(why) => self.undecided.push(json!({ "key": key(), "why": why })),
            Outcome::Stuck(front) => {
                self.broken.push(json!(key()));
                if self.examples.len() < EXAMPLES_MAX {
                    self.examples.push(explain::Example::new(register, front, limits));
                }
            }
        }
    }

    fn verdict(&self) -> Verdict {
        if !self.broken.is_empty() {
            Verdict::Invalid
        } else if self.problem.is_some() || !self.undecided.is_empty() || !self.observed {
            Verdict::Unknown
        } else {
            Verdict::Valid
        }
    }

    fn summary(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let (keys, operations) = (self.keys, self.operations);
        let mut text = match self.verdict() {
            Verdict::Invalid => {
                format!("{} of {keys} keys not linearizable", self.broken.len())
            }
            Verdict::Valid => format!("{operations} operations on {keys} keys linearizable"),
            Verdict::Unknown if self.undecided.is_empty() => "no read or cas succeeded".to_owned(),
            Verdict::Unknown => {
                format!("{} of {keys} keys undecided: {}", self.undecided.len(), self.undecided[0])
            }
        };
        for example in &self.examples {
            text.push('\n');
            text.push_str(&example.to_string());
        }
        text
    }

    fn finish(self) -> Finding {
        Finding {
            checker: "wgl",
            verdict: self.verdict(),
            summary: self.summary(),
            details: json!({
                "keys": self.keys,
                "operations": self.operations,
                "undecided": self.undecided,
                "broken": self.broken,
                "examples": self.examples,
            }),
        }
    }
}
