//! A digest of the logical state: equal on replicas that applied the same entries.
//!
//! It covers log time, the keys of every database with version, encoding, deadline and value, and
//! the keyspace's own rows; not how the state lies on disk: spaces, generations, chunks, garbage,
//! expired keys that are not yet removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use rocksdb::DBRawIterator;
use xxhash_rust::xxh3::Xxh3;

use crate::core::Core;
use crate::error::{Fault, Result};
use crate::header::{Body, Entry};
use crate::layout::{CHUNK_BYTES, KEYSPACE_TAG, ROOT_KEY, RowKey, key_in, space_in};
use crate::root::Root;
use crate::row::Column;
use crate::store::Store;

const ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// The digest of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The record that was committed last in this state.
    pub applied: Option<Bytes>,
    /// The digest.
    pub hash: [u8; 16],
}

/// A digest being computed by a thread of its own, of the state in which it was begun.
pub struct Digester {
    is_cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Digest>>>,
}

impl Digester {
    /// Waits for the digest.
    pub fn wait(mut self) -> Result<Digest> {
        let thread = self.thread.take().expect("taken here only");
        thread.join().map_err(|_| Fault::Stopped("the digest's thread ended".into()))?
    }
}

impl Drop for Digester {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store {
    /// The digest of the committed state.
    pub fn digest(&self) -> Result<[u8; 16]> {
        Ok(self.digester()?.wait()?.hash)
    }

    /// Begins to compute the digest of the committed state; commits may go on meanwhile.
    pub fn digester(&self) -> Result<Digester> {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        // The thread takes its snapshot while no drain can bring in a later state.
        let thread = self.core.drain_and(|| {
            let (ready, is_ready) = sync_channel(1);
            let (core, is_cancelled) = (self.core.clone(), is_cancelled.clone());
            let thread = std::thread::Builder::new()
                .name("talus-digest".into())
                .spawn(move || compute(&core, &ready, &is_cancelled))
                .map_err(|error| Fault::Stopped(format!("no thread for a digest: {error}")))?;
            // If the thread fails before it is ready, it hangs up, and `wait` tells why.
            let _ = is_ready.recv();
            Ok(thread)
        })?;
        Ok(Digester { is_cancelled, thread: Some(thread) })
    }
}

fn compute(core: &Core, ready: &SyncSender<()>, is_cancelled: &AtomicBool) -> Result<Digest> {
    let snapshot = core.rocks.snapshot();
    let value = snapshot.get_cf(core.rocks.family(Column::System), ROOT_KEY)?;
    let (root, applied) = value.map_or(Ok(Default::default()), |value| Root::decode(&value))?;
    // Iterators hold on to their files; a compaction drops dead rows from new files only.
    let mut meta = core.rocks.rows_in(&snapshot, Column::Meta);
    let mut chunks = core.rocks.rows_in(&snapshot, Column::Sub);
    let mut system = core.rocks.rows_in(&snapshot, Column::System);
    let _ = ready.send(());

    let mut hash = Hash::new(b"talus digest 1");
    hash.number(root.log_time);
    for (db, keys) in hash_keys(&root, &mut meta, &mut chunks, is_cancelled)? {
        hash.number(u64::from(db));
        hash.bytes(&keys.end());
    }
    system.seek([KEYSPACE_TAG]);
    while let Some((&[KEYSPACE_TAG, ref name @ ..], value)) = system.item() {
        hash.bytes(name);
        hash.bytes(value);
        system.next();
    }
    system.status()?;
    Ok(Digest { applied, hash: hash.end() })
}

/// The digest of each database that has keys.
fn hash_keys(
    root: &Root,
    meta: &mut DBRawIterator<'_>,
    chunks: &mut DBRawIterator<'_>,
    is_cancelled: &AtomicBool,
) -> Result<BTreeMap<u32, Hash>> {
    let mut dbs = BTreeMap::new();
    meta.seek_to_first();
    while let Some((row_key, value)) = meta.item() {
        if is_cancelled.load(Ordering::Relaxed) {
            return Err(Fault::Stopped("the digest was cancelled".into()).into());
        }
        if let Some(db) = root.db_of(space_in(row_key)) {
            let entry = Entry::decode(value)?;
            if !entry.header.has_expired(root.log_time) {
                let hash = dbs.entry(db).or_insert_with(|| Hash::new(b"database"));
                hash.key(row_key, value, &entry, chunks)?;
            }
        }
        meta.next();
    }
    meta.status()?;
    Ok(dbs)
}

/// A hash of values that cannot run into each other.
struct Hash(Xxh3);

impl Hash {
    fn new(of: &[u8]) -> Self {
        let mut hash = Self(Xxh3::new());
        hash.bytes(of);
        hash
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn key(
        &mut self,
        row_key: &[u8],
        value: &[u8],
        entry: &Entry,
        chunks: &mut DBRawIterator<'_>,
    ) -> Result<()> {
        let Entry { header, body } = entry;
        self.bytes(key_in(row_key));
        self.bytes(header.kind.name().as_bytes());
        self.bytes(header.encoding.name().as_bytes());
        self.number(header.version);
        self.number(u64::from(header.deadline.is_some()));
        self.number(header.deadline.unwrap_or_default());
        self.number(header.size);
        match body {
            Body::Inline(offset) => self.0.update(&value[*offset..]),
            Body::Chunked(generation) => {
                let prefix = RowKey::generation(row_key, *generation);
                self.chunks(prefix.bytes(), header.size, chunks)?;
            }
        }
        Ok(())
    }

    /// The bytes of a large string, as if they lay in one piece.
    fn chunks(&mut self, prefix: &[u8], size: u64, chunks: &mut DBRawIterator<'_>) -> Result<()> {
        chunks.seek(prefix);
        let mut left = size;
        let mut number = 0_u32;
        while left > 0 {
            let len = left.min(CHUNK_BYTES as u64) as usize;
            let mut written = 0;
            if let Some((key, value)) = chunks.item()
                && key.strip_prefix(prefix) == Some(&number.to_be_bytes())
            {
                written = value.len().min(len);
                self.0.update(&value[..written]);
                chunks.next();
            }
            self.0.update(&ZEROS[written..len]);
            left -= len as u64;
            number += 1;
        }
        Ok(chunks.status()?)
    }

    fn end(&self) -> [u8; 16] {
        self.0.digest128().to_be_bytes()
    }
}
