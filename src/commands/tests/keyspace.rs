//! A store and a log of which each write is an entry.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use resp::{Protocol, Reply, ReplyDecoder, ReplyError};
use storage::{Millis, Options, Shared, Store, Touched};
use tempfile::TempDir;

use crate::commands::{Command, Error, Handler, Result, SessionVerb, resolve, run};

pub struct Keyspace {
    store: Arc<Store>,
    index: u64,
    now: Millis,
    pub db: u32,
    _dir: TempDir,
}

impl Keyspace {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(16 << 20);
        let store = Store::open(dir.path(), &Options::default(), &shared).unwrap();
        Self { store, index: 0, now: 1_700_000_000_000, db: 0, _dir: dir }
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += Millis::try_from(time.as_millis()).unwrap();
        self.write(|_| Ok(Reply::OK));
    }

    /// Runs a request given as one line, and returns its reply.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.request(&words(line))
    }

    /// Runs a request, and returns its reply.
    pub fn request(&mut self, request: &[Bytes]) -> Reply {
        let command = match resolve(request) {
            Ok(command) => command,
            Err(error) => return Reply::Error(error),
        };
        match command.handler {
            Handler::Session(_) => self.select(command, request),
            Handler::Write { .. } => self.checked(command, request),
            _ => reply(command.answer(&self.store.view(self.db, self.now), request, self.index)),
        }
    }

    /// The keys a request touched, and its reply.
    pub fn touched(&mut self, line: &str) -> (Reply, Touched) {
        let request = words(line);
        self.commit(|txn| run(txn, &request))
    }

    fn checked(&mut self, command: &'static Command, request: &[Bytes]) -> Reply {
        let checked = command.check(request);
        let reply = self.write(|txn| run(txn, request));
        if let Err(error) = checked {
            assert_eq!(reply, Reply::Error(error), "what is checked is what is run");
        }
        reply
    }

    fn select(&mut self, command: &'static Command, request: &[Bytes]) -> Reply {
        let Handler::Session(verb) = command.handler else { unreachable!("checked above") };
        match verb.parse(&mut crate::commands::Args::new(command, request)) {
            Ok(SessionVerb::Select(db)) => {
                self.db = db;
                Reply::OK
            }
            Ok(verb) => panic!("{verb:?} needs a session"),
            Err(error) => Reply::Error(error),
        }
    }

    fn write(&mut self, deed: impl FnOnce(&mut storage::Txn<'_>) -> Result<Reply>) -> Reply {
        self.commit(deed).0
    }

    fn commit(
        &mut self,
        deed: impl FnOnce(&mut storage::Txn<'_>) -> Result<Reply>,
    ) -> (Reply, Touched) {
        self.index += 1;
        let mut txn = self.store.begin();
        txn.set_entry(self.index, self.now, self.index);
        txn.item(0);
        txn.select(self.db);
        let reply = reply(deed(&mut txn));
        let applied = Bytes::copy_from_slice(&self.index.to_be_bytes());
        (reply, self.store.commit(txn, applied).unwrap())
    }
}

fn reply(result: Result<Reply>) -> Reply {
    match result {
        Ok(reply) => reply,
        Err(Error::Reply(error)) => Reply::Error(error),
        Err(Error::Fault(fault)) => panic!("{fault}"),
    }
}

pub fn words(line: &str) -> Vec<Bytes> {
    resp::split_arguments(line.as_bytes()).unwrap().into_iter().map(Bytes::from).collect()
}

/// The reply as a client hears it.
pub fn heard(reply: &Reply, protocol: Protocol) -> Reply {
    let mut buffer = BytesMut::new();
    resp::encode(reply, protocol, &mut buffer);
    ReplyDecoder::new(1 << 30).decode(&mut buffer).unwrap().unwrap()
}

/// The reply, which should be a refusal.
pub fn refusal(reply: Reply) -> ReplyError {
    match reply {
        Reply::Error(error) => error,
        other => panic!("{other:?} is no refusal"),
    }
}
