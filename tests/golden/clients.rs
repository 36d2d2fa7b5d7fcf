//! The clients of a script.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use bytes::BytesMut;
use resp::{Reply, encode_request};

use super::render::{ordered, render};
use super::run::Mode;
use super::script::{Deed, Step};
use super::target::{Link, Target};

/// The word of a request that stands for the last string that was a reply.
const LAST_REPLY: &[u8] = b"<reply>";

/// The connections of one script, by name.
pub struct Clients {
    mode: Mode,
    open: BTreeMap<char, Connection>,
    /// Names in order of appearance, which decides where a client connects.
    names: Vec<char>,
    last_reply: Vec<u8>,
}

impl Clients {
    pub fn new(mode: Mode) -> Self {
        Self { mode, open: BTreeMap::new(), names: Vec::new(), last_reply: Vec::new() }
    }

    /// Empties the target.
    pub fn reset(&mut self, target: &impl Target) -> io::Result<()> {
        let reply = Connection::new(target.connect(0)?).request(&["FLUSHALL"])?;
        if reply == Reply::OK { Ok(()) } else { Err(io::Error::other(format!("{reply:?}"))) }
    }

    /// Carries out a line. `None` if it has no reply.
    pub fn step(&mut self, step: &Step, target: &mut impl Target) -> Option<Vec<String>> {
        match &step.deed {
            Deed::Remark => None,
            Deed::Advance(time) => {
                target.advance(*time);
                None
            }
            Deed::Request { client, args, unordered } => {
                let args = self.fill_in(args);
                let wrapped = self.mode == Mode::Transaction;
                Some(self.answer(*client, target, |client| {
                    let reply =
                        if wrapped { in_transaction(client, &args) } else { client.request(&args) };
                    reply.map(|reply| if *unordered { ordered(reply) } else { reply })
                }))
            }
            Deed::Send { client, args } => {
                let sent = self.client(*client, target).and_then(|client| client.send(args));
                sent.err().map(|error| vec![failure(&error)])
            }
            Deed::Raw { client, bytes } => Some(self.answer(*client, target, |client| {
                client.link.send(bytes)?;
                client.link.receive()
            })),
            Deed::Receive { client } => Some(self.answer(*client, target, Connection::receive)),
        }
    }

    /// A reply as lines. A connection that fails is dropped: the next line opens another one.
    fn answer(
        &mut self,
        name: char,
        target: &impl Target,
        ask: impl FnOnce(&mut Connection) -> io::Result<Reply>,
    ) -> Vec<String> {
        match self.client(name, target).and_then(ask) {
            Ok(reply) => {
                if let Reply::Bulk(bytes) = &reply {
                    self.last_reply = bytes.to_vec();
                }
                render(&reply)
            }
            Err(error) => {
                self.open.remove(&name);
                vec![failure(&error)]
            }
        }
    }

    fn fill_in(&self, args: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let word = |arg: &Vec<u8>| if arg == LAST_REPLY { &self.last_reply } else { arg }.clone();
        args.iter().map(word).collect()
    }

    fn client(&mut self, name: char, target: &impl Target) -> io::Result<&mut Connection> {
        let known = self.names.iter().position(|it| *it == name);
        let number = known.unwrap_or(self.names.len());
        if known.is_none() {
            self.names.push(name);
        }
        if !self.open.contains_key(&name) {
            let mut connection = Connection::new(target.connect(number)?);
            if self.mode == Mode::Resp3 {
                connection.request(&["HELLO", "3"])?;
            }
            self.open.insert(name, connection);
        }
        Ok(self.open.get_mut(&name).expect("just inserted"))
    }
}

/// A connection, and the pushes that came while a reply was waited for.
struct Connection {
    link: Box<dyn Link>,
    pushes: VecDeque<Reply>,
}

impl Connection {
    fn new(link: Box<dyn Link>) -> Self {
        Self { link, pushes: VecDeque::new() }
    }

    fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        encode_request(args, &mut bytes);
        self.link.send(&bytes)
    }

    fn request<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        loop {
            match self.link.receive()? {
                push @ Reply::Push(_) => self.pushes.push_back(push),
                reply => return Ok(reply),
            }
        }
    }

    fn receive(&mut self) -> io::Result<Reply> {
        self.pushes.pop_front().map_or_else(|| self.link.receive(), Ok)
    }
}

/// The one reply of a transaction of one request, or the refusal to queue it.
fn in_transaction(client: &mut Connection, args: &[Vec<u8>]) -> io::Result<Reply> {
    client.request(&["MULTI"])?;
    let queued = client.request(args)?;
    if queued.is_error() {
        client.request(&["DISCARD"])?;
        return Ok(queued);
    }
    match client.request(&["EXEC"])? {
        Reply::Array(mut replies) if replies.len() == 1 => Ok(replies.remove(0)),
        other => Ok(other),
    }
}

fn failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "(closed)".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "(no reply)".to_owned(),
        _ => format!("(failed) {error}"),
    }
}
