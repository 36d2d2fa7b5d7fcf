//! Faults as spans of time, and what they cost.
//!
//! A nemesis tells of one action by one event or by two, before and after. So a second start of the
//! same fault belongs to the first if it is of the same targets, or if the first had named none yet,
//! and a fault lasts until the last event that says it stops. Faults of one name may overlap: their
//! targets tell them apart.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{self, Facts};
use crate::check::availability;
use crate::history::{Event, History, Kind, Value};

/// A fault from its start to its stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// Its name, such as `partition`.
    pub name: String,
    /// What it was done to, as the nemesis wrote it; empty if it did not.
    pub targets: String,
    /// When it began, in nanoseconds.
    pub from: u64,
    /// When it was undone.
    pub until: u64,
    /// Why it could not be installed; it did nothing then.
    pub error: Option<String>,
    /// Why it did not do what it was to do, although it was installed.
    pub failed: Option<String>,
    /// Why it could not be undone, or not wholly.
    pub undone: Option<String>,
    open: bool,
}

impl Band {
    /// The name and the targets.
    pub fn what(&self) -> String {
        format!("{} {}", self.name, self.targets).trim_end().to_string()
    }

    /// The name, the targets, and why it failed, in one line.
    pub fn label(&self) -> String {
        match (&self.error, &self.failed, &self.undone) {
            (Some(error), ..) => format!("{} (not installed: {error})", self.what()),
            (None, Some(error), _) => format!("{} (not carried out: {error})", self.what()),
            (None, None, Some(error)) => format!("{} (not undone: {error})", self.what()),
            (None, None, None) => self.what(),
        }
    }

    /// Whether it did what it was to do.
    pub fn is_carried_out(&self) -> bool {
        self.error.is_none() && self.failed.is_none()
    }

    fn begin(name: &str, event: &Event) -> Self {
        Self {
            name: name.to_string(),
            targets: targets(&event.value),
            from: event.time,
            until: event.time,
            error: event.error.clone(),
            failed: None,
            undone: None,
            open: true,
        }
    }

    fn end(&mut self, at: u64) {
        self.until = at;
        self.open = false;
    }
}

/// What a fault cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The longest time without any write that ended `ok` while the fault lasted; `None` if nobody
    /// tried to write in the whole run.
    pub silence: Option<u64>,
    /// From the end of the fault to the next write that ended `ok`.
    pub recovery: Option<u64>,
    /// Whether any operation ended `ok` after it.
    pub survived: bool,
}

/// All faults of a history, by their beginning. What nobody stopped lasts until `end`, what was not
/// installed for no time at all.
pub fn bands(history: &History, end: u64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for event in history.faults() {
        if let Some(name) = event.f.strip_prefix("start-") {
            start(&mut bands, name, event);
        } else if let Some(name) = event.f.strip_prefix("stop-") {
            stop(&mut bands, name, event);
        } else if event.f == availability::HEAL {
            bands.iter_mut().filter(|band| band.open).for_each(|band| band.end(event.time));
        } else if event.f != availability::READMITTED {
            let mut moment = Band::begin(&event.f, event);
            moment.end(event.time);
            bands.push(moment);
        }
    }
    for band in &mut bands {
        match (&band.error, band.open) {
            (Some(_), _) => band.end(band.from),
            (None, true) => band.end(end),
            (None, false) => {}
        }
    }
    bands
}

/// The names of faults, each once, in order.
pub fn names(bands: &[Band]) -> BTreeSet<&str> {
    bands.iter().map(|band| band.name.as_str()).collect()
}

/// How many of each were carried out.
pub fn carried_out(bands: &[Band]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for band in bands.iter().filter(|band| band.is_carried_out()) {
        *counts.entry(band.name.as_str()).or_default() += 1;
    }
    counts
}

/// Why faults were not installed, and how many for that reason, by name.
pub fn refused(bands: &[Band]) -> BTreeMap<(&str, &str), usize> {
    let mut counts = BTreeMap::new();
    for band in bands {
        if let Some(error) = &band.error {
            *counts.entry((band.name.as_str(), error.as_str())).or_default() += 1;
        }
    }
    counts
}

/// What each fault cost, in the order of `facts.bands`.
pub fn costs(facts: &Facts<'_>) -> Vec<Cost> {
    let tried = facts.operations.iter().any(|operation| facts::writes(operation.invoked));
    let ends = |only_writes: bool| {
        let ok = facts.operations.iter().filter(|it| it.outcome() == Kind::Ok);
        let counted = ok.filter(|it| !only_writes || facts::writes(it.invoked));
        let mut ends: Vec<u64> = counted.map(|it| facts.until(it)).collect();
        ends.sort_unstable();
        ends
    };
    let (written, last_ok) = (ends(true), ends(false).last().copied());
    let cost = |band: &Band| Cost {
        silence: tried.then(|| silence(&written, band.from, band.until)),
        recovery: next(&written, band.until).map(|time| time - band.until),
        survived: band.is_carried_out() && last_ok.is_some_and(|time| time >= band.until),
    };
    facts.bands.iter().map(cost).collect()
}

fn start(bands: &mut Vec<Band>, name: &str, event: &Event) {
    let told = Band::begin(name, event);
    let first = |band: &&mut Band| {
        let waits = band.open && band.name == name && band.error.is_none();
        waits && (band.targets.is_empty() || band.targets == told.targets)
    };
    match bands.iter_mut().rev().find(first) {
        Some(band) => (band.targets, band.error) = (told.targets, told.error),
        None => bands.push(told),
    }
}

/// Ends the band of these targets, or all of that name; one that has ended already ends later.
fn stop(bands: &mut [Band], name: &str, event: &Event) {
    let value = targets(&event.value);
    let open = bands.iter().any(|band| band.name == name && band.open);
    let exact = bands.iter().any(|it| it.name == name && it.open == open && it.targets == value);
    let mine = |band: &&mut Band| {
        band.name == name && band.open == open && (!exact || band.targets == value)
    };
    let limit = if open && !exact { usize::MAX } else { 1 };
    for band in bands.iter_mut().rev().filter(mine).take(limit) {
        band.end(event.time);
        match event.not_carried_out() {
            Some(why) => band.failed = band.failed.take().or_else(|| Some(why.to_owned())),
            None => band.undone = band.undone.take().or_else(|| event.error.clone()),
        }
    }
}

fn targets(value: &Value) -> String {
    if *value == Value::Nil { String::new() } else { value.to_string() }
}

/// The longest stretch of `from..until` in which none of the sorted times lies.
fn silence(times: &[u64], from: u64, until: u64) -> u64 {
    let first = times.partition_point(|time| *time < from);
    let within = times[first..].iter().copied().take_while(|time| *time <= until);
    let (longest, last) =
        within.fold((0, from), |(longest, last), time| (longest.max(time - last), time));
    longest.max(until - last)
}

fn next(times: &[u64], at: u64) -> Option<u64> {
    times.get(times.partition_point(|time| *time < at)).copied()
}
