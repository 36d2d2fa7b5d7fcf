//! Checkpoints: a copy of the store in another directory, made of hard links.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::WriteBatch;

use crate::core::Core;
use crate::error::{Result, damaged};
use crate::layout::ROOT_KEY;
use crate::options::{Options, Shared};
use crate::rocks::Rocks;
use crate::root::Root;
use crate::row::Column;
use crate::store::Store;

/// Memory for opening a directory only to change its applied record.
const REWRITE_MEMORY_BYTES: usize = 8 << 20;

/// Makes a checkpoint, on any thread, while commits go on.
pub struct Checkpointer {
    core: Arc<Core>,
}

impl Checkpointer {
    /// Makes the checkpoint in a directory that does not exist yet. It holds the state after some
    /// entry: the last one committed before the checkpointer was made, or a later one;
    /// [`Store::applied_in`] tells which.
    pub fn run(&self, dir: &Path) -> Result<()> {
        self.core.rocks.checkpoint(dir)
    }
}

impl Store {
    /// Drains, and returns what makes a checkpoint on another thread.
    pub fn checkpointer(&self) -> Result<Checkpointer> {
        self.core.drain()?;
        Ok(Checkpointer { core: self.core.clone() })
    }

    /// Makes a checkpoint in a directory that does not exist yet.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.checkpointer()?.run(dir)
    }

    /// The applied record in a directory that no store has open, which stays as it is.
    pub fn applied_in(dir: &Path) -> Result<Option<Bytes>> {
        let root = Rocks::root_in(dir)?;
        Ok(root.map(|root| Root::decode(&root)).transpose()?.and_then(|(_, applied)| applied))
    }

    /// Replaces the applied record in a directory that no store has open.
    pub fn rewrite_applied(dir: &Path, applied: &[u8]) -> Result<()> {
        let shared = Shared::new(REWRITE_MEMORY_BYTES);
        let rocks = Rocks::open(dir, &Options::default(), &shared)?;
        let value = rocks.get(Column::System, ROOT_KEY)?.map(|value| value.to_vec());
        let value = value.ok_or_else(|| damaged("root row", "missing"))?;
        let (root, _) = Root::decode(&value)?;
        let mut batch = WriteBatch::default();
        let applied = Bytes::copy_from_slice(applied);
        batch.put_cf(rocks.family(Column::System), ROOT_KEY, root.encode(Some(&applied)));
        rocks.write(batch)?;
        rocks.flush()?;
        rocks.cancel();
        Ok(())
    }
}
