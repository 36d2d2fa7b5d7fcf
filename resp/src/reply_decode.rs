//! Replies out of a read buffer: RESP2, RESP3 and what nodes say to each other.
//!
//! A reply is first found whole with one counter: how many replies are still to come. Each type
//! but the aggregates takes one, an aggregate adds its elements. Only then is it cut off the
//! buffer and built, so a large reply in small pieces is looked at once.
//!
//! Invariants
//! * Between calls the caller only appends to the buffer.
//! * Depth, length and the whole are bounded; nothing is allocated for what has not arrived.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::decode::ProtocolError;
use crate::error::ReplyError;
use crate::number::{parse_f64, parse_i64};
use crate::reply::Reply;

/// Replies within replies.
const DEPTH_MAX: usize = 128;
/// The longest reply unless told otherwise: twice the longest string, and some.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// Decodes the replies of one connection.
///
/// ```
/// use bytes::BytesMut;
/// use resp::{Reply, ReplyDecoder};
/// let mut decoder = ReplyDecoder::default();
/// let mut buffer = BytesMut::from("*2\r\n:1\r\n$1\r");
/// assert_eq!(decoder.decode(&mut buffer), Ok(None));
/// buffer.extend_from_slice(b"\na\r\n");
/// let reply = Reply::Array(vec![Reply::Integer(1), Reply::bulk("a")]);
/// assert_eq!(decoder.decode(&mut buffer), Ok(Some(reply)));
/// ```
#[derive(Debug)]
pub struct ReplyDecoder {
    reply_bytes_max: usize,
    /// Bytes from the beginning of the buffer that are understood.
    position: usize,
    /// Bytes from the beginning of the buffer known to hold no line end after `position`.
    searched: usize,
    /// Replies still to come before the one at the beginning of the buffer is whole.
    pending: u64,
}

impl Default for ReplyDecoder {
    fn default() -> Self {
        Self::new(REPLY_BYTES_MAX)
    }
}

impl ReplyDecoder {
    /// A decoder at the beginning of a stream whose replies are at most so long.
    pub fn new(reply_bytes_max: usize) -> Self {
        Self { reply_bytes_max, position: 0, searched: 0, pending: 1 }
    }

    /// Takes the next whole reply off `buffer`. `None` asks for more bytes.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ProtocolError> {
        let Some(length) = self.find(buffer)? else { return Ok(None) };
        Builder { frame: buffer.split_to(length).freeze(), position: 0 }.reply(0).map(Some)
    }

    /// The length of the reply at the beginning of the buffer, once it is whole.
    fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        while self.pending > 0 {
            if !self.skip_one(buffer)? {
                return Ok(None);
            }
        }
        let length = self.position;
        *self = Self::new(self.reply_bytes_max);
        Ok(Some(length))
    }

    /// Steps over one scalar or the head of one aggregate, if it is there.
    fn skip_one(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let from = self.searched.max(self.position);
        let found = memchr(b'\n', &buffer[from..]).map(|at| from + at);
        let Some(end) = found else {
            self.searched = buffer.len();
            return self.check_length(buffer.len()).map(|()| false);
        };
        self.searched = end;
        let head = Head::parse(&buffer[self.position..=end])?;
        let body = head.body_bytes();
        self.check_length((end + 1).saturating_add(body))?;
        if buffer.len() < end + 1 + body {
            return Ok(false);
        }
        self.pending = (self.pending - 1).saturating_add(head.replies());
        self.position = end + 1 + body;
        self.searched = self.position;
        Ok(true)
    }

    fn check_length(&self, bytes: usize) -> Result<(), ProtocolError> {
        if bytes > self.reply_bytes_max { Err(ProtocolError::Request) } else { Ok(()) }
    }
}

/// Decodes replies that follow one another, to the last byte.
pub fn decode_replies(bytes: &Bytes) -> Result<Vec<Reply>, ProtocolError> {
    let mut decoder = ReplyDecoder::default();
    let (mut rest, mut replies) = (bytes.clone(), Vec::new());
    while !rest.is_empty() {
        let length = decoder.find(&rest)?.ok_or(ProtocolError::Reply)?;
        replies.push(Builder { frame: rest.split_to(length), position: 0 }.reply(0)?);
    }
    Ok(replies)
}

/// The first line of a reply: its type and how much follows it.
struct Head {
    kind: u8,
    /// Of a string or an aggregate; `None` for the null ones.
    length: Option<usize>,
}

