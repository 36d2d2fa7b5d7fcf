//! Leadership, as coverage wants it seen: it moved where it had to, and clients were answered on both
//! sides of it.
//!
//! A leader that is down, still or cut off while a majority is well must lose its leadership. Only
//! what leaves no doubt is demanded: the fault was on a minority with the leader of the moment, lasted
//! much longer than elections take, no other was in effect at the time, and in no time of the run did
//! members change, of whom some may not vote. Of all such faults of a run one has to show a newer term.

use std::collections::BTreeMap;

use super::Case;
use super::faults::{self, Fault};
use crate::cluster::{Role, Sample};
use crate::history::{History, Operation, Value};

/// What was heard longer ago says nothing.
const FRESH_NS: u64 = 1_000_000_000;
/// Who leads is asked so long before a fault is recorded: that is done when it is in effect.
const BEFORE_NS: u64 = 200_000_000;
/// Five times the longest time after which a node of a run stands for election.
const DEPOSED_NS: u64 = 3_000_000_000;
/// So long after another fault nodes may still be coming back.
const REST_NS: u64 = 3_000_000_000;
/// They make members anew, and those have no vote at first.
const CHANGE_MEMBERS: &[&str] = &["member", "wipe", "torn-tail"];

/// Looks at who led in a cluster of so many nodes.
pub(super) fn check(history: &History, samples: &[Sample], nodes: u32, case: &mut Case) {
    let roles = Roles::of(samples);
    let mut terms: Vec<u64> =
        samples.iter().filter(|it| it.leader.is_some()).map(|it| it.term).collect();
    terms.sort_unstable();
    terms.dedup();
    if terms.is_empty() {
        case.doubt("nobody was elected");
    }
    case.figure("elections", terms.len());
    moved(history, &roles, nodes, case);
    answered(&history.operations(), &roles, nodes, case);
}

/// What every node said, in order.
struct Roles<'a>(BTreeMap<u32, Vec<&'a Sample>>);

impl<'a> Roles<'a> {
    fn of(samples: &'a [Sample]) -> Self {
        let mut nodes: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
        samples.iter().for_each(|sample| nodes.entry(sample.node).or_default().push(sample));
        nodes.values_mut().for_each(|of_node| of_node.sort_by_key(|sample| sample.time));
        Self(nodes)
    }

    /// What the node said last before that time, if that was not long ago.
    fn at(&self, node: u32, time: u64) -> Option<&'a Sample> {
        let said = self.0.get(&node)?;
        let before = said.partition_point(|sample| sample.time <= time).checked_sub(1)?;
        Some(said[before]).filter(|sample| sample.time + FRESH_NS > time)
    }

    fn leader(&self, time: u64) -> Option<&'a Sample> {
        let said = self.0.keys().filter_map(|node| self.at(*node, time));
        said.filter(|sample| sample.role == Role::Leader).max_by_key(|sample| sample.term)
    }

    /// Whether somebody led a newer term before the time.
    fn led_after(&self, old: &Sample, until: u64) -> bool {
        let newer =
            |it: &&&Sample| it.role == Role::Leader && it.term > old.term && it.time <= until;
        self.0.values().flatten().any(|sample| newer(&sample))
    }
}

fn moved(history: &History, roles: &Roles<'_>, nodes: u32, case: &mut Case) {
    let final_phase = history.events.iter().find(|event| event.f.starts_with("final-"));
    let until = final_phase.map_or(u64::MAX, |event| event.time);
    let deposed = deposed(&faults::of(history), roles, nodes);
    if let Some((index, old)) = deposed.first()
        && !roles.led_after(old, until)
    {
        let (node, term) = (old.node, old.term);
        case.doubt(format!(
            "node {node} led term {term} at {index}, and nobody was elected after it"
        ));
    }
    case.figure("leaders_deposed", deposed.len());
}

