//! The shard's own thread: the only one that touches the state machine.
//!
//! Consensus hands over committed entries and goes on; this thread waits until they are on the
//! local disk, applies them, publishes how far it came, and only then answers.
//!
//! Invariants
//! * Nothing is applied that the local log has not flushed. Otherwise the state machine could
//!   outlive the log that explains it.
//! * The watermark is published before any client hears of an entry.
//! * A fault stops the node; no later job runs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use openraft::storage::ApplyResponder;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::machine::{Checkpointer, Committed, StateMachine};
use crate::record::Applied;
use crate::stage::{OnStage, Stage};
use crate::types::Types;

/// What has reached the disk of this node's log.
pub trait Flushed: Send + Sync {
    /// Blocks until the entry at `index` is durable.
    fn wait(&self, index: u64) -> io::Result<()>;
}

impl Flushed for crate::log::Flushed {
    fn wait(&self, index: u64) -> io::Result<()> {
        if self.index() >= Some(index) {
            return Ok(());
        }
        Ok(futures::executor::block_on(self.reached(index))?)
    }
}

/// What is done about a fault. The process must not go on; tests only take note.
pub type OnFault = Arc<dyn Fn(&str) + Send + Sync>;

/// Says why and ends the process, at once: nothing may run on that believes in broken state.
pub fn stop_the_process() -> OnFault {
    Arc::new(|fault| {
        tracing::error!(fault, "the node stops");
        std::process::abort();
    })
}

/// Entries that are applied in one go, and who waits for them.
pub(crate) struct Chunk<S: StateMachine> {
    pub entries: Vec<Committed>,
    pub responders: Vec<Option<ApplyResponder<Types<S>>>>,
    pub record: Bytes,
    /// When they were handed over.
    pub since: Instant,
}

type Reply<T> = oneshot::Sender<io::Result<T>>;

/// What the thread does, in the order it was asked to.
pub(crate) enum Job<S: StateMachine> {
    Apply(Chunk<S>),
    Applied(Reply<Option<Bytes>>),
    Checkpointer(Reply<Checkpointer>),
    /// Replaces the state by the checkpoint in a directory; answers with the new applied record.
    Install(PathBuf, Reply<Option<Bytes>>),
}

pub(crate) struct Worker<S: StateMachine> {
    pub machine: S,
    pub jobs: mpsc::Receiver<Job<S>>,
    pub log: Arc<dyn Flushed>,
    pub applied: watch::Sender<u64>,
    pub on_stage: OnStage,
}

impl<S: StateMachine> Worker<S> {
    /// Starts the thread. The receiver resolves when it has ended and the state machine is closed.
    pub fn start(self, name: String, fault: OnFault) -> io::Result<oneshot::Receiver<()>> {
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name(name).spawn(move || {
            match catch_unwind(AssertUnwindSafe(move || self.run())) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => fault(&format!("the state machine failed: {error}")),
                Err(_) => fault("the state machine panicked"),
            }
            let _ = ended.send(());
        })?;
        Ok(end)
    }

    fn run(mut self) -> io::Result<()> {
        let mut busy = true;
        loop {
            let job = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return self.machine.idle(),
                Err(TryRecvError::Empty) => {
                    if busy {
                        self.machine.idle()?;
                        busy = false;
                        continue;
                    }
                    match self.jobs.blocking_recv() {
                        Some(job) => job,
                        None => return Ok(()),
                    }
                }
            };
            busy = true;
            self.serve(job)?;
        }
    }

    fn serve(&mut self, job: Job<S>) -> io::Result<()> {
        match job {
            Job::Apply(chunk) => self.apply(chunk),
            Job::Applied(reply) => answer(reply, self.machine.applied()),
            Job::Checkpointer(reply) => answer(reply, self.machine.checkpointer()),
            Job::Install(dir, reply) => answer(reply, self.install(dir)),
        }
    }

    fn apply(&mut self, chunk: Chunk<S>) -> io::Result<()> {
        let Some(last) = chunk.entries.last().map(|entry| entry.index) else { return Ok(()) };
        let count = chunk.entries.len();
        self.log.wait(last)?;
        let replies = self.machine.apply(chunk.entries, chunk.record)?;
        assert_eq!(replies.len(), count, "the state machine answers every entry");
        self.applied.send_replace(last);
        (self.on_stage)(Stage::Apply, chunk.since.elapsed());
        for (responder, reply) in chunk.responders.into_iter().zip(replies) {
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    fn install(&mut self, dir: PathBuf) -> io::Result<Option<Bytes>> {
        self.machine.install(&dir)?;
        let record = self.machine.applied()?;
        if let Some(record) = &record {
            self.applied.send_replace(Applied::decode(record)?.last.index);
        }
        Ok(record)
    }
}

/// Hands a result to whoever asked and passes a fault on as well.
fn answer<T>(reply: Reply<T>, result: io::Result<T>) -> io::Result<()> {
    let fault = result.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
    // Who asked may be gone: consensus was shut down meanwhile.
    let _ = reply.send(result);
    fault.map_or(Ok(()), Err)
}
