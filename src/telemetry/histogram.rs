//! How long things take: a histogram with fixed buckets.
//!
//! Buckets grow with the value: eight to each doubling, so a value read back is at most one
//! eighth too large, from 128 ns to more than two minutes. Two additions record a value.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Values are kept in units of 128 ns.
const UNIT_BITS: u32 = 7;
/// Eight buckets to each doubling.
const STEP_BITS: u32 = 3;
const STEPS: u64 = 1 << STEP_BITS;
const BUCKETS: usize = 232;

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    /// Nothing until the first reset; most are never reset.
    at_reset: Mutex<Option<Box<Snapshot>>>,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Histogram { buckets, sum_ns: AtomicU64::new(0), at_reset: Mutex::default() }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Adds one duration as often as it occurred.
    pub fn record_many(&self, time: Duration, times: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)].fetch_add(times, Relaxed);
        self.sum_ns.fetch_add(ns.saturating_mul(times), Relaxed);
    }

    /// What was recorded since the start. Values recorded meanwhile may be missing in part.
    pub fn snapshot(&self) -> Snapshot {
        let counts = std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed));
        Snapshot { counts, sum_ns: self.sum_ns.load(Relaxed) }
    }

    /// What was recorded since the last CONFIG RESETSTAT.
    pub fn since_reset(&self) -> Snapshot {
        // The lock comes first: what it guards is then not newer than what is read after it.
        let at_reset = self.at_reset.lock();
        let now = self.snapshot();
        at_reset.as_ref().map_or_else(|| now.clone(), |before| now.since(before))
    }

    pub(super) fn reset(&self) {
        let mut at_reset = self.at_reset.lock();
        *at_reset = Some(Box::new(self.snapshot()));
    }
}

/// What a histogram held at one time.
#[derive(Debug, Clone)]
pub struct Snapshot {
    counts: [u64; BUCKETS],
    sum_ns: u64,
}

impl Snapshot {
    /// What was recorded after `before`, an earlier one of the same histogram.
    fn since(&self, before: &Snapshot) -> Snapshot {
        let counts = std::array::from_fn(|bucket| self.counts[bucket] - before.counts[bucket]);
        Snapshot { counts, sum_ns: self.sum_ns.wrapping_sub(before.sum_ns) }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// What so many of a hundred values do not exceed; nothing if there are no values.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * percent / 100.0).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let reaches = |bucket: &usize| {
            seen += self.counts[*bucket];
            seen >= rank
        };
        (0..BUCKETS).find(reaches).map(|bucket| Duration::from_nanos(upper_ns(bucket)))
    }

    /// How many values there are in buckets that end at or below `limit`.
    pub fn count_up_to(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let below = (0..BUCKETS).take_while(|bucket| upper_ns(*bucket) <= limit);
        below.map(|bucket| self.counts[bucket]).sum()
    }
}

fn bucket_of(ns: u64) -> usize {
    let units = ns >> UNIT_BITS;
    let bucket = if units < STEPS {
        units
    } else {
        let doubling = u64::from(units.ilog2() - STEP_BITS);
        let step = (units >> doubling) & (STEPS - 1);
        (doubling + 1) * STEPS + step
    };
    (bucket as usize).min(BUCKETS - 1)
}

/// The first value above a bucket.
fn upper_ns(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    let (doubling, step) = ((next / STEPS).saturating_sub(1), next % STEPS);
    let units = if next < STEPS { next } else { (STEPS + step) << doubling };
    units << UNIT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_below_the_end_of_its_bucket_and_not_below_its_start() {
        for ns in (0..40).flat_map(|bit| [1u64 << bit, (1 << bit) + 1, (3 << bit) / 2]) {
            let bucket = bucket_of(ns);
            if bucket < BUCKETS - 1 {
                assert!(ns < upper_ns(bucket), "{ns}");
            }
            assert!(bucket == 0 || ns >= upper_ns(bucket - 1), "{ns}");
        }
        assert!(Duration::from_nanos(upper_ns(BUCKETS - 1)) > Duration::from_secs(120));
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_at_most_an_eighth_too_large() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().percentile(50.0), None);
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        let snapshot = histogram.snapshot();
        for percent in [50.0, 99.0, 99.9] {
            let found = snapshot.percentile(percent).expect("there are values").as_secs_f64();
            let exact = percent / 100.0 * 1e-3;
            assert!((exact..=exact * 1.125 + 1e-6).contains(&found), "{percent} {found}");
        }
        assert_eq!((snapshot.count(), snapshot.sum()), (1000, Duration::from_micros(500_500)));
        let half = snapshot.count_up_to(Duration::from_micros(500));
        assert!((440..=500).contains(&half), "{half}");
    }
}
