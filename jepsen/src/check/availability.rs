//! Availability: what is whole serves.
//!
//! A cluster that answers nothing never answers wrongly, so silence is judged as well. Jepsen found in
//! RedisRaft healthy nodes that refused for ever (#21) and failovers that ended in nothing (#14).
//!
//! * `not-serving`: a node gave no ok answer within [`RECOVERY_MAX`] after everything was healed, which
//!   is when nothing is wrong any more and every process runs. For a node that had to begin anew the
//!   time begins when it is [`READMITTED`].
//! * `unavailable`: in liveness mode, where a majority always stays whole, nobody gave one for longer
//!   than that, at any time from the first fault to the healing. A further fault that begins starts the
//!   time anew; one that ends does not, as it makes more whole and not less.
//! * `refused`: an error although no fault was installed and [`WARM_UP`] was over. One that begins with
//!   [`UNMET`] is none: there an operation's own condition did not hold.
//!
//! Nobody can be judged who was not asked in the first half of the time; a question that was open then
//! counts.
//!
//! For how long nothing succeeded during each fault is a figure, not a judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::faults::{self, Fault};
use super::{Case, Finding, quantiles};
use crate::history::{Event, History, Kind, Operation, Value};

/// So soon everything that is whole has to serve again.
pub const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// So long after its first event a run without faults may see errors.
pub const WARM_UP: Duration = Duration::from_secs(2);

/// The event that tells that all faults are undone, and that every process was started.
pub const HEAL: &str = faults::HEAL;
/// The event that tells which nodes were members again after they had begun anew.
pub const READMITTED: &str = "readmitted";

/// How the error of an operation begins that was refused by its own condition, such as a lock held.
pub const UNMET: &str = "unmet: ";

/// Checks operations of any name on nodes 1 to `nodes`.
pub fn check(history: &History, nodes: u32, liveness: bool) -> Finding {
    Case::run("availability", |case| {
        let run = Run::of(history);
        let heal = history.faults().filter(|event| event.f == HEAL).last();
        match heal {
            Some(heal) => (1..=nodes).for_each(|node| {
                run.recovers(node, readmission(history, node, heal).unwrap_or(heal), case);
            }),
            None if run.faults.is_empty() => {
                (1..=nodes).for_each(|node| run.answers(node, case));
            }
            None => case.doubt("the faults were never healed"),
        }
        if run.faults.is_empty() {
            run.quiet(case);
        } else if liveness {
            run.serves(heal.map_or(run.last, |heal| heal.time), case);
        }
        case.figure("operations", run.operations.len());
        case.figure("ok", run.answered.len());
        case.figure("faults", run.faults.len());
        case.figure("unavailable_ms", run.unavailable());
        Ok(())
    })
}

