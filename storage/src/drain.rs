//! Drains: dirty rows on their way to RocksDB, in the background or on demand.
//!
//! A drain freezes the dirty rows with the root row that belongs to them, writes both in one
//! batch, makes the cache agree, and lets go of the frozen rows. Commits and reads go on
//! meanwhile; they are held up only for the two moments in which the tables change hands.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rocksdb::WriteBatch;

use crate::collect::Collector;
use crate::core::{Core, Counters, Frozen};
use crate::error::Result;
use crate::layout::{ROOT_KEY, end_of, space_in};
use crate::options::Options;
use crate::row::{Column, Row};
use crate::table::{Dirty, Garbage, PARTS, Table};

/// Up to this many chunks are deleted one by one; for more, one range deletion is cheaper.
const POINT_DELETES_MAX: u32 = 64;

/// Why the drain thread should wake, and whom it should tell.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    /// The drain thread waits here.
    wake: Condvar,
    /// A commit that found no room waits here.
    room: Condvar,
}

#[derive(Default)]
struct State {
    is_dirty: bool,
    /// Something was committed since the drain thread last looked.
    is_busy: bool,
    is_full: bool,
    is_stopping: bool,
    has_failed: bool,
}

impl Signal {
    /// There is something to drain; at once, if the tables are full.
    pub fn notify(&self, is_full: bool) {
        let mut state = self.state.lock();
        let is_news = !state.is_dirty || (is_full && !state.is_full);
        state.is_dirty = true;
        state.is_busy = true;
        state.is_full |= is_full;
        if is_news {
            self.wake.notify_one();
        }
    }

    /// The thread is to end.
    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.wake.notify_one();
    }

    /// No drain will succeed any more.
    pub fn fail(&self) {
        self.state.lock().has_failed = true;
        self.room.notify_all();
    }

    /// Waits until `has_room`, as long as drains succeed.
    fn wait_for_room(&self, has_room: impl Fn() -> bool) {
        let mut state = self.state.lock();
        while !has_room() && !state.has_failed && !state.is_stopping {
            self.room.wait_for(&mut state, Duration::from_millis(50));
        }
    }

    /// Waits until a drain is due: the tables are full, or nobody has committed for a while, or
    /// rows have waited long enough. `false` if the thread is to end.
    fn wait_for_work(&self, idle_after: Duration, drain_after: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.is_dirty && !state.is_stopping {
            self.wake.wait(&mut state);
        }
        let mut waited = Duration::ZERO;
        while state.is_busy && waited < drain_after && !state.is_full && !state.is_stopping {
            state.is_busy = false;
            self.wake.wait_for(&mut state, idle_after);
            waited += idle_after;
        }
        (state.is_dirty, state.is_full) = (false, false);
        !state.is_stopping
    }
}

/// What the drain thread does until it is stopped or fails.
pub(crate) fn run(core: &Arc<Core>) {
    let mut collector = Collector::default();
    let Options { idle_after, drain_after, .. } = core.options;
    while core.signal.wait_for_work(idle_after, drain_after) {
        if let Err(error) = core.drain() {
            tracing::error!(%error, "drain failed");
            return;
        }
        core.signal.room.notify_all();
        collector.collect_if_due(core);
    }
}

impl Core {
    /// Sees to it that what was just published will be drained, and waits if too much is dirty.
    pub fn after_commit(&self, dirty_bytes: usize) -> Result<()> {
        let is_full = dirty_bytes >= self.dirty_bytes_max;
        if !self.options.background {
            return if is_full { self.drain() } else { Ok(()) };
        }
        self.signal.notify(is_full);
        let limit = self.dirty_bytes_max.saturating_mul(2);
        if dirty_bytes >= limit {
            self.signal.wait_for_room(|| self.read().active.bytes < limit);
        }
        self.check()
    }

    /// Brings everything published so far to RocksDB.
    pub fn drain(&self) -> Result<()> {
        self.drain_and(|| Ok(()))
    }

    /// Drains, then does something with RocksDB before anything else is drained.
    pub fn drain_and<T>(&self, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut spare = self.drain.lock();
        self.check()?;
        let done = self.drain_locked(&mut spare).and_then(|()| then());
        if let Err(error) = &done {
            self.fail(error);
        }
        done
    }

