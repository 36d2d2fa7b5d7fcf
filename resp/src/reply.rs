//! What a command answers, before any protocol.

use std::borrow::Cow;

use bytes::Bytes;

use crate::error::ReplyError;

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// What every client speaks until it says `HELLO 3`.
    #[default]
    Resp2,
    /// Maps, sets, doubles, booleans, nulls and pushes have types of their own.
    Resp3,
    /// RESP3 plus what RESP3 loses (null arrays, pairs): between nodes and in stored answers.
    Node,
}

/// An answer. The variants are RESP3's, and three that RESP2 or the commands need.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A status line such as `OK`.
    Simple(Cow<'static, str>),
    /// A refusal.
    Error(ReplyError),
    /// A whole number.
    Integer(i64),
    /// A string of bytes.
    Bulk(Bytes),
    /// Nothing, where a string was asked for.
    Null,
    /// Nothing, where an array was asked for: RESP2 tells the two apart.
    NullArray,
    /// True or false; 1 or 0 in RESP2.
    Bool(bool),
    /// A floating-point number; a string in RESP2.
    Double(f64),
    /// A number beyond 64 bits, in decimal digits.
    BigNumber(Bytes),
    /// Text with a hint how to show it, such as `txt` or `mkd`.
    Verbatim {
        /// Three characters.
        format: [u8; 3],
        /// The text itself.
        text: Bytes,
    },
    /// Replies in order.
    Array(Vec<Reply>),
    /// Keys and values; flat in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Replies without order; an array in RESP2.
    Set(Vec<Reply>),
    /// Pairs in order, as of a sorted set: nested in RESP3, flat in RESP2.
    Pairs(Vec<(Reply, Reply)>),
    /// Out of band: messages, invalidations. An array in RESP2.
    Push(Vec<Reply>),
    /// A reply with facts about it that RESP2 does not hear.
    Attribute {
        /// The facts.
        attributes: Vec<(Reply, Reply)>,
        /// The reply itself.
        reply: Box<Reply>,
    },
}

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));
    /// `+QUEUED`.
    pub const QUEUED: Reply = Reply::Simple(Cow::Borrowed("QUEUED"));
    /// An empty string.
    pub const EMPTY_BULK: Reply = Reply::Bulk(Bytes::new());
    /// An empty array.
    pub const EMPTY_ARRAY: Reply = Reply::Array(Vec::new());

    /// A string of bytes.
    pub fn bulk(bytes: impl Into<Bytes>) -> Self {
        Reply::Bulk(bytes.into())
    }

    /// A string of bytes, or null.
    pub fn bulk_or_null(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Reply::Null, Reply::Bulk)
    }

    /// A status line.
    pub fn simple(text: impl Into<Cow<'static, str>>) -> Self {
        Reply::Simple(text.into())
    }

    /// Text shown as it is, such as that of `INFO`.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Reply::Verbatim { format: *b"txt", text: text.into() }
    }

    /// A length or count.
    ///
    /// # Panics
    /// If `count` is beyond `i64`, which no length in memory or on disk is.
    pub fn count(count: impl TryInto<i64>) -> Self {
        match count.try_into() {
            Ok(count) => Reply::Integer(count),
            Err(_) => panic!("a count is below 2^63"),
        }
    }

    /// Whether this is a refusal.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

impl From<ReplyError> for Reply {
    fn from(error: ReplyError) -> Self {
        Reply::Error(error)
    }
}

impl<E: Into<ReplyError>> From<Result<Reply, E>> for Reply {
    fn from(result: Result<Reply, E>) -> Self {
        result.unwrap_or_else(|error| Reply::Error(error.into()))
    }
}
