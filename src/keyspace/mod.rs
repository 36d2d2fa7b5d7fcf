//! The keyspace: what the log is applied to.
//!
//! Entries are applied one after another, never two at once. That is why no command takes a lock.
//! Readers see the state between two applies, through [`storage::View`].
//!
//! Invariants
//! * The effects of entries and the record of the last applied one are committed together.
//! * Replies depend on the entry and on the state before it, on nothing else of this node.
//! * A batch of a session is applied at most once, and only after the one it names as `after`.
//! * A fault stops the process; it never becomes a reply.

mod broken;
mod sessions;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use prost::Message;
use proto::log::v1::{Batch, Entry, Item, Watch};
use raft::{Committed, Mutant, StateMachine};
use resp::{Protocol, Reply, ReplyError};
use storage::{Options, Shared, Store, Txn};

use crate::commands;
use sessions::{Admission, Sessions};

/// The meaning of the requests in a log entry that this build proposes and understands.
pub const ENTRY_VERSION: u32 = 1;

/// What became of one batch of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchOutcome {
    /// One reply per item.
    Applied(Vec<Reply>),
    /// A retry: the replies of the first time, in the encoding of [`Protocol::Node`].
    Repeated(Bytes),
    /// A retry whose replies are no longer kept.
    Forgotten,
    /// Not applied: the batch it must follow has not been applied.
    Gap,
}

/// The answer to one log entry: one outcome per batch, in order.
pub type Outcome = Vec<BatchOutcome>;

/// The store that readers use; replaced as a whole when a snapshot is installed.
pub type Current = Arc<ArcSwap<Store>>;

/// The replicated state of one shard.
pub struct Keyspace {
    current: Current,
    sessions: Sessions,
    home: Home,
}

/// Where the stores of a shard live, and how they are opened.
///
/// `CURRENT` names the directory in use; switching it is one atomic rename.
#[derive(Clone)]
pub struct Home {
    dir: PathBuf,
    options: Options,
    shared: Shared,
}

impl Home {
    /// Stores of one shard under `dir`.
    pub fn new(dir: PathBuf, options: Options, shared: Shared) -> Self {
        Self { dir, options, shared }
    }