    fn drain_locked(&self, spare: &mut MutexGuard<'_, Dirty>) -> Result<()> {
        let Some(frozen) = self.freeze(spare) else { return Ok(()) };
        self.rocks.write(self.batch(&frozen))?;
        Counters::add(&self.counters.drains, 1);
        Counters::add(&self.counters.drained_rows, frozen.dirty.rows as u64);
        self.settle_all(&frozen.dirty);
        if self.dead_keys.load(Ordering::Relaxed) > 0 {
            self.rocks.drop_dead_spaces()?;
        }
        self.let_go();
        let frozen = Arc::into_inner(frozen).expect("readers borrow frozen rows, none keeps them");
        **spare = frozen.dirty;
        spare.clear();
        Ok(())
    }

    /// Takes the active rows out of the way of commits.
    fn freeze(&self, spare: &mut Dirty) -> Option<Arc<Frozen>> {
        let _no_transaction = self.writer.lock();
        let mut published = self.published.write();
        if published.active.is_empty() && !published.is_root_dirty {
            return None;
        }
        published.is_root_dirty = false;
        let frozen = Arc::new(Frozen {
            dirty: std::mem::replace(&mut published.active, std::mem::take(spare)),
            root: published.root.clone(),
            applied: published.applied.clone(),
        });
        published.frozen = Some(frozen.clone());
        Some(frozen)
    }

    /// Ends the hiding of what RocksDB and the cache now hold as well.
    fn let_go(&self) {
        let _no_transaction = self.writer.lock();
        self.published.write().frozen = None;
    }

    /// All of the frozen rows, in order, and the root row that belongs to them.
    fn batch(&self, frozen: &Frozen) -> WriteBatch {
        let Frozen { dirty, root, applied } = frozen;
        let mut batch = WriteBatch::with_capacity_bytes(dirty.bytes);
        let is_live = |row: &Row| !root.is_dead(space_in(row.key()));
        self.put_table(&mut batch, Column::Meta, &dirty.meta, is_live);
        self.put_table(&mut batch, Column::Sub, &dirty.sub, is_live);
        self.put_table(&mut batch, Column::System, &dirty.system, |_| true);
        let system = self.rocks.family(Column::System);
        for row in &dirty.expiry {
            if row.is_present() {
                batch.put_cf(system, row.key(), b"");
            } else {
                batch.delete_cf(system, row.key());
            }
        }
        batch.put_cf(system, ROOT_KEY, root.encode(applied.as_ref()));
        // After the rows: a chunk of a dead value may be among them.
        dirty.garbage.iter().for_each(|garbage| self.put_garbage(&mut batch, garbage));
        batch
    }

    fn put_table(
        &self,
        batch: &mut WriteBatch,
        column: Column,
        table: &Table,
        is_live: impl Fn(&Row) -> bool,
    ) {
        let family = self.rocks.family(column);
        let mut rows = Vec::new();
        for part in 0..PARTS {
            rows.clear();
            rows.extend(table.part(part).map(|(_, row)| (head(row.key()), row)));
            rows.sort_unstable();
            for (_, row) in rows.iter().filter(|(_, row)| is_live(row)) {
                if row.is_present() {
                    batch.put_cf(family, row.key(), row.value());
                } else {
                    batch.delete_cf(family, row.key());
                }
            }
        }
    }

    fn put_garbage(&self, batch: &mut WriteBatch, garbage: &Garbage) {
        let sub = self.rocks.family(Column::Sub);
        if garbage.chunks > POINT_DELETES_MAX {
            let end = end_of(&garbage.prefix).expect("a row key starts with a slot");
            batch.delete_range_cf(sub, garbage.prefix.as_slice(), end.as_slice());
            return;
        }
        for chunk in 0..garbage.chunks {
            batch.delete_cf(sub, [garbage.prefix.as_slice(), &chunk.to_be_bytes()].concat());
        }
    }

    fn settle_all(&self, dirty: &Dirty) {
        for column in [Column::Meta, Column::Sub, Column::System] {
            let table = dirty.table(column);
            for (hash, row) in (0..PARTS).flat_map(|part| table.part(part)) {
                self.settle(column, *hash, row);
            }
        }
    }
}

/// The beginning of a key as a number, so that most comparisons of a sort touch no row.
fn head(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(16);
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
}
