//! How much happens per second, lately: what INFO calls instantaneous.

use super::Metrics;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const SAMPLES: usize = 16;

/// Samples the rates of `metrics` for as long as the node runs.
pub async fn follow(metrics: Arc<Metrics>) {
    const PERIOD: Duration = Duration::from_millis(100);
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = Instant::now();
        metrics.tick(now - last);
        last = now;
    }
}

/// Operations, bytes in and bytes out per second over the last samples.
#[derive(Debug, Default)]
pub struct Rates(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    totals: [u64; 3],
    samples: [[f64; 3]; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes over totals that were reached `elapsed` after the last ones.
    pub fn sample(&self, totals: [u64; 3], elapsed: Duration) {
        let mut state = self.0.lock();
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let last = std::mem::replace(&mut state.totals, totals);
        let next = state.next;
        for (rate, (now, before)) in state.samples[next].iter_mut().zip(totals.iter().zip(last)) {
            *rate = now.saturating_sub(before) as f64 / seconds;
        }
        state.next = (next + 1) % SAMPLES;
    }

    /// Commands executed per second.
    pub fn operations(&self) -> f64 {
        self.average(0)
    }

    /// Bytes read from clients per second.
    pub fn input_bytes(&self) -> f64 {
        self.average(1)
    }

    /// Bytes written to clients per second.
    pub fn output_bytes(&self) -> f64 {
        self.average(2)
    }

    fn average(&self, which: usize) -> f64 {
        self.0.lock().samples.iter().map(|sample| sample[which]).sum::<f64>() / SAMPLES as f64
    }
}
