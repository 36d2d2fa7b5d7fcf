//! The receiving side of a snapshot's transfer.
//!
//! An offer is answered with the pieces that are missing: a file that is here in full, from an
//! earlier attempt or in this node's own snapshot, is not sent again, a partial one goes on where
//! it ends. Every piece carries a checksum, and every file is checked as a whole before the
//! snapshot is handed to consensus.
//!
//! At most one transfer of a shard runs; a second one is refused while the first has a stream.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use proto::node::v1::{SnapshotChunk, SnapshotFile, SnapshotWant};
use tokio::sync::mpsc;

use super::{DATA, Manifest, SnapshotDir, Snapshots, files};
use crate::types::Vote;

/// Receives the snapshots of one shard.
pub(crate) struct Receiver {
    snapshots: Arc<Snapshots>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    offered: Option<Offered>,
    streaming: bool,
}

#[derive(Clone)]
struct Offered {
    transfer: u64,
    vote: Vote,
    manifest: Manifest,
}

/// Held while chunks of a transfer arrive; no other transfer starts meanwhile.
pub(crate) struct Transfer {
    receiver: Arc<Receiver>,
    offered: Offered,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.receiver.state.lock().streaming = false;
    }
}

impl Receiver {
    pub fn new(snapshots: Arc<Snapshots>) -> Self {
        Self { snapshots, state: Mutex::default() }
    }

    /// Whether a snapshot is arriving now.
    pub fn is_receiving(&self) -> bool {
        self.state.lock().streaming
    }

    /// Looks at what is here already. Returns the number of the transfer and what is missing.
    pub fn offer(&self, vote: Vote, manifest: Manifest) -> io::Result<(u64, Vec<SnapshotWant>)> {
        let transfer = {
            let mut state = self.state.lock();
            if state.streaming {
                return Err(busy());
            }
            state.offered = None;
            state.last += 1;
            state.last
        };
        let wants = self.missing(&manifest)?;
        let mut state = self.state.lock();
        if state.streaming || state.last != transfer {
            return Err(busy());
        }
        state.offered = Some(Offered { transfer, vote, manifest });
        Ok((transfer, wants))
    }

    /// Starts to take the chunks of a transfer that was offered before.
    pub fn begin(self: &Arc<Self>, transfer: u64) -> io::Result<Transfer> {
        let mut state = self.state.lock();
        let offered = state.offered.clone().filter(|offered| offered.transfer == transfer);
        let offered = offered.ok_or_else(|| io::Error::other("this transfer was not offered"))?;
        if std::mem::replace(&mut state.streaming, true) {
            return Err(busy());
        }
        Ok(Transfer { receiver: Arc::clone(self), offered })
    }

    fn missing(&self, manifest: &Manifest) -> io::Result<Vec<SnapshotWant>> {
        let dir = self.snapshots.incoming().join(manifest.name());
        let data = dir.join(DATA);
        fs::create_dir_all(&data)?;
        self.take_over(&dir, manifest)?;
        let mut wants = Vec::new();
        for file in &manifest.files {
            if let Some(offset) = self.missing_from(&data, file)? {
                wants.push(SnapshotWant { name: file.name.clone(), offset });
            }
        }
        Ok(wants)
    }

    /// Ends earlier transfers. The sender may have a newer snapshot by now that shares files with
    /// the one that was arriving; what is here of those is kept.
    fn take_over(&self, dir: &Path, manifest: &Manifest) -> io::Result<()> {
        for entry in fs::read_dir(self.snapshots.incoming())? {
            let earlier = entry?.path();
            if earlier == dir {
                continue;
            }
            for file in manifest.files.iter().filter(|file| files::immutable(&file.name)) {
                let (from, to) =
                    (earlier.join(DATA).join(&file.name), dir.join(DATA).join(&file.name));
                if from.exists() && !to.exists() {
                    fs::rename(from, to)?;
                }
            }
            files::remove_if_there(&earlier)?;
        }
        Ok(())
    }

    /// Where to go on with a file; `None` if it is here.
    fn missing_from(&self, data: &Path, file: &SnapshotFile) -> io::Result<Option<u64>> {
        let path = data.join(&file.name);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if self.link_own(&path, file)? { None } else { Some(0) });
            }
            Err(error) => return Err(error),
        };
        if size < file.size {
            return Ok(Some(size));
        }
        if files::checksum(&path)? == (file.size, file.crc32) {
            return Ok(None);
        }
        fs::remove_file(&path)?;
        Ok(Some(0))
    }

    /// Takes a file from this node's own snapshot if that has the same one.
    fn link_own(&self, path: &Path, file: &SnapshotFile) -> io::Result<bool> {
        let Some(own) = self.snapshots.current() else { return Ok(false) };
        if !files::immutable(&file.name) || !own.manifest().files.contains(file) {
            return Ok(false);
        }
        let from = own.data().join(&file.name);
        if files::checksum(&from)? != (file.size, file.crc32) {
            return Ok(false);
        }
        fs::hard_link(from, path)?;
        Ok(true)
    }
}

impl Transfer {
    pub fn vote(&self) -> Vote {
        self.offered.vote
    }

    /// Writes chunks until the stream ends, then checks the whole. Blocks in between. Pieces that
    /// arrived stay when it fails, for the next attempt.
    pub async fn take(self, mut chunks: mpsc::Receiver<SnapshotChunk>) -> io::Result<SnapshotDir> {
        let path = self.receiver.snapshots.incoming().join(self.offered.manifest.name());
        let data = path.join(DATA);
        let mut open: Option<(String, File)> = None;
        while let Some(chunk) = chunks.recv().await {
            self.write(&data, &mut open, &chunk)?;
        }
        drop(open);
        for file in &self.offered.manifest.files {
            check(&data.join(&file.name), file)?;
        }
        files::sync_dir(&data)?;
        files::sync_dir(&path)?;
        files::sync_dir(self.receiver.snapshots.incoming())?;
        self.receiver.state.lock().offered = None;
        Ok(SnapshotDir::new(path, self.offered.manifest.clone()))
    }

    fn write(
        &self,
        data: &Path,
        open: &mut Option<(String, File)>,
        chunk: &SnapshotChunk,
    ) -> io::Result<()> {
        if chunk.name.is_empty() {
            return Ok(());
        }
        let known = self.offered.manifest.files.iter().find(|file| file.name == chunk.name);
        let known = known.ok_or_else(|| files::invalid("a chunk of an unknown file"))?;
        if chunk.transfer != self.offered.transfer || crc32fast::hash(&chunk.data) != chunk.crc32 {
            return Err(files::invalid("a damaged chunk"));
        }
        if chunk.offset + chunk.data.len() as u64 > known.size {
            return Err(files::invalid("a chunk beyond the end of its file"));
        }
        let file = match open {
            Some((name, file)) if *name == chunk.name => file,
            other => &mut other.insert((chunk.name.clone(), append_to(data.join(&chunk.name))?)).1,
        };
        if file.seek(SeekFrom::End(0))? != chunk.offset {
            return Err(files::invalid("a chunk out of order"));
        }
        file.write_all(&chunk.data)
    }
}

fn append_to(path: PathBuf) -> io::Result<File> {
    // Not append mode: the position is checked before each write.
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn check(path: &Path, file: &SnapshotFile) -> io::Result<()> {
    let found = files::checksum(path)?;
    if found.0 < file.size {
        return Err(files::invalid("the transfer ended early"));
    }
    if found != (file.size, file.crc32) {
        fs::remove_file(path)?;
        return Err(files::invalid("a file arrived damaged"));
    }
    File::open(path)?.sync_all()
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another snapshot is arriving")
}
