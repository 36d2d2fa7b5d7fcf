//! Replies and requests into a write buffer.
//!
//! Here, and only here, the protocols differ. Redis's way of writing RESP2 and RESP3 is kept to
//! the byte: a double is a string in RESP2, pairs are nested in RESP3, maps are flat in RESP2.
//!
//! Node adds two types to RESP3: `*-1` for a null array and `&<n>` for pairs.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use crate::number::DoubleText;
use crate::reply::{Protocol, Reply};

/// Appends a reply as `protocol` writes it.
pub fn encode(reply: &Reply, protocol: Protocol, out: &mut BytesMut) {
    let resp2 = protocol == Protocol::Resp2;
    match reply {
        Reply::Simple(text) => line(b'+', text.as_bytes(), out),
        Reply::Error(error) => written_line(b'-', error, out),
        Reply::Integer(number) => header(b':', *number, out),
        Reply::Bulk(bytes) => bulk(b'$', bytes, out),
        Reply::Null if resp2 => out.extend_from_slice(b"$-1\r\n"),
        Reply::NullArray if protocol != Protocol::Resp3 => out.extend_from_slice(b"*-1\r\n"),
        Reply::Null | Reply::NullArray => out.extend_from_slice(b"_\r\n"),
        Reply::Bool(value) if resp2 => header(b':', i64::from(*value), out),
        Reply::Bool(value) => out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" }),
        Reply::Double(value) if resp2 => bulk(b'$', DoubleText::new(*value).as_bytes(), out),
        Reply::Double(value) => line(b',', DoubleText::new(*value).as_bytes(), out),
        Reply::BigNumber(digits) if resp2 => bulk(b'$', digits, out),
        Reply::BigNumber(digits) => line(b'(', digits, out),
        Reply::Verbatim { text, .. } if resp2 => bulk(b'$', text, out),
        Reply::Verbatim { format, text } => verbatim(*format, text, out),
        Reply::Array(items) => sequence(b'*', items, protocol, out),
        Reply::Set(items) => sequence(if resp2 { b'*' } else { b'~' }, items, protocol, out),
        Reply::Push(items) => sequence(if resp2 { b'*' } else { b'>' }, items, protocol, out),
        Reply::Map(pairs) if resp2 => flat(b'*', 2 * pairs.len(), pairs, protocol, out),
        Reply::Map(pairs) => flat(b'%', pairs.len(), pairs, protocol, out),
        Reply::Pairs(pairs) => ordered_pairs(pairs, protocol, out),
        Reply::Attribute { attributes, reply } => {
            if !resp2 {
                flat(b'|', attributes.len(), attributes, protocol, out);
            }
            encode(reply, protocol, out);
        }
    }
}

/// Appends a request as clients write it: an array of strings.
pub fn encode_request<A: AsRef<[u8]>>(args: &[A], out: &mut BytesMut) {
    length_header(b'*', args.len(), out);
    for arg in args {
        bulk(b'$', arg.as_ref(), out);
    }
}

fn header(kind: u8, number: i64, out: &mut BytesMut) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    out.reserve(digits.len() + 3);
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n");
}

fn length_header(kind: u8, length: usize, out: &mut BytesMut) {
    header(kind, i64::try_from(length).expect("lengths in memory are below 2^63"), out);
}

