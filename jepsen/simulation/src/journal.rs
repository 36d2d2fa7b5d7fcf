//! What happened, in order: a hash of it tells whether two runs were the same, and with
//! `TALUS_SIMULATION_TRACE` set every line of it is printed.
//!
//! One process is one run, so there is one journal.

use std::fmt::Arguments;
use std::sync::LazyLock;
use std::time::Instant;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

struct Journal {
    begun: Instant,
    events: u64,
    hash: u64,
    is_shown: bool,
}

static JOURNAL: LazyLock<Mutex<Journal>> = LazyLock::new(|| {
    let is_shown = std::env::var_os("TALUS_SIMULATION_TRACE").is_some();
    Mutex::new(Journal { begun: Instant::now(), events: 0, hash: 0, is_shown })
});

/// Takes note of an event. Returns its number, from 1.
pub fn take_down(event: Arguments<'_>) -> u64 {
    let mut journal = JOURNAL.lock();
    let at = journal.begun.elapsed().as_micros();
    let line = format!("{at:>9} {event}");
    journal.events += 1;
    journal.hash = xxh3_64_with_seed(line.as_bytes(), journal.hash);
    if journal.is_shown {
        println!("{line}");
    }
    journal.events
}

/// How many events there were, and the hash of all of them.
pub fn so_far() -> (u64, u64) {
    let journal = JOURNAL.lock();
    (journal.events, journal.hash)
}

/// Milliseconds since the beginning.
pub fn elapsed_ms() -> u128 {
    // Without the lock: a panic may have it.
    JOURNAL.try_lock().map_or(0, |journal| journal.begun.elapsed().as_millis())
}

/// Takes note of an event.
macro_rules! note {
    ($($event:tt)*) => { $crate::journal::take_down(format_args!($($event)*)) };
}
pub(crate) use note;
