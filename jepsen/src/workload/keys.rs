//! Keys that are worn out and replaced.
//!
//! A checker's work grows with the operations on one key, and doubles with each write of unknown
//! outcome. So a few keys are in use at a time, and each gives way to a new one when it has seen
//! enough.

use rand::{Rng, RngExt};
use std::ops::Range;

/// When a key gives way, and how many are in use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In use at a time.
    pub active: usize,
    /// Uses of one.
    pub uses_max: u32,
    /// Uses of one whose outcome is unknown.
    pub unknown_max: u32,
}

/// The keys of a workload.
#[derive(Debug)]
pub struct Keys {
    limits: Limits,
    active: Vec<Key>,
    next: i64,
}

/// A key in use.
#[derive(Debug, Clone, Default)]
pub struct Key {
    /// Its number.
    pub id: i64,
    /// The last value seen or written, if any.
    pub seen: Option<i64>,
    uses: u32,
    unknown: u32,
    value: i64,
}

impl Key {
    /// A value that this key has never had.
    pub fn fresh_value(&mut self) -> i64 {
        self.value += 1;
        self.value
    }
}

impl Keys {
    /// Fresh ones.
    pub fn new(limits: Limits) -> Self {
        let mut keys = Self { limits, active: Vec::new(), next: 0 };
        for _ in 0..limits.active {
            let key = keys.another();
            keys.active.push(key);
        }
        keys
    }

    fn another(&mut self) -> Key {
        self.next += 1;
        Key { id: self.next - 1, ..Key::default() }
    }

    /// Any.
    pub fn pick(&mut self, rng: &mut impl Rng) -> &mut Key {
        let place = rng.random_range(0..self.active.len());
        &mut self.active[place]
    }

    /// Each half as likely as the one before it, so that some keys are fought for.
    pub fn pick_skewed(&mut self, rng: &mut impl Rng) -> &mut Key {
        let place = rng.random::<u32>().trailing_zeros() as usize;
        let last = self.active.len() - 1;
        &mut self.active[place.min(last)]
    }

    /// Counts a use.
    pub fn used(&mut self, id: i64) {
        self.change(id, |key| key.uses += 1);
    }

    /// Counts a use whose outcome nobody knows.
    pub fn unknown(&mut self, id: i64) {
        self.change(id, |key| key.unknown += 1);
    }

    /// Remembers a value, for operations that name the one before.
    pub fn saw(&mut self, id: i64, value: Option<i64>) {
        self.change(id, |key| key.seen = value);
    }

    fn change(&mut self, id: i64, how: impl Fn(&mut Key)) {
        // One that gave way meanwhile is counted no more.
        let Some(place) = self.active.iter().position(|key| key.id == id) else { return };
        how(&mut self.active[place]);
        let Key { uses, unknown, .. } = self.active[place];
        if uses >= self.limits.uses_max || unknown >= self.limits.unknown_max {
            self.active[place] = self.another();
        }
    }

    /// All that ever were in use.
    pub fn all(&self) -> Range<i64> {
        0..self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_way_when_it_has_seen_enough() {
        let mut keys = Keys::new(Limits { active: 2, uses_max: 3, unknown_max: 2 });
        (0..3).for_each(|_| keys.used(0));
        (0..2).for_each(|_| keys.unknown(1));
        let mut ids: Vec<i64> = keys.active.iter().map(|key| key.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [2, 3]);
        keys.used(0);
        assert_eq!(keys.all(), 0..4);
    }
}
