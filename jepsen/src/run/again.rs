//! A history judged without the run that left it.
//!
//! Everything is judged that can be from the history alone, as the run did it; the rest is named, so
//! that nobody takes a `valid` of this for that of a run.

use super::PATIENCE;
use crate::check::{Finding, Verdict, availability, coverage};
use crate::history::History;
use crate::report::Summary;
use crate::workload::{self, Row};
use serde_json::json;
use std::collections::BTreeSet;

/// What is known beside the history.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// What made it, if its operations do not tell.
    pub workload: Option<&'static Row>,
    /// How many nodes there were; of those that no operation was for nothing is known.
    pub nodes: Option<u32>,
    /// Whether faults left a majority whole, so that service had to go on.
    pub liveness: bool,
}

/// The judgement, and what it does not cover.
pub fn judge(history: &History, known: &Known, command: String) -> Summary {
    let traces = Traces::of(history, known);
    let row = known.workload.or_else(|| Row::inferred(history));
    let mut findings = match row {
        Some(row) => row.check(history, PATIENCE),
        None => nameless(history),
    };
    findings.extend(traces.judge(history, known.liveness));
    Summary {
        workload: row.map_or_else(String::new, |row| row.name.to_owned()),
        verdict: findings.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Unknown),
        nodes: traces.nodes,
        unjudged: traces.unjudged(known.liveness),
        nemeses: traces.faults,
        findings,
        ..Summary::new(command)
    }
}

/// What holds whatever made it.
fn nameless(history: &History) -> Vec<Finding> {
    let why = "its operations do not tell what made it: name it with --workload";
    let mut findings = workload::whatever(history);
    findings.push(doubt("workload", why));
    findings
}

fn doubt(checker: &'static str, why: &str) -> Finding {
    Finding { checker, verdict: Verdict::Unknown, summary: why.to_owned(), details: json!(null) }
}

/// What the history tells of its run.
struct Traces {
    nodes: u32,
    /// The faults that were tried.
    faults: Vec<String>,
    healed: bool,
    /// Whether anybody read when all was over.
    ended: bool,
}

impl Traces {
    fn of(history: &History, known: &Known) -> Self {
        let asked = history.events.iter().filter_map(|event| event.node).max();
        let tried = history.faults().filter_map(|event| event.f.strip_prefix("start-"));
        let faults: BTreeSet<&str> = tried.collect();
        Self {
            nodes: known.nodes.or(asked).unwrap_or(0),
            faults: faults.into_iter().map(str::to_owned).collect(),
            healed: history.faults().any(|event| event.f == "heal"),
            ended: history.events.iter().any(|event| event.f.starts_with("final-")),
        }
    }

    /// Whether it is known what was broken: else an error may have any cause.
    fn tells_faults(&self) -> bool {
        self.nodes > 0 && (self.healed || self.ended || !self.faults.is_empty())
    }

    fn judge(&self, history: &History, liveness: bool) -> Vec<Finding> {
        if !self.tells_faults() {
            return Vec::new();
        }
        let faults = self.faults.clone();
        let expected = coverage::Expected { faults, ..coverage::Expected::default() };
        let mut findings = vec![
            availability::check(history, self.nodes, liveness),
            coverage::check(history, &expected),
        ];
        if self.healed && !self.ended {
            let why = "no final reads followed the healing: the nodes did not come together, or \
                       the run was stopped";
            findings.push(doubt("convergence", why));
        }
        findings
    }

    fn unjudged(&self, liveness: bool) -> Vec<String> {
        let mut unjudged = vec![
            "crashes: a history does not have the nodes' logs".to_owned(),
            "elections and roles: a history does not tell who led".to_owned(),
            "convergence: a history does not tell how a restart went".to_owned(),
        ];
        if !self.tells_faults() {
            let why = "availability: the history does not tell nodes, faults and final reads";
            unjudged.push(why.to_owned());
        } else if !liveness && !self.faults.is_empty() {
            let why = "service during faults: a history does not tell whether they left a majority \
                       whole (--liveness if so)";
            unjudged.push(why.to_owned());
        }
        unjudged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, Kind, Process, Value};

