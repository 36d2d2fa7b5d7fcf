//! The store: open, view, begin, commit.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::Millis;
use crate::core::{Core, Counters};
use crate::error::{Fault, Result};
use crate::expiry::raise_floor;
use crate::options::{Options, Shared};
use crate::rocks::Rocks;
use crate::touched::Touched;
use crate::txn::Txn;
use crate::view::View;
use crate::{collect, drain};

/// One replica of one shard. Any thread may read; one thread writes.
pub struct Store {
    pub(crate) core: Arc<Core>,
    drainer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in a directory, or creates one there. The state is that of the last entry
    /// whose effects had reached the disk ([`Store::applied`]).
    pub fn open(dir: &Path, options: &Options, shared: &Shared) -> Result<Arc<Self>> {
        let rocks = Rocks::open(dir, options, shared)?;
        let core = Arc::new(Core::new(rocks, options.clone(), shared)?);
        let drainer = if options.background { Some(spawn_drainer(&core)?) } else { None };
        Ok(Arc::new(Self { core, drainer: Mutex::new(drainer) }))
    }

    /// Lets its files be removed once nobody holds it any more. What cannot be removed stays.
    pub fn discard(&self) {
        self.core.rocks.discard();
    }

    /// The record that was committed last, or found when the store was opened.
    pub fn applied(&self) -> Option<Bytes> {
        self.core.read().applied.clone()
    }

    /// The record with which the store would come back after a crash right now.
    pub fn persisted(&self) -> Result<Option<Bytes>> {
        let root = self.core.rocks.persisted_root()?;
        Ok(root.map(|root| crate::root::Root::decode(&root)).transpose()?.and_then(|(_, a)| a))
    }

    /// Greatest time a committed entry carried.
    pub fn log_time(&self) -> Millis {
        self.core.read().root.log_time
    }

    /// A time before which no key expires; `None` if no key has a deadline. When the clock passes
    /// it, a sweep is due.
    pub fn next_deadline(&self) -> Result<Option<Millis>> {
        self.core.next_deadline()
    }

    /// The committed state of a database, for a reader whose clock shows `clock`.
    pub fn view(&self, db: u32, clock: Millis) -> View<'_> {
        View::published(&self.core, db, clock)
    }

    /// Begins a transaction; waits for the one that is open, if any.
    pub fn begin(&self) -> Txn<'_> {
        Txn::new(&self.core, self.core.writer.lock())
    }

    /// Publishes a transaction, with the record of what was applied. Views see it at once;
    /// RocksDB gets it no later than with the next drain. Waits if too much is waiting already.
    pub fn commit(&self, txn: Txn<'_>, applied: Bytes) -> Result<Touched> {
        self.core.check()?;
        let touched = txn.touched();
        let Txn { mut overlay, state, published, .. } = txn;
        drop(published);
        Counters::add(&self.core.counters.commits, 1);
        Counters::add(&self.core.counters.expired, state.expired.len() as u64);
        let dirty_bytes = {
            let mut published = self.core.published.write();
            overlay.publish(&mut published.active);
            published.root = state.root;
            published.applied = Some(applied);
            published.is_root_dirty = true;
            published.active.bytes
        };
        overlay.clear();
        // Fair: a drain that waits for its turn gets it before the next transaction.
        MutexGuard::unlock_fair(overlay);
        raise_floor(&self.core, state.swept_to);
        Counters::add(&self.core.dead_keys, state.dead_keys);
        self.core.after_commit(dirty_bytes)?;
        Ok(touched)
    }

    /// Whether a commit now would not wait for a drain.
    pub fn has_room(&self) -> bool {
        self.core.read().active.bytes < self.core.dirty_bytes_max
    }

    /// Brings everything committed so far to RocksDB, in one batch with its applied record.
    pub fn drain(&self) -> Result<()> {
        self.core.drain()
    }

    /// Brings everything committed so far to disk: then a restart applies nothing again.
    pub fn flush(&self) -> Result<()> {
        self.core.drain_and(|| self.core.rocks.flush())
    }

    /// Brings everything to disk and ends all work in the background, even if that fails: what
    /// still ran when the process ends would run in the ruins of RocksDB.
    pub fn close(&self) -> Result<()> {
        let flushed = self.flush();
        self.end_thread();
        self.core.rocks.cancel();
        flushed
    }

    fn end_thread(&self) {
        self.core.signal.stop();
        if let Some(drainer) = self.drainer.lock().take() {
            let _ = drainer.join();
        }
    }

    /// The fault a background thread has met, if any. The next commit or drain fails with it, too.
    pub fn check(&self) -> Result<()> {
        self.core.check()
    }

    /// Removes from the files the rows that nothing refers to any more. May take long; the
    /// background thread has it done when it is worth while.
    pub fn compact(&self) -> Result<()> {
        collect::collect(&self.core, || false)
    }
}

impl Drop for Store {
    /// Ends the background thread. What was not drained is not written: it is in the log.
    fn drop(&mut self) {
        self.end_thread();
    }
}

fn spawn_drainer(core: &Arc<Core>) -> Result<JoinHandle<()>> {
    let core = core.clone();
    std::thread::Builder::new()
        .name("talus-drain".into())
        .spawn(move || drain::run(&core))
        .map_err(|error| Fault::Stopped(format!("no thread for drains: {error}")).into())
}