impl Head {
    fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        let [kind, text @ .., b'\r', b'\n'] = line else { return Err(ProtocolError::Reply) };
        let length = match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => None,
            b'$' | b'!' | b'=' => parse_length(text).map_err(|()| ProtocolError::BulkLength)?,
            b'*' | b'~' | b'>' | b'%' | b'|' | b'&' => {
                parse_length(text).map_err(|()| ProtocolError::MultibulkLength)?
            }
            other => return Err(ProtocolError::ReplyType(char::from(*other))),
        };
        Ok(Self { kind: *kind, length })
    }

    /// Bytes after the line that belong to it.
    fn body_bytes(&self) -> usize {
        match (self.kind, self.length) {
            (b'$' | b'!' | b'=', Some(length)) => length.saturating_add(2),
            _ => 0,
        }
    }

    /// Replies after the line that belong to it.
    fn replies(&self) -> u64 {
        let length = self.length.map_or(0, |length| length as u64);
        match self.kind {
            b'*' | b'~' | b'>' => length,
            b'%' | b'&' => length.saturating_mul(2),
            b'|' => length.saturating_mul(2).saturating_add(1),
            _ => 0,
        }
    }
}

/// A length, or `None` for -1.
fn parse_length(text: &[u8]) -> Result<Option<usize>, ()> {
    match parse_i64(text) {
        Some(-1) => Ok(None),
        Some(length) => usize::try_from(length).map(Some).map_err(|_| ()),
        None => Err(()),
    }
}

/// Builds a reply from bytes known to be whole.
struct Builder {
    frame: Bytes,
    position: usize,
}

impl Builder {
    fn reply(&mut self, depth: usize) -> Result<Reply, ProtocolError> {
        if depth > DEPTH_MAX {
            return Err(ProtocolError::ReplyDepth);
        }
        let start = self.position;
        let end = start + memchr(b'\n', &self.frame[start..]).expect("the reply was found whole");
        let head = Head::parse(&self.frame[start..=end])?;
        self.position = end + 1;
        match head.kind {
            b'$' | b'!' | b'=' => self.string(&head),
            b'*' | b'~' | b'>' | b'%' | b'|' | b'&' => self.aggregate(&head, depth),
            kind => scalar(kind, self.frame.slice(start + 1..end - 1)),
        }
    }

    fn string(&mut self, head: &Head) -> Result<Reply, ProtocolError> {
        let Some(length) = head.length else { return Ok(Reply::Null) };
        let bytes = self.frame.slice(self.position..self.position + length);
        if &self.frame[self.position + length..][..2] != b"\r\n" {
            return Err(ProtocolError::Reply);
        }
        self.position += length + 2;
        match head.kind {
            b'$' => Ok(Reply::Bulk(bytes)),
            b'!' => Ok(Reply::Error(ReplyError::Raw(text(&bytes)))),
            _ => match bytes[..] {
                [first, second, third, b':', ..] => {
                    Ok(Reply::Verbatim { format: [first, second, third], text: bytes.slice(4..) })
                }
                _ => Err(ProtocolError::Reply),
            },
        }
    }

    fn aggregate(&mut self, head: &Head, depth: usize) -> Result<Reply, ProtocolError> {
        let Some(length) = head.length else { return Ok(Reply::NullArray) };
        match head.kind {
            b'*' => self.replies(length, depth).map(Reply::Array),
            b'~' => self.replies(length, depth).map(Reply::Set),
            b'>' => self.replies(length, depth).map(Reply::Push),
            b'%' => self.pairs(length, depth).map(Reply::Map),
            b'&' => self.pairs(length, depth).map(Reply::Pairs),
            _ => Ok(Reply::Attribute {
                attributes: self.pairs(length, depth)?,
                reply: Box::new(self.reply(depth + 1)?),
            }),
        }
    }

    fn replies(&mut self, length: usize, depth: usize) -> Result<Vec<Reply>, ProtocolError> {
        (0..length).map(|_| self.reply(depth + 1)).collect()
    }

    fn pairs(&mut self, length: usize, depth: usize) -> Result<Vec<(Reply, Reply)>, ProtocolError> {
        (0..length).map(|_| Ok((self.reply(depth + 1)?, self.reply(depth + 1)?))).collect()
    }
}

fn scalar(kind: u8, line: Bytes) -> Result<Reply, ProtocolError> {
    if memchr(b'\r', &line).is_some() {
        return Err(ProtocolError::Reply);
    }
    let reply = match (kind, &line[..]) {
        (b'+', b"OK") => Some(Reply::OK),
        (b'+', _) => Some(Reply::Simple(Cow::Owned(text(&line)))),
        (b'-', _) => Some(Reply::Error(ReplyError::Raw(text(&line)))),
        (b':', number) => parse_i64(number).map(Reply::Integer),
        (b',', b"nan" | b"-nan") => Some(Reply::Double(f64::NAN)),
        (b',', number) => parse_f64(number).map(Reply::Double),
        (b'#', b"t") => Some(Reply::Bool(true)),
        (b'#', b"f") => Some(Reply::Bool(false)),
        (b'_', b"") => Some(Reply::Null),
        (b'(', _) => Some(Reply::BigNumber(line)),
        _ => None,
    };
    reply.ok_or(ProtocolError::Reply)
}

/// Text of one line: what is encoded again must not become two.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ")
}
