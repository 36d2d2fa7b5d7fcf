//! Clean rows: a bounded copy, in memory, of rows that RocksDB holds.
//!
//! One cache serves all stores of a node, so that memory goes where the load is. Eviction is by
//! clock: a hand sweeps over each part, a row that was used since its last visit stays.
//!
//! Invariants
//! * A cached row equals the one in RocksDB, unless a dirty row hides it. Whoever ends the hiding
//!   (a drain) has replaced or removed the cached row before.
//! * The bytes of all rows never exceed the budget.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use parking_lot::Mutex;

use crate::row::{Column, Row};

const PARTS: usize = 64;
/// A row was used this often, or more, since the hand last came by.
const USES_MAX: u8 = 3;
/// No row takes more than this part of a part's budget.
const ROW_SHARE: usize = 4;

/// Whose row: a store and a column of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl Owner {
    /// The rows of one column of a store.
    pub fn new(store: u32, column: Column) -> Self {
        Self(store << 2 | column as u32)
    }

    fn store(self) -> u32 {
        self.0 >> 2
    }

    /// Spreads the rows of different owners apart.
    fn mix(self, hash: u64) -> u64 {
        (hash ^ u64::from(self.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

struct Cached {
    hash: u64,
    row: Row,
    owner: Owner,
    uses: u8,
}

#[derive(Default)]
struct Part {
    rows: HashTable<Cached>,
    bytes: usize,
    hand: usize,
    hits: u64,
    misses: u64,
    evicted: u64,
}

/// The cache.
pub(crate) struct Cache {
    parts: Vec<Mutex<Part>>,
    part_bytes_max: usize,
}

/// What the cache has done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Rows found.
    pub hits: u64,
    /// Rows not found.
    pub misses: u64,
    /// Rows removed to make room.
    pub evicted: u64,
    /// Rows held.
    pub rows: u64,
    /// Bytes held.
    pub bytes: u64,
}

impl Cache {
    /// A cache that never holds more than `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, part_bytes_max: bytes_max / PARTS }
    }

    /// The row under a key, if it is here.
    pub fn get(&self, owner: Owner, hash: u64, row_key: &[u8]) -> Option<Row> {
        let hash = owner.mix(hash);
        let mut part = self.part(hash);
        let found = part
            .rows
            .find_mut(hash, |cached| cached.owner == owner && cached.row.key() == row_key)
            .map(|cached| {
                cached.uses = (cached.uses + 1).min(USES_MAX);
                cached.row.clone()
            });
        match found {
            Some(_) => part.hits += 1,
            None => part.misses += 1,
        }
        found
    }

    /// Makes the cache agree with RocksDB, which now holds `row`, or nothing under its key.
    pub fn put(&self, owner: Owner, hash: u64, row: &Row) {
        let hash = owner.mix(hash);
        let charge = row.charge();
        let fits = row.is_present() && charge <= self.part_bytes_max / ROW_SHARE;
        let old = {
            let mut part = self.part(hash);
            let old = if fits { part.put(owner, hash, row) } else { part.remove(owner, hash, row) };
            part.make_room(self.part_bytes_max);
            old
        };
        drop(old);
    }

    /// Forgets every row of a store.
    pub fn forget(&self, store: u32) {
        for part in &self.parts {
            let mut part = part.lock();
            let Part { rows, bytes, .. } = &mut *part;
            rows.retain(|cached| {
                let stays = cached.owner.store() != store;
                *bytes -= if stays { 0 } else { cached.row.charge() };
                stays
            });
        }
    }

    /// What the cache holds and has done.
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for part in &self.parts {
            let part = part.lock();
            stats.hits += part.hits;
            stats.misses += part.misses;
            stats.evicted += part.evicted;
            stats.rows += part.rows.len() as u64;
            stats.bytes += part.bytes as u64;
        }
        stats
    }

    fn part(&self, hash: u64) -> parking_lot::MutexGuard<'_, Part> {
        self.parts[(hash >> 40) as usize % PARTS].lock()
    }
}

impl Part {
    fn put(&mut self, owner: Owner, hash: u64, row: &Row) -> Option<Row> {
        self.bytes += row.charge();
        let is_same = |cached: &Cached| cached.owner == owner && cached.row == *row;
        match self.rows.entry(hash, is_same, |cached| cached.hash) {
            Place::Occupied(mut place) => {
                let old = std::mem::replace(&mut place.get_mut().row, row.clone());
                self.bytes -= old.charge();
                Some(old)
            }
            Place::Vacant(place) => {
                place.insert(Cached { hash, row: row.clone(), owner, uses: 0 });
                None
            }
        }
    }

    fn remove(&mut self, owner: Owner, hash: u64, row: &Row) -> Option<Row> {
        let is_same = |cached: &Cached| cached.owner == owner && cached.row == *row;
        let (removed, _) = self.rows.find_entry(hash, is_same).ok()?.remove();
        self.bytes -= removed.row.charge();
        Some(removed.row)
    }

    /// Moves the hand on until the rows fit.
    fn make_room(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let buckets = self.rows.num_buckets();
            self.hand = if self.hand + 1 < buckets { self.hand + 1 } else { 0 };
            if let Ok(mut place) = self.rows.get_bucket_entry(self.hand) {
                if place.get().uses > 0 {
                    place.get_mut().uses -= 1;
                } else {
                    let (evicted, _) = place.remove();
                    self.bytes -= evicted.row.charge();
                    self.evicted += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::hash;

    fn put(cache: &Cache, owner: Owner, key: &[u8], value: &[u8]) {
        cache.put(owner, hash(key), &Row::of(key, value));
    }

    fn get(cache: &Cache, owner: Owner, key: &[u8]) -> Option<Vec<u8>> {
        cache.get(owner, hash(key), key).map(|row| row.value().to_vec())
    }

    #[test]
    fn owners_do_not_see_each_other() {
        let cache = Cache::new(1 << 20);
        let (one, two) = (Owner::new(1, Column::Meta), Owner::new(2, Column::Meta));
        put(&cache, one, b"k", b"1");
        put(&cache, two, b"k", b"2");
        assert_eq!(get(&cache, one, b"k").as_deref(), Some(&b"1"[..]));
        assert_eq!(get(&cache, Owner::new(1, Column::Sub), b"k"), None);
        cache.forget(1);
        assert_eq!(get(&cache, one, b"k"), None);
        assert_eq!(get(&cache, two, b"k").as_deref(), Some(&b"2"[..]));
        cache.put(two, hash(b"k"), &Row::absent(b"k"));
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn the_budget_holds_and_used_rows_stay() {
        let cache = Cache::new(1 << 20);
        let owner = Owner::new(1, Column::Meta);
        put(&cache, owner, b"used", b"");
        for number in 0..100_000_u32 {
            put(&cache, owner, &number.to_be_bytes(), &[0; 100]);
            assert!(number % 10 != 0 || get(&cache, owner, b"used").is_some());
            assert!(number % 1000 != 0 || cache.stats().bytes <= 1 << 20);
        }
        let stats = cache.stats();
        assert!(stats.rows > 4000 && stats.evicted > 90_000, "{stats:?}");
    }

    #[test]
    fn rows_that_would_push_out_the_rest_are_not_kept() {
        let cache = Cache::new(1 << 20);
        let owner = Owner::new(1, Column::Meta);
        put(&cache, owner, b"k", b"small");
        put(&cache, owner, b"k", &[0; 10_000]);
        assert_eq!(get(&cache, owner, b"k"), None);
        assert_eq!(cache.stats().bytes, 0);
    }
}
