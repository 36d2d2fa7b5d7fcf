//! What came back, and after how long.

use std::fmt::Display;
use std::sync::Once;
use std::time::Instant;

/// What the replies to one pipeline were, or to many.
#[derive(Clone, Copy, Default)]
pub struct Answers {
    pub requests: u64,
    pub errors: u64,
    pub misses: u64,
}

impl Answers {
    /// Counts an error, and shows the first one.
    pub fn error(&mut self, what: impl Display) {
        static FIRST: Once = Once::new();
        FIRST.call_once(|| eprintln!("load: {what}"));
        self.errors += 1;
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.misses += other.misses;
    }
}

/// Everything since `begin`; of what was sent before, only errors.
pub struct Measured {
    begin: Instant,
    end: Instant,
    answers: Answers,
    latencies_us: Vec<u32>,
}

impl Measured {
    pub fn new(begin: Instant) -> Self {
        Self { begin, end: begin, answers: Answers::default(), latencies_us: Vec::new() }
    }

    pub fn count(&mut self, sent: Instant, answers: Answers) {
        if sent < self.begin {
            self.answers.errors += answers.errors;
            return;
        }
        self.end = Instant::now();
        self.answers.add(answers);
        self.latencies_us.push((self.end - sent).as_micros() as u32);
    }

    pub fn add(&mut self, other: Self) {
        self.end = self.end.max(other.end);
        self.answers.add(other.answers);
        self.latencies_us.extend(other.latencies_us);
    }

    /// Whether there were answers, and no error among them.
    pub fn is_clean(&self) -> bool {
        self.answers.requests > 0 && self.answers.errors == 0
    }

    pub fn print(&mut self) {
        self.latencies_us.sort_unstable();
        let Answers { requests, errors, misses } = self.answers;
        let seconds = (self.end - self.begin).as_secs_f64();
        let ops = if requests == 0 { 0.0 } else { requests as f64 / seconds };
        let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|part| self.quantile_us(part));
        println!("requests,errors,misses,seconds,ops,p50_us,p99_us,p999_us,max_us");
        println!("{requests},{errors},{misses},{seconds:.3},{ops:.0},{p50},{p99},{p999},{max}");
    }

    /// The latency that this part of all pipelines did not exceed.
    fn quantile_us(&self, part: f64) -> u32 {
        let rank = (self.latencies_us.len() as f64 * part).ceil() as usize;
        self.latencies_us.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}
