//! A connection's state, and what each of its requests asks for.
//!
//! [`Session::plan`] decides without I/O; the connection carries the plan out. The gates a request
//! passes stand here in order: known and well-formed, authenticated, not inside MULTI.

mod transaction;
mod verbs;

use std::sync::Arc;

use bytes::Bytes;
use proto::log::v1::{Item, Request as LogRequest, Watch};
use resp::{Protocol, Reply, ReplyError, Request};

use crate::commands::verbs::{AdminVerb, ReplyMode, SessionVerb};
use crate::commands::{self, Args, Command, Handler};
use crate::server::Client;

use transaction::Transaction;
pub use transaction::{Exec, LocalStep};

/// What must happen to answer a request.
#[derive(Debug)]
pub enum Plan {
    /// Nothing more: this is the answer.
    Reply(Reply),
    /// Read from one state, behind the read barrier.
    Read(Query),
    /// Put into the log.
    Write(&'static Command, Item),
    /// Run a transaction.
    Exec(Exec),
    /// Note the versions of these keys.
    Watch(Vec<Bytes>),
    /// Let the server do it.
    Admin(AdminVerb),
    /// Answer, then close.
    Close(Reply),
}

/// A request that reads.
#[derive(Debug)]
pub struct Query {
    /// Its row.
    pub command: &'static Command,
    /// Its words.
    pub request: Request,
    /// The database it reads.
    pub db: u32,
}

/// What a request takes in memory.
pub fn bytes_of(request: &[Bytes]) -> usize {
    request.iter().map(|word| word.len() + size_of::<Bytes>()).sum()
}

/// What a session must know of its node: who may connect, and what to say to them.
pub trait Gatekeeper {
    /// Whether a fresh connection must authenticate.
    fn requires_password(&self) -> bool;
    /// Whether these credentials are right.
    fn admits(&self, user: &[u8], password: &[u8]) -> bool;
    /// What the requests of a transaction may take together.
    fn transaction_bytes_max(&self) -> usize;
    /// The node's role in Redis's words, for HELLO.
    fn role(&self) -> &'static str;
}

/// The state of one connection.
pub struct Session {
    client: Arc<Client>,
    protocol: Protocol,
    db: u32,
    authenticated: bool,
    transaction: Option<Transaction>,
    watches: Vec<Watch>,
    reply_mode: ReplyMode,
    skips_left: u8,
    spent: Option<Spent>,
}

/// A request that is not carried out as a part of a run, for the statistics and the slow log.
pub struct Spent {
    /// Its command.
    pub command: &'static Command,
    /// All of it.
    pub request: Request,
    /// What became of it.
    pub ending: Ending,
}

/// What becomes of a request, as Redis's `commandstats` tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Refused before it was looked into.
    Rejected,
    /// Looked into, and wrong.
    Failed,
    /// Answered by the session or the server.
    Answered,
}

