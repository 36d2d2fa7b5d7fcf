//! The corpus and changed copies of it: whatever the bytes, no decoder panics, and where the bytes
//! are cut changes nothing.
//!
//! A short run is part of every test run. For a long one:
//! `PROPTEST_CASES=10000000 cargo test --release -p talus-resp --test fuzz`

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use resp::{
    Decoder, Limits, Protocol, ProtocolError, Reply, ReplyDecoder, Request, decode_replies, encode,
    encode_request,
};

/// Small enough that changed lengths run into them.
const LIMITS: Limits = Limits {
    bulk_bytes_max: 1000,
    args_max: 1000,
    inline_bytes_max: 100,
    request_bytes_max: 2000,
    unauthenticated_args_max: 3,
    unauthenticated_bulk_bytes_max: 10,
};

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let dir = Path::new("tests/corpus").join(kind);
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the corpus is missing");
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Everything a decoder finds in a stream cut into pieces, and the error it ends with.
fn drain<T>(
    stream: &[u8],
    cuts: &[usize],
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<T>, ProtocolError>,
) -> (Vec<T>, Option<ProtocolError>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.push(stream.len());
    cuts.sort_unstable();
    let (mut buffer, mut found, mut start) = (BytesMut::new(), Vec::new(), 0);
    for cut in cuts {
        buffer.extend_from_slice(&stream[start..cut]);
        start = cut;
        loop {
            match decode(&mut buffer) {
                Ok(Some(item)) => found.push(item),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn requests(stream: &[u8], cuts: &[usize], known: bool) -> (Vec<Request>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_authenticated(known);
    drain(stream, cuts, |buffer| decoder.decode(buffer))
}

fn replies(stream: &[u8], cuts: &[usize]) -> (Vec<Reply>, Option<ProtocolError>) {
    let mut decoder = ReplyDecoder::new(2000);
    drain(stream, cuts, |buffer| decoder.decode(buffer))
}

fn check_requests(stream: &[u8], cuts: &[usize]) {
    for known in [true, false] {
        let whole = requests(stream, &[], known);
        let single: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(whole, requests(stream, cuts, known));
        assert_eq!(whole, requests(stream, &single, known));
        let mut again = BytesMut::new();
        for request in &whole.0 {
            assert!(!request.is_empty(), "a request names a command");
            encode_request(request, &mut again);
        }
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(drain(&again, &[], |buffer| decoder.decode(buffer)).0, whole.0);
    }
}

fn check_replies(stream: &[u8], cuts: &[usize]) {
    // Compared as text, since NaN is not equal to itself.
    let shown = |found: (Vec<Reply>, Option<ProtocolError>)| format!("{found:?}");
    let single: Vec<usize> = (0..stream.len()).collect();
    let whole = replies(stream, &[]);
    let mut again = BytesMut::new();
    for reply in &whole.0 {
        encode(reply, Protocol::Node, &mut again);
    }
    let again_whole = Bytes::copy_from_slice(&again);
    let mut decoder = ReplyDecoder::default();
    let decoded = drain(&again, &[], |buffer| decoder.decode(buffer));
    assert_eq!(format!("{:?}", decoded.0), format!("{:?}", whole.0));
    let at_once = decode_replies(&again_whole);
    assert_eq!(format!("{at_once:?}"), format!("Ok({:?})", whole.0));
    // Cut short, it is whole replies or an error, never a panic.
    let _ = decode_replies(&Bytes::copy_from_slice(stream));
    let whole = shown(whole);
    assert_eq!(whole, shown(replies(stream, cuts)));
    assert_eq!(whole, shown(replies(stream, &single)));
}

#[test]
fn corpus_as_it_is() {
    corpus("requests").iter().for_each(|stream| check_requests(stream, &[]));
    corpus("replies").iter().for_each(|stream| check_replies(stream, &[]));
}

/// What the corpus's bad streams are answered, by Redis too except for NUL.
#[test]
fn errors_of_requests() {
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1001\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$1001\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"SET k \"open\r\n", "unbalanced quotes in request"),
        (b"PING\0\r\n", "NUL in inline request"),
        (b"ECHO \"a\0b\"\n", "NUL in inline request"),
    ];
    for (stream, text) in cases {
        let error = requests(stream, &[], true).1.unwrap();
        assert_eq!(error.to_string(), format!("ERR Protocol error: {text}"));
    }
    let long = [b'x'; 101];
    let inline = requests(&long, &[], true).1.unwrap();
    assert_eq!(inline.to_string(), "ERR Protocol error: too big inline request");
    let count = requests(&[b"*".as_slice(), &[b'1'; 100]].concat(), &[], true).1.unwrap();
    assert_eq!(count.to_string(), "ERR Protocol error: too big mbulk count string");
    let count = requests(&[b"*1\r\n$".as_slice(), &[b'1'; 100]].concat(), &[], true).1.unwrap();
    assert_eq!(count.to_string(), "ERR Protocol error: too big bulk count string");
    let stranger = requests(b"*4\r\n", &[], false).1.unwrap();
    assert_eq!(stranger.to_string(), "ERR Protocol error: unauthenticated multibulk length");
    let stranger = requests(b"*1\r\n$11\r\n", &[], false).1.unwrap();
    assert_eq!(stranger.to_string(), "ERR Protocol error: unauthenticated bulk length");
}

/// One change of a stream.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Repeat(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![Just(b'\r'), Just(b'\n'), b'0'..=b'9', b'#'..=b'-', any::<u8>()];
    prop_oneof![
        (any::<usize>(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<usize>(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        any::<usize>().prop_map(Edit::Remove),
        (any::<usize>(), 1..64_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ]
}

fn apply(stream: &mut Vec<u8>, edit: &Edit) {
    let length = stream.len().max(1);
    match *edit {
        _ if stream.is_empty() => stream.push(b'*'),
        Edit::Set(at, byte) => stream[at % length] = byte,
        Edit::Insert(at, byte) => stream.insert(at % length, byte),
        Edit::Remove(at) => drop(stream.remove(at % length)),
        Edit::Repeat(at, count) => {
            let start = at % length;
            let part = stream[start..(start + count).min(length)].to_vec();
            stream.splice(start..start, part);
        }
    }
}

fn edited(kind: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seed = prop::sample::select(corpus(kind));
    (seed, prop::collection::vec(edit(), 0..6)).prop_map(|(mut stream, edits)| {
        edits.iter().for_each(|edit| apply(&mut stream, edit));
        stream
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let scalar = prop_oneof![
        "[ -~]{0,20}".prop_map(Reply::simple),
        "[A-Z]{1,8} [ -~]{0,20}".prop_map(|text| Reply::Error(resp::ReplyError::Raw(text))),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::Bulk),
        Just(Reply::Null),
        Just(Reply::NullArray),
        any::<bool>().prop_map(Reply::Bool),
        any::<f64>().prop_filter("NaN is not equal", |it| !it.is_nan()).prop_map(Reply::Double),
        "-?[1-9][0-9]{0,30}".prop_map(|digits| Reply::BigNumber(digits.into())),
        bytes().prop_map(Reply::text),
    ];
    scalar.prop_recursive(4, 32, 6, |inner| {
        let many = || prop::collection::vec(inner.clone(), 0..5);
        let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            many().prop_map(Reply::Array),
            many().prop_map(Reply::Set),
            many().prop_map(Reply::Push),
            pairs().prop_map(Reply::Map),
            pairs().prop_map(Reply::Pairs),
            (pairs(), inner.clone()).prop_map(|(attributes, reply)| Reply::Attribute {
                attributes,
                reply: Box::new(reply)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn changed_requests(stream in edited("requests"), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        check_requests(&stream, &cuts);
    }

    #[test]
    fn changed_replies(stream in edited("replies"), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        check_replies(&stream, &cuts);
    }

    #[test]
    fn any_bytes(stream in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        check_requests(&stream, &cuts);
        check_replies(&stream, &cuts);
    }

    #[test]
    fn node_encoding_loses_nothing(reply in reply()) {
        let mut out = BytesMut::new();
        encode(&reply, Protocol::Node, &mut out);
        let decoded = ReplyDecoder::default().decode(&mut out).unwrap().unwrap();
        prop_assert_eq!(decoded, reply);
        prop_assert!(out.is_empty());
    }

    #[test]
    fn every_encoding_is_one_whole_reply(reply in reply()) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = BytesMut::new();
            encode(&reply, protocol, &mut out);
            prop_assert!(ReplyDecoder::default().decode(&mut out).unwrap().is_some());
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn doubles_read_back(value in any::<f64>()) {
        let text = resp::number::format_f64(value);
        if value.is_nan() {
            prop_assert_eq!(text, "nan");
        } else {
            prop_assert_eq!(resp::number::parse_f64(text.as_bytes()), Some(value));
        }
    }

    #[test]
    fn glob_finds_its_own_text(text in "[a-z]{0,12}", from in 0..12_usize, to in 0..12_usize) {
        let (from, to) = (from.min(to).min(text.len()), from.max(to).min(text.len()));
        let pattern = format!("{}*{}", &text[..from], &text[to..]);
        prop_assert!(resp::glob(pattern.as_bytes(), text.as_bytes(), false));
    }
}
