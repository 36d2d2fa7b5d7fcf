//! The bytes of one connection: what was read and is not understood yet, what is to be written.
//!
//! Invariants
//! * Replies that a client does not take yet do not keep its requests from being read, as long as
//!   there is room for both. So it may send a long pipeline before it reads anything.
//! * All that is held is charged to the budget of all clients.
//! * A client that takes nothing for `STALL_MAX` while replies wait is given up; one that takes
//!   them slowly is not.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::budget::Share;
use super::limits::{KEEP_BYTES, READ_BYTES_MAX, READ_BYTES_MIN};
use super::{Client, Server, now};

/// How long a client may leave its replies unread, and a large request unfinished.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Both directions of a connection.
pub struct Wire {
    server: Arc<Server>,
    client: Arc<Client>,
    stream: TcpStream,
    /// Read and not understood yet.
    pub input: BytesMut,
    /// To be written.
    pub output: BytesMut,
    /// Bytes of requests that were understood and are still needed.
    pub kept: usize,
    /// Bytes of the request that is arriving, as far as they are announced and there is room.
    announced: usize,
    share: Share,
    /// Bytes read at once.
    appetite: usize,
    /// When replies that wait began to wait, or the client last took some of them.
    stalled: Option<Instant>,
    /// Since when more waits than the soft limit allows.
    over_soft: Option<Instant>,
}

enum Step {
    Read(usize),
    Wrote(usize),
    Killed,
    Late,
}

impl Wire {
    /// A connection on which nothing has been said.
    pub fn new(server: Arc<Server>, client: Arc<Client>, stream: TcpStream) -> Self {
        let share = server.budget.share();
        Self {
            server,
            client,
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            kept: 0,
            announced: 0,
            share,
            appetite: READ_BYTES_MIN,
            stalled: None,
            over_soft: None,
        }
    }