impl Session {
    /// A fresh session. `authenticated` is false when a password is required.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            protocol: Protocol::Resp2,
            db: 0,
            authenticated,
            transaction: None,
            watches: Vec::new(),
            reply_mode: ReplyMode::On,
            skips_left: 0,
            spent: None,
        }
    }

    /// The protocol of the next reply.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The selected database.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Whether its user is known.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Requests queued by MULTI; none outside of it.
    pub fn queued(&self) -> Option<usize> {
        self.transaction.as_ref().map(Transaction::len)
    }

    /// What it keeps of requests that were carried out: those that EXEC will, and what it watches.
    pub fn kept_bytes(&self) -> usize {
        let watched: usize = self.watches.iter().map(|w| w.key.len() + size_of::<Watch>()).sum();
        watched + self.transaction.as_ref().map_or(0, Transaction::bytes)
    }

    /// A refusal, which a transaction takes note of.
    pub fn refuse(&mut self, error: ReplyError) -> Plan {
        self.transaction.iter_mut().for_each(|transaction| transaction.spoil(&error));
        Plan::Reply(Reply::Error(error))
    }

    /// Whether the reply of the request just planned is sent.
    pub fn takes_reply(&mut self) -> bool {
        match self.reply_mode {
            ReplyMode::On => true,
            ReplyMode::Off => false,
            ReplyMode::Skip => {
                // SKIP itself is not answered, and the request after it is not.
                self.skips_left -= 1;
                if self.skips_left == 0 {
                    self.reply_mode = ReplyMode::On;
                }
                false
            }
        }
    }

    /// Decides what a request asks for.
    pub fn plan(&mut self, request: Request, gate: &dyn Gatekeeper) -> Plan {
        let command = match commands::find(&request) {
            Ok(command) => command,
            Err(unknown) => return self.refuse(unknown),
        };
        if let Err(error) = self.admit(command, &request, gate) {
            self.spent = Some(Spent { command, request, ending: Ending::Rejected });
            return self.reject(command, error);
        }
        self.client.note_command(command, self.db);
        let planned = match self.transaction.is_some() && !command.is_immediate() {
            true => self.queue(command, request, gate.transaction_bytes_max()),
            false => self.plan_now(command, request, gate),
        };
        planned.unwrap_or_else(|error| self.refuse(error))
    }

    /// Whether a request may be looked into.
    fn admit(
        &self,
        command: &Command,
        request: &[Bytes],
        gate: &dyn Gatekeeper,
    ) -> Result<(), ReplyError> {
        command.check_arity(request)?;
        if !self.authenticated && gate.requires_password() && !command.needs_no_auth() {
            return Err(ReplyError::NoAuth);
        }
        let queued = self.transaction.is_some() && !command.is_immediate();
        if queued && command.is_refused_in_multi() {
            return Err(ReplyError::NotInMulti);
        }
        Ok(())
    }

    /// A refused request ends the transaction it was meant for: at its EXEC, or at once if it was
    /// the EXEC.
    fn reject(&mut self, command: &Command, error: ReplyError) -> Plan {
        if command.name != "exec" || !matches!(error, ReplyError::Arity(_)) {
            return self.refuse(error);
        }
        self.transaction = None;
        self.watches.clear();
        let text = error.to_string();
        let because = text.strip_prefix("ERR ").unwrap_or(&text).to_owned();
        Plan::Reply(Reply::Error(ReplyError::ExecAbortBecause(because)))
    }

    fn plan_now(
        &mut self,
        command: &'static Command,
        request: Request,
        gate: &dyn Gatekeeper,
    ) -> Result<Plan, ReplyError> {
        let args = &mut Args::new(command, &request);
        let planned = match command.handler {
            Handler::Local(answer) => answer(args).map(Plan::Reply),
            Handler::Read { .. } | Handler::Sample { .. } => {
                return Ok(Plan::Read(Query { command, request, db: self.db }));
            }
            Handler::Write { check, .. } => match check(args) {
                Ok(()) => return Ok(Plan::Write(command, self.item(request))),
                Err(error) => Err(error),
            },
            Handler::Session(verb) => verb.parse(args).and_then(|verb| self.carry_out(verb, gate)),
            Handler::Admin(verb) => verb.parse(args).map(Plan::Admin),
            Handler::Container => Err(ReplyError::Syntax),
        };
        let ending = if planned.is_ok() { Ending::Answered } else { Ending::Failed };
        self.spent = Some(Spent { command, request, ending });
        planned
    }

    /// The request just planned, unless it joined a run of reads or writes, or a transaction.
    pub fn take_spent(&mut self) -> Option<Spent> {
        self.spent.take()
    }

    fn item(&self, request: Request) -> Item {
        let requests = vec![LogRequest { args: request }];
        Item { db: self.db, transaction: false, watches: Vec::new(), requests }
    }

    /// Plans a step of a transaction that the log did not run.
    pub fn plan_local(&mut self, step: &LocalStep, gate: &dyn Gatekeeper) -> Plan {
        let exec = self.spent.take();
        let planned = self.plan_now(step.command, step.request.clone(), gate);
        self.spent = exec;
        planned.unwrap_or_else(|error| Plan::Reply(Reply::Error(error)))
    }

    /// Notes the version that a watched key has.
    pub fn watch(&mut self, key: Bytes, version: u64) {
        let known = self.watches.iter().any(|w| w.db == self.db && w.key == key);
        if !known {
            self.watches.push(Watch { db: self.db, key, version });
        }
    }

    /// The session after EXEC: the databases it selected stay selected.
    pub fn select(&mut self, db: u32) {
        self.db = db;
    }
}

/// As [`SessionVerb`], for those that a transaction runs at its end.
pub(crate) fn selects(command: &'static Command, request: &[Bytes]) -> Option<u32> {
    let Handler::Session(verb) = command.handler else { return None };
    match verb.parse(&mut Args::new(command, request)) {
        Ok(SessionVerb::Select(db)) => Some(db),
        _ => None,
    }
}
