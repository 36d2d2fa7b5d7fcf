//! A small blocking client: for the command line, tests and tools.
//!
//! One connection, one thread. Every wait ends: connecting, writing and reading have timeouts,
//! after which the connection is in an unknown state and must be dropped.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;

use crate::encode::encode_request;
use crate::reply::{Protocol, Reply};
use crate::reply_decode::ReplyDecoder;

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 << 10;
/// Requests are written once so many bytes wait, even without a flush.
const WRITE_BYTES_MAX: usize = 256 << 10;
/// Pushes kept for the caller; the oldest go first.
const PUSHES_MAX: usize = 1024;

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For each address tried.
    pub connect: Duration,
    /// For each read and each write. `None` waits for ever, as a subscriber may want to.
    pub io: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), io: Some(Duration::from_secs(30)) }
    }
}

/// A connection to a server.
///
/// ```no_run
/// use resp::client::Client;
/// let mut client = Client::connect("127.0.0.1:6379")?;
/// client.request(&["SET", "key", "value"])?;
/// assert_eq!(client.request(&["GET", "key"])?, resp::Reply::bulk("value"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: BytesMut,
    pushes: VecDeque<Reply>,
}

impl Client {
    /// Connects with the default timeouts.
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::connect_within(addr, Timeouts::default())
    }

    /// Connects to the first address that answers.
    pub fn connect_within(addr: impl ToSocketAddrs, timeouts: Timeouts) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for addr in addr.to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, timeouts.connect) {
                Ok(stream) => return Self::over(stream, timeouts.io),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn over(stream: TcpStream, timeout: Option<Duration>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        Ok(Self {
            stream,
            decoder: ReplyDecoder::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            pushes: VecDeque::new(),
        })
    }

    /// The address of the server.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Changes how long reads and writes wait.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    /// Agrees on RESP2 or RESP3. A server that does not know HELLO speaks RESP2.
    pub fn hello(&mut self, protocol: Protocol) -> io::Result<Reply> {
        let version = if protocol == Protocol::Resp2 { "2" } else { "3" };
        self.request(&["HELLO", version])
    }

    /// Sends one request and waits for its reply; pushes that come before are kept for
    /// [`Client::take_push`]. Whatever is answered by pushes only (SUBSCRIBE in RESP3) or by
    /// several replies needs [`Client::send`] and [`Client::receive`].
    pub fn request<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        self.flush()?;
        loop {
            match self.receive()? {
                push @ Reply::Push(_) => self.keep_push(push),
                reply => return Ok(reply),
            }
        }
    }

    /// Sends requests at once and waits for all replies, in their order.
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> io::Result<Vec<Reply>> {
        for args in requests {
            self.send(args)?;
        }
        self.flush()?;
        let mut replies = Vec::with_capacity(requests.len());
        while replies.len() < requests.len() {
            match self.receive()? {
                push @ Reply::Push(_) => self.keep_push(push),
                reply => replies.push(reply),
            }
        }
        Ok(replies)
    }

    /// Queues one request for the next [`Client::flush`]; many are written before that.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        encode_request(args, &mut self.output);
        if self.output.len() >= WRITE_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Queues bytes as they are: an inline request, or no request at all.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes what is queued.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.stream.write_all(&self.output);
        self.output.clear();
        written
    }

    /// Waits for the next reply or push, whichever comes first.
    pub fn receive(&mut self) -> io::Result<Reply> {
        loop {
            let decoded = self.decoder.decode(&mut self.input);
            if let Some(reply) = decoded.map_err(invalid_data)? {
                return Ok(reply);
            }
            self.fill()?;
        }
    }

    /// The oldest push that came while a reply was waited for.
    pub fn take_push(&mut self) -> Option<Reply> {
        self.pushes.pop_front()
    }

    fn keep_push(&mut self, push: Reply) {
        if self.pushes.len() == PUSHES_MAX {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
    }

    fn fill(&mut self) -> io::Result<()> {
        let length = self.input.len();
        self.input.resize(length + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[length..]);
        self.input.truncate(length + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed"));
        }
        Ok(())
    }
}

fn invalid_data(error: crate::ProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
