//! The leader's packer: batches of all nodes become log entries.
//!
//! The price of consensus is per entry, not per command. While an entry is on its way, everything
//! that arrives is gathered into the next one; and whoever was just answered gets a turn to ask
//! again, or two halves of the clients would wait for each other's entries. Where that takes long,
//! as between distant places, nothing waits for longer than [`GATHER_MAX`], and several entries are
//! on their way at once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::log::v1::{Entry, Item};
use proto::node::v1::{ForwardReply, forward_reply};
use raft::{Consensus, Mutant, WriteError};
use resp::{Reply, ReplyError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Inner;
use super::clock::LogClock;
use super::outbox::Verdict;
use crate::keyspace::{BatchOutcome, ENTRY_VERSION, Keyspace, Outcome, encode_replies};
use crate::telemetry::{Histogram, Metrics};
use crate::threads::Threads;

/// Limits of the entries that a leader proposes.
#[derive(Debug, Clone, Copy)]
pub struct PackerLimits {
    /// Bytes of one entry, unless a single batch is larger.
    pub entry_bytes_max: usize,
    /// Entries proposed and not yet applied.
    pub entries_in_flight_max: usize,
    /// Bytes of batches that wait to be proposed, over which more are refused.
    pub waiting_bytes_max: usize,
}

/// Whom to tell what became of a batch.
pub enum Done {
    /// This node's own outbox.
    Local {
        /// The router.
        router: Weak<Inner>,
        /// The batch.
        sequence: u64,
        /// The route on which it came.
        epoch: u64,
    },
    /// Another node's router, at the end of its stream.
    Remote {
        /// The batch.
        sequence: u64,
        /// The stream's answers; bounded by the sender's window of batches.
        answers: mpsc::UnboundedSender<ForwardReply>,
    },
}

/// Proposes batches. A cheap handle.
#[derive(Clone)]
pub struct Packer {
    inner: Arc<PackerInner>,
}

struct PackerInner {
    consensus: Consensus<Keyspace>,
    telemetry: Arc<Metrics>,
    limits: PackerLimits,
    threads: Threads,
    clock: LogClock,
    state: Mutex<State>,
}

struct Waiting {
    batch: Bytes,
    since: Instant,
    done: Done,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    in_flight: usize,
    last_now_ms: u64,
    holds: Holds,
    /// A timer is set that pumps.
    timer: bool,
}

/// How long commands may wait for the entry before theirs. Longer than an entry takes on a fast
/// network and disk, short beside what it takes on a slow one.
const GATHER_MAX: Duration = Duration::from_millis(5);

/// Nobody keeps writes waiting for longer than this.
const HOLD_MAX: Duration = Duration::from_secs(2);

/// Who keeps new entries from being proposed. Each ends its own hold: by itself, when its time is
/// over, or both.
#[derive(Default)]
struct Holds {
    begun: u64,
    live: BTreeSet<u64>,
}

impl Holds {
    fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.live.insert(self.begun);
        self.begun
    }

    fn end(&mut self, number: u64) {
        self.live.remove(&number);
    }

    fn is_free(&self) -> bool {
        self.live.is_empty()
    }
}

/// While it lives, its packer proposes nothing.
pub struct Hold {
    packer: Packer,
    number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.packer.release(self.number);
    }
}

impl Packer {
    /// A packer that proposes to `consensus` and completes on the right one of `threads`.
    pub fn new(
        consensus: Consensus<Keyspace>,
        telemetry: Arc<Metrics>,
        limits: PackerLimits,
        threads: Threads,
        clock: LogClock,
    ) -> Self {
        let state = Mutex::new(State::default());
        let inner = PackerInner { consensus, telemetry, limits, threads, clock, state };
        Self { inner: Arc::new(inner) }
    }

    fn home(&self) -> &Handle {
        self.inner.threads.home(&self.inner.consensus)
    }

