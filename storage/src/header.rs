//! The header of a key: what stands before its value in `meta`.
//!
//! A header says what the key holds, when it was last changed, when it ends, and where the value
//! is: behind the header, or in rows of `sub` under a generation of their own.

use crate::Millis;
use crate::error::{Result, damaged};

const FORMAT_1: u8 = 0x10;
const HAS_DEADLINE: u8 = 0x80;
const IS_CHUNKED: u8 = 0x40;
const ENCODING: u8 = 0x3f;
/// Longest string that Redis keeps in one allocation with its object.
const EMBSTR_BYTES_MAX: usize = 44;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string of bytes.
    String,
    /// A list of strings.
    List,
    /// A set of strings.
    Set,
    /// A set of strings ordered by score.
    SortedSet,
    /// Fields and values.
    Hash,
    /// A log of entries.
    Stream,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::String, Self::List, Self::Set, Self::SortedSet, Self::Hash, Self::Stream];

    /// Redis's word for it, as `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }

    fn decode(byte: u8) -> Result<Self> {
        let code = byte ^ FORMAT_1;
        let kind = usize::from(code).checked_sub(1).and_then(|index| Self::ALL.get(index));
        kind.copied().ok_or_else(|| damaged("header", format!("first byte {byte:#04x}")))
    }

    fn encode(self) -> u8 {
        FORMAT_1 | (self as u8 + 1)
    }
}

/// How Redis would keep the value, as `OBJECT ENCODING` answers. It is part of the replicated
/// state, because it depends on how the value came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A string that was changed in place, or a long one.
    Raw,
    /// A string that is a decimal 64-bit integer.
    Int,
    /// A short string that was set as a whole.
    Embstr,
}

impl Encoding {
    /// The encoding of a string that is set as a whole.
    pub fn of_string(value: &[u8]) -> Self {
        if is_integer(value) {
            Self::Int
        } else if value.len() <= EMBSTR_BYTES_MAX {
            Self::Embstr
        } else {
            Self::Raw
        }
    }

    /// Redis's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Int => "int",
            Self::Embstr => "embstr",
        }
    }

    fn decode(byte: u8) -> Result<Self> {
        match byte & ENCODING {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Int),
            2 => Ok(Self::Embstr),
            other => Err(damaged("header", format!("encoding {other}"))),
        }
    }
}

/// Whether the bytes are the one decimal spelling of an `i64`.
fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let canonical = match digits {
        [b'0'] => value.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical && std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok())
}

/// What is known of a key without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the key holds.
    pub kind: Kind,
    /// How Redis would keep it.
    pub encoding: Encoding,
    /// Log index of the last change.
    pub version: u64,
    /// Log time from which on the key does not exist.
    pub deadline: Option<Millis>,
    /// Bytes of a string, elements of anything else.
    pub size: u64,
}

impl Header {
    /// Whether the key has ended by `now`.
    pub fn has_expired(&self, now: Millis) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// Where the value of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Behind the header, from this offset of the row's value on.
    Inline(usize),
    /// In rows of `sub`, under this generation.
    Chunked(u64),
}

/// A header and where its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub header: Header,
    pub body: Body,
}

impl Entry {
    /// Reads the value of a row of `meta`.
    pub fn decode(value: &[u8]) -> Result<Self> {
        let mut rest = Reader(value);
        let kind = Kind::decode(rest.byte()?)?;
        let flags = rest.byte()?;
        let encoding = Encoding::decode(flags)?;
        let version = rest.number()?;
        let deadline = if flags & HAS_DEADLINE == 0 { None } else { Some(rest.number()?) };
        let (size, body) = if flags & IS_CHUNKED == 0 {
            (rest.0.len() as u64, Body::Inline(value.len() - rest.0.len()))
        } else {
            (rest.number()?, Body::Chunked(rest.number()?))
        };
        Ok(Self { header: Header { kind, encoding, version, deadline, size }, body })
    }

    /// Writes a header; an inline value is to follow.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Header { kind, encoding, version, deadline, size } = self.header;
        let deadline_flag = if deadline.is_some() { HAS_DEADLINE } else { 0 };
        let chunked_flag = if matches!(self.body, Body::Chunked(_)) { IS_CHUNKED } else { 0 };
        out.push(kind.encode());
        out.push(encoding as u8 | deadline_flag | chunked_flag);
        out.extend_from_slice(&version.to_be_bytes());
        if let Some(deadline) = deadline {
            out.extend_from_slice(&deadline.to_be_bytes());
        }
        if let Body::Chunked(generation) = self.body {
            out.extend_from_slice(&size.to_be_bytes());
            out.extend_from_slice(&generation.to_be_bytes());
        }
    }
}

/// Takes numbers off the front of a row.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or_else(short)?;
        self.0 = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(short)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }
}

fn short() -> crate::Error {
    damaged("header", "cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_redis() {
        for (value, name) in [
            ("0", "int"),
            ("-1", "int"),
            ("9223372036854775807", "int"),
            ("-9223372036854775808", "int"),
            ("9223372036854775808", "embstr"),
            ("-0", "embstr"),
            ("+1", "embstr"),
            ("007", "embstr"),
            ("", "embstr"),
            ("-", "embstr"),
            ("12345678901234567890123456789012345678901234", "embstr"),
            ("123456789012345678901234567890123456789012345", "raw"),
        ] {
            assert_eq!(Encoding::of_string(value.as_bytes()).name(), name, "{value}");
        }
    }

    #[test]
    fn headers_survive_their_bytes() {
        for kind in Kind::ALL {
            for (deadline, body, size) in [
                (None, Body::Inline(10), 3),
                (Some(5), Body::Inline(18), 3),
                (None, Body::Chunked(9), 100_000),
                (Some(u64::MAX), Body::Chunked(u64::MAX), u64::MAX),
            ] {
                let header = Header { kind, encoding: Encoding::Int, version: 77, deadline, size };
                let entry = Entry { header, body };
                let mut bytes = Vec::new();
                entry.encode(&mut bytes);
                if matches!(body, Body::Inline(_)) {
                    bytes.extend_from_slice(b"abc");
                }
                assert_eq!(Entry::decode(&bytes), Ok(entry));
            }
        }
    }

    #[test]
    fn damage_is_a_fault() {
        for bytes in [&b""[..], b"\x11", b"\x11\x00\0\0\0", b"\x21\x00\0\0\0\0\0\0\0\0", b"\x17\0"]
        {
            assert!(Entry::decode(bytes).is_err_and(|error| error.is_fault()), "{bytes:?}");
        }
        assert!(Entry::decode(b"\x11\x3f\0\0\0\0\0\0\0\0").is_err());
    }
}
