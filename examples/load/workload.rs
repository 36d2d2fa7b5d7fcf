//! What is asked for, and for how long: the same for every protocol.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};

use crate::Options;

/// Values are cut from so much random text: they differ, and do not compress.
const TEXT_BYTES: usize = 1 << 20;

/// As redis-benchmark names them, so that it finds what was filled in here.
pub type Key = [u8; 16];

pub struct Workload {
    /// End of the warm-up.
    pub begin: Instant,
    end: Option<Instant>,
    requests_max: u64,
    /// Requests since `begin` if their number is limited.
    requests: AtomicU64,
    pipeline: u64,
    keys: u64,
    /// The next key if they are taken in order.
    next_key: Option<AtomicU64>,
    text: Bytes,
    value_bytes: usize,
}

impl Workload {
    pub fn new(options: &Options) -> Self {
        let fill = options.fill;
        let requests_max = options.requests.or(fill.then_some(options.keys));
        let warm_up = if fill { 0.0 } else { options.warm_up };
        let begin = Instant::now() + Duration::from_secs_f64(warm_up);
        let end = begin + Duration::from_secs_f64(options.seconds);
        let text_bytes = TEXT_BYTES + options.value_bytes;
        Self {
            begin,
            end: requests_max.is_none().then_some(end),
            requests_max: requests_max.unwrap_or(u64::MAX),
            requests: AtomicU64::new(0),
            pipeline: options.pipeline as u64,
            keys: options.keys,
            next_key: fill.then(|| AtomicU64::new(0)),
            text: Alphanumeric.sample_string(&mut rand::rng(), text_bytes).into(),
            value_bytes: options.value_bytes,
        }
    }

    /// Whether there is to be no other pipeline; if there is, it is counted.
    pub fn is_over(&self, now: Instant) -> bool {
        match self.end {
            Some(end) => now >= end,
            None if now < self.begin => false,
            None => self.requests.fetch_add(self.pipeline, Relaxed) >= self.requests_max,
        }
    }

    pub fn key(&self) -> Key {
        let mut number = match &self.next_key {
            Some(next) => next.fetch_add(1, Relaxed) % self.keys,
            None => rand::rng().random_range(..self.keys),
        };
        let mut key = *b"key:000000000000";
        for digit in key[4..].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        key
    }

    pub fn value(&self) -> Bytes {
        let start = rand::rng().random_range(..TEXT_BYTES);
        self.text.slice(start..start + self.value_bytes)
    }
}
