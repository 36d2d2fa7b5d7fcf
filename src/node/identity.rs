//! Who this node is, kept in its data directory.
//!
//! ```text
//! DATA/               locked by the running process
//! DATA/CURRENT        names the life in use
//! DATA/life-N/        one membership in one cluster: IDENTITY, log/, shard-0/
//! ```
//! A node that joins another cluster (REPLICAOF) or leaves one with its data begins a new life in
//! a directory of its own; switching is one atomic rename, so that a crash leaves one of the two.
//!
//! Invariants
//! * A node that has lived never begins anew by itself: what it promised the others, its votes and
//!   its entries, would be forgotten under its id. If a part of its files is gone, it does not start.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use raft::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::keyspace::replace_file;

/// Version of the layout of the data directory, and of IDENTITY.
const FORMAT: u8 = 2;

/// Who a node is. bincode behind a version byte; local to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    cluster: [u8; 16],
    /// The node's id, never used for another node.
    pub node: NodeId,
    /// The cluster's name, for people.
    pub cluster_name: String,
    /// How often the node was started: grows with each start.
    pub incarnation: u64,
    /// It still has to become a voter.
    pub joining: bool,
    /// It stays without a vote.
    pub replica: bool,
    /// The id of its log, from the first opening on; see [`raft::log::Wal::id`].
    pub log: Option<u32>,
}

impl Identity {
    /// A node of a cluster.
    pub fn new(cluster: ClusterId, node: NodeId, cluster_name: String) -> Self {
        let cluster = cluster.0;
        let (joining, replica, log) = (false, false, None);
        Self { cluster, node, cluster_name, incarnation: 0, joining, replica, log }
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.cluster)
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{0}: in use by another process")]
    InUse(PathBuf),
    /// It was written by a build this one does not understand.
    #[error("{path}: format version {version}, this build reads {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// It is not what it should be.
    #[error("{0}: damaged; restore the directory, or empty it and join the cluster again")]
    Damaged(PathBuf),
    /// A part of what a node wrote is gone.
    #[error("{0}: missing, and this node has lived with it")]
    Missing(PathBuf),
    /// There are files, but no node wrote them.
    #[error("{0}: not empty and not a data directory of Talus")]
    Foreign(PathBuf),
}

/// A data directory, locked for this process.
pub struct DataDir {
    path: PathBuf,
    /// The lock is on the directory itself: it leaves no file where nothing may be written.
    _lock: File,
}

impl DataDir {
    /// Opens and locks a data directory, creating it if there is none.
    ///
    /// # Errors
    /// See [`DataError`]; nothing was changed then.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io { path: path.into(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        refuse_foreign(path)?;
        let lock = File::open(path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(path.into())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The life in use, and who the node is in it; none in a fresh directory.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn life(&self) -> Result<Option<Life>, DataError> {
        let Some(number) = self.current()? else { return Ok(None) };
        let dir = self.path.join(format!("life-{number}"));
        let identity = read_identity(&dir.join("IDENTITY"))?;
        Ok(Some(Life { dir, number, identity }))
    }

    /// The directory of the life after the one in use, empty.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn prepare(&self) -> Result<PathBuf, DataError> {
        let dir = self.path.join(format!("life-{}", self.current()?.unwrap_or(0) + 1));
        let io = |source| DataError::Io { path: dir.clone(), source };
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        std::fs::create_dir_all(&dir).map_err(io)?;
        Ok(dir)
    }

    /// Begins the prepared life. The old one is forgotten.
    ///
    /// # Errors
    /// Those of the file system; then the old life is still in use.
    pub fn begin(&self, identity: Identity) -> Result<Life, DataError> {
        let old = self.current()?;
        let number = old.unwrap_or(0) + 1;
        let dir = self.path.join(format!("life-{number}"));
        let life = Life { dir, number, identity };
        life.save()?;
        let current = self.path.join("CURRENT");
        replace_file(&current, number.to_string().as_bytes())
            .map_err(|source| DataError::Io { path: current, source })?;
        if let Some(old) = old {
            // Nothing leads there any more; what remains of it is removed by the next start.
            let _ = std::fs::remove_dir_all(self.path.join(format!("life-{old}")));
        }
        Ok(life)
    }

