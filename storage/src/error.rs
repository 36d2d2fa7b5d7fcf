//! What can go wrong, in two kinds that are never mixed up.
//!
//! [`Error::WrongType`] and [`Error::TooLong`] answer a client and change nothing. Everything else
//! is a reason for this node to stop: a replica that goes on after a fault may differ from the
//! others.

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An answer for the client, or a reason for this node to stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key holds another kind of value than the operation works on.
    #[error("the key holds another kind of value")]
    WrongType,
    /// The string would become longer than [`crate::STRING_BYTES_MAX`].
    #[error("the string would be longer than a string may be")]
    TooLong,
    /// The directory was written by another version of this program.
    #[error("the data has format {found}, this program knows format {known}")]
    Format {
        /// The version found in the directory.
        found: u32,
        /// The version this program reads and writes.
        known: u32,
    },
    /// The disk, the database or a row is damaged.
    #[error("storage fault: {0}")]
    Fault(#[from] Fault),
}

impl Error {
    /// Whether this node must stop.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Fault(_))
    }
}

/// Why this node must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// RocksDB refused or failed.
    #[error("{0}")]
    RocksDb(#[from] rocksdb::Error),
    /// Bytes that this program cannot have written.
    #[error("damaged {what}: {detail}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A thread of the store ended, or failed earlier and left this message.
    #[error("{0}")]
    Stopped(String),
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        Self::Fault(Fault::RocksDb(error))
    }
}

/// A fault about bytes that cannot have been written by this program.
pub(crate) fn damaged(what: &'static str, detail: impl Into<String>) -> Error {
    Error::Fault(Fault::Damaged { what, detail: detail.into() })
}
