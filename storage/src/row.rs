//! A row: its key and its value in one allocation.
//!
//! Rows are what the transaction, the dirty tables and the cache hand to each other. Sharing one
//! is a reference count; nothing below [`crate::View`] copies a value.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// From this length on, a value is handed out as a reference into its row; a shorter one is
/// cheaper to copy, and then does not keep the row in memory.
const SHARED_BYTES_MIN: usize = 2048;

/// The family of rows a row belongs to: one column family of RocksDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Key → header and inline value.
    Meta,
    /// Chunks of large strings.
    Sub,
    /// The store's and the keyspace's own rows.
    System,
}

/// A row, or the knowledge that there is none.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    bytes: Arc<[u8]>,
    key_len: u32,
    present: bool,
}

impl Row {
    /// A row from the bytes of its key followed by those of its value.
    pub fn new(key_and_value: &[u8], key_len: usize) -> Self {
        debug_assert!(key_len <= key_and_value.len());
        Self { bytes: key_and_value.into(), key_len: key_len as u32, present: true }
    }

    /// The same, from separate parts.
    pub fn of(key: &[u8], value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self::new(&bytes, key.len())
    }

    /// The absence of a row.
    pub fn absent(key: &[u8]) -> Self {
        Self { bytes: key.into(), key_len: key.len() as u32, present: false }
    }

    /// Whether there is a row.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// The row, if there is one.
    pub fn present(self) -> Option<Self> {
        self.present.then_some(self)
    }

    /// The row's key.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    /// The row's value; empty if there is no row.
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }

    /// The value from `offset` on, copied if short.
    pub fn value_from(&self, offset: usize) -> Bytes {
        let start = self.key_len as usize + offset;
        if self.bytes.len() - start < SHARED_BYTES_MIN {
            return Bytes::copy_from_slice(&self.bytes[start..]);
        }
        Bytes::from_owner(Shared(self.bytes.clone())).slice(start..)
    }

    /// Bytes this row takes in memory, with its place in a table.
    pub fn charge(&self) -> usize {
        self.bytes.len() + 80
    }
}

/// Order and equality are those of the keys: in a sorted set of rows, one key has one row.
impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl Borrow<[u8]> for Row {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Row {}

/// The owner behind a value that was handed out without a copy.
struct Shared(Arc<[u8]>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Hash of a row key, for every table in memory.
pub(crate) fn hash(row_key: &[u8]) -> u64 {
    xxh3_64(row_key)
}