/// Where a fault began that must have ended a leadership, and which.
fn deposed<'a>(faults: &[Fault<'_>], roles: &Roles<'a>, nodes: u32) -> Vec<(usize, &'a Sample)> {
    if faults.iter().any(|fault| CHANGE_MEMBERS.contains(&fault.name)) {
        return Vec::new();
    }
    let mut deposed = Vec::new();
    for (place, fault) in faults.iter().enumerate() {
        let (from, until) = span(fault);
        let is_near = |other: &Fault<'_>| {
            let (began, ended) = span(other);
            began < until && ended.saturating_add(REST_NS) > from
        };
        let is_alone = !faults.iter().enumerate().any(|(at, it)| at != place && is_near(it));
        let leader = roles.leader(fault.began.time.saturating_sub(BEFORE_NS));
        let Some(leader) = leader.filter(|leader| deposes(fault, leader.node, nodes)) else {
            continue;
        };
        if is_alone && fault.is_carried_out() && until - from >= DEPOSED_NS {
            deposed.push((fault.began.index, leader));
        }
    }
    deposed
}

fn span(fault: &Fault<'_>) -> (u64, u64) {
    (fault.installed.time, fault.ended.map_or(u64::MAX, |event| event.time))
}

/// Whether others must elect another while it lasts.
fn deposes(fault: &Fault<'_>, leader: u32, nodes: u32) -> bool {
    let Value::List(value) = &fault.installed.value else { return false };
    let [Value::Keyword(kind), Value::List(on), ..] = &value[..] else { return false };
    let ends = match fault.name {
        "kill" | "failover" | "term" | "power" | "pause" => true,
        "partition" => ["halves", "mute"].contains(&kind.as_str()),
        _ => false,
    };
    ends && on.contains(&Value::Int(i64::from(leader))) && on.len() * 2 < nodes as usize
}

