//! Keys that are worn out and replaced.
//!
//! A checker's work grows with the operations on one key, and doubles with each write of unknown
//! outcome. So a few keys are in use at a time, and each gives way to a new one when it has seen
//! enough. All processes of a workload share its keys.

use super::values::list;
use super::{Invocation, held};
use crate::history::Value;
use rand::{Rng, RngExt};
use std::ops::Range;
use std::sync::Mutex;

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
    pool: Mutex<Pool>,
}

#[derive(Debug)]
struct Pool {
    /// As many as the limits say, always.
    active: Vec<Key>,
    next: i64,
}

/// A key in use.
#[derive(Debug, Default)]
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

    /// Counts a use.
    pub fn used(&mut self) {
        self.uses += 1;
    }
}

impl Keys {
    /// Fresh ones.
    pub fn new(limits: Limits) -> Self {
        let mut pool = Pool { active: Vec::new(), next: 0 };
        pool.active = (0..limits.active).map(|_| pool.another()).collect();
        Self { limits, pool: Mutex::new(pool) }
    }

    /// What `make` makes of any key.
    pub fn pick<R: Rng, T>(&self, rng: &mut R, make: impl FnOnce(&mut Key, &mut R) -> T) -> T {
        let place = rng.random_range(0..self.limits.active);
        held(&self.pool).change(place, self.limits, |key| make(key, rng))
    }

    /// As `pick`; each key is half as likely as the one before it, so that some are fought for.
    pub fn pick_skewed<R: Rng, T>(
        &self,
        rng: &mut R,
        make: impl FnOnce(&mut Key, &mut R) -> T,
    ) -> T {
        let place = rng.random::<u32>().trailing_zeros() as usize;
        let place = place.min(self.limits.active - 1);
        held(&self.pool).change(place, self.limits, |key| make(key, rng))
    }

    /// Counts a use whose outcome nobody knows.
    pub fn unknown(&self, id: i64) {
        self.change(id, |key| key.unknown += 1);
    }

    /// Remembers a value, for operations that name the one before.
    pub fn saw(&self, id: i64, value: Option<i64>) {
        self.change(id, |key| key.seen = value);
    }

    fn change(&self, id: i64, how: impl FnOnce(&mut Key)) {
        let mut pool = held(&self.pool);
        // One that gave way meanwhile is counted no more.
        let Some(place) = pool.active.iter().position(|key| key.id == id) else { return };
        pool.change(place, self.limits, how);
    }

    /// All that ever were in use.
    pub fn all(&self) -> Range<i64> {
        0..held(&self.pool).next
    }

    /// A read of each of them.
    pub fn final_reads(&self) -> Vec<Invocation> {
        let read = |id| Invocation::new("final-read", list([Value::Int(id), Value::Nil]));
        self.all().map(read).collect()
    }
}

impl Pool {
    fn another(&mut self) -> Key {
        self.next += 1;
        Key { id: self.next - 1, ..Key::default() }
    }

    /// A key that has seen enough then gives way.
    fn change<T>(&mut self, place: usize, limits: Limits, how: impl FnOnce(&mut Key) -> T) -> T {
        let changed = how(&mut self.active[place]);
        let Key { uses, unknown, .. } = self.active[place];
        if uses >= limits.uses_max || unknown >= limits.unknown_max {
            self.active[place] = self.another();
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_way_when_it_has_seen_enough() {
        let keys = Keys::new(Limits { active: 2, uses_max: 3, unknown_max: 2 });
        (0..3).for_each(|_| keys.change(0, Key::used));
        (0..2).for_each(|_| keys.unknown(1));
        let ids = || held(&keys.pool).active.iter().map(|key| key.id).collect::<Vec<i64>>();
        assert_eq!(ids(), [2, 3]);
        (0..2).for_each(|_| keys.unknown(1));
        assert_eq!(ids(), [2, 3], "one that is gone is counted no more");
        assert_eq!(keys.final_reads().len(), 4);
    }
}
