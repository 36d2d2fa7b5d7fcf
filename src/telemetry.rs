//! What a node counts and measures, and the log for people.
//!
//! There is one set of numbers, `Metrics`. `/metrics`, INFO and the admin view all read it.
//! Recording is a relaxed addition to an atomic: no lock, no allocation, no name looked up.
//!
//! Invariants
//! * Nothing on a request's path waits for whoever reads the numbers.
//! * The number of series is bounded: labels come from tables, never from clients.
//! * What is counted only grows, as whoever computes rates from `/metrics` relies on. CONFIG RESETSTAT
//!   remembers how far it was; only what Redis shows (INFO, LATENCY) is counted from there.

mod export;
pub mod histogram;
pub mod logging;
pub mod rates;
#[cfg(test)]
mod tests;

pub use histogram::Histogram;
use parking_lot::Mutex;
use rates::Rates;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Only rises.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter {
    total: AtomicU64,
    at_reset: AtomicU64,
}

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.total.fetch_add(count, Relaxed);
    }

    /// How many since the start.
    pub fn get(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// How many since the last CONFIG RESETSTAT.
    pub fn since_reset(&self) -> u64 {
        // Another thread may see the reset before what was counted until then.
        self.get().saturating_sub(self.at_reset.load(Relaxed))
    }

    fn reset(&self) {
        self.at_reset.store(self.get(), Relaxed);
    }
}

/// Rises and falls.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Changes by `delta`; what it is then.
    pub fn add(&self, delta: i64) -> i64 {
        self.0.fetch_add(delta, Relaxed) + delta
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// Makes it `value`.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }
}

