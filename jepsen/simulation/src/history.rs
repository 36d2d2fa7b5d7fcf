//! What clients did and heard, and whether one history of the data explains it.
//!
//! Every write leaves a mark of its own, so direct laws are enough. Lists are strings that grow by
//! elements of the same width, which makes the answer to an APPEND a place.
//! * Reads of a list are prefixes of one history; an element is in it once.
//! * What was acknowledged before a read began is in it, and so is what an earlier read saw. This
//!   holds for guarded writes (WATCH) as well, which set a list to what they read and their own
//!   element: of two that read the same, at most one succeeds, or the other's element is lost.
//! * What was refused for certain is never seen.
//! * Both lists of a transaction hold its element, or none does.
//! * A counter gives a number once, and larger ones later.
//! * A register never shows a value that was overwritten before the read began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::journal::note;

/// The history that all clients of a run share.
pub type SharedHistory = Arc<Mutex<History>>;

/// Digits of an element.
const WIDTH: usize = 6;

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Its element at the end of lists, in one transaction.
    Append(Vec<String>),
    /// Its element at the end of a list that was read before, which is set as a whole unless it
    /// was changed meanwhile.
    Extend(String),
    /// One more.
    Count(String),
    /// Its number as the value.
    Set(String),
}

impl Deed {
    /// Where its element is to be.
    fn lists(&self) -> &[String] {
        match self {
            Self::Append(keys) => keys,
            Self::Extend(key) => std::slice::from_ref(key),
            _ => &[],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Pending,
    Done,
    Refused,
    Unknown,
}

#[derive(Debug)]
struct Write {
    deed: Deed,
    begun: u64,
    ended: u64,
    end: End,
}

/// See the module.
#[derive(Default)]
pub struct History {
    writes: BTreeMap<u64, Write>,
    /// The longest state of each list that was seen.
    lists: BTreeMap<String, Vec<u64>>,
    /// What a list or counter had reached at an event.
    reached: BTreeMap<String, Vec<(u64, u64)>>,
    numbers: BTreeMap<String, BTreeSet<u64>>,
    reads: u64,
    is_over: bool,
}

impl History {
    /// No client begins anything more.
    pub fn close(&mut self) {
        self.is_over = true;
    }

    /// Whether clients are to stop.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Writes acknowledged, refused, unknown; reads.
    pub fn counts(&self) -> [u64; 4] {
        let count = |end| self.writes.values().filter(|write| write.end == end).count() as u64;
        let unknown = count(End::Unknown) + count(End::Pending);
        [count(End::Done), count(End::Refused), unknown, self.reads]
    }

    /// A write begins. Returns its element.
    pub fn begin(&mut self, node: u64, deed: Deed) -> u64 {
        let id = self.writes.len() as u64 + 1;
        let begun = note!("client of {node} begins {id}: {deed:?}");
        self.writes.insert(id, Write { deed, begun, ended: u64::MAX, end: End::Pending });
        id
    }

    /// How an element is written.
    pub fn element(id: u64) -> String {
        format!("{id:0WIDTH$}")
    }

    fn end(&mut self, id: u64, end: End) -> u64 {
        let ended = note!("{id} ends: {end:?}");
        let write = self.writes.get_mut(&id).expect("it began");
        (write.ended, write.end) = (ended, end);
        ended
    }

    /// Nothing was written, certainly.
    pub fn refused(&mut self, id: u64) {
        self.end(id, End::Refused);
        let seen = self.lists.values().any(|list| list.contains(&id));
        assert!(!seen, "{id} was refused, yet it was seen");
    }

    /// Nobody knows.
    pub fn unknown(&mut self, id: u64) {
        self.end(id, End::Unknown);
    }

    /// Acknowledged, with a number for each key: the length of a list, the state of a counter.
    pub fn done(&mut self, id: u64, answers: &[u64]) {
        let ended = self.end(id, End::Done);
        let Write { deed, begun, .. } = &self.writes[&id];
        let begun = *begun;
        match deed.clone() {
            Deed::Append(_) | Deed::Extend(_) => {
                let keys = deed.lists().to_vec();
                assert_eq!(keys.len(), answers.len(), "{id} has an answer for each key");
                for (key, length) in keys.into_iter().zip(answers) {
                    self.appended(id, &key, *length, begun, ended);
                }
            }
            Deed::Count(key) => {
                let number = *answers.first().expect("a counter answers");
                let fresh = self.numbers.entry(key.clone()).or_default().insert(number);
                assert!(fresh, "{key} gave {number} twice");
                self.grows(&key, number.saturating_sub(1), begun, begun);
                self.grows(&key, number, begun, ended);
            }
            Deed::Set(_) => {}
        }
    }

    fn appended(&mut self, id: u64, key: &str, length: u64, begun: u64, ended: u64) {
        assert!(length.is_multiple_of(WIDTH as u64), "{key} has {length} bytes after {id}");
        let place = length / WIDTH as u64;
        let list = self.lists.entry(key.to_owned()).or_default();
        let held = list.get(place as usize - 1);
        assert!(held.is_none_or(|held| *held == id), "{id} is at {place} of {key}, and {held:?}");
        self.grows(key, place - 1, begun, begun);
        self.grows(key, place, begun, ended);
        let fresh = self.numbers.entry(key.to_owned()).or_default().insert(place);
        assert!(fresh, "two elements are at {place} of {key}");
    }

    /// At `ended`, `key` had reached `size`; whoever began at `begun` must know of what was before.
    fn grows(&mut self, key: &str, size: u64, begun: u64, ended: u64) {
        let reached = self.reached.entry(key.to_owned()).or_default();
        let before = reached.iter().rev().find(|(at, _)| *at < begun).map_or(0, |(_, size)| *size);
        assert!(size >= before, "{key} had reached {before} before {begun}, now it is at {size}");
        let most = reached.last().map_or(0, |(_, most)| *most).max(size);
        if ended > begun {
            reached.push((ended, most));
        }
    }

    /// A read that began at `begun` saw these lists in one state.
    pub fn saw_lists(&mut self, begun: u64, lists: &[(String, String)]) {
        let ended = note!("saw {lists:?}");
        self.reads += 1;
        for (key, value) in lists {
            let ids = parse(key, value);
            self.check_list(key, &ids, begun);
            self.grows(key, ids.len() as u64, begun, ended);
        }
        self.check_atomic(lists);
    }

    fn check_list(&mut self, key: &str, ids: &[u64], begun: u64) {
        let known = self.lists.entry(key.to_owned()).or_default();
        let common = known.len().min(ids.len());
        assert!(known[..common] == ids[..common], "{key} was {known:?}, now it is {ids:?}");
        if ids.len() > known.len() {
            *known = ids.to_vec();
        }
        let held: BTreeSet<u64> = ids.iter().copied().collect();
        assert!(held.len() == ids.len(), "an element is twice in {key}: {ids:?}");
        for id in ids {
            let write = self.writes.get(id).unwrap_or_else(|| panic!("{id} was never written"));
            assert!(write.end != End::Refused, "{id} was refused, yet it is in {key}");
            let meant = write.deed.lists().iter().any(|list| list == key);
            assert!(meant, "{id} is in {key}, where it does not belong");
        }
        for (id, write) in &self.writes {
            let due = write.end == End::Done && write.ended < begun;
            let here = write.deed.lists().iter().any(|list| list == key);
            assert!(!(due && here) || held.contains(id), "{id} was acknowledged, {key} lacks it");
        }
    }

    fn check_atomic(&self, lists: &[(String, String)]) {
        let all: Vec<(&String, Vec<u64>)> =
            lists.iter().map(|(key, value)| (key, parse(key, value))).collect();
        for (key, ids) in &all {
            for id in ids {
                let keys = self.writes[id].deed.lists();
                let lacks =
                    all.iter().find(|(other, ids)| keys.contains(other) && !ids.contains(id));
                assert!(lacks.is_none(), "{id} is in {key} but not in {lacks:?}");
            }
        }
    }

    /// A read that began at `begun` saw a counter.
    pub fn saw_counter(&mut self, begun: u64, key: &str, number: u64) {
        let ended = note!("saw {key} at {number}");
        self.reads += 1;
        self.grows(key, number, begun, ended);
        let begun_by_now = |write: &&Write| write.deed == Deed::Count(key.to_owned());
        let most = self.writes.values().filter(begun_by_now);
        let most = most.filter(|write| write.end != End::Refused).count() as u64;
        assert!(number <= most, "{key} is {number} after {most} increments");
    }

    /// A read that began at `begun` saw a register.
    pub fn saw_register(&mut self, begun: u64, key: &str, value: Option<u64>) {
        note!("saw {key} as {value:?}");
        self.reads += 1;
        let deed = Deed::Set(key.to_owned());
        let written = self.writes.values().filter(|write| write.deed == deed);
        let mut done = written.filter(|write| write.end == End::Done && write.ended < begun);
        let Some(id) = value else {
            assert!(done.next().is_none(), "{key} was set, yet it is not there");
            return;
        };
        let write = self.writes.get(&id).unwrap_or_else(|| panic!("{id} was never written"));
        assert!(write.deed == deed && write.end != End::Refused, "{id} cannot be in {key}");
        let over = done.find(|later| write.end == End::Done && later.begun > write.ended);
        assert!(over.is_none(), "{key} is {id}, which {over:?} overwrote before {begun}");
    }

    /// At the end: how often each counter was counted up lies between what is certain and possible.
    pub fn check_counter(&self, key: &str, number: u64) {
        let deed = Deed::Count(key.to_owned());
        let done = self.writes.values().filter(|it| it.deed == deed && it.end == End::Done);
        let done = done.count() as u64;
        assert!(number >= done, "{key} is {number} after {done} acknowledged increments");
    }
}

fn parse(key: &str, value: &str) -> Vec<u64> {
    let digits = value.as_bytes().chunks(WIDTH);
    let number = |chunk: &[u8]| std::str::from_utf8(chunk).ok()?.parse().ok();
    let ids: Option<Vec<u64>> = digits.map(number).collect();
    ids.filter(|_| value.len().is_multiple_of(WIDTH))
        .unwrap_or_else(|| panic!("{key} holds what nobody wrote: {value}"))
}