    /// The directory of the store in use.
    ///
    /// # Errors
    /// When the directory cannot be read or `CURRENT` is damaged.
    pub fn current_dir(&self) -> io::Result<PathBuf> {
        match std::fs::read_to_string(self.dir.join("CURRENT")) {
            Ok(name) if is_store_name(&name) => Ok(self.dir.join(name)),
            Ok(name) => Err(io::Error::other(format!(
                "{}: names no store: {name:?}",
                self.dir.join("CURRENT").display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.dir.join("store-1")),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> io::Result<Arc<Store>> {
        std::fs::create_dir_all(&self.dir)?;
        let dir = self.current_dir()?;
        self.remove_strays(&dir)?;
        Store::open(&dir, &self.options, &self.shared).map_err(fault)
    }

    /// Makes a new store out of a checkpoint and switches to it.
    fn switch_to(&self, checkpoint: &Path) -> io::Result<Arc<Store>> {
        let name = next_store_name(&self.current_dir()?);
        let dir = self.dir.join(&name);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        link_all(checkpoint, &dir)?;
        sync_dir(&self.dir)?;
        replace_file(&self.dir.join("CURRENT"), name.as_bytes())?;
        Store::open(&dir, &self.options, &self.shared).map_err(fault)
    }

    fn remove_strays(&self, keep: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let stray = path.file_name().and_then(|n| n.to_str()).is_some_and(is_store_name);
            if stray && path != keep {
                std::fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

fn is_store_name(name: &str) -> bool {
    name.strip_prefix("store-").is_some_and(|n| n.parse::<u64>().is_ok())
}

fn next_store_name(old: &Path) -> String {
    let number = old
        .file_name()
        .and_then(|n| n.to_str())
        .and_then(|n| n.strip_prefix("store-"))
        .and_then(|n| n.parse::<u64>().ok())
        .unwrap_or(0);
    format!("store-{}", number + 1)
}

/// Hard links where the file never changes again, copies where RocksDB appends to it.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let immutable = entry.path().extension().is_some_and(|e| e == "sst" || e == "blob");
        if immutable && std::fs::hard_link(entry.path(), &target).is_ok() {
            continue;
        }
        std::fs::copy(entry.path(), &target)?;
        std::fs::File::open(&target)?.sync_all()?;
    }
    sync_dir(to)
}

/// Writes a small file so that after a crash it is the old or the new one, never a part.
///
/// # Errors
/// Those of the file system.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

fn fault(error: storage::Error) -> io::Error {
    io::Error::other(error)
}

impl Keyspace {
    /// Opens the state of a shard as the last run left it.
    ///
    /// # Errors
    /// When the store cannot be opened or is damaged.
    pub fn open(home: Home) -> io::Result<Self> {
        let store = home.open()?;
        let sessions = Sessions::load(&store)?;
        Ok(Self { current: Arc::new(ArcSwap::new(store)), sessions, home })
    }

    /// The store that readers use.
    pub fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    fn apply_entry(&mut self, txn: &mut Txn<'_>, entry: &Committed) -> io::Result<Outcome> {
        let Some(command) = &entry.command else { return Ok(Vec::new()) };
        let decoded = Entry::decode(command.clone()).map_err(io::Error::other)?;
        if decoded.version != ENTRY_VERSION {
            return Err(io::Error::other(format!(
                "entry {} has version {}, this build knows {ENTRY_VERSION}",
                entry.index, decoded.version
            )));
        }
        txn.set_entry(entry.index, broken::log_time(&decoded), decoded.seed);
        if broken::skips(entry.index) {
            return Ok(decoded.batches.iter().map(broken::skipped).collect());
        }
        let mut items_before = 0;
        let mut outcome = Vec::with_capacity(decoded.batches.len());
        for batch in &decoded.batches {
            outcome.push(self.apply_batch(txn, batch, items_before)?);
            items_before += batch.items.len() as u64;
        }
        Ok(outcome)
    }

    fn apply_batch(
        &mut self,
        txn: &mut Txn<'_>,
        batch: &Batch,
        items_before: u64,
    ) -> io::Result<BatchOutcome> {
        let Some(origin) = &batch.origin else {
            return apply_items(txn, &batch.items, items_before).map(BatchOutcome::Applied);
        };
        match self.sessions.admit(txn, origin)? {
            Admission::Fresh => {}
            Admission::Repeated(_) | Admission::Forgotten if broken::applies_again() => {}
            Admission::Repeated(replies) => return Ok(BatchOutcome::Repeated(replies)),
            Admission::Forgotten => return Ok(BatchOutcome::Forgotten),
            Admission::Gap => return Ok(BatchOutcome::Gap),
        }
        let replies = apply_items(txn, &batch.items, items_before)?;
        self.sessions.remember(txn, origin, &encode_replies(&replies));
        Ok(BatchOutcome::Applied(replies))
    }
}

/// Replies one after the other, as nodes exchange and keep them.
pub fn encode_replies(replies: &[Reply]) -> Bytes {
    let mut out = BytesMut::with_capacity(replies.len() * 8);
    for reply in replies {
        resp::encode(reply, Protocol::Node, &mut out);
    }
    out.freeze()
}

fn apply_items(txn: &mut Txn<'_>, items: &[Item], before: u64) -> io::Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        txn.item(before + number as u64);
        replies.push(apply_item(txn, item).map_err(fault)?);
    }
    Ok(replies)
}

fn apply_item(txn: &mut Txn<'_>, item: &Item) -> Result<Reply, storage::Error> {
    if !watches_hold(txn, &item.watches)? {
        return Ok(Reply::NullArray);
    }
    txn.select(item.db);
    let mut replies = Vec::with_capacity(item.requests.len());
    for request in &item.requests {
        replies.push(apply_request(txn, &request.args)?);
    }
    if item.transaction {
        return Ok(Reply::Array(replies));
    }
    Ok(replies.pop().unwrap_or(Reply::OK))
}

fn watches_hold(txn: &mut Txn<'_>, watches: &[Watch]) -> Result<bool, storage::Error> {
    if Mutant::WatchIgnored.is_on() {
        return Ok(true);
    }
    for watch in watches {
        txn.select(watch.db);
        if txn.view().version(&watch.key)? != watch.version {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A request that answers with an error leaves no effect behind.
fn apply_request(txn: &mut Txn<'_>, request: &[Bytes]) -> Result<Reply, storage::Error> {
    let before = txn.savepoint();
    match commands::run(txn, request) {
        Ok(reply) => Ok(reply),
        Err(commands::Error::Reply(error)) => {
            txn.rollback(before);
            Ok(Reply::Error(error))
        }
        Err(commands::Error::Fault(fault)) => Err(fault),
    }
}

impl StateMachine for Keyspace {
    type Reply = Outcome;

    fn applied(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.current.load().applied())
    }

    fn apply(&mut self, entries: Vec<Committed>, applied: Bytes) -> io::Result<Vec<Outcome>> {
        let store = self.current.load_full();
        let mut txn = store.begin();
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in &entries {
            outcomes.push(self.apply_entry(&mut txn, entry)?);
        }
        store.commit(txn, applied).map_err(fault)?;
        Ok(outcomes)
    }

    fn has_room(&self) -> bool {
        self.current.load().has_room()
    }

    fn checkpointer(&mut self) -> io::Result<raft::Checkpointer> {
        let store = self.current.load_full();
        store.drain().map_err(fault)?;
        Ok(Box::new(move |dir| store.checkpoint(dir).map_err(fault)))
    }

    fn applied_in(dir: &Path) -> io::Result<Option<Bytes>> {
        Store::applied_in(dir).map_err(fault)
    }

    fn install(&mut self, dir: &Path) -> io::Result<()> {
        let store = self.home.switch_to(dir)?;
        broken::spoil(&store)?;
        self.sessions = Sessions::load(&store)?;
        // Readers may hold the old store a moment longer; RocksDB needs its files until it is closed.
        self.current.swap(store).discard();
        Ok(())
    }
}

/// What a client is told when the answers of an applied batch are gone.
pub fn forgotten() -> ReplyError {
    ReplyError::Raw("UNCERTAIN the write was applied, but its answer is no longer kept".into())
}