/// A struct of numbers of one kind, and the list of them with their names.
macro_rules! group {
    ($(#[doc = $about:literal])* $name:ident of $kind:ident { $($(#[doc = $doc:literal])* $field:ident,)* }) => {
        $(#[doc = $about])*
        #[derive(Debug, Default)]
        pub struct $name { $($(#[doc = $doc])* pub $field: $kind,)* }

        impl $name {
            /// All of them: name, what it says, the number.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, &$kind)> {
                [$((stringify!($field), concat!($($doc),*), &self.$field)),*].into_iter()
            }
        }
    };
}

group! {
    /// Counts since the start.
    Counters of Counter {
        /// Connections accepted
        connections_received,
        /// Connections refused because there were too many
        connections_rejected,
        /// Connections closed because their replies were not read
        output_limit_disconnections,
        /// Connections closed because their requests were too many or too large
        input_limit_disconnections,
        /// Commands executed
        commands_processed,
        /// Requests answered with an error
        errors_replied,
        /// Requests refused with BUSY
        busy_replied,
        /// Writes whose outcome was not known in time
        uncertain_replied,
        /// Requests refused for want of a quorum
        cluster_down_replied,
        /// Requests passed on to the leader
        requests_forwarded,
        /// Connections that went on at other threads because this node got or lost company
        connections_moved,
        /// Bytes read from clients
        net_input_bytes,
        /// Bytes written to clients
        net_output_bytes,
        /// Keys looked up and found
        keyspace_hits,
        /// Keys looked up and not found
        keyspace_misses,
        /// Log entries proposed by this node
        entries_proposed,
        /// Snapshots sent to members and installed there
        sync_full,
        /// Times a member took up the log of this node where it had left off
        sync_partial_ok,
        /// Times a member lacked log that is gone, and was offered a snapshot
        sync_partial_err,
        /// Snapshots taken by this node
        snapshots_taken,
        /// Snapshots sent to this node and installed
        snapshots_received,
        /// Changes of leader seen
        leader_changes,
    }
}

group! {
    /// How things are now.
    Gauges of Gauge {
        /// Clients connected
        clients_connected,
        /// Clients that wait in a blocking command
        clients_blocked,
    }
}

group! {
    /// Where a write spends its time.
    WriteStages of Histogram {
        /// Waiting to be packed into an entry
        queue,
        /// From proposal until the entry was given to the log
        append,
        /// From there until it was on disk here, by groups of entries; on every member
        fsync,
        /// From proposal until a quorum had it
        replicate,
        /// From there until it was applied, by groups of entries; on every member
        apply,
        /// From there until whoever proposed it had the reply
        reply,
        /// All of it
        total,
    }
}

group! {
    /// Where a read spends its time.
    ReadStages of Histogram {
        /// Until the leader was confirmed and the state recent enough
        barrier,
        /// Executing it
        read,
        /// Until the reply was written
        reply,
        /// All of it
        total,
    }
}

/// What is known of one command.
#[derive(Debug)]
pub struct CommandMetrics {
    /// Its name in lower case, with its subcommand after a `|`.
    pub name: &'static str,
    /// How long executing it took; waiting is not part of it. Its count is the number of calls.
    pub time: Histogram,
    /// Refused before it was executed.
    pub rejected: Counter,
    /// Executed, with an error as its answer.
    pub failed: Counter,
}

/// One number that is looked up when it is asked for.
pub struct Sample {
    /// Without the prefix `talus_`.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

impl Sample {
    /// A number without labels.
    pub fn new(name: &'static str, help: &'static str, value: f64) -> Sample {
        Sample { name, help, labels: Vec::new(), value }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl ToString) -> Sample {
        self.labels.push((name, value.to_string()));
        self
    }
}

/// Says what is true when it is asked.
pub type Source = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// Everything a node counts and measures.
pub struct Metrics {
    /// Counts.
    pub counters: Counters,
    /// Levels.
    pub gauges: Gauges,
    /// Where writes spend their time.
    pub write: WriteStages,
    /// Where reads spend their time.
    pub read: ReadStages,
    /// By command, in the order of the names given to `new`.
    pub commands: Box<[CommandMetrics]>,
    /// Operations and bytes per second, lately.
    pub rates: Rates,
    errors: Mutex<BTreeMap<String, Counter>>,
    sources: Mutex<Vec<Source>>,
}

impl Metrics {
    /// Nothing counted yet. `commands` are the names of all commands, by their place in the table.
    pub fn new(commands: impl IntoIterator<Item = &'static str>) -> Metrics {
        let command = |name| CommandMetrics {
            name,
            time: Histogram::default(),
            rejected: Counter::default(),
            failed: Counter::default(),
        };
        Metrics {
            counters: Counters::default(),
            gauges: Gauges::default(),
            write: WriteStages::default(),
            read: ReadStages::default(),
            commands: commands.into_iter().map(command).collect(),
            rates: Rates::default(),
            errors: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// The command at `index` was executed so many times, each taking this long.
    pub fn executed(&self, index: usize, time: Duration, times: usize) {
        self.counters.commands_processed.add(times as u64);
        if let Some(command) = self.commands.get(index) {
            command.time.record_many(time, times as u64);
        }
    }

    /// The command at `index` was executed, with an error as its answer.
    pub fn failed(&self, index: usize) {
        if let Some(command) = self.commands.get(index) {
            command.failed.increment();
        }
    }

    /// The command at `index` was refused before it was executed.
    pub fn rejected(&self, index: usize) {
        if let Some(command) = self.commands.get(index) {
            command.rejected.increment();
        }
    }

    /// A client was answered with the error `text`. Kinds are told apart by the first word, as
    /// in Redis; beyond so many kinds, new ones are counted together. As counters never fall,
    /// none is forgotten while the process runs.
    pub fn error(&self, text: &str) {
        const KINDS_MAX: usize = 128;
        const OTHER: &str = "other";
        self.counters.errors_replied.increment();
        let kind = text.split(' ').next().unwrap_or_default();
        match kind {
            "BUSY" => self.counters.busy_replied.increment(),
            "UNCERTAIN" => self.counters.uncertain_replied.increment(),
            "CLUSTERDOWN" => self.counters.cluster_down_replied.increment(),
            _ => {}
        }
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get(kind) {
            count.increment();
            return;
        }
        let kind = if errors.len() < KINDS_MAX { kind } else { OTHER };
        errors.entry(kind.to_owned()).or_default().increment();
    }

    /// How many errors of each kind clients were answered with, as `read` reads a counter.
    pub fn errors(&self, read: fn(&Counter) -> u64) -> BTreeMap<String, u64> {
        self.errors.lock().iter().map(|(kind, count)| (kind.clone(), read(count))).collect()
    }

    /// Asks `source` too whenever the numbers are read.
    pub fn add_source(&self, source: Source) {
        self.sources.lock().push(source);
    }

    /// Takes a sample of the rates; to be called ten times a second.
    pub fn tick(&self, elapsed: Duration) {
        let counters = &self.counters;
        let totals = [
            counters.commands_processed.get(),
            counters.net_input_bytes.get(),
            counters.net_output_bytes.get(),
        ];
        self.rates.sample(totals, elapsed);
    }

    /// Counts and times of [`since_reset`](Counter::since_reset) begin here.
    pub fn reset(&self) {
        self.counters.all().for_each(|(_, _, counter)| counter.reset());
        self.write.all().chain(self.read.all()).for_each(|(_, _, times)| times.reset());
        for command in &self.commands {
            command.time.reset();
            command.rejected.reset();
            command.failed.reset();
        }
        self.errors.lock().values().for_each(Counter::reset);
    }
}
