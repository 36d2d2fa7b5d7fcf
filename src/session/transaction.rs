//! MULTI, EXEC, DISCARD, WATCH.
//!
//! EXEC is one item of a log entry. What only a node can answer (INFO, CLIENT LIST, …) is not in
//! the log: it is answered when the item has been applied, and put in its place.

use proto::log::v1::{Item, Request as LogRequest};
use resp::{Reply, ReplyError, Request};

use super::{Plan, Session, bytes_of, selects};
use crate::commands::{Command, Handler};

/// Requests queued since MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    queue: Vec<(&'static Command, Request)>,
    bytes: usize,
    /// A request was refused, so EXEC will be.
    spoiled: bool,
}

/// One step of a transaction that the node answers by itself.
#[derive(Debug)]
pub struct LocalStep {
    /// Its place among the replies.
    pub at: usize,
    /// Its row.
    pub command: &'static Command,
    /// Its words.
    pub request: Request,
}

/// A transaction to be run.
#[derive(Debug)]
pub struct Exec {
    /// The commands that were queued.
    pub commands: Vec<&'static Command>,
    /// What goes through the log; none when nothing does.
    pub item: Option<Item>,
    /// What does not, in ascending places.
    pub locals: Vec<LocalStep>,
    /// The database selected at its end.
    pub db_after: u32,
}

impl Transaction {
    /// How many requests are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Queues a request, unless EXEC will be refused anyway.
    fn push(
        &mut self,
        command: &'static Command,
        request: Request,
        bytes_max: usize,
    ) -> Result<(), ReplyError> {
        if self.spoiled {
            return Ok(());
        }
        let bytes = self.bytes + bytes_of(&request);
        if bytes > bytes_max {
            return Err(ReplyError::Raw("ERR the transaction is too large for the log".into()));
        }
        self.bytes = bytes;
        self.queue.push((command, request));
        Ok(())
    }

    /// What the queued requests take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes note of a refused request.
    pub fn spoil(&mut self, error: &ReplyError) {
        let harmless = matches!(error, ReplyError::NestedMulti | ReplyError::WatchInsideMulti);
        if !harmless {
            self.spoiled = true;
            self.queue = Vec::new();
            self.bytes = 0;
        }
    }
}

impl Session {
    pub(super) fn begin(&mut self) -> Result<Plan, ReplyError> {
        if self.transaction.is_some() {
            return Err(ReplyError::NestedMulti);
        }
        self.transaction = Some(Transaction::default());
        Ok(Plan::Reply(Reply::OK))
    }

    pub(super) fn queue(
        &mut self,
        command: &'static Command,
        request: Request,
        bytes_max: usize,
    ) -> Result<Plan, ReplyError> {
        if let Some(transaction) = &mut self.transaction {
            transaction.push(command, request, bytes_max)?;
        }
        Ok(Plan::Reply(Reply::Simple("QUEUED".into())))
    }

    pub(super) fn discard(&mut self) -> Result<Plan, ReplyError> {
        self.transaction.take().ok_or(ReplyError::DiscardWithoutMulti)?;
        self.watches.clear();
        Ok(Plan::Reply(Reply::OK))
    }

    pub(super) fn exec(&mut self) -> Result<Plan, ReplyError> {
        let transaction = self.transaction.take().ok_or(ReplyError::ExecWithoutMulti)?;
        let watches = std::mem::take(&mut self.watches);
        if transaction.spoiled {
            return Err(ReplyError::ExecAbort);
        }
        let commands = transaction.queue.iter().map(|(command, _)| *command).collect();
        let mut exec = Exec { commands, item: None, locals: Vec::new(), db_after: self.db };
        let mut requests = Vec::new();
        for (at, (command, request)) in transaction.queue.into_iter().enumerate() {
            if let Some(db) = selects(command, &request) {
                exec.db_after = db;
            } else if is_local(command) {
                exec.locals.push(LocalStep { at, command, request });
                continue;
            }
            requests.push(LogRequest { args: request });
        }
        if !requests.is_empty() || !watches.is_empty() {
            exec.item = Some(Item { db: self.db, transaction: true, watches, requests });
        }
        Ok(Plan::Exec(exec))
    }
}

/// Whether only this node can answer: its settings, its connections, its clock.
fn is_local(command: &Command) -> bool {
    matches!(command.handler, Handler::Admin(_) | Handler::Session(_))
}

impl Exec {
    /// Puts the replies of the log and those of the node in the order of the queue.
    pub fn splice(&self, logged: Vec<Reply>, local: Vec<Reply>) -> Vec<Reply> {
        let mut logged = logged.into_iter();
        let mut local = self.locals.iter().map(|step| step.at).zip(local).peekable();
        let mut replies = Vec::new();
        loop {
            if let Some((_, reply)) = local.next_if(|(at, _)| *at == replies.len()) {
                replies.push(reply);
            } else if let Some(reply) = logged.next() {
                replies.push(reply);
            } else {
                return replies;
            }
        }
    }
}
