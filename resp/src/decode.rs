//! Requests out of a read buffer.
//!
//! A request is first found whole, as positions in the buffer, and only then cut off and sliced:
//! one split and one reference count per argument, no copy. Until then the decoder remembers how
//! far it understood the buffer, so a 500 MB argument that arrives in 8000 reads costs 8000
//! comparisons of lengths.
//!
//! Invariants
//! * Between calls the caller only appends to the buffer. Positions count from its beginning.
//! * Positions are cleared whenever bytes leave the buffer.
//! * After an error the stream has no next request: the caller answers and closes.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::inline::split_arguments;
use crate::number::parse_i64;
use crate::request::{Limits, Request};

/// The most a buffer grows at once for an announced argument, unless more has arrived already.
const RESERVE_BYTES_MAX: usize = 1 << 20;
/// Arguments that fit in one read are not worth a reservation.
const BIG_BULK_BYTES: usize = 32 << 10;
/// Positions kept from one request to the next.
const SPANS_KEPT_MAX: usize = 1024;

/// Why a stream of bytes is not RESP. `Display` is the text Redis answers before it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A number of arguments that is no number, or too large.
    #[error("ERR Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// Many arguments before the client has said who it is.
    #[error("ERR Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// No line end where the number of arguments should be.
    #[error("ERR Protocol error: too big mbulk count string")]
    MultibulkCount,
    /// A length of an argument that is no number, negative or too large.
    #[error("ERR Protocol error: invalid bulk length")]
    BulkLength,
    /// A long argument before the client has said who it is.
    #[error("ERR Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// No line end where the length of an argument should be.
    #[error("ERR Protocol error: too big bulk count string")]
    BulkCount,
    /// Something else than an argument.
    #[error("ERR Protocol error: expected '$', got '{0}'")]
    ExpectedBulk(char),
    /// An inline request without end.
    #[error("ERR Protocol error: too big inline request")]
    Inline,
    /// An inline request with an open quote.
    #[error("ERR Protocol error: unbalanced quotes in request")]
    Quotes,
    /// An inline request that is no text. Redis waits for a line end that it never finds.
    #[error("ERR Protocol error: NUL in inline request")]
    InlineNul,
    /// All arguments together are too long. Redis closes here without a word.
    #[error("ERR Protocol error: too big request")]
    Request,
    /// A reply that starts with no type we know.
    #[error("ERR Protocol error: unexpected reply type '{0}'")]
    ReplyType(char),
    /// A reply whose line does not say what its type demands.
    #[error("ERR Protocol error: invalid reply")]
    Reply,
    /// Replies within replies, too deep.
    #[error("ERR Protocol error: too deeply nested reply")]
    ReplyDepth,
}

