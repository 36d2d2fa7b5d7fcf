//! RESP2 from bytes, written against Redis's description of the protocol and nothing of the server's.
//!
//! Invariant: what exceeds a limit or the grammar is an error, never a guess; a reply that is not
//! complete yet is `None`, and decoding starts over when more bytes have come.

/// A bulk string; Redis's own limit is higher, no workload comes near this one.
const BULK_MAX: usize = 64 << 20;
const ELEMENTS_MAX: usize = 1 << 20;
const LINE_MAX: usize = 64 << 10;
const DEPTH_MAX: usize = 8;

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+text`.
    Simple(String),
    /// `-text`.
    Error(String),
    /// `:number`.
    Integer(i64),
    /// `$length` and the bytes.
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`.
    Nil,
    /// `*count` and the elements.
    Array(Vec<Reply>),
}

/// The first reply in `bytes` and how many of them it takes; `None` if its end has not come yet.
pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let mut cursor = Cursor { bytes, at: 0 };
    Ok(cursor.reply(0)?.map(|reply| (reply, cursor.at)))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("arrays nested deeper than {DEPTH_MAX}"));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let (kind, rest) = line.split_at_checked(1).ok_or("an empty line")?;
        match kind {
            "+" => Ok(Some(Reply::Simple(rest.to_owned()))),
            "-" => Ok(Some(Reply::Error(rest.to_owned()))),
            ":" => Ok(Some(Reply::Integer(integer(rest)?))),
            "$" => self.bulk(length(rest, BULK_MAX)?),
            "*" => self.array(length(rest, ELEMENTS_MAX)?, depth),
            _ => Err(format!("no reply begins as {line:?}")),
        }
    }

    fn line(&mut self) -> Result<Option<&'a str>, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
            let over = rest.len() >= LINE_MAX;
            return if over { Err(format!("a line over {LINE_MAX} bytes")) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or("a line that ends without CR")?;
        self.at += end + 1;
        str::from_utf8(line).map(Some).map_err(|_| "a line that is not UTF-8".to_owned())
    }

    fn bulk(&mut self, length: Option<usize>) -> Result<Option<Reply>, String> {
        let Some(length) = length else { return Ok(Some(Reply::Nil)) };
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err("a bulk string longer than it says".to_owned());
        }
        self.at += length + 2;
        Ok(Some(Reply::Bulk(rest[..length].to_vec())))
    }

    fn array(&mut self, count: Option<usize>, depth: usize) -> Result<Option<Reply>, String> {
        let Some(count) = count else { return Ok(Some(Reply::Nil)) };
        let mut elements = Vec::new();
        for _ in 0..count {
            let Some(element) = self.reply(depth + 1)? else { return Ok(None) };
            elements.push(element);
        }
        Ok(Some(Reply::Array(elements)))
    }
}

fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no integer"))
}

/// `None` for -1, which is how RESP2 writes nil.
fn length(text: &str, max: usize) -> Result<Option<usize>, String> {
    match integer(text)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= max => Ok(Some(length)),
            _ => Err(format!("a length of {length}, where 0 to {max} are possible")),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn encode(reply: &Reply) -> Vec<u8> {
        match reply {
            Reply::Simple(text) => format!("+{text}\r\n").into_bytes(),
            Reply::Error(text) => format!("-{text}\r\n").into_bytes(),
            Reply::Integer(number) => format!(":{number}\r\n").into_bytes(),
            Reply::Nil => b"$-1\r\n".to_vec(),
            Reply::Bulk(bytes) => {
                [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
            }
            Reply::Array(elements) => {
                let head = format!("*{}\r\n", elements.len()).into_bytes();
                elements.iter().fold(head, |sum, element| [sum, encode(element)].concat())
            }
        }
    }

    fn replies() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            "[a-zA-Z ]{0,12}".prop_map(Reply::Simple),
            "[A-Z]{1,9} [a-z ]{0,12}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Integer),
            proptest::collection::vec(any::<u8>(), 0..30).prop_map(Reply::Bulk),
            Just(Reply::Nil),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            proptest::collection::vec(inner, 0..5).prop_map(Reply::Array)
        })
    }

    proptest! {
        #[test]
        fn every_reply_is_read_as_it_was_written_and_no_prefix_of_it_is_one(reply in replies()) {
            let bytes = encode(&reply);
            prop_assert_eq!(decode(&bytes), Ok(Some((reply, bytes.len()))));
            for end in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..end]), Ok(None));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn what_breaks_the_grammar_or_a_limit_is_an_error() {
        let deep = "*1\r\n".repeat(10);
        let long = "+".repeat(LINE_MAX + 1);
        let broken =
            ["?\r\n", "\r\n", ":x\r\n", "+a\n", "$2\r\nabcd\r\n", "$-2\r\n", "*9999999\r\n"];
        for bytes in broken.iter().copied().chain([deep.as_str(), &long]) {
            assert!(decode(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