struct Run<'a> {
    operations: Vec<Operation<'a>>,
    /// When ok answers came, in order.
    answered: Vec<u64>,
    faults: Vec<Fault<'a>>,
    first: u64,
    last: u64,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Run<'a> {
    fn of(history: &'a History) -> Self {
        let operations = history.operations();
        let done = operations.iter().filter_map(Operation::done);
        let mut answered: Vec<u64> = done.map(|event| event.time).collect();
        answered.sort_unstable();
        let time = |event: Option<&Event>| event.map_or(0, |event| event.time);
        let (first, last) = (time(history.events.first()), time(history.events.last()));
        Self { operations, answered, faults: faults::of(history), first, last }
    }

    /// Whether one of these operations was answered between two times, or asked early enough.
    fn tried(&self, on: impl Fn(&Operation<'_>) -> bool, from: u64, to: u64) -> Tried {
        let within = |event: &Event| (from..=to).contains(&event.time);
        let mut tried = Tried::No;
        for operation in self.operations.iter().filter(|operation| on(operation)) {
            if operation.done().is_some_and(within) {
                return Tried::Answered;
            }
            if is_asked(operation, from) {
                tried = Tried::InVain;
            }
        }
        tried
    }

    /// From when it was whole.
    fn recovers(&self, node: u32, whole: &Event, case: &mut Case) {
        let until = whole.time + nanoseconds(RECOVERY_MAX);
        let on = |operation: &Operation<'_>| operation.invoked.node == Some(node);
        match self.tried(on, whole.time, until) {
            Tried::Answered => {}
            Tried::InVain if self.last >= until => {
                let (f, at) = (&whole.f, whole.index);
                let what = format!(
                    "node {node} gave no ok answer within {RECOVERY_MAX:?} after {f} at {at}"
                );
                case.accuse("not-serving", &[at], what);
            }
            Tried::InVain => case.doubt(format!("the run ended before node {node} had to serve")),
            Tried::No => case.doubt(format!("node {node} was not asked soon after all was healed")),
        }
    }

    fn answers(&self, node: u32, case: &mut Case) {
        let on = |operation: &Operation<'_>| operation.invoked.node == Some(node);
        if !matches!(self.tried(on, self.first, self.last), Tried::Answered) {
            case.doubt(format!("node {node} never answered"));
        }
    }

    fn quiet(&self, case: &mut Case) {
        let warm = self.first + nanoseconds(WARM_UP);
        for operation in self.operations.iter().filter(|one| one.invoked.time >= warm) {
            let Some(completed) = operation.completed.filter(|event| event.kind != Kind::Ok) else {
                continue;
            };
            if let Some(error) = completed.error.as_ref().filter(|error| !error.starts_with(UNMET))
            {
                let (f, at) = (&completed.f, completed.index);
                let what = format!("{f} got {error:?} at {at}, though there was no fault");
                case.accuse("refused", &[operation.start(), at], what);
            }
        }
    }

    fn serves(&self, end: u64, case: &mut Case) {
        let mut begun: Vec<&Fault<'_>> = self.faults.iter().collect();
        begun.retain(|fault| fault.installed.time < end);
        begun.sort_by_key(|fault| fault.installed.time);
        let next = begun.iter().skip(1).map(|fault| fault.installed.time).chain([end]);
        let mut answers = 0;
        for (fault, until) in begun.iter().zip(next) {
            let answered = self.answered_of(fault.installed.time, until);
            answers += answered.len();
            gaps(&answered, fault.installed.time, until)
                .filter(|(from, to)| to - from > nanoseconds(RECOVERY_MAX))
                .for_each(|(from, to)| self.silent(fault, from, to, case));
        }
        if answers == 0 {
            case.doubt("no fault lasted long enough to judge whether others served");
        }
    }

    /// When those were answered that were asked for in this time: others may have been on their way.
    fn answered_of(&self, from: u64, to: u64) -> Vec<u64> {
        let asked = self.operations.iter().filter(|operation| operation.invoked.time >= from);
        let done = asked.filter_map(Operation::done).map(|event| event.time);
        let mut answered: Vec<u64> = done.filter(|time| *time < to).collect();
        answered.sort_unstable();
        answered
    }

    fn silent(&self, fault: &Fault<'_>, from: u64, to: u64, case: &mut Case) {
        let (name, at) = (fault.name, fault.installed.index);
        if !self.operations.iter().any(|operation| is_asked(operation, from)) {
            case.doubt(format!("nobody asked for a while after {name} at {at}"));
            return;
        }
        let silence = Duration::from_nanos(to - from);
        case.accuse(
            "unavailable",
            &[at],
            format!("nothing succeeded for {silence:.1?} after {name} at {at}"),
        );
    }

    /// The longest time without an ok answer in each fault, by the name of the fault.
    fn unavailable(&self) -> Json {
        let mut longest: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for fault in &self.faults {
            let ended = fault.ended.map_or(self.last, |event| event.time);
            let gap = self.longest_gap(fault.began.time, ended) / 1_000_000;
            longest.entry(fault.name).or_default().push(gap);
        }
        let figures = longest.into_iter().map(|(name, gaps)| {
            let count = gaps.len();
            (name.to_owned(), json!({ "faults": count, "longest": quantiles(gaps) }))
        });
        Json::Object(figures.collect())
    }

    fn longest_gap(&self, from: u64, to: u64) -> u64 {
        let first = self.answered.partition_point(|time| *time < from);
        let last = self.answered.partition_point(|time| *time < to).max(first);
        let lengths = gaps(&self.answered[first..last], from, to);
        lengths.map(|(from, to)| to.saturating_sub(from)).max().unwrap_or(0)
    }
}

/// From the beginning to the first of these times, from each to the next, and to the end.
fn gaps(times: &[u64], from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let begin = [from].into_iter().chain(times.iter().copied());
    begin.zip(times.iter().copied().chain([to]))
}

/// Whether somebody waits for the answer in the first half of the time that begins then.
fn is_asked(operation: &Operation<'_>, from: u64) -> bool {
    let open = operation.completed.is_none_or(|event| event.time > from);
    open && operation.invoked.time <= from + nanoseconds(RECOVERY_MAX / 2)
}

/// When the node was a member again, if it had to begin anew.
fn readmission<'a>(history: &'a History, node: u32, heal: &Event) -> Option<&'a Event> {
    let names = |event: &Event| match &event.value {
        Value::List(nodes) => nodes.contains(&Value::Int(i64::from(node))),
        _ => false,
    };
    let later = history.faults().filter(|event| event.index > heal.index && event.f == READMITTED);
    later.filter(|event| names(event)).last()
}

/// What became of asking.
enum Tried {
    Answered,
    InVain,
    No,
}
