//! The protocol of Redis, only as far as the answers to SET, GET and WAIT, and cheap: requests are
//! written once and changed in place, replies are looked at and not built.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::Answers;
use crate::workload::{Key, Workload};
use crate::{Mode, Options};

const READ_BYTES: usize = 64 << 10;

pub struct Connection {
    stream: TcpStream,
    pipeline: Pipeline,
    input: BytesMut,
}

impl Connection {
    pub async fn open(options: &Options, address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let input = BytesMut::with_capacity(READ_BYTES);
        Ok(Self { stream, pipeline: Pipeline::new(options), input })
    }

    pub async fn round_trip(&mut self, workload: &Workload) -> io::Result<Answers> {
        self.pipeline.renew(workload);
        self.stream.write_all(&self.pipeline.bytes).await?;
        let mut answers = Answers { requests: self.pipeline.depth as u64, ..Answers::default() };
        for _ in 0..self.pipeline.replies {
            self.receive(&mut answers).await?;
        }
        Ok(answers)
    }

    async fn receive(&mut self, answers: &mut Answers) -> io::Result<()> {
        loop {
            if let Some((line, length)) = split_reply(&self.input) {
                judge(line, answers);
                self.input.advance(length);
                return Ok(());
            }
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The bytes of a pipeline; from one to the next only keys and values change.
struct Pipeline {
    bytes: BytesMut,
    depth: usize,
    replies: usize,
    request_bytes: usize,
    key_at: usize,
    value_at: Option<usize>,
}

impl Pipeline {
    fn new(options: &Options) -> Self {
        const KEY: &[u8] = &[0; size_of::<Key>()];
        let depth = options.pipeline;
        let is_get = options.mode == Mode::RedisGet;
        let value = vec![0; options.value_bytes];
        let request: &[&[u8]] = if is_get { &[b"GET", KEY] } else { &[b"SET", KEY, &value] };
        let mut bytes = BytesMut::new();
        (0..depth).for_each(|_| resp::encode_request(request, &mut bytes));
        let request_bytes = bytes.len() / depth;
        let waits = options.mode == Mode::RedisSetWait;
        if waits {
            resp::encode_request(&["WAIT", "1", "0"], &mut bytes);
        }
        Self {
            bytes,
            depth,
            replies: depth + usize::from(waits),
            request_bytes,
            key_at: b"*3\r\n$3\r\nSET\r\n$16\r\n".len(),
            value_at: (!is_get).then(|| request_bytes - b"\r\n".len() - value.len()),
        }
    }

    fn renew(&mut self, workload: &Workload) {
        for request in self.bytes.chunks_exact_mut(self.request_bytes).take(self.depth) {
            request[self.key_at..][..size_of::<Key>()].copy_from_slice(&workload.key());
            if let Some(at) = self.value_at {
                let value = workload.value();
                request[at..][..value.len()].copy_from_slice(&value);
            }
        }
    }
}

/// The first line of the first reply, and how long the reply is, once it is there.
fn split_reply(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line_bytes = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let line = bytes[..line_bytes].trim_ascii_end();
    let body_bytes = match line {
        [b'$', b'-', ..] => 0,
        [b'$', length @ ..] => usize::try_from(resp::number::parse_i64(length)?).ok()? + 2,
        _ => 0,
    };
    let length = line_bytes + body_bytes;
    (bytes.len() >= length).then_some((line, length))
}

fn judge(line: &[u8], answers: &mut Answers) {
    match line {
        b"$-1" => answers.misses += 1,
        b":0" => answers.error("WAIT: no replica"),
        b"+OK" | [b'$' | b':', ..] => {}
        other => answers.error(String::from_utf8_lossy(other)),
    }
}
