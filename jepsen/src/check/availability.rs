//! Availability: what is whole serves.
//!
//! A cluster that answers nothing never answers wrongly, so silence is judged as well. Jepsen found in
//! RedisRaft healthy nodes that refused for ever (#21) and failovers that ended in nothing (#14).
//!
//! * `not-serving`: a node gave no ok answer within [`RECOVERY_MAX`] after everything was healed.
//! * `unavailable`: in liveness mode, where a majority always stays whole, nobody gave one within that
//!   time after a fault began. A further fault within it starts the time anew.
//! * `refused`: an error although no fault was installed and [`WARM_UP`] was over. One that begins with
//!   [`UNMET`] is none: there an operation's own condition did not hold.
//!
//! A node that was not asked in the first half of its time cannot be judged.
//!
//! For how long nothing succeeded during each fault is a figure, not a judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::faults::{self, Fault};
use super::{Case, Finding, quantiles};
use crate::history::{Event, History, Kind, Operation};

/// So soon everything that is whole has to serve again.
pub const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// So long after its first event a run without faults may see errors.
pub const WARM_UP: Duration = Duration::from_secs(2);

/// How the error of an operation begins that was refused by its own condition, such as a lock held.
pub const UNMET: &str = "unmet: ";

/// Checks operations of any name on nodes 1 to `nodes`.
pub fn check(history: &History, nodes: u32, liveness: bool) -> Finding {
    Case::run("availability", |case| {
        let run = Run::of(history);
        match history.faults().filter(|event| event.f == faults::HEAL).last() {
            Some(heal) => (1..=nodes).for_each(|node| run.recovers(node, heal, case)),
            None if run.faults.is_empty() => {
                (1..=nodes).for_each(|node| run.answers(node, case));
            }
            None => case.doubt("the faults were never healed"),
        }
        if run.faults.is_empty() {
            run.quiet(case);
        } else if liveness {
            run.serves(case);
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
        let early = |event: &Event| (from..=from.midpoint(to)).contains(&event.time);
        let mut tried = Tried::No;
        for operation in self.operations.iter().filter(|operation| on(operation)) {
            if operation.done().is_some_and(within) {
                return Tried::Answered;
            }
            if early(operation.invoked) {
                tried = Tried::InVain;
            }
        }
        tried
    }

    fn recovers(&self, node: u32, heal: &Event, case: &mut Case) {
        let until = heal.time + nanoseconds(RECOVERY_MAX);
        let on = |operation: &Operation<'_>| operation.invoked.node == Some(node);
        match self.tried(on, heal.time, until) {
            Tried::Answered => {}
            Tried::InVain if self.last >= until => {
                let what = format!(
                    "node {node} gave no ok answer within {RECOVERY_MAX:?} after all was healed at \
                     {}",
                    heal.index
                );
                case.accuse("not-serving", &[heal.index], what);
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

    /// Answers count that were asked for after the fault began: others may have been on their way.
    fn serves(&self, case: &mut Case) {
        let mut judged = 0;
        for (place, fault) in self.faults.iter().enumerate() {
            let (from, name) = (fault.installed.time, fault.name);
            let until = from + nanoseconds(RECOVERY_MAX);
            let anew = |next: &Fault<'_>| (from + 1..=until).contains(&next.installed.time);
            let replaced = self.faults[place + 1..].iter().any(anew);
            match self.tried(|operation| operation.invoked.time >= from, from, until) {
                Tried::Answered => judged += 1,
                _ if replaced || self.last < until => {}
                Tried::No => case.doubt(format!("nobody asked soon after {name} began")),
                Tried::InVain => {
                    let at = fault.installed.index;
                    let what =
                        format!("nothing succeeded within {RECOVERY_MAX:?} after {name} at {at}");
                    case.accuse("unavailable", &[at], what);
                }
            }
        }
        if judged == 0 {
            case.doubt("no fault lasted long enough to judge whether others served");
        }
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
        let within = self.answered[first..].iter().copied().take_while(|time| *time < to);
        let (mut longest, mut before) = (0, from);
        for time in within.chain([to]) {
            longest = longest.max(time.saturating_sub(before));
            before = time;
        }
        longest
    }
}

/// What became of asking.
enum Tried {
    Answered,
    InVain,
    No,
}