fn bulk(kind: u8, bytes: &[u8], out: &mut BytesMut) {
    out.reserve(bytes.len() + 32);
    length_header(kind, bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn verbatim(format: [u8; 3], text: &Bytes, out: &mut BytesMut) {
    length_header(b'=', text.len() + 4, out);
    out.extend_from_slice(&format);
    out.extend_from_slice(b":");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A line end inside a line would be two replies: it becomes blanks, as in Redis.
fn line(kind: u8, text: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(&[kind]);
    let start = out.len();
    out.extend_from_slice(text);
    finish_line(start, out);
}

fn written_line(kind: u8, text: impl std::fmt::Display, out: &mut BytesMut) {
    out.extend_from_slice(&[kind]);
    let start = out.len();
    write!(out, "{text}").expect("writing to memory does not fail");
    finish_line(start, out);
}

fn finish_line(start: usize, out: &mut BytesMut) {
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn sequence(kind: u8, items: &[Reply], protocol: Protocol, out: &mut BytesMut) {
    length_header(kind, items.len(), out);
    for item in items {
        encode(item, protocol, out);
    }
}

fn flat(kind: u8, count: usize, pairs: &[(Reply, Reply)], protocol: Protocol, out: &mut BytesMut) {
    length_header(kind, count, out);
    for (first, second) in pairs {
        encode(first, protocol, out);
        encode(second, protocol, out);
    }
}

fn ordered_pairs(pairs: &[(Reply, Reply)], protocol: Protocol, out: &mut BytesMut) {
    match protocol {
        Protocol::Resp2 => flat(b'*', 2 * pairs.len(), pairs, protocol, out),
        Protocol::Node => flat(b'&', pairs.len(), pairs, protocol, out),
        Protocol::Resp3 => {
            length_header(b'*', pairs.len(), out);
            for pair in pairs {
                flat(b'*', 2, std::slice::from_ref(pair), protocol, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ReplyError;

    fn encoded(reply: &Reply, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        encode(reply, protocol, &mut out);
        String::from_utf8(out.to_vec()).expect("text")
    }

    fn pair() -> Vec<(Reply, Reply)> {
        vec![(Reply::bulk("a"), Reply::Double(1.5))]
    }

    #[test]
    fn each_reply_in_each_protocol() {
        let ordered = Reply::Pairs(pair());
        let attribute = Reply::Attribute { attributes: pair(), reply: Box::new(Reply::Integer(1)) };
        let cases: Vec<(Reply, &str, &str, &str)> = vec![
            (Reply::OK, "+OK\r\n", "+OK\r\n", "+OK\r\n"),
            (Reply::simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n", "+a  b\r\n"),
            (Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", "", ""),
            (Reply::bulk("a\r\n"), "$3\r\na\r\n\r\n", "", ""),
            (Reply::Null, "$-1\r\n", "_\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n", "*-1\r\n"),
            (Reply::Bool(true), ":1\r\n", "#t\r\n", "#t\r\n"),
            (Reply::Bool(false), ":0\r\n", "#f\r\n", "#f\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n", ",1.5\r\n"),
            (Reply::Double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n", ",inf\r\n"),
            (Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n", ",-inf\r\n"),
            (Reply::Double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n", ",nan\r\n"),
            (Reply::BigNumber("123".into()), "$3\r\n123\r\n", "(123\r\n", "(123\r\n"),
            (Reply::text("hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n", "=6\r\ntxt:hi\r\n"),
            (Reply::Array(vec![Reply::Null]), "*1\r\n$-1\r\n", "*1\r\n_\r\n", "*1\r\n_\r\n"),
            (Reply::Set(vec![]), "*0\r\n", "~0\r\n", "~0\r\n"),
            (Reply::Push(vec![]), "*0\r\n", ">0\r\n", ">0\r\n"),
            (
                Reply::Map(pair()),
                "*2\r\n$1\r\na\r\n$3\r\n1.5\r\n",
                "%1\r\n$1\r\na\r\n,1.5\r\n",
                "%1\r\n$1\r\na\r\n,1.5\r\n",
            ),
            (
                ordered,
                "*2\r\n$1\r\na\r\n$3\r\n1.5\r\n",
                "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n",
                "&1\r\n$1\r\na\r\n,1.5\r\n",
            ),
            (attribute, ":1\r\n", "|1\r\n$1\r\na\r\n,1.5\r\n:1\r\n", ""),
            (
                ReplyError::Raw("ERR a\nb".into()).into(),
                "-ERR a b\r\n",
                "-ERR a b\r\n",
                "-ERR a b\r\n",
            ),
        ];
        for (reply, resp2, resp3, node) in cases {
            let or = |text: &str, default: &str| {
                if text.is_empty() { default.to_owned() } else { text.to_owned() }
            };
            assert_eq!(encoded(&reply, Protocol::Resp2), resp2);
            assert_eq!(encoded(&reply, Protocol::Resp3), or(resp3, resp2), "{reply:?}");
            assert_eq!(encoded(&reply, Protocol::Node), or(node, &or(resp3, resp2)), "{reply:?}");
        }
    }

    #[test]
    fn request_is_an_array_of_strings() {
        let mut out = BytesMut::new();
        encode_request(&["GET", ""], &mut out);
        assert_eq!(&out[..], b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
    }
}
