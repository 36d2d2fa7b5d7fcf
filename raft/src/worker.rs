//! The shard's own thread, which applies what is committed.
//!
//! Consensus hands over committed entries and goes on; this thread waits until they are on the
//! local disk, applies them, publishes how far it came, and only then answers. A small chunk that
//! has nothing to wait for is applied in place instead, by the thread of consensus, while this one
//! is idle: waking it would take longer than the work.
//!
//! Invariants
//! * Chunks and other jobs take effect in the order they came in, one at a time.
//! * Nothing is applied that the local log has not flushed. Otherwise the state machine could
//!   outlive the log that explains it.
//! * The watermark is published before any client hears of an entry.
//! * A fault stops the node; no later job runs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use openraft::storage::ApplyResponder;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::beside;
use crate::machine::{Checkpointer, Committed, StateMachine};
use crate::record::Applied;
use crate::stage::{OnStage, Stage};
use crate::types::Types;

/// What has reached the disk of this node's log.
pub trait Flushed: Send + Sync {
    /// Whether the entry at `index` is durable.
    fn has(&self, index: u64) -> bool;
    /// Waits until the entry at `index` is durable.
    fn reached(&self, index: u64) -> BoxFuture<'_, io::Result<()>>;
}

impl Flushed for crate::log::Flushed {
    fn has(&self, index: u64) -> bool {
        self.index() >= Some(index)
    }

    fn reached(&self, index: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move { Ok(self.reached(index).await?) })
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

impl<S: StateMachine> Chunk<S> {
    fn last(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.index)
    }
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

impl<S: StateMachine> Job<S> {
    /// The entry that has to be durable before.
    fn needs(&self) -> Option<u64> {
        match self {
            Self::Apply(chunk) => chunk.last(),
            _ => None,
        }
    }
}

/// The state machine, and whom to tell of what happens to it.
pub(crate) struct Applier<S> {
    pub machine: S,
    pub log: Arc<dyn Flushed>,
    pub applied: watch::Sender<u64>,
    pub on_stage: OnStage,
    /// How long the last chunk took.
    pub took: Duration,
}

/// Applying in place would hold up consensus for longer than this: the thread does it.
const IN_PLACE_MAX: Duration = Duration::from_millis(1);

impl<S: StateMachine> Applier<S> {
    fn serve(&mut self, job: Job<S>) -> io::Result<()> {
        match job {
            Job::Apply(chunk) => self.apply(chunk),
            Job::Applied(reply) => answer(reply, self.publish()),
            Job::Checkpointer(reply) => answer(reply, self.machine.checkpointer()),
            Job::Install(dir, reply) => answer(reply, self.install(dir)),
        }
    }

    /// Whether the entries up to `last` can be applied without waiting for anything.
    fn is_ready(&self, last: u64) -> bool {
        self.took <= IN_PLACE_MAX && self.log.has(last) && self.machine.has_room()
    }

    fn apply(&mut self, chunk: Chunk<S>) -> io::Result<()> {
        let Some(last) = chunk.last() else { return Ok(()) };
        let count = chunk.entries.len();
        let began = Instant::now();
        let replies = self.machine.apply(chunk.entries, chunk.record)?;
        self.took = began.elapsed();
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
        self.publish()
    }

    /// Lets everybody know what the state machine holds already: there may be nothing to apply.
    fn publish(&mut self) -> io::Result<Option<Bytes>> {
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

/// The way to the state machine: a queue to its thread, and a short cut while that is idle.
pub(crate) struct Worker<S: StateMachine> {
    // Dropped before the queue ends, so that the thread's end is that of the state machine.
    applier: Arc<Mutex<Applier<S>>>,
    /// Jobs that were sent and are not done.
    waiting: Arc<AtomicUsize>,
    on_fault: OnFault,
    jobs: mpsc::Sender<Job<S>>,
}

impl<S: StateMachine> Worker<S> {
    /// Starts the thread, with a queue of so many jobs. The receiver resolves when it has ended
    /// and the state machine is closed.
    pub fn start(
        name: String,
        applier: Applier<S>,
        jobs_max: usize,
        on_fault: OnFault,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (jobs, queue) = mpsc::channel(jobs_max);
        let (ended, end) = oneshot::channel();
        let (applier, waiting) = (Arc::new(Mutex::new(applier)), Arc::default());
        let worker = Self {
            applier: Arc::clone(&applier),
            waiting: Arc::clone(&waiting),
            on_fault: Arc::clone(&on_fault),
            jobs,
        };
        beside::start(name, async move {
            // The node was told of a fault; consensus finds the queue closed.
            let _ = run(&applier, queue, &waiting, &on_fault).await;
            drop(applier);
            let _ = ended.send(());
        })?;
        Ok((worker, end))
    }

    /// Queues a job, waiting for room.
    pub async fn submit(&self, job: Job<S>) -> io::Result<()> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.jobs.send(job).await.map_err(|_| stopped())
    }

    /// Applies a chunk here and now if the thread is idle and nothing has to be waited for: that
    /// saves a hand-over. Otherwise the chunk comes back.
    ///
    /// # Errors
    /// After a fault, of which the node was told: nothing may be applied any more.
    pub fn apply_in_place(&self, chunk: Chunk<S>) -> io::Result<Option<Chunk<S>>> {
        // Only this side adds, so nothing can overtake: what was sent is done.
        if self.waiting.load(Ordering::Acquire) > 0 {
            return Ok(Some(chunk));
        }
        let Some(mut applier) = self.applier.try_lock() else { return Ok(Some(chunk)) };
        if !chunk.last().is_some_and(|last| applier.is_ready(last)) {
            return Ok(Some(chunk));
        }
        guarded(&self.on_fault, || applier.apply(chunk))?;
        Ok(None)
    }
}

/// The thread.
async fn run<S: StateMachine>(
    applier: &Mutex<Applier<S>>,
    mut queue: mpsc::Receiver<Job<S>>,
    waiting: &AtomicUsize,
    on_fault: &OnFault,
) -> io::Result<()> {
    let log = Arc::clone(&applier.lock().log);
    while let Some(job) = queue.recv().await {
        let flushed = match job.needs() {
            Some(last) if !log.has(last) => log.reached(last).await,
            _ => Ok(()),
        };
        guarded(on_fault, || flushed.and_then(|()| applier.lock().serve(job)))?;
        waiting.fetch_sub(1, Ordering::Release);
    }
    Ok(())
}

/// Makes an error or a panic a fault of the node.
fn guarded(on_fault: &OnFault, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => on_fault(&format!("the state machine failed: {error}")),
        Err(_) => on_fault("the state machine panicked"),
    }
    Err(stopped())
}

pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the state machine has stopped")
}