    fn current(&self) -> Result<Option<u64>, DataError> {
        let path = self.path.join("CURRENT");
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| DataError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_lived()? => {
                Err(DataError::Missing(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataError::Io { path, source }),
        }
    }

    /// Whether a life here was more than prepared: `CURRENT` is written before it opens its log.
    fn has_lived(&self) -> Result<bool, DataError> {
        let io = |source| DataError::Io { path: self.path.clone(), source };
        let mut entries = std::fs::read_dir(&self.path).map_err(io)?;
        entries.try_fold(false, |lived, entry| {
            Ok(lived || entry.map_err(io)?.path().join("log").exists())
        })
    }
}

fn refuse_foreign(path: &Path) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let name = name.to_string_lossy();
        let ours = ["CURRENT", "CURRENT.new", "lost+found"].contains(&&*name);
        if !ours && !name.starts_with("life-") {
            return Err(DataError::Foreign(path.into()));
        }
    }
    Ok(())
}

/// One membership in one cluster.
#[derive(Debug, Clone)]
pub struct Life {
    dir: PathBuf,
    number: u64,
    /// Who the node is.
    pub identity: Identity,
}

impl Life {
    /// Its number in the data directory.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where the log is.
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where the shard is.
    pub fn shard_dir(&self) -> PathBuf {
        self.dir.join("shard-0")
    }

    /// Sees that what was opened before is still there.
    ///
    /// # Errors
    /// When a part of it is gone.
    pub fn check(&self) -> Result<(), DataError> {
        let gone = [self.log_dir(), self.shard_dir()].into_iter().find(|dir| !dir.is_dir());
        match gone.filter(|_| self.identity.log.is_some()) {
            Some(gone) => Err(DataError::Missing(gone)),
            None => Ok(()),
        }
    }

    /// Writes who the node is.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self) -> Result<(), DataError> {
        let path = self.dir.join("IDENTITY");
        let mut record = vec![FORMAT];
        let encoded = bincode::serde::encode_to_vec(&self.identity, bincode::config::standard())
            .map_err(|_| DataError::Damaged(path.clone()))?;
        record.extend_from_slice(&crc32fast::hash(&encoded).to_le_bytes());
        record.extend_from_slice(&encoded);
        replace_file(&path, &record).map_err(|source| DataError::Io { path, source })
    }

    /// Counts a start of the node, whose log is `log` from now on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn count_start(&mut self, log: u32, now_us: u64) -> Result<(), DataError> {
        self.identity.log = Some(log);
        self.identity.incarnation = (self.identity.incarnation + 1).max(now_us);
        self.save()
    }
}

fn read_identity(path: &Path) -> Result<Identity, DataError> {
    let record =
        std::fs::read(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    let damaged = || DataError::Damaged(path.into());
    let (version, rest) = record.split_first().ok_or_else(damaged)?;
    if *version != FORMAT {
        return Err(DataError::Format { path: path.into(), version: *version });
    }
    let (crc, encoded) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(encoded) {
        return Err(damaged());
    }
    let decoded = bincode::serde::decode_from_slice(encoded, bincode::config::standard());
    decoded.map(|(identity, _)| identity).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(node: NodeId) -> Identity {
        Identity::new(ClusterId([7; 16]), node, "test".into())
    }

    #[test]
    fn a_life_survives_and_the_next_one_replaces_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(dir.path()).expect("opens");
        assert!(data.life().expect("readable").is_none());
        data.prepare().expect("prepared");
        data.begin(identity(1)).expect("begun");
        assert_eq!(data.life().expect("readable").expect("there").identity, identity(1));
        data.prepare().expect("prepared");
        assert_eq!(data.life().expect("readable").expect("there").number(), 1);
        data.begin(identity(5)).expect("begun");
        assert_eq!(data.life().expect("readable").expect("there").identity, identity(5));
    }

    #[test]
    fn foreign_damaged_and_used_directories_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(dir.path()).expect("opens");
        assert!(matches!(DataDir::open(dir.path()), Err(DataError::InUse(_))));
        let life = data.prepare().expect("prepared");
        data.begin(identity(1)).expect("begun");
        let file = life.join("IDENTITY");
        let mut bytes = std::fs::read(&file).expect("readable");
        bytes[8] ^= 1;
        std::fs::write(&file, &bytes).expect("writable");
        assert!(matches!(data.life(), Err(DataError::Damaged(_))));
        bytes[0] = 9;
        std::fs::write(&file, &bytes).expect("writable");
        assert!(matches!(data.life(), Err(DataError::Format { version: 9, .. })));
        drop(data);
        std::fs::write(dir.path().join("notes.txt"), b"mine").expect("writable");
        assert!(matches!(DataDir::open(dir.path()), Err(DataError::Foreign(_))));
    }
}
