//! A FIFO queue: nothing is lost, repeated, invented or overtaken.
//!
//! Jepsen's `total-queue` counts what went in and came out. With unique elements a queue is moreover
//! linearizable exactly if none of four shapes occurs (Henzinger, Sezgin, Vafeiadis, "Aspect-oriented
//! linearizability proofs", 2013); each can be found by sorting, and needs only what certainly was:
//!
//! * `unexpected` (VFresh): dequeued, though nobody had begun to enqueue it, or that failed.
//! * `duplicated` (VRepet): dequeued twice.
//! * `overtaken` (VOrd): enqueued after another, and dequeued before it. That covers the order of
//!   one producer's elements.
//! * `empty` (VWit): a dequeue found nothing while an element certainly was there.
//! * `lost`: acknowledged, not in a drain that began later, and in no other dequeue.
//!
//! A dequeue of unknown outcome may have taken one element, a drain any number: only what exceeds
//! that is lost. What was never drained is `unknown`, not lost.

use std::collections::HashMap;

use super::shape::{self, Odd};
use super::{Case, Finding};
use crate::history::{History, Kind, Operation, Value};

/// Checks operations `enqueue`, `dequeue` and `drain`.
pub fn check(history: &History) -> Finding {
    Case::run("queue", |case| {
        let mut queue = Queue::entered(history)?;
        let operations = history.operations();
        for operation in operations.iter().filter(|operation| operation.ok().is_some()) {
            queue.leave(operation, case)?;
        }
        queue.overtaken(case);
        queue.empty(case);
        queue.lost(&operations, case);
        let drains = operations.iter().filter(|operation| operation.verb() == "drain").count();
        case.figure("enqueued", queue.elements.iter().filter(|one| one.entered.is_some()).count());
        case.figure("dequeued", queue.elements.iter().filter(|one| one.left.is_some()).count());
        case.figure("drains", drains);
        Ok(())
    })
}

/// Indexes between which something happened.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

struct Element<'a> {
    value: &'a Value,
    enqueue: Operation<'a>,
    /// When its enqueue was acknowledged.
    entered: Option<usize>,
    left: Option<Span>,
}

impl Element<'_> {
    fn start(&self) -> usize {
        self.enqueue.start()
    }
}

struct Queue<'a> {
    /// In order of the invocations of their enqueues.
    elements: Vec<Element<'a>>,
    places: HashMap<&'a Value, usize>,
    found_empty: Vec<Span>,
}

