//! Why the log cannot go on.

use std::io::{self, ErrorKind};
use std::sync::Arc;

/// Why the log cannot be opened, written or read. None of these may be passed over: the node stops.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The operating system said no.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// What came back.
        source: Arc<io::Error>,
    },
    /// Bytes that were durable once are not what was written.
    #[error("{file} is damaged at offset {offset}: {reason}")]
    Damaged {
        /// Which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The directory holds no log, or another one, and this node has written to one before.
    #[error("the log of this node is missing, and with it what it promised the others")]
    Lost,
    /// A segment of the log is not there.
    #[error("segment {sequence} of the log is missing: {file} continues it")]
    Missing {
        /// Which one.
        sequence: u64,
        /// The file that comes after it.
        file: String,
    },
    /// An entry of a shard is in no segment.
    #[error("entry {index} of shard {shard} is in no segment of the log")]
    EntryMissing {
        /// Which shard.
        shard: u32,
        /// Which entry.
        index: u64,
    },
    /// Entries must follow each other.
    #[error("shard {shard} was given entry {found} where {expected} comes next")]
    Gap {
        /// Which shard.
        shard: u32,
        /// What comes next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// An entry is longer than the log's format allows.
    #[error("an entry of {0} bytes is too long for the log")]
    TooLong(usize),
    /// The log has failed before; nothing it says afterwards counts.
    #[error("the log has failed: {0}")]
    Failed(Arc<LogError>),
    /// A thread of the log panicked.
    #[error("a thread of the log panicked")]
    Panicked,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    pub(super) fn io(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, file: file.to_owned(), source: Arc::new(source) }
    }

    /// What was wrong first.
    pub(super) fn cause(self) -> Self {
        match self {
            Self::Failed(cause) => (*cause).clone().cause(),
            other => other,
        }
    }

    pub(super) fn damaged(file: &str, offset: u64, reason: &'static str) -> Self {
        Self::Damaged { file: file.to_owned(), offset, reason }
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        let kind = match &error {
            LogError::Io { source, .. } => source.kind(),
            LogError::Gap { .. } | LogError::TooLong(_) => ErrorKind::InvalidInput,
            LogError::Failed(_) | LogError::Closed => ErrorKind::Other,
            _ => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