    /// Takes an encoded batch that waits `since` then; `done` hears what becomes of it.
    pub fn push(&self, batch: Bytes, since: Instant, done: Done) {
        let mut state = self.inner.state.lock();
        let remote = matches!(done, Done::Remote { .. });
        if remote && state.waiting_bytes >= self.inner.limits.waiting_bytes_max {
            drop(state);
            let busy = ReplyError::Raw("BUSY too many writes are waiting at the leader".into());
            return done.tell(Verdict::Refused(busy));
        }
        state.waiting_bytes += batch.len();
        state.waiting.push_back(Waiting { batch, since, done });
        self.pump(&mut state);
    }

    /// Keeps new entries from being proposed until the guard is dropped or its time is over;
    /// returns when the ones in flight are applied.
    pub async fn hold(&self) -> Hold {
        let number = self.inner.state.lock().holds.begin();
        let hold = Hold { packer: self.clone(), number };
        let deadline = tokio::time::Instant::now() + HOLD_MAX;
        while self.inner.state.lock().in_flight > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let packer = self.clone();
        self.home().spawn(async move {
            tokio::time::sleep_until(deadline).await;
            packer.release(number);
        });
        hold
    }

    fn release(&self, number: u64) {
        let mut state = self.inner.state.lock();
        state.holds.end(number);
        self.pump(&mut state);
    }

    fn pump(&self, state: &mut State) {
        while let Some(oldest) = state.waiting.front()
            && state.holds.is_free()
            && state.in_flight < self.inner.limits.entries_in_flight_max
        {
            let early = (oldest.since + GATHER_MAX).saturating_duration_since(Instant::now());
            if state.in_flight > 0 && !early.is_zero() {
                return self.pump_after(early, state);
            }
            let stages = &self.inner.telemetry.write;
            state.last_now_ms = state.last_now_ms.max(self.inner.clock.now_ms());
            let (entry, mut waiters) = state.pack(self.inner.limits.entry_bytes_max, &stages.queue);
            if Mutant::AckBeforeCommit.is_on() {
                waiters = acknowledge_early(&entry, waiters, self.home());
            }
            self.inner.telemetry.counters.entries_proposed.increment();
            state.in_flight += 1;
            // Submitted here and now, under the lock: that keeps the order.
            let outcome = self.inner.consensus.write(entry);
            let packer = self.clone();
            self.home().spawn(async move {
                answer(outcome.await, waiters);
                tokio::task::yield_now().await;
                packer.next();
            });
        }
    }

    /// Pumps again when what waits has waited long enough, whatever is in flight then.
    fn pump_after(&self, time: Duration, state: &mut State) {
        if std::mem::replace(&mut state.timer, true) {
            return;
        }
        let packer = self.clone();
        self.home().spawn(async move {
            tokio::time::sleep(time).await;
            let mut state = packer.inner.state.lock();
            state.timer = false;
            packer.pump(&mut state);
        });
    }

    fn next(&self) {
        let mut state = self.inner.state.lock();
        state.in_flight -= 1;
        self.pump(&mut state);
    }
}

/// What [`Mutant::AckBeforeCommit`] does; who waits on, if anything but SET is in the entry.
fn acknowledge_early(entry: &Bytes, waiters: Vec<Done>, runtime: &Handle) -> Vec<Done> {
    let batches = Entry::decode(entry.clone()).map(|entry| entry.batches).unwrap_or_default();
    let is_set = |item: &Item| {
        let name = item.requests.first().and_then(|request| request.args.first());
        !item.transaction && name.is_some_and(|name| name.eq_ignore_ascii_case(b"set"))
    };
    if !batches.iter().flat_map(|batch| &batch.items).all(is_set) {
        return waiters;
    }
    runtime.spawn(async move {
        for (done, batch) in waiters.into_iter().zip(batches) {
            done.applied(BatchOutcome::Applied(vec![Reply::OK; batch.items.len()]));
        }
    });
    Vec::new()
}

fn answer(outcome: Result<Outcome, WriteError>, waiters: Vec<Done>) {
    match outcome {
        Ok(outcomes) => {
            for (done, outcome) in waiters.into_iter().zip(outcomes) {
                done.applied(outcome);
            }
        }
        Err(error) => waiters.into_iter().for_each(|done| done.tell(verdict_of(&error))),
    }
}

