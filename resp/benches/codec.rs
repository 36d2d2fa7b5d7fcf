//! What does one request cost between the socket's bytes and the socket's bytes, without the
//! command? Pipelines of 16 as they arrive in one read: decoded, then answered.
//!
//! `cargo bench -p talus-resp`

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use resp::{Decoder, Limits, Protocol, Reply, encode, encode_request};

const PIPELINE: usize = 16;
const ROUNDS: usize = 200_000;

fn main() {
    let value = "x".repeat(100);
    let set = pipeline(&["SET", "key:000000000001", &value]);
    let get = pipeline(&["GET", "key:000000000001"]);
    report("decode SET of 100 bytes", decode(&set));
    report("decode GET", decode(&get));
    report("encode OK", answer(&Reply::OK));
    report("encode 100 bytes", answer(&Reply::Bulk(Bytes::from(value))));
    report("encode integer", answer(&Reply::Integer(123_456)));
}

fn pipeline(args: &[&str]) -> BytesMut {
    let mut stream = BytesMut::new();
    for _ in 0..PIPELINE {
        encode_request(args, &mut stream);
    }
    stream
}

fn decode(stream: &[u8]) -> f64 {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(64 << 10);
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        buffer.reserve(16 << 10);
        buffer.extend_from_slice(stream);
        while let Some(request) = decoder.decode(&mut buffer).expect("well formed") {
            black_box(request);
        }
    }
    nanoseconds_each(begin)
}

fn answer(reply: &Reply) -> f64 {
    let mut out = BytesMut::with_capacity(64 << 10);
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        for _ in 0..PIPELINE {
            encode(black_box(reply), Protocol::Resp2, &mut out);
        }
        out.clear();
    }
    nanoseconds_each(begin)
}

#[expect(clippy::cast_precision_loss, reason = "a measurement has three digits")]
fn nanoseconds_each(begin: Instant) -> f64 {
    begin.elapsed().as_nanos() as f64 / (ROUNDS * PIPELINE) as f64
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<28} {nanoseconds:>8.1} ns");
}
