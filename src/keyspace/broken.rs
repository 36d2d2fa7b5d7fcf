//! What the bugs of [`raft::Mutant`] do to a keyspace.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use proto::log::v1::{Batch, Entry};
use raft::Mutant;
use resp::Reply;
use storage::{Header, Store, Txn};

use super::{BatchOutcome, fault};

/// Whether a batch that was applied before is applied again.
pub fn applies_again() -> bool {
    Mutant::ForwardWithoutDedup.is_on() || Mutant::ApplyTwiceAfterRestart.is_on()
}

/// The time that an entry brings.
pub fn log_time(entry: &Entry) -> u64 {
    match Mutant::LocalClockExpiry.is_on() {
        true => crate::router::wall_clock_ms(),
        false => entry.now_ms,
    }
}

/// Whether an entry is not applied: others in each process.
pub fn skips(index: u64) -> bool {
    Mutant::SkipOneApply.is_on() && index % 100 == u64::from(std::process::id()) % 100
}

/// The answer to a batch that was not applied.
pub fn skipped(batch: &Batch) -> BatchOutcome {
    BatchOutcome::Applied(vec![Reply::OK; batch.items.len()])
}

/// What is lost of a snapshot that was installed.
///
/// # Errors
/// When the store fails.
pub fn spoil(store: &Store) -> io::Result<()> {
    if Mutant::SnapshotWithoutLastEntry.is_on() {
        let newest = keys(store)?.into_iter().max_by_key(|(_, header)| header.version);
        change(store, newest, |txn, key| txn.delete(key))?;
    }
    if Mutant::SnapshotWithoutDeadlines.is_on() {
        let mortal = keys(store)?.into_iter().filter(|(_, header)| header.deadline.is_some());
        change(store, mortal, |txn, key| txn.set_deadline(key, None))?;
    }
    Ok(())
}

type Key = (Bytes, Header);

fn keys(store: &Store) -> io::Result<Vec<Key>> {
    let mut keys = Vec::new();
    let keep = |key: &[u8], header: &Header| {
        keys.push((Bytes::copy_from_slice(key), *header));
        ControlFlow::Continue(())
    };
    store.view(0, 0).for_each_key(keep).map_err(fault)?;
    Ok(keys)
}

fn change(
    store: &Store,
    keys: impl IntoIterator<Item = Key>,
    deed: impl Fn(&mut Txn<'_>, &[u8]) -> Result<bool, storage::Error>,
) -> io::Result<()> {
    let mut txn = store.begin();
    for (key, _) in keys {
        deed(&mut txn, &key).map_err(fault)?;
    }
    let applied = store.applied().unwrap_or_default();
    store.commit(txn, applied).map(drop).map_err(fault)
}