/// Decodes the requests of one connection.
///
/// ```
/// use bytes::BytesMut;
/// let mut decoder = resp::Decoder::new(resp::Limits::default());
/// let mut buffer = BytesMut::from("*1\r\n$4\r\nPI");
/// assert_eq!(decoder.decode(&mut buffer), Ok(None));
/// buffer.extend_from_slice(b"NG\r\n");
/// assert_eq!(decoder.decode(&mut buffer), Ok(Some(vec!["PING".into()])));
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    authenticated: bool,
    /// Bytes from the beginning of the buffer that are understood.
    position: usize,
    /// Bytes from the beginning of the buffer known to hold no line end after `position`.
    searched: usize,
    /// Arguments announced and not yet whole.
    args_left: usize,
    /// The length of the argument that begins at `position`, once known.
    bulk: Option<usize>,
    /// Where the arguments so far begin and end.
    spans: Vec<(usize, usize)>,
    /// The request that is arriving is dropped as it comes.
    skips: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream whose client counts as authenticated.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            authenticated: true,
            position: 0,
            searched: 0,
            args_left: 0,
            bulk: None,
            spans: Vec::new(),
            skips: false,
        }
    }

    /// While `false`, the limits for strangers hold.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Replaces the limits from the next count or length on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes the next whole request off `buffer`. `None` asks for more bytes; room for them may
    /// have been reserved. Empty lines and `*0` are skipped.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        loop {
            let step = if self.args_left > 0 {
                self.arguments(buffer)?
            } else {
                match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => self.multibulk(buffer)?,
                    Some(_) => self.inline(buffer)?,
                }
            };
            match step {
                Step::More => return Ok(None),
                Step::Again => {}
                Step::Whole(request) => return Ok(Some(request)),
            }
        }
    }

    /// The bytes of the unfinished request, as far as it has said how long it is; none of one that
    /// is dropped.
    pub fn announced_bytes(&self) -> usize {
        match self.bulk {
            Some(length) if !self.skips => self.position + length + 2,
            _ => self.position,
        }
    }

    /// Drops the unfinished request: its bytes leave the buffer as they come, and at its end
    /// `decode` returns a request without words.
    pub fn skip(&mut self, buffer: &mut BytesMut) {
        self.spans.clear();
        self.skips = true;
        self.consume(buffer, self.position);
    }

    fn multibulk(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::MultibulkCount)? else {
            return Ok(Step::More);
        };
        let count = line.number.ok_or(ProtocolError::MultibulkLength)?;
        if count <= 0 {
            self.consume(buffer, line.next);
            return Ok(Step::Again);
        }
        let count = usize::try_from(count).map_err(|_| ProtocolError::MultibulkLength)?;
        if count > self.limits.args_max {
            return Err(ProtocolError::MultibulkLength);
        }
        if !self.authenticated && count > self.limits.unauthenticated_args_max {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.args_left = count;
        self.advance(line.next);
        self.arguments(buffer)
    }

    fn arguments(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        while self.args_left > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.bulk_length(buffer)? {
                    Some(length) => length,
                    None => return Ok(Step::More),
                },
            };
            // The two bytes after an argument are skipped unseen, as Redis does.
            let end = self.position + length;
            if buffer.len() < end + 2 {
                self.await_rest(buffer, end, length);
                return Ok(Step::More);
            }
            if self.skips {
                self.consume(buffer, end + 2);
            } else {
                self.spans.push((self.position, end));
                self.advance(end + 2);
            }
            self.bulk = None;
            self.args_left -= 1;
        }
        Ok(Step::Whole(self.cut(buffer)))
    }

    /// The length of the next argument, remembered in `bulk`.
    fn bulk_length(&mut self, buffer: &BytesMut) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::BulkCount)? else { return Ok(None) };
        match buffer[self.position] {
            b'$' => {}
            other => return Err(ProtocolError::ExpectedBulk(char::from(other))),
        }
        let length = line.number.ok_or(ProtocolError::BulkLength)?;
        let length = usize::try_from(length).map_err(|_| ProtocolError::BulkLength)?;
        if length > self.limits.bulk_bytes_max {
            return Err(ProtocolError::BulkLength);
        }
        if !self.authenticated && length > self.limits.unauthenticated_bulk_bytes_max {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        if line.next + length > self.limits.request_bytes_max {
            return Err(ProtocolError::Request);
        }
        self.advance(line.next);
        self.bulk = Some(length);
        Ok(Some(length))
    }

    /// Reads a type byte, a number and a line end from `position` on.
    fn line(
        &mut self,
        buffer: &BytesMut,
        too_big: ProtocolError,
    ) -> Result<Option<Line>, ProtocolError> {
        if let Some(line) = short_line(buffer, self.position) {
            return Ok(Some(line));
        }
        let from = self.searched.max(self.position);
        let found = buffer.get(from..).and_then(|rest| memchr(b'\r', rest)).map(|at| from + at);
        let end = found.unwrap_or(buffer.len());
        if end - self.position.min(end) > self.limits.inline_bytes_max {
            return Err(too_big);
        }
        self.searched = end;
        if found.is_none() || end + 1 >= buffer.len() {
            return Ok(None);
        }
        // A lone '\r' in the place of the type byte leaves nothing to parse.
        let digits = buffer.get(self.position + 1..end).unwrap_or_default();
        Ok(Some(Line { number: parse_i64(digits), next: end + 2 }))
    }

    fn inline(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let found = memchr(b'\n', &buffer[self.searched..]).map(|at| self.searched + at);
        let end = found.unwrap_or(buffer.len());
        if end > self.limits.inline_bytes_max {
            return Err(ProtocolError::Inline);
        }
        if found.is_none() {
            self.searched = end;
            return Ok(Step::More);
        }
        let line = &buffer[..end];
        if memchr(0, line).is_some() {
            return Err(ProtocolError::InlineNul);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let words = split_arguments(line).ok_or(ProtocolError::Quotes)?;
        self.consume(buffer, end + 1);
        if words.is_empty() {
            return Ok(Step::Again);
        }
        Ok(Step::Whole(words.into_iter().map(Bytes::from).collect()))
    }

    fn advance(&mut self, position: usize) {
        self.position = position;
        self.searched = position;
    }

    fn consume(&mut self, buffer: &mut BytesMut, bytes: usize) {
        buffer.advance(bytes);
        self.advance(0);
    }

    /// Cuts the whole request off the buffer and slices it.
    fn cut(&mut self, buffer: &mut BytesMut) -> Request {
        let frame = buffer.split_to(self.position).freeze();
        let request = self.spans.iter().map(|&(start, end)| frame.slice(start..end)).collect();
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT_MAX);
        self.skips = false;
        self.advance(0);
        request
    }

    /// The argument that ends at `end` is not whole yet.
    fn await_rest(&mut self, buffer: &mut BytesMut, end: usize, length: usize) {
        if self.skips {
            let come = buffer.len().min(end);
            self.bulk = Some(end - come);
            self.consume(buffer, come);
        } else {
            self.reserve(buffer, end + 2, length);
        }
    }

    /// Makes room for a big argument in few steps, each no larger than what has arrived or 1 MiB:
    /// an announcement alone costs its sender as much as it costs us.
    fn reserve(&self, buffer: &mut BytesMut, end: usize, length: usize) {
        if length >= BIG_BULK_BYTES {
            let missing = end - buffer.len();
            buffer.reserve(missing.min(buffer.len().max(RESERVE_BYTES_MAX)));
        }
    }
}

