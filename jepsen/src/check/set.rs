//! A set that only grows: what was added is in every later read.
//!
//! After Jepsen's `set-full`. An element is *known* from the first completion that proves it: of its
//! addition, or of a read that has it. Every read invoked after that must have it.
//!
//! * `lost`: known, missing in a later read, and in no read invoked after that one.
//! * `stale`: known, missing in a later read, but seen again.
//! * `duplicated`: twice in one read.
//! * `unexpected`: in a read, though nobody had begun to add it, or its addition certainly failed.
//!
//! An element that was added but after which nobody read leaves the verdict `unknown`. Elements are
//! judged one by one: they may be keys of their own, of which nothing in common is promised.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::shape::{self, Odd};
use super::{Case, Finding, quantiles};
use crate::history::{Event, History, Kind, Operation, Value};

/// Checks operations `add` and `read`.
pub fn check(history: &History) -> Finding {
    Case::run("set", |case| {
        let mut elements = Elements::added(history)?;
        let reads = reads(history)?;
        if reads.is_empty() {
            case.doubt("no read succeeded");
        }
        reads.iter().for_each(|read| elements.learn(read, case));
        reads.iter().for_each(|read| elements.look(read));
        elements.judge(case);
        case.figure("reads", reads.len());
        Ok(())
    })
}

/// A successful read.
struct Read<'a> {
    invoked: &'a Event,
    completed: &'a Event,
    seen: &'a [Value],
}

fn reads(history: &History) -> Result<Vec<Read<'_>>, Odd> {
    let operations = shape::named(history, "read");
    let done = operations.iter().filter_map(|read| Some((read, read.done()?)));
    done.map(|(read, completed)| {
        let seen = shape::list(read, &completed.value)?;
        Ok(Read { invoked: read.invoked, completed, seen })
    })
    .collect()
}

/// An element and what reads said of it.
struct Element<'a> {
    added: Operation<'a>,
    /// The first completion that proves it to be there.
    known: Option<&'a Event>,
    /// The invocation of the last read that has it.
    present: Option<&'a Event>,
    /// The invocation of the last read that lacks it.
    absent: Option<&'a Event>,
}

struct Elements<'a> {
    all: Vec<Element<'a>>,
    places: HashMap<&'a Value, usize>,
}

impl<'a> Elements<'a> {
    fn added(history: &'a History) -> Result<Self, Odd> {
        let adds = shape::named(history, "add");
        shape::distinct(&adds)?;
        let places = adds.iter().enumerate().map(|(place, add)| (&add.invoked.value, place));
        let places = places.collect();
        let element = |added: Operation<'a>| Element {
            known: added.done(),
            added,
            present: None,
            absent: None,
        };
        Ok(Self { all: adds.into_iter().map(element).collect(), places })
    }

    /// What one read proves of its elements.
    fn learn(&mut self, read: &Read<'a>, case: &mut Case) {
        let end = read.completed.index;
        let mut once = HashSet::new();
        for value in read.seen {
            if !once.insert(value) {
                case.accuse(
                    "duplicated",
                    &[end],
                    format!("element {value} is twice in read {end}"),
                );
            }
            let place = self.places.get(value);
            match place.map(|place| &mut self.all[*place]) {
                Some(element) if element.added.possible() && element.added.start() < end => {
                    let earlier = element.known.filter(|known| known.index < end);
                    element.known = earlier.or(Some(read.completed));
                }
                Some(element) => {
                    let add = element.added.completed.unwrap_or(element.added.invoked).index;
                    let what = match element.added.outcome() {
                        Kind::Fail => format!("its addition failed ({add})"),
                        _ => format!("its addition began later ({})", element.added.start()),
                    };
                    let what = format!("element {value} is in read {end}, but {what}");
                    case.accuse("unexpected", &[add, end], what);
                }
                None => {
                    let what = format!("element {value} is in read {end}, but nobody added it");
                    case.accuse("unexpected", &[end], what);
                }
            }
        }
    }

    /// In which elements one read is the latest so far: reads come in order of their invocations.
    fn look(&mut self, read: &Read<'a>) {
        let begun = |element: &Element<'_>| element.added.start() < read.completed.index;
        let until = self.all.partition_point(begun);
        let mut seen = vec![false; self.all.len()];
        for place in read.seen.iter().filter_map(|value| self.places.get(value)) {
            seen[*place] = true;
        }
        for (element, seen) in self.all[..until].iter_mut().zip(seen) {
            match seen {
                true => element.present = Some(read.invoked),
                false => element.absent = Some(read.invoked),
            }
        }
    }

    fn judge(&self, case: &mut Case) {
        let mut stale_ms = Vec::new();
        let mut visible = 0;
        let mut never_read: Vec<&Element<'_>> = Vec::new();
        for element in &self.all {
            let Some(known) = element.known else { continue };
            let missed = element.absent.filter(|absent| absent.index > known.index);
            let seen = element.present;
            match (missed, seen) {
                (Some(absent), Some(present)) if present.index > absent.index => {
                    element.accuse("stale", "but not", absent, case);
                    stale_ms.push(absent.time.saturating_sub(known.time) / 1_000_000);
                }
                (Some(absent), _) => element.accuse("lost", "and never after", absent, case),
                (None, Some(_)) => {
                    visible += 1;
                    stale_ms.push(0);
                }
                (None, None) => never_read.push(element),
            }
        }
        if let Some(first) = never_read.first() {
            let (count, value, at) =
                (never_read.len(), &first.added.invoked.value, first.added.start());
            case.doubt(format!("{count} elements were never read again, first {value} ({at})"));
        }
        let acknowledged = self.all.iter().filter(|element| element.added.ok().is_some()).count();
        let unknown =
            self.all.iter().filter(|element| element.added.outcome() == Kind::Info).count();
        case.figure("added", acknowledged);
        case.figure("unknown", unknown);
        case.figure("visible", visible);
        case.figure("never_read", never_read.len());
        case.figure("time_to_visible_ms", json!(quantiles(stale_ms)));
    }
}

impl Element<'_> {
    fn accuse(&self, name: &'static str, when: &str, absent: &Event, case: &mut Case) {
        let (value, start) = (&self.added.invoked.value, self.added.start());
        let known = self.known.map_or(start, |known| known.index);
        let what = format!(
            "element {value}, added at {start}, was there at {known}, {when} in the read invoked at {}",
            absent.index
        );
        case.accuse(name, &[start, known, absent.index], what);
    }
}
