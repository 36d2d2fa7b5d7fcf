//! How a command fails: with an answer for the client, or with a reason for the node to stop.

use resp::ReplyError;

/// What may come of a command besides a reply. The two are never mixed up.
#[derive(Debug)]
pub enum Error {
    /// The client is told, the node goes on. The same on every replica.
    Reply(ReplyError),
    /// The disk failed or lied. The node stops; the client hears nothing.
    Fault(storage::Error),
}

/// The result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<ReplyError> for Error {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::WrongType => Self::Reply(ReplyError::WrongType),
            storage::Error::TooLong => Self::Reply(ReplyError::StringTooLong),
            fault => Self::Fault(fault),
        }
    }
}

/// A refusal whose whole text, code included, is `text`.
pub fn refuse(text: impl Into<String>) -> ReplyError {
    ReplyError::Raw(text.into())
}
