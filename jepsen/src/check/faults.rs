//! What the nemesis did, as spans.
//!
//! A fault lasts from `start-NAME` to `stop-NAME`, or to `heal`, which ends all. Further starts of
//! one that is open, such as an announcement and its outcome, belong to it; the last of them tells
//! whether it was installed.

use crate::history::{Event, History};

/// The event that ends all faults.
pub(super) const HEAL: &str = "heal";

pub(super) struct Fault<'a> {
    pub(super) name: &'a str,
    /// Its first start.
    pub(super) began: &'a Event,
    /// Its last start.
    pub(super) installed: &'a Event,
    /// Its end, if that was recorded.
    pub(super) ended: Option<&'a Event>,
}

/// Those that were really installed, in the order of their beginnings.
pub(super) fn of(history: &History) -> Vec<Fault<'_>> {
    let mut faults = all(history);
    faults.retain(|fault| fault.installed.error.is_none());
    faults
}

/// Also those that could not be installed.
pub(super) fn all(history: &History) -> Vec<Fault<'_>> {
    let mut faults: Vec<Fault<'_>> = Vec::new();
    for event in history.faults() {
        let open = |fault: &&mut Fault<'_>| fault.ended.is_none();
        if let Some(name) = event.f.strip_prefix("start-") {
            match faults.iter_mut().filter(open).find(|fault| fault.name == name) {
                Some(fault) => fault.installed = event,
                None => faults.push(Fault { name, began: event, installed: event, ended: None }),
            }
        } else {
            let name = event.f.strip_prefix("stop-");
            let ends = |fault: &&mut Fault<'_>| event.f == HEAL || Some(fault.name) == name;
            faults.iter_mut().filter(open).filter(ends).for_each(|fault| fault.ended = Some(event));
        }
    }
    faults
}
