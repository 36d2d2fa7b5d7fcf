//! The commands: what each request means, with nothing of how it gets here.
//!
//! One folder a family, one file a deed, one row a command. A row names the command, says how
//! many words it has and where its keys are; whether it reads or writes follows from the trait it
//! implements. Everything that must know the commands — `COMMAND` and its subcommands, routing,
//! WATCH, ACL categories, the documentation — is printed from the rows.
//!
//! Invariants
//! * A command does no I/O. It knows its request and a [`View`] or a [`Txn`], and no clock, no
//!   randomness, no configuration and no connection.
//! * The same request in the same state gives the same effects and the same reply, on every node.
//! * What a client can get wrong is found by [`Command::check`], before anything is proposed; only
//!   what Redis looks at after the key (RESTORE's payload, GETEX's time) is left to whoever applies it.
//! * [`run`] is the only way into the log's transactions: entries, MULTI and scripts use it alike.

use bytes::Bytes;
// The trait alone: the generator is the transaction's.
use rand::Rng as _;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

mod args;
mod bitmaps;
mod cluster;
mod command;
mod connection;
mod errors;
mod hints;
pub mod introspection;
mod key_specs;
mod keys;
mod server;
mod strings;
mod table;
#[cfg(test)]
mod tests;
mod transactions;
pub mod verbs;

pub use args::Args;
pub use command::{Arity, Command, Docs, Handler, Local, Parse, Read, Sample, Write};
pub use errors::{Error, Result};
pub use hints::{Category, Group, Hints};
pub use key_specs::{KeyFlags, KeySpec, Keys};
pub use table::{all, by_id, find, lookup, lookup_path, names, resolve};
pub use verbs::{AdminVerb, SessionVerb};

/// How many databases a client may SELECT. Part of what the log means, hence not a setting.
pub const DATABASES: u32 = 16;

/// Runs one request inside a transaction: from the log, from EXEC, from a script.
pub fn run(txn: &mut Txn<'_>, request: &[Bytes]) -> Result<Reply> {
    let command = table::resolve_any(request)?;
    let args = &mut Args::new(command, request);
    match command.handler {
        Handler::Write { apply, .. } => apply(txn, args),
        Handler::Read { read, .. } => read(&txn.view(), args),
        Handler::Sample { sample, .. } => {
            let seed = txn.rng().next_u64();
            sample(&txn.view(), args, seed)
        }
        Handler::Local(answer) => Ok(answer(args)?),
        Handler::Session(verb) => in_transaction(txn, verb.parse(args)?),
        Handler::Admin(_) | Handler::Container => Err(not_in_the_log().into()),
    }
}

/// Answers one request that changes nothing, outside of the log. `seed` is the caller's chance.
pub fn read(view: &View<'_>, request: &[Bytes], seed: u64) -> Result<Reply> {
    resolve(request)?.answer(view, request, seed)
}

impl Command {
    /// As [`read`], for a request that was resolved before.
    pub fn answer(&'static self, view: &View<'_>, request: &[Bytes], seed: u64) -> Result<Reply> {
        let args = &mut Args::new(self, request);
        match self.handler {
            Handler::Read { read, .. } => read(view, args),
            Handler::Sample { sample, .. } => sample(view, args, seed),
            Handler::Local(answer) => Ok(answer(args)?),
            _ => Err(not_in_the_log().into()),
        }
    }
}

/// What a session's command does to a transaction: only the database is a matter of both.
fn in_transaction(txn: &mut Txn<'_>, verb: SessionVerb) -> Result<Reply> {
    match verb {
        SessionVerb::Select(db) => {
            txn.select(db);
            Ok(Reply::OK)
        }
        _ => Err(not_in_the_log().into()),
    }
}

fn not_in_the_log() -> ReplyError {
    errors::refuse("ERR this command is answered by a node and cannot be part of the log")
}
