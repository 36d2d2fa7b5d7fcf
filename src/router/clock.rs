//! What time it is for the log.
//!
//! Log time is the largest time that any leader proposed. A clock that was wrong for a moment leaves
//! it ahead of all clocks, and keys would live until those have caught up. So a node that is behind
//! log time counts on from there by its monotonic clock, more slowly than time passes, so that the
//! clocks catch up some day.
//!
//! Invariants
//! * It is never before log time as this node has it, nor before this node's wall clock.
//! * Where clocks are right it is the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Milliseconds since the Unix epoch by this node's clock.
#[expect(clippy::disallowed_methods, reason = "the one clock that proposes log time")]
pub fn wall_clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// The time that this node would give the log. A cheap handle.
#[derive(Clone)]
pub struct LogClock {
    inner: Arc<Inner>,
}

struct Inner {
    wall: Clock,
    log: Clock,
    begun: Instant,
    /// What log time was ahead of what this node had counted, at most.
    ahead: AtomicU64,
}

impl LogClock {
    /// Out of a wall clock, such as [`wall_clock_ms`], and what tells log time.
    pub fn new(wall: Clock, log: Clock) -> Self {
        let (begun, ahead) = (Instant::now(), AtomicU64::default());
        Self { inner: Arc::new(Inner { wall, log, begun, ahead }) }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        let (wall, log) = ((self.inner.wall)(), (self.inner.log)());
        if log <= wall { wall } else { self.inner.count_on(log).max(wall) }
    }
}

impl Inner {
    fn count_on(&self, log: u64) -> u64 {
        // Nine tenths of the time that passes.
        let counted = self.begun.elapsed().as_millis() as u64 * 9 / 10;
        let ahead = log.saturating_sub(counted);
        counted + ahead.max(self.ahead.fetch_max(ahead, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A clock, and what sets it.
    fn hand(at: u64) -> (Clock, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(at));
        let clock = Arc::clone(&hand);
        (Arc::new(move || clock.load(Ordering::Relaxed)), hand)
    }

    #[test]
    fn right_clocks_are_the_time() {
        let ((wall, hand), (log, _)) = (hand(5_000), hand(4_999));
        let clock = LogClock::new(wall, log);
        assert_eq!(clock.now_ms(), 5_000);
        hand.store(5_001, Ordering::Relaxed);
        assert_eq!(clock.now_ms(), 5_001);
    }

    #[test]
    fn time_goes_on_where_clocks_are_behind_the_log_and_never_faster_than_it_passes() {
        let ((wall, wall_hand), (log, log_hand)) = (hand(1_000), hand(3_600_000));
        let clock = LogClock::new(wall, log);
        let begun = Instant::now();
        let first = clock.now_ms();
        while clock.now_ms() < first + 20 {
            assert!(begun.elapsed() < Duration::from_secs(60), "time stands still");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(begun.elapsed() >= Duration::from_millis(20));
        // Others proposed more meanwhile.
        log_hand.store(7_200_000, Ordering::Relaxed);
        assert!((7_200_000..7_260_000).contains(&clock.now_ms()));
        // A clock that has caught up is right again.
        wall_hand.store(9_000_000, Ordering::Relaxed);
        assert_eq!(clock.now_ms(), 9_000_000);
    }
}