enum Step {
    More,
    Again,
    Whole(Request),
}

/// A type byte's number (`None` if it is none), and where the next line begins.
struct Line {
    number: Option<i64>,
    next: usize,
}

/// Counts and lengths of up to six digits, that is all but a few, without a search. `None` leaves
/// the line to the thorough way.
fn short_line(buffer: &[u8], position: usize) -> Option<Line> {
    let digits = buffer.get(position + 1..)?;
    let mut number = 0;
    for (index, byte) in digits.iter().take(7).enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if index > 0 && digits.len() > index + 1 => {
                let canonical = digits[0] != b'0' || index == 1;
                return canonical
                    .then_some(Line { number: Some(number), next: position + index + 3 });
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_dropped_as_it_comes() {
        let mut decoder = Decoder::new(Limits::default());
        let mut buffer = BytesMut::from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nbe");
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert!(decoder.announced_bytes() > 100_000);
        decoder.skip(&mut buffer);
        for _ in 0..9999 {
            buffer.extend_from_slice(b"0123456789");
            assert_eq!(decoder.decode(&mut buffer), Ok(None));
            assert_eq!((buffer.len(), decoder.announced_bytes()), (0, 0));
        }
        buffer.extend_from_slice(b"01234567\r");
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        buffer.extend_from_slice(b"\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(decoder.decode(&mut buffer), Ok(Some(Vec::new())));
        assert_eq!(decoder.decode(&mut buffer), Ok(Some(vec!["PING".into()])));
        assert!(buffer.is_empty());
    }
}
