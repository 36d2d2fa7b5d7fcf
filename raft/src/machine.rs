//! What the log is applied to.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;

/// One committed entry, in log order and without gaps.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its position.
    pub index: u64,
    /// The term it was proposed in.
    pub term: u64,
    /// What it carries; nothing for the entries that consensus writes for itself.
    pub command: Option<Bytes>,
}

/// Makes a checkpoint in the directory it is given, which does not exist yet.
pub type Checkpointer = Box<dyn FnOnce(&Path) -> io::Result<()> + Send>;

/// The state that the log is applied to.
///
/// Every method but the checkpointer runs on the shard's own thread or, while that has nothing to
/// do, on the one of consensus; one at a time. An error is a fault: the node stops.
pub trait StateMachine: Send + 'static {
    /// The answer to one entry.
    type Reply: Send + Sync + fmt::Debug + 'static;

    /// The record that came with the last [`apply`](Self::apply) that survived.
    fn applied(&mut self) -> io::Result<Option<Bytes>>;

    /// Applies entries and stores `applied`, atomically. Returns one reply per entry.
    fn apply(&mut self, entries: Vec<Committed>, applied: Bytes) -> io::Result<Vec<Self::Reply>>;

    /// Whether applying is likely to take no longer than the work itself: nothing has to be made
    /// room for first.
    fn has_room(&self) -> bool;

    /// What makes a checkpoint of the state as it is now or will be a little later; runs elsewhere
    /// while entries are applied.
    fn checkpointer(&mut self) -> io::Result<Checkpointer>;

    /// The record in a checkpoint, as [`applied`](Self::applied) would return it.
    fn applied_in(dir: &Path) -> io::Result<Option<Bytes>>;

    /// Replaces the state by the checkpoint in `dir`, which may be consumed. After a crash either
    /// the old or the new state is found, whole.
    fn install(&mut self, dir: &Path) -> io::Result<()>;
}
