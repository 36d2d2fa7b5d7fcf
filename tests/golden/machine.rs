//! Talus without sockets, consensus and threads: sessions over a keyspace, in this process.
//!
//! The plan of each request is carried out in the plainest way: a write is a log entry of its own,
//! and a read sees the state after the last one. Time passes only where a script says so. Requests
//! that a server must answer (INFO, CLIENT LIST, …) have nobody to answer them here.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::Message;
use proto::log::v1::{Batch, Entry, Item};
use raft::{Committed, StateMachine};
use resp::{Decoder, Limits, Reply, ReplyDecoder, Request};
use storage::{Options, Shared};
use talus::commands::{self, Handler, resolve};
use talus::keyspace::{BatchOutcome, ENTRY_VERSION, Home, Keyspace};
use talus::server::Clients;
use talus::session::{Exec, Gatekeeper, Plan, Query, Session};
use tempfile::TempDir;

use super::script::{Flavor, Script};
use super::target::{Link, Target};

/// Any time will do, as long as scripts agree that it is the past.
const BEGIN_MS: u64 = 1_700_000_000_000;
const MEMORY_BYTES: usize = 16 << 20;

pub struct Machine {
    core: Rc<RefCell<Core>>,
    clients: Clients,
}

impl Machine {
    pub fn new() -> Self {
        Self { core: Rc::new(RefCell::new(Core::new())), clients: Clients::default() }
    }
}

impl Target for Machine {
    fn flavor(&self) -> Flavor {
        Flavor::Talus
    }

    fn name(&self) -> String {
        "Talus in this process".to_owned()
    }

    fn refuses(&self, script: &Script) -> Option<String> {
        let asks_server = script.requests().any(|args| {
            let request: Vec<Bytes> = args.iter().cloned().map(Bytes::from).collect();
            resolve(&request).is_ok_and(|command| matches!(command.handler, Handler::Admin(_)))
        });
        asks_server.then(|| "asks a server".to_owned())
    }

    fn advance(&mut self, time: Duration) {
        let mut core = self.core.borrow_mut();
        core.now_ms += u64::try_from(time.as_millis()).expect("a script ends one day");
        core.apply(Vec::new());
    }

    fn connect(&self, _client: usize) -> io::Result<Box<dyn Link>> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let session = Session::new(self.clients.add(nowhere, nowhere, 0), true);
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_authenticated(true);
        Ok(Box::new(Inside {
            core: Rc::clone(&self.core),
            session,
            decoder,
            input: BytesMut::new(),
            output: BytesMut::new(),
            replies: ReplyDecoder::default(),
            is_closed: false,
        }))
    }
}

/// The keyspace, and the log that is applied to it.
struct Core {
    keyspace: Keyspace,
    index: u64,
    now_ms: u64,
    _dir: TempDir,
}

impl Core {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(MEMORY_BYTES);
        let home = Home::new(dir.path().to_owned(), Options::default(), shared);
        Self { keyspace: Keyspace::open(home).unwrap(), index: 0, now_ms: BEGIN_MS, _dir: dir }
    }

    fn apply(&mut self, items: Vec<Item>) -> Vec<Reply> {
        self.index += 1;
        let batches = vec![Batch { origin: None, items }];
        let entry =
            Entry { version: ENTRY_VERSION, now_ms: self.now_ms, seed: self.index, batches };
        let command = Some(entry.encode_to_vec().into());
        let committed = Committed { index: self.index, term: 1, command };
        let applied = Bytes::copy_from_slice(&self.index.to_be_bytes());
        let mut outcomes = self.keyspace.apply(vec![committed], applied).unwrap();
        match outcomes.pop().and_then(|mut outcome| outcome.pop()) {
            Some(BatchOutcome::Applied(replies)) => replies,
            outcome => panic!("an entry came to {outcome:?}"),
        }
    }

    fn write(&mut self, item: Item) -> Reply {
        self.apply(vec![item]).pop().expect("one item has one reply")
    }

    fn read(&self, query: &Query) -> Reply {
        let store = self.keyspace.current().load_full();
        let view = store.view(query.db, self.now_ms);
        match query.command.answer(&view, &query.request, self.index) {
            Ok(reply) => reply,
            Err(commands::Error::Reply(error)) => Reply::Error(error),
            Err(commands::Error::Fault(fault)) => panic!("{fault}"),
        }
    }

    fn version(&self, db: u32, key: &[u8]) -> u64 {
        self.keyspace.current().load().view(db, self.now_ms).version(key).unwrap()
    }
}

/// Whoever comes may come in.
struct OpenDoor;

impl Gatekeeper for OpenDoor {
    fn requires_password(&self) -> bool {
        false
    }

    fn admits(&self, user: &[u8], _password: &[u8]) -> bool {
        user == b"default"
    }

    fn transaction_bytes_max(&self) -> usize {
        usize::MAX
    }

    fn role(&self) -> &'static str {
        "master"
    }
}

/// A connection that is none.
struct Inside {
    core: Rc<RefCell<Core>>,
    session: Session,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    replies: ReplyDecoder,
    is_closed: bool,
}

impl Link for Inside {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.input.extend_from_slice(bytes);
        while !self.is_closed {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(request)) => self.request(request),
                Ok(None) => break,
                Err(error) => {
                    self.reply(&Reply::Error(error.into()));
                    self.is_closed = true;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Reply> {
        let reply = self.replies.decode(&mut self.output).map_err(io::Error::other)?;
        let nothing =
            if self.is_closed { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::WouldBlock };
        reply.ok_or_else(|| nothing.into())
    }
}

impl Inside {
    fn request(&mut self, request: Request) {
        let plan = self.session.plan(request, &OpenDoor);
        let is_heard = self.session.takes_reply();
        let reply = self.carry_out(plan);
        if is_heard {
            self.reply(&reply);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        resp::encode(reply, self.session.protocol(), &mut self.output);
    }

    fn carry_out(&mut self, plan: Plan) -> Reply {
        match plan {
            Plan::Reply(reply) => reply,
            Plan::Read(query) => self.core.borrow().read(&query),
            Plan::Write(_, item) => self.core.borrow_mut().write(item),
            Plan::Exec(exec) => self.exec(&exec),
            Plan::Watch(keys) => self.watch(keys),
            Plan::Admin(verb) => panic!("{verb:?} needs a server"),
            Plan::Close(reply) => {
                self.is_closed = true;
                reply
            }
        }
    }

    fn exec(&mut self, exec: &Exec) -> Reply {
        let item = exec.item.clone();
        let logged = item.map_or(Reply::EMPTY_ARRAY, |item| self.core.borrow_mut().write(item));
        let Reply::Array(logged) = logged else { return logged };
        self.session.select(exec.db_after);
        let mut local = Vec::new();
        for step in &exec.locals {
            let plan = self.session.plan_local(step, &OpenDoor);
            local.push(self.carry_out(plan));
        }
        Reply::Array(exec.splice(logged, local))
    }

    fn watch(&mut self, keys: Vec<Bytes>) -> Reply {
        for key in keys {
            let version = self.core.borrow().version(self.session.db(), &key);
            self.session.watch(key, version);
        }
        Reply::OK
    }
}