    /// The same connection, on the threads on which this is called.
    ///
    /// # Errors
    /// When there are no descriptors left to wait with.
    pub fn moved(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, ..self })
    }

    /// Reads once, and writes meanwhile. False at the client's end, after a kill or too long a
    /// silence.
    ///
    /// # Errors
    /// When the connection broke, or replies were not taken.
    pub async fn receive(&mut self) -> io::Result<bool> {
        self.settle();
        loop {
            match self.step(true).await? {
                Step::Read(bytes) => {
                    self.read(bytes);
                    return Ok(bytes > 0);
                }
                Step::Wrote(bytes) => {
                    self.wrote(bytes);
                    self.settle();
                }
                Step::Killed => return Ok(false),
                Step::Late if self.output.is_empty() => return Ok(false),
                Step::Late => return Err(self.give_up("replies are not read")),
            }
        }
    }

    /// Whatever the connection is ready for first.
    async fn step(&mut self, reads: bool) -> io::Result<Step> {
        let deadline = self.deadline();
        let writes = !self.output.is_empty();
        let (mut reader, mut writer) = self.stream.split();
        Ok(tokio::select! {
            biased;
            read = reader.read_buf(&mut self.input), if reads => Step::Read(read?),
            wrote = writer.write(&self.output), if writes => Step::Wrote(wrote?),
            () = self.client.killed() => Step::Killed,
            () = until(deadline) => Step::Late,
        })
    }

    /// When the client has been silent, or idle with its replies, for too long.
    fn deadline(&self) -> Option<Instant> {
        let config = self.server.config.now();
        let soft = config.server.output_limits.normal.soft_s.duration();
        let silence = config.server.idle_timeout_s.duration();
        let silent = (!silence.is_zero() && self.stalled.is_none()).then(|| now() + silence);
        let unfinished = (self.announced > 0).then(|| now() + STALL_MAX);
        let stalled = self.stalled.map(|since| since + STALL_MAX);
        let over_soft = self.over_soft.map(|since| since + soft);
        [silent, unfinished, stalled, over_soft].into_iter().flatten().min()
    }

    fn read(&mut self, bytes: usize) {
        self.server.telemetry.counters.net_input_bytes.add(bytes as u64);
        let much = bytes >= self.appetite;
        self.appetite = if much { READ_BYTES_MAX } else { READ_BYTES_MIN };
        self.note();
    }

    fn wrote(&mut self, bytes: usize) {
        self.server.telemetry.counters.net_output_bytes.add(bytes as u64);
        let _ = self.output.split_to(bytes);
        self.stalled = (!self.output.is_empty()).then(now);
        if self.output.is_empty() {
            self.over_soft = None;
        }
    }

    /// Writes what the client takes at once. The rest waits if there is room for it; if not, the
    /// client has to take it first.
    ///
    /// # Errors
    /// When the connection broke, or replies were not taken.
    pub async fn push(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        match self.stream.try_write(&self.output) {
            Ok(bytes) => self.wrote(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.output.is_empty() {
            return Ok(());
        }
        self.stalled.get_or_insert_with(now);
        self.check_limits()?;
        if self.share.try_set(self.held()) { Ok(()) } else { self.drain().await }
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// When the connection broke or was killed, or replies were not taken.
    pub async fn drain(&mut self) -> io::Result<()> {
        self.note();
        while !self.output.is_empty() {
            self.stalled.get_or_insert_with(now);
            match self.step(false).await? {
                Step::Read(_) => {}
                Step::Wrote(bytes) => self.wrote(bytes),
                Step::Killed => return Err(io::Error::other("killed")),
                Step::Late => return Err(self.give_up("replies are not read")),
            }
        }
        self.settle();
        Ok(())
    }

    /// Redis's limits of what may wait for one client.
    fn check_limits(&mut self) -> io::Result<()> {
        let limit = self.server.config.now().server.output_limits.normal;
        let is_over = |limit: usize| limit > 0 && self.output.len() > limit;
        if is_over(limit.hard.as_usize()) {
            return Err(self.give_up("output buffer limit"));
        }
        let since = self.over_soft.unwrap_or_else(now);
        self.over_soft = is_over(limit.soft.as_usize()).then_some(since);
        Ok(())
    }

    /// Makes room for a request of which so many bytes are announced. False if there was none for
    /// too long.
    ///
    /// # Errors
    /// As [`Wire::drain`].
    pub async fn expect(&mut self, announced: usize) -> io::Result<bool> {
        self.announced = 0;
        let mut fits = self.share.try_set(self.held_with(announced));
        if !fits {
            self.drain().await?;
            fits = self.share.wait_for(self.held_with(announced)).await;
        }
        if fits {
            self.announced = announced;
        }
        Ok(fits)
    }

    /// Whether a reply that begins at `start` of the output may wait there. If not, it is taken
    /// away again.
    pub fn admit(&mut self, start: usize) -> bool {
        let fits = self.share.try_set(self.held());
        if !fits {
            self.output = BytesMut::from(self.output.get(..start).unwrap_or_default());
        }
        fits
    }

    /// Makes room for a reply so large, after those before it. False if there was none for too long.
    ///
    /// # Errors
    /// As [`Wire::drain`].
    pub async fn make_room(&mut self, bytes: usize) -> io::Result<bool> {
        self.drain().await?;
        Ok(self.share.wait_for(self.held() + bytes).await)
    }

    /// Whether so many bytes more of requests may be kept.
    pub fn keep(&mut self, kept: usize) -> bool {
        let before = std::mem::replace(&mut self.kept, kept);
        let fits = self.share.try_set(self.held());
        if !fits {
            self.kept = before;
        }
        fits
    }

    /// What this connection holds.
    fn held(&self) -> usize {
        self.held_with(self.announced)
    }

    /// What it would hold if the request that is arriving were so long.
    fn held_with(&self, announced: usize) -> usize {
        self.input.capacity().max(announced) + self.output.capacity() + self.kept
    }

    /// Gives back what is not needed, and makes room for what is read next.
    fn settle(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > KEEP_BYTES {
                *buffer = BytesMut::new();
            }
        }
        self.input.reserve(self.appetite);
        self.share.set(self.held());
        self.note();
    }

    /// For CLIENT LIST.
    fn note(&self) {
        let free = self.input.capacity() - self.input.len();
        let total = self.held() + size_of::<Self>();
        self.client.note_memory([self.input.len(), free, self.kept, self.output.len(), total]);
    }

    /// Says why a client that does not read its replies is disconnected.
    fn give_up(&self, reason: &'static str) -> io::Error {
        self.server.telemetry.counters.output_limit_disconnections.increment();
        tracing::warn!(client = %self.client.describe(), "closed: {reason}");
        io::Error::other(reason)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
