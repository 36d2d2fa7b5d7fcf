//! Snapshots on disk: directories that hold a checkpoint and say so last.
//!
//! ```text
//! <shard>/snapshots/<index>-<term>/data/…     the checkpoint
//! <shard>/snapshots/<index>-<term>/MANIFEST   what it holds, written last
//! <shard>/incoming/<index>-<term>/…           one that is still arriving
//! <shard>/installing/                         a copy that the state machine consumes
//! ```
//!
//! Invariants
//! * A directory under `snapshots` without a whole manifest does not count and is removed.
//! * The current snapshot is the newest; it is never removed. Older ones go when the last
//!   transfer that reads them is over.
//! * What is in `data` never changes, so files of state machines may be hard links.

mod files;
mod manifest;
pub(crate) mod receive;
pub(crate) mod send;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::beside;
use crate::machine::Checkpointer;
use crate::record::Applied;
use crate::types::{SnapshotMeta, StoredMembership};

pub(crate) use manifest::Manifest;

const DATA: &str = "data";

/// A snapshot on this node's disk. While a clone lives, its files stay.
#[derive(Debug, Clone)]
pub struct SnapshotDir(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    manifest: Manifest,
    superseded: AtomicBool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.superseded.load(Ordering::Acquire) {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // Removing large files takes a while, and this may be a thread that must not wait.
        let removed = beside::forget("remove-snapshot", move || {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "old snapshot not removed");
            }
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "old snapshot not removed before the next start");
        }
    }
}

impl SnapshotDir {
    fn new(path: PathBuf, manifest: Manifest) -> Self {
        Self(Arc::new(Held { path, manifest, superseded: AtomicBool::new(false) }))
    }

    /// Which state it holds.
    pub fn meta(&self) -> &SnapshotMeta {
        &self.0.manifest.meta
    }

    /// Where its checkpoint is.
    pub fn data(&self) -> PathBuf {
        self.0.path.join(DATA)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }
}

/// The snapshots of one shard.
pub(crate) struct Snapshots {
    root: PathBuf,
    incoming: PathBuf,
    installing: PathBuf,
    current: Mutex<Option<SnapshotDir>>,
}

impl Snapshots {
    /// Finds the newest whole snapshot and removes what is not one.
    pub fn open(shard: &Path) -> io::Result<Self> {
        let root = shard.join("snapshots");
        let (incoming, installing) = (shard.join("incoming"), shard.join("installing"));
        std::fs::create_dir_all(&root)?;
        std::fs::create_dir_all(&incoming)?;
        files::remove_if_there(&installing)?;
        files::sync_dir(shard)?;
        let mut found: Vec<SnapshotDir> = Vec::new();
        for entry in std::fs::read_dir(&root)? {
            let path = entry?.path();
            match manifest::read(&path) {
                Ok(manifest) => found.push(SnapshotDir::new(path, manifest)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "unfinished snapshot removed");
                    files::remove_if_there(&path)?;
                }
            }
        }
        found.sort_by_key(|dir| dir.meta().last_log_id);
        let current = found.pop();
        for old in found {
            old.0.superseded.store(true, Ordering::Release);
        }
        Ok(Self { root, incoming, installing, current: Mutex::new(current) })
    }

    pub fn current(&self) -> Option<SnapshotDir> {
        self.current.lock().clone()
    }

    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Makes a checkpoint into a snapshot. What it holds is read from inside it.
    pub fn build(
        &self,
        checkpointer: Checkpointer,
        applied_in: fn(&Path) -> io::Result<Option<Bytes>>,
    ) -> io::Result<SnapshotDir> {
        let path = self.root.join("building");
        files::remove_if_there(&path)?;
        std::fs::create_dir(&path)?;
        let data = path.join(DATA);
        checkpointer(&data)?;
        let applied = applied_in(&data)?.as_ref().map(Applied::decode).transpose()?;
        let meta = SnapshotMeta {
            last_log_id: applied.as_ref().map(|applied| applied.last),
            last_membership: applied.map_or_else(StoredMembership::default, |a| a.membership),
        };
        let known = self.current();
        let known = known.as_ref().map(|dir| (dir.data(), dir.manifest()));
        let manifest = Manifest { meta, files: files::describe(&data, known)? };
        self.publish(&path, manifest)
    }

    /// Makes a snapshot that arrived the current one. Returns a copy for the state machine.
    pub fn adopt(&self, dir: SnapshotDir) -> io::Result<PathBuf> {
        let path = dir.0.path.clone();
        let dir = if path.starts_with(&self.root) {
            dir
        } else {
            self.publish(&path, dir.0.manifest.clone())?
        };
        files::remove_if_there(&self.installing)?;
        files::copy_dir(&dir.data(), &self.installing, dir.manifest())?;
        Ok(self.installing.clone())
    }

    /// Writes the manifest, gives the directory its name and makes it the current snapshot.
    fn publish(&self, path: &Path, manifest: Manifest) -> io::Result<SnapshotDir> {
        let target = self.root.join(manifest.name());
        if let Some(current) = self.current().filter(|current| current.0.path == target) {
            // The same state twice: the one that is there may be in use.
            files::remove_if_there(path)?;
            return Ok(current);
        }
        manifest::write(path, &manifest)?;
        files::remove_if_there(&target)?;
        std::fs::rename(path, &target)?;
        files::sync_dir(&self.root)?;
        let dir = SnapshotDir::new(target, manifest);
        self.replace_current(dir.clone());
        Ok(dir)
    }

    fn replace_current(&self, dir: SnapshotDir) {
        let mut current = self.current.lock();
        let newer =
            current.as_ref().is_none_or(|old| old.meta().last_log_id < dir.meta().last_log_id);
        let old = if newer { current.replace(dir) } else { Some(dir) };
        drop(current);
        if let Some(old) = old {
            old.0.superseded.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