impl<'a> Queue<'a> {
    fn entered(history: &'a History) -> Result<Self, Odd> {
        let enqueues = shape::named(history, "enqueue");
        shape::distinct(&enqueues)?;
        let element = |enqueue: &Operation<'a>| {
            let (value, entered) = (&enqueue.invoked.value, enqueue.ok());
            Element { value, enqueue: *enqueue, entered, left: None }
        };
        let elements: Vec<Element<'_>> = enqueues.iter().map(element).collect();
        let places = elements.iter().enumerate().map(|(place, element)| (element.value, place));
        let places = places.collect();
        Ok(Self { elements, places, found_empty: Vec::new() })
    }

    fn leave(&mut self, operation: &Operation<'a>, case: &mut Case) -> Result<(), Odd> {
        let (start, value) = (operation.start(), operation.value());
        let span = Span { start, end: operation.ok().unwrap_or(start) };
        match (operation.verb(), value) {
            ("dequeue", Value::Nil) => self.found_empty.push(span),
            ("dequeue", value) => self.take(value, span, case),
            ("drain", value) => {
                let drained = shape::list(operation, value)?;
                drained.iter().for_each(|value| self.take(value, span, case));
                self.order_within(drained, span, case);
                self.found_empty.push(span);
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, value: &Value, span: Span, case: &mut Case) {
        let end = span.end;
        let Some(place) = self.places.get(value) else {
            let what = format!("{value} was dequeued at {end}, but nobody enqueued it");
            return case.accuse("unexpected", &[end], what);
        };
        let element = &mut self.elements[*place];
        let start = element.start();
        if let Some(earlier) = element.left {
            let what =
                format!("{value}, enqueued at {start}, was dequeued at {} and {end}", earlier.end);
            return case.accuse("duplicated", &[start, earlier.end, end], what);
        }
        element.left = Some(span);
        let failed = element.enqueue.outcome() == Kind::Fail;
        if failed || start > end {
            let why = if failed { "failed" } else { "began later" };
            let what = format!("{value} was dequeued at {end}, but its enqueue at {start} {why}");
            case.accuse("unexpected", &[start, end], what);
        }
    }

    /// The elements of one drain left in its order.
    fn order_within(&self, drained: &[Value], span: Span, case: &mut Case) {
        let mut latest: Option<&Element<'_>> = None;
        for value in drained {
            let Some(place) = self.places.get(value) else { continue };
            let element = &self.elements[*place];
            let before =
                latest.filter(|latest| element.entered.is_some_and(|at| at < latest.start()));
            if let Some(latest) = before {
                accuse_overtaken(element, latest, span.end, case);
            }
            latest = latest.filter(|latest| latest.start() > element.start()).or(Some(element));
        }
    }

    /// Of all elements that were enqueued after one ended to be, the first to leave decides.
    fn overtaken(&self, case: &mut Case) {
        let mut first: Vec<Option<(usize, usize)>> = vec![None; self.elements.len() + 1];
        for place in (0..self.elements.len()).rev() {
            let own = self.elements[place].left.map(|left| (left.end, place));
            first[place] = [own, first[place + 1]].into_iter().flatten().min();
        }
        for element in &self.elements {
            let (Some(entered), Some(left)) = (element.entered, element.left) else { continue };
            let later = self.elements.partition_point(|other| other.start() < entered);
            if let Some((end, place)) = first[later].filter(|first| first.0 < left.start) {
                accuse_overtaken(element, &self.elements[place], end, case);
            }
        }
    }

    /// Of all dequeues that found nothing after an element was in, the first to end decides. A drain
    /// ends when it finds nothing; what it took itself left within it.
    fn empty(&mut self, case: &mut Case) {
        self.found_empty.sort_unstable_by_key(|span| span.start);
        let spans = &self.found_empty;
        let mut first: Vec<Option<Span>> = vec![None; spans.len() + 1];
        for place in (0..spans.len()).rev() {
            let both = [Some(spans[place]), first[place + 1]];
            first[place] = both.into_iter().flatten().min_by_key(|span| span.end);
        }
        for element in &self.elements {
            let (Some(entered), Some(left)) = (element.entered, element.left) else { continue };
            let later = spans.partition_point(|span| span.start < entered);
            if let Some(span) = first[later].filter(|span| span.end < left.start) {
                let value = element.value;
                let what = format!(
                    "nothing was found at {}, {}, though {value} was enqueued by {entered} and \
                     not dequeued before {}",
                    span.start, span.end, left.start
                );
                case.accuse("empty", &[entered, span.start, span.end, left.start], what);
            }
        }
    }

    fn lost(&self, operations: &[Operation<'_>], case: &mut Case) {
        let drained = operations.iter().filter(|one| one.verb() == "drain" && one.ok().is_some());
        let last_drain = drained.map(Operation::start).max();
        let unknown = |verb| {
            let unknown = |one: &&Operation<'_>| one.verb() == verb && one.outcome() == Kind::Info;
            operations.iter().filter(unknown).count()
        };
        let (takes, drains) = (unknown("dequeue"), unknown("drain"));
        let mut missing = Vec::new();
        let mut undrained = 0;
        for element in self.elements.iter().filter(|element| element.left.is_none()) {
            let Some(entered) = element.entered else { continue };
            match last_drain {
                Some(drain) if drain > entered => missing.push((element.value, entered, drain)),
                _ => undrained += 1,
            }
        }
        case.figure("unknown_dequeues", takes + drains);
        case.figure("missing", missing.len());
        match (missing.len() > takes, drains) {
            (true, 0) => accuse_lost(&missing, takes, case),
            (true, _) => case.doubt(format!(
                "{} elements are missing, and a drain of unknown outcome may have taken them",
                missing.len()
            )),
            (false, _) => {}
        }
        if undrained > 0 {
            case.doubt(format!("{undrained} elements were neither dequeued nor drained for"));
        }
        if self.elements.iter().all(|element| element.left.is_none()) && missing.is_empty() {
            case.doubt("nothing was dequeued");
        }
    }
}

fn accuse_overtaken(first: &Element<'_>, second: &Element<'_>, left: usize, case: &mut Case) {
    let entered = first.entered.unwrap_or(first.start());
    let what = format!(
        "{} was enqueued by {entered}, {} from {} on, but left first (at {left})",
        first.value,
        second.value,
        second.start()
    );
    case.accuse("overtaken", &[entered, second.start(), left], what);
}

/// Which of the missing ones an unknown dequeue took cannot be told; how many are too many can.
fn accuse_lost(missing: &[(&Value, usize, usize)], takes: usize, case: &mut Case) {
    for (value, entered, drain) in &missing[takes..] {
        let what = format!(
            "{value}, enqueued by {entered}, was not in the drain at {drain}; {} are missing and \
             {takes} dequeues are unknown",
            missing.len()
        );
        case.accuse("lost", &[*entered, *drain], what);
    }
}
