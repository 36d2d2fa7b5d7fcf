//! Recording a history while it happens.
//!
//! Time and place are given under one lock, so that the order of events is that of their times. Each
//! event is written before the next is taken: what a killed harness leaves behind is a history up to
//! that moment.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Event, History, Kind, Process, Value};

/// Takes events from any number of threads.
pub struct Recorder {
    began: Instant,
    recorded: Mutex<Recorded>,
}

struct Recorded {
    history: History,
    jsonl: Box<dyn Write + Send>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// Starts the clock. `jsonl` gets each event in one write and is flushed.
    pub fn new(jsonl: impl Write + Send + 'static) -> Self {
        let recorded =
            Recorded { history: History::default(), jsonl: Box::new(jsonl), failure: None };
        Self { began: Instant::now(), recorded: Mutex::new(recorded) }
    }

    /// Adds an event that happens now.
    pub fn record(
        &self,
        kind: Kind,
        process: Process,
        f: &str,
        value: Value,
        error: Option<String>,
        node: Option<u32>,
    ) {
        let mut recorded = self.recorded();
        let (index, time) = (recorded.history.events.len(), self.nanoseconds());
        recorded.add(Event { index, kind, process, time, f: f.to_owned(), value, error, node });
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Why the file is not whole, if writing to it failed; the history in memory is.
    pub fn failure(&self) -> Option<String> {
        self.recorded().failure.as_ref().map(io::Error::to_string)
    }

    /// What was recorded.
    pub fn finish(self) -> History {
        self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner).history
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A thread that panicked while recording left the list whole: an event is added in one step.
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    fn add(&mut self, event: Event) {
        if self.failure.is_none() {
            let line = event.to_json() + "\n";
            let written = self.jsonl.write_all(line.as_bytes()).and_then(|()| self.jsonl.flush());
            self.failure = written.err();
        }
        self.history.events.push(event);
    }
}
