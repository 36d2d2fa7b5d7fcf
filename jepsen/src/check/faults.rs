//! What the nemesis did, as spans.
//!
//! A fault lasts from `start-NAME` to `stop-NAME`, or to `heal`, which ends all. Further starts of
//! one that is open, such as an announcement and its outcome, belong to it; the last of them tells
//! whether it was installed. Faults of one name that overlap are told apart by their values.
//!
//! One that was installed is not always *carried out*: what it does all the time may have failed, and
//! its end says so. It was in effect all the same, and whoever asks whether all was well must know of
//! it; but nothing is shown of what it was to do.

use crate::history::{Event, History, Value};

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

impl Fault<'_> {
    /// Whether it did what it was to do. One that only could not be undone did.
    pub(super) fn is_carried_out(&self) -> bool {
        self.failure().is_none()
    }

    /// Why it did not do what it was to do.
    pub(super) fn failure(&self) -> Option<&str> {
        let failed = self.ended.and_then(Event::not_carried_out);
        self.installed.error.as_deref().or(failed)
    }

    /// Whether an event of its name with that value is about it.
    fn is_on(&self, value: &Value) -> bool {
        self.installed.value == *value || self.installed.value == Value::Nil
    }
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
            let same = |fault: &&mut Fault<'_>| fault.name == name && fault.is_on(&event.value);
            match faults.iter_mut().filter(open).find(same) {
                Some(fault) => fault.installed = event,
                None => faults.push(Fault { name, began: event, installed: event, ended: None }),
            }
        } else {
            let name = event.f.strip_prefix("stop-");
            let named = |fault: &&mut Fault<'_>| event.f == HEAL || Some(fault.name) == name;
            let mut ended: Vec<_> = faults.iter_mut().filter(open).filter(named).collect();
            if name.is_some() && ended.iter().any(|fault| fault.installed.value == event.value) {
                ended.retain(|fault| fault.installed.value == event.value);
            }
            ended.into_iter().for_each(|fault| fault.ended = Some(event));
        }
    }
    faults
}