    fn event(seconds: u64, kind: Kind, process: Process, f: &str) -> Event {
        let (time, value, node) = (seconds * 1_000_000_000, Value::Nil, None);
        Event { index: 0, kind, process, time, f: f.to_owned(), value, error: None, node }
    }

    /// A node is asked each second, and answers unless it is `dead`.
    fn asked(from: u64, to: u64, node: u32, dead: bool) -> Vec<Event> {
        let process = Process::Client(u64::from(node));
        let pair = |second| {
            let kind = if dead { Kind::Fail } else { Kind::Ok };
            let error = dead.then(|| "connect: refused".to_owned());
            let begun = Event { node: Some(node), ..event(second, Kind::Invoke, process, "add") };
            let begun = Event { value: Value::Int(1), ..begun };
            [begun.clone(), Event { kind, error, ..begun }]
        };
        (from..to).flat_map(pair).collect()
    }

    /// Two nodes, a fault until the third second, and then node 2 answers or not.
    fn faulty(dead: bool, last: &str) -> History {
        let nemesis = |seconds, f: &str| event(seconds, Kind::Info, Process::Nemesis, f);
        let mut events = asked(0, 20, 1, false);
        events.extend(asked(0, 2, 2, false));
        events.extend(asked(3, 20, 2, dead));
        events.extend([nemesis(2, "start-kill"), nemesis(3, "stop-kill"), nemesis(3, "heal")]);
        let reader = |kind| event(21, kind, Process::Client(9), last);
        events.extend([reader(Kind::Invoke), Event { value: Value::Int(0), ..reader(Kind::Ok) }]);
        events.sort_by_key(|event| event.time);
        events.iter_mut().enumerate().for_each(|(index, event)| event.index = index);
        History { events }
    }

    fn verdicts(summary: &Summary, checker: &str) -> Option<Verdict> {
        let finding = summary.findings.iter().find(|finding| finding.checker == checker);
        finding.map(|finding| finding.verdict)
    }

    #[test]
    fn a_node_that_never_came_back_is_found_in_the_history() {
        let judged = |dead, last| judge(&faulty(dead, last), &Known::default(), String::new());
        let dead = judged(true, "final-read");
        assert_eq!(verdicts(&dead, "availability"), Some(Verdict::Invalid), "{dead:#?}");
        assert_eq!(
            (dead.verdict, dead.nodes, dead.nemeses),
            (Verdict::Invalid, 2, vec!["kill".into()])
        );
        let back = judged(false, "final-read");
        assert_eq!(verdicts(&back, "availability"), Some(Verdict::Valid), "{back:#?}");
        assert_eq!(verdicts(&back, "convergence"), None);
        assert_eq!(verdicts(&judged(false, "read"), "convergence"), Some(Verdict::Unknown));
    }

    #[test]
    fn what_the_history_does_not_tell_is_named_and_not_judged() {
        let told = |history: &History, known: Known, what: &str| {
            let summary = judge(history, &known, String::new());
            summary.unjudged.iter().any(|line| line.starts_with(what))
        };
        let (known, whole) = (Known::default(), faulty(false, "final-read"));
        assert!(told(&whole, known, "crashes: ") && told(&whole, known, "service during faults: "));
        assert!(!told(&whole, known, "availability: "));
        let majority = Known { liveness: true, ..known };
        assert!(!told(&whole, majority, "service during faults: "));
        // An error of which nobody knows whether something was broken.
        let foreign = History { events: asked(0, 9, 1, true) };
        assert!(told(&foreign, known, "availability: "));
        let summary = judge(&foreign, &known, String::new());
        assert_eq!(verdicts(&summary, "availability"), None);
        assert_eq!(verdicts(&summary, "workload"), Some(Verdict::Unknown));
        assert_eq!(verdicts(&summary, "replies"), Some(Verdict::Valid));
    }
}
