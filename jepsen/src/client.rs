//! A client of Redis's protocol that hides nothing: one attempt, one connection, no redirect.
//!
//! What a failure means is decided here and nowhere else, by the table in Talus's README: an error
//! reply is a definite no, except `-UNCERTAIN`; silence after a write was sent proves nothing. Silence
//! after something that writes nothing is harmless, so callers say which of the two they do.
//!
//! Invariants
//! * An operation ends within [`PATIENCE`], however many steps it has.
//! * After any failure of the connection it is [`broken`](Client::is_broken) and never used again, so
//!   a late reply is never taken for another request's.

pub mod decode;
pub mod etcd;
pub mod seat;
pub mod sentinel;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub use decode::Reply;

/// How long an operation may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one reply that may wait to be complete.
const REPLY_MAX: usize = 128 << 20;

/// Why an operation has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It has had no effect and never will.
    Refused(String),
    /// The same, because its own condition did not hold: nothing is wrong with whoever answered.
    Unmet(String),
    /// Nobody knows whether it has an effect.
    Unknown(String),
    /// An answer that no correct server gives.
    Impossible(String),
}

impl Trouble {
    /// The same, of an operation that writes nothing: there is no effect to be unsure of.
    pub fn of_read(self) -> Self {
        match self {
            Self::Unknown(text) => Self::Refused(text),
            other => other,
        }
    }

    /// What an error reply means.
    pub fn of_reply(error: &str) -> Self {
        match error.split_whitespace().next() {
            Some("UNCERTAIN") => Self::Unknown(error.to_owned()),
            _ => Self::Refused(error.to_owned()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) | Self::Unmet(text) | Self::Unknown(text) => f.write_str(text),
            Self::Impossible(text) => write!(f, "{IMPOSSIBLE}{text}"),
        }
    }
}

/// How the error of an event begins that tells of an answer no correct server gives.
pub const IMPOSSIBLE: &str = "impossible reply: ";

/// The words of a command.
pub fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What came and was not taken yet.
    waiting: Vec<u8>,
    deadline: Instant,
    broken: bool,
}

impl Client {
    /// Connects; whatever goes wrong, nothing was sent.
    pub fn connect(address: SocketAddr) -> Result<Self, Trouble> {
        let refused = |error: io::Error| Trouble::Refused(format!("connect: {error}"));
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let deadline = Instant::now() + PATIENCE;
        Ok(Self { stream, waiting: Vec::new(), deadline, broken: false })
    }

    /// Begins an operation: its time starts now.
    pub fn begin(&mut self) {
        self.deadline = Instant::now() + PATIENCE;
    }

    /// Whether it can never be used again.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// A command that changes nothing.
    pub fn read(&mut self, words: &[impl AsRef<[u8]>]) -> Result<Reply, Trouble> {
        self.write(words).map_err(Trouble::of_read)
    }

    /// A command that changes something.
    pub fn write(&mut self, words: &[impl AsRef<[u8]>]) -> Result<Reply, Trouble> {
        let mut bytes = Vec::new();
        encode(words, &mut bytes);
        self.send(&bytes)?;
        match self.receive()? {
            Reply::Error(error) => Err(Trouble::of_reply(&error)),
            reply => Ok(reply),
        }
    }

    /// WATCH.
    pub fn watch(&mut self, keys: &[&str]) -> Result<(), Trouble> {
        self.read(&[&["WATCH"], keys].concat())?.expect_ok()
    }

    /// Ends what WATCH began without a transaction, because a condition is not met.
    pub fn give_up(&mut self, why: impl Into<String>) -> Trouble {
        let ended = self.read(&["UNWATCH"]).and_then(Reply::expect_ok);
        self.broken |= ended.is_err();
        Trouble::Unmet(why.into())
    }

    /// A transaction that must not be overtaken by another one on what it watches.
    pub fn transact_unless_changed(
        &mut self,
        commands: &[Vec<String>],
    ) -> Result<Vec<Reply>, Trouble> {
        self.transact(commands)?.ok_or_else(|| Trouble::Unmet("changed meanwhile".to_owned()))
    }