fn answered(operations: &[Operation<'_>], roles: &Roles<'_>, nodes: u32, case: &mut Case) {
    let (mut leader, mut others) = (0_u64, 0_u64);
    for operation in operations {
        let Some(done) = operation.done() else { continue };
        let said = operation.invoked.node.and_then(|node| roles.at(node, done.time));
        match said.map(|sample| sample.role) {
            Some(Role::Leader) => leader += 1,
            Some(Role::Follower | Role::Learner) => others += 1,
            Some(Role::Candidate | Role::Down) | None => {}
        }
    }
    if leader == 0 {
        case.doubt("no leader gave an ok answer");
    }
    if others == 0 && nodes > 1 {
        case.doubt("nobody but leaders gave an ok answer");
    }
    case.figure("ok_by_leaders", leader);
    case.figure("ok_by_others", others);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::check::{Finding, Verdict};
    use crate::history::Format;

    const SECOND: u64 = 1_000_000_000;

    /// Three nodes over ten seconds, of which `leads` says who leads which term in each.
    fn samples(leads: impl Fn(u64) -> (u32, u64)) -> Vec<Sample> {
        let at = |tenth: u64| {
            let (leader, term) = leads(tenth / 10);
            (1..=3).map(move |node| {
                let role = if node == leader { Role::Leader } else { Role::Follower };
                Sample { time: tenth * SECOND / 10, node, role, term, leader: Some(leader) }
            })
        };
        (0..100).flat_map(at).collect()
    }

    /// Lines of seconds, `f`, value; operations are of that node and ok.
    fn judge(lines: &[(u64, &str, &str)], samples: &[Sample]) -> Finding {
        let mut text = String::new();
        let mut index = 0;
        let mut add = |line: String| {
            text += &format!("{{:index {index}, {line}}}\n");
            index += 1;
        };
        for (second, f, value) in lines {
            let time = second * SECOND;
            if *f == "read" || *f == "final-read" {
                for kind in ["invoke", "ok"] {
                    add(format!(
                        ":type :{kind}, :process 0, :time {time}, :f :{f}, :value nil, :node {value}"
                    ));
                }
            } else {
                let of = ":type :info, :process :nemesis";
                add(format!("{of}, :time {time}, :f :{f}, :value {value}"));
            }
        }
        let history = History::parse(text.as_bytes(), Format::Edn).unwrap();
        Case::run("coverage", |case| {
            check(&history, samples, 3, case);
            Ok(())
        })
    }

    fn verdict(faults: &[(u64, &str, &str)], leads: impl Fn(u64) -> (u32, u64)) -> Verdict {
        let reads = [(9, "read", "1"), (9, "read", "2"), (9, "read", "3"), (9, "final-read", "1")];
        let mut lines = faults.to_vec();
        lines.extend(reads);
        judge(&lines, &samples(leads)).verdict
    }

    #[test]
    fn whom_the_others_do_not_hear_must_be_followed_by_another() {
        let always = |_| (1, 4);
        let moved = |second| if second < 3 { (1, 4) } else { (2, 5) };
        for (name, on) in [
            ("kill", "[:kill [1]]"),
            ("failover", "[:kill [1]]"),
            ("term", "[:term [1]]"),
            ("power", "[:power [1]]"),
            ("pause", "[:pause [1]]"),
            ("partition", "[:halves [1] [2 3]]"),
            ("partition", "[:mute [1]]"),
        ] {
            let (start, stop) = (format!("start-{name}"), format!("stop-{name}"));
            let fault = [(2, &*start, on), (7, &*stop, on)];
            assert_eq!(verdict(&fault, always), Verdict::Unknown, "{name} {on}");
            assert_eq!(verdict(&fault, moved), Verdict::Valid, "{name} {on}");
        }
    }

    #[test]
    fn a_newer_term_is_demanded_only_where_there_is_no_doubt() {
        let always = |_| (1, 4);
        let cases: &[&[(u64, &str, &str)]] = &[
            // A follower, a majority, a moment, one way only, and what does not keep it from leading.
            &[(2, "start-kill", "[:kill [2]]"), (7, "stop-kill", "[:kill [2]]")],
            &[(2, "start-kill", "[:kill [1 2]]"), (7, "stop-kill", "[:kill [1 2]]")],
            &[(2, "start-pause", "[:pause [1]]"), (4, "stop-pause", "[:pause [1]]")],
            &[(2, "start-partition", "[:deaf [1]]"), (7, "stop-partition", "[:deaf [1]]")],
            &[(2, "start-delay", "[:ms-5-25 [1]]"), (7, "stop-delay", "[:ms-5-25 [1]]")],
            // Another fault keeps the others from it.
            &[
                (2, "start-kill", "[:kill [1]]"),
                (3, "start-pause", "[:pause [2 3]]"),
                (7, "stop-pause", "[:pause [2 3]]"),
                (7, "stop-kill", "[:kill [1]]"),
            ],
            // Who is left may have no vote.
            &[
                (0, "start-wipe", "[:wipe [2]]"),
                (0, "stop-wipe", "[:wipe [2]]"),
                (4, "start-kill", "[:kill [1]]"),
                (8, "stop-kill", "[:kill [1]]"),
            ],
        ];
        for faults in cases {
            assert_eq!(verdict(faults, always), Verdict::Valid, "{faults:?}");
        }
    }

    #[test]
    fn both_sides_have_to_answer() {
        let always = samples(|_| (1, 4));
        let read = |nodes: &[&'static str]| {
            let lines: Vec<_> = nodes.iter().map(|node| (5, "read", *node)).collect();
            judge(&lines, &always)
        };
        assert_eq!(read(&["1", "2"]).verdict, Verdict::Valid);
        assert_eq!(read(&["1"]).summary, "nobody but leaders gave an ok answer");
        assert_eq!(read(&["2", "3"]).summary, "no leader gave an ok answer");
        assert!(judge(&[], &[]).summary.contains("nobody was elected"));
    }
}
