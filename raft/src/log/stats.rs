//! Counters of the log, cheap enough to be always on.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};
use std::time::Duration;

/// Upper bounds of a histogram's buckets are powers of two; the last bucket has none.
const BUCKETS: usize = 24;

/// How many observations were at most 1, 2, 4, 8 … units.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, value: u64) {
        let bucket = (u64::BITS - value.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn snapshot(&self) -> HistogramSnapshot {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        HistogramSnapshot { buckets, sum: self.sum.load(Relaxed) }
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Bucket *i* counts observations in (2^(i-1), 2^i]; the first one those up to 1, the last one
    /// all that are greater.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations.
    pub sum: u64,
}

impl HistogramSnapshot {
    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper bound of the given quantile (0 to 1); 0 without observations.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let wanted = (self.count() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        bucket.map_or(0, |bucket| 1 << bucket)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) entries: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) copied_bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_micros: Histogram,
    pub(super) group_bytes: Histogram,
    pub(super) group_appends: Histogram,
    pub(super) cache_hits: AtomicU64,
    pub(super) cache_misses: AtomicU64,
    /// Bytes queued, durable or not.
    pub(super) queued: AtomicU64,
}

impl Counters {
    /// A group of records became durable.
    pub(super) fn synced(&self, bytes: u64, appends: u64, took: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.group_bytes.observe(bytes);
        self.group_appends.observe(appends);
        self.sync_micros.observe(took.as_micros() as u64);
    }

    /// Bytes queued and not yet durable.
    pub(super) fn pending_bytes(&self) -> u64 {
        // Loaded in this order the difference is never negative.
        let durable = self.bytes.load(Acquire);
        self.queued.load(Acquire).saturating_sub(durable)
    }

    pub(super) fn snapshot(&self, segments: (usize, usize), cache_bytes: usize) -> WalStats {
        WalStats {
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            copied_bytes: self.copied_bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_micros: self.sync_micros.snapshot(),
            group_bytes: self.group_bytes.snapshot(),
            group_appends: self.group_appends.snapshot(),
            cache_hits: self.cache_hits.load(Relaxed),
            cache_misses: self.cache_misses.load(Relaxed),
            cache_bytes,
            pending_bytes: self.pending_bytes(),
            segments: segments.0,
            spares: segments.1,
        }
    }
}

/// What the log has done since it was opened, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalStats {
    /// Entries appended.
    pub entries: u64,
    /// Bytes made durable.
    pub bytes: u64,
    /// Bytes of entries written again so that an old segment could go.
    pub copied_bytes: u64,
    /// Groups of records made durable, with one sync each.
    pub syncs: u64,
    /// Microseconds a write and its sync took.
    pub sync_micros: HistogramSnapshot,
    /// Bytes of each group.
    pub group_bytes: HistogramSnapshot,
    /// Appends and votes whose wait each group ended.
    pub group_appends: HistogramSnapshot,
    /// Reads answered from memory.
    pub cache_hits: u64,
    /// Reads that needed a file.
    pub cache_misses: u64,
    /// Bytes of the log that are also in memory.
    pub cache_bytes: usize,
    /// Bytes appended and not yet durable.
    pub pending_bytes: u64,
    /// Segments with records that may be needed.
    pub segments: usize,
    /// Files ready for later use.
    pub spares: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile(0.5), 0);
        for value in [0, 1, 2, 3, 4, 100, 100, 100, 100, u64::MAX / 2] {
            histogram.observe(value);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count(), 10);
        assert_eq!([0.2, 0.3, 0.5, 0.9].map(|q| snapshot.quantile(q)), [1, 2, 4, 128]);
        assert_eq!(snapshot.quantile(1.0), 1 << (BUCKETS - 1));
    }
}