    /// MULTI, the commands and EXEC; `None` if a watched key had changed.
    ///
    /// MULTI is answered before the rest is sent: were it refused, the commands after it would be
    /// carried out one by one.
    pub fn transact(&mut self, commands: &[Vec<String>]) -> Result<Option<Vec<Reply>>, Trouble> {
        self.read(&["MULTI"])?.expect_ok()?;
        let mut bytes = Vec::new();
        commands.iter().for_each(|words| encode(words, &mut bytes));
        encode(&["EXEC"], &mut bytes);
        self.send(&bytes)?;
        let refused = self.queued(commands.len())?;
        match (self.receive()?, refused) {
            (Reply::Error(_), Some(error)) => Err(Trouble::Refused(error)),
            (reply, Some(error)) => {
                Err(Trouble::Impossible(format!("EXEC gave {reply:?} after {error:?}")))
            }
            (Reply::Error(error), None) => Err(Trouble::of_reply(&error)),
            (Reply::Nil, None) => Ok(None),
            (Reply::Array(replies), None) if replies.len() == commands.len() => {
                replies.into_iter().map(Reply::executed).collect::<Result<_, _>>().map(Some)
            }
            (reply, None) => Err(Trouble::Impossible(format!("EXEC gave {reply:?}"))),
        }
    }

    /// Takes the replies to queued commands; the first error, if any.
    fn queued(&mut self, count: usize) -> Result<Option<String>, Trouble> {
        let mut refused = None;
        for _ in 0..count {
            match self.receive()? {
                Reply::Simple(text) if text == "QUEUED" => {}
                Reply::Error(error) => refused = refused.or(Some(error)),
                reply => return Err(self.nonsense(format!("a queued command gave {reply:?}"))),
            }
        }
        Ok(refused)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let sent = self
            .time_left()
            .and_then(|left| self.stream.set_write_timeout(Some(left)))
            .and_then(|()| self.stream.write_all(bytes));
        sent.map_err(|error| self.lost(&error))
    }

    fn receive(&mut self) -> Result<Reply, Trouble> {
        loop {
            match decode::decode(&self.waiting) {
                Err(problem) => return Err(self.nonsense(problem)),
                Ok(Some((reply, length))) => {
                    self.waiting.drain(..length);
                    return Ok(reply);
                }
                Ok(None) if self.waiting.len() > REPLY_MAX => {
                    return Err(self.nonsense(format!("a reply over {REPLY_MAX} bytes")));
                }
                Ok(None) => self.fill().map_err(|error| self.lost(&error))?,
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let left = self.time_left()?;
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.waiting.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }

    /// Never zero, which sockets take for no limit.
    fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_micros(1) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn lost(&mut self, error: &io::Error) -> Trouble {
        self.broken = true;
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Trouble::Unknown("timeout".to_owned())
            }
            _ => Trouble::Unknown(format!("connection lost: {error}")),
        }
    }

    fn nonsense(&mut self, problem: String) -> Trouble {
        self.broken = true;
        Trouble::Impossible(problem)
    }
}

fn encode(words: &[impl AsRef<[u8]>], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

impl Reply {
    /// Fails unless it is `+OK`.
    pub fn expect_ok(self) -> Result<(), Trouble> {
        match self {
            Self::Simple(text) if text == "OK" => Ok(()),
            other => Err(other.unexpected("OK")),
        }
    }

    /// A number.
    pub fn integer(self) -> Result<i64, Trouble> {
        match self {
            Self::Integer(number) => Ok(number),
            other => Err(other.unexpected("an integer")),
        }
    }

    /// A string that is text, or nothing.
    pub fn text(self) -> Result<Option<String>, Trouble> {
        match self {
            Self::Nil => Ok(None),
            Self::Bulk(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(Self::Bulk(error.into_bytes()).unexpected("text")),
            },
            other => Err(other.unexpected("a string")),
        }
    }

    /// A string that is a number, or nothing.
    pub fn number(self) -> Result<Option<i64>, Trouble> {
        let Some(text) = self.text()? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Self::Simple(text).unexpected("a number"))
    }

    /// So many elements.
    pub fn elements(self, count: usize) -> Result<Vec<Reply>, Trouble> {
        match self {
            Self::Array(elements) if elements.len() == count => Ok(elements),
            other => Err(other.unexpected(&format!("{count} elements"))),
        }
    }

    /// A result within EXEC. The commands of the workloads cannot fail one by one, and if one says
    /// that its outcome is unknown, that of the transaction is.
    fn executed(self) -> Result<Self, Trouble> {
        match self {
            Self::Error(error) => match Trouble::of_reply(&error) {
                Trouble::Refused(error) => {
                    Err(Trouble::Impossible(format!("{error:?} within EXEC")))
                }
                other => Err(other),
            },
            other => Ok(other),
        }
    }

    fn unexpected(&self, wanted: &str) -> Trouble {
        let mut text = format!("{self:?}");
        text.truncate(text.floor_char_boundary(300));
        Trouble::Impossible(format!("{text} instead of {wanted}"))
    }
}
