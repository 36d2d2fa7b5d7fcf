//! What the bugs of [`raft::Mutant`] do to a keyspace.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use proto::log::v1::{Batch, Entry};
use raft::Mutant;
use resp::Reply;
use storage::{Header, Store};

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

/// What was written last is not in a snapshot that was installed.
///
/// # Errors
/// When the store fails.
pub fn lose_newest_key(store: &Store) -> io::Result<()> {
    let mut newest = (0, Bytes::new());
    let look = |key: &[u8], header: &Header| {
        if header.version >= newest.0 {
            newest = (header.version, Bytes::copy_from_slice(key));
        }
        ControlFlow::Continue(())
    };
    store.view(0, 0).for_each_key(look).map_err(fault)?;
    let mut txn = store.begin();
    txn.delete(&newest.1).map_err(fault)?;
    let applied = store.applied().unwrap_or_default();
    store.commit(txn, applied).map(drop).map_err(fault)
}