fn verdict_of(error: &WriteError) -> Verdict {
    match error {
        WriteError::NotLeader { .. } => Verdict::NotLeader,
        WriteError::TooLarge => {
            Verdict::Refused(ReplyError::Raw("ERR the request is too large for the log".into()))
        }
        WriteError::Unknown | WriteError::Stopped => Verdict::Unknown,
    }
}

impl State {
    /// Makes one entry of what waits. Field 4 of `Entry` is the batches, encoded already.
    fn pack(&mut self, bytes_max: usize, queue: &Histogram) -> (Bytes, Vec<Done>) {
        let head = Entry {
            version: ENTRY_VERSION,
            now_ms: self.last_now_ms,
            seed: rand::random(),
            batches: Vec::new(),
        };
        let mut entry = BytesMut::with_capacity(self.waiting_bytes.min(bytes_max) + 64);
        head.encode_raw(&mut entry);
        let mut waiters = Vec::with_capacity(self.waiting.len());
        while let Some(Waiting { batch, since, done }) = self
            .waiting
            .pop_front_if(|w| waiters.is_empty() || entry.len() + w.batch.len() <= bytes_max)
        {
            queue.record(since.elapsed());
            self.waiting_bytes -= batch.len();
            encode_key(4, WireType::LengthDelimited, &mut entry);
            encode_varint(batch.len() as u64, &mut entry);
            entry.put(batch);
            waiters.push(done);
        }
        (entry.freeze(), waiters)
    }
}

impl Done {
    fn applied(self, outcome: BatchOutcome) {
        match self {
            Self::Local { .. } => self.tell(local_verdict(outcome)),
            Self::Remote { sequence, answers } => {
                let outcome = Some(remote_outcome(outcome));
                let _ = answers.send(ForwardReply { sequence, outcome });
            }
        }
    }

    fn tell(self, verdict: Verdict) {
        match self {
            Self::Local { router, sequence, epoch } => {
                if let Some(router) = router.upgrade() {
                    router.complete(sequence, epoch, verdict);
                }
            }
            Self::Remote { sequence, answers } => {
                let outcome = Some(remote_verdict(verdict));
                let _ = answers.send(ForwardReply { sequence, outcome });
            }
        }
    }
}

fn local_verdict(outcome: BatchOutcome) -> Verdict {
    match outcome {
        BatchOutcome::Applied(replies) => Verdict::Replies(replies),
        BatchOutcome::Repeated(replies) => match resp::decode_replies(&replies) {
            Ok(replies) => Verdict::Replies(replies),
            Err(_) => Verdict::Forgotten,
        },
        BatchOutcome::Forgotten => Verdict::Forgotten,
        BatchOutcome::Gap => Verdict::Gap,
    }
}

fn remote_outcome(outcome: BatchOutcome) -> forward_reply::Outcome {
    use forward_reply::Outcome as Wire;
    match outcome {
        BatchOutcome::Applied(replies) => Wire::Replies(encode_replies(&replies)),
        BatchOutcome::Repeated(replies) => Wire::Replies(replies),
        BatchOutcome::Forgotten => Wire::Forgotten(proto::node::v1::Nothing {}),
        BatchOutcome::Gap => Wire::Gap(proto::node::v1::Nothing {}),
    }
}

fn remote_verdict(verdict: Verdict) -> forward_reply::Outcome {
    use forward_reply::Outcome as Wire;
    match verdict {
        Verdict::Replies(replies) => Wire::Replies(encode_replies(&replies)),
        Verdict::Forgotten => Wire::Forgotten(proto::node::v1::Nothing {}),
        Verdict::NotLeader => Wire::NotLeader(0),
        Verdict::Unknown => Wire::Unknown("outcome unknown".into()),
        Verdict::Gap => Wire::Gap(proto::node::v1::Nothing {}),
        Verdict::Refused(error) => Wire::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_hold_does_not_end_a_younger_one() {
        let mut holds = Holds::default();
        let older = holds.begin();
        holds.end(older);
        assert!(holds.is_free());
        let younger = holds.begin();
        // Its time is over, long after it was dropped.
        holds.end(older);
        assert!(!holds.is_free());
        let youngest = holds.begin();
        holds.end(younger);
        assert!(!holds.is_free());
        holds.end(youngest);
        assert!(holds.is_free());
    }
}
