//! The keyspace on disk and in memory: what log entries change and commands read.
//!
//! A [`Store`] is one replica of one shard: a RocksDB with a tier of memory in front of it. A
//! committed entry is published in memory at once; RocksDB follows behind, in sorted bulk
//! ([`Store::drain`]). That is safe because the log of consensus is the write-ahead log: after a
//! crash the store is in the state after some entry, says which ([`Store::applied`]), and the
//! entries after it are applied again.
//!
//! ```text
//!   View, Txn       what commands see
//!   overlay         changes of the one open transaction
//!   dirty tables    committed, not yet in RocksDB
//!   cache           clean rows, bounded, shared by the stores of a node
//!   RocksDB         column families meta, sub, score, system
//! ```
//!
//! Invariants
//! * Effects and applied record are in one write batch; all column families are flushed together.
//! * Replicas that applied the same entries answer alike and have the same [`Store::digest`],
//!   however the entries were batched and whenever they were drained.
//! * Whether a key has expired is decided by log time alone.
//! * An [`Error`] either answers a client and changed nothing, or ends this node.
//!
//! README.md describes the bytes on disk.

mod cache;
mod checkpoint;
mod collect;
mod core;
mod digest;
mod drain;
mod error;
mod expiry;
mod garbage;
mod header;
mod keys;
mod layout;
mod options;
mod ordered;
mod overlay;
mod rocks;
mod root;
mod row;
mod scan;
mod slot;
mod stats;
mod store;
mod strings;
mod table;
mod touched;
mod txn;
mod view;

pub use cache::CacheStats;
pub use checkpoint::Checkpointer;
pub use digest::{Digest, Digester};
pub use error::{Error, Fault, Result};
pub use header::{Encoding, Header, Kind};
pub use options::{Budget, OPEN_FILES_MAX, Options, Shared};
pub use slot::{SLOTS, slot_of};
pub use stats::{DbStats, Stats};
pub use store::Store;
pub use touched::Touched;
pub use txn::{Savepoint, Txn, TxnRng};
pub use view::{Lookups, View};

/// Milliseconds since 1970, or a span of them.
pub type Millis = u64;

/// No string may be longer than this.
pub const STRING_BYTES_MAX: u64 = 512 << 20;
