//! When a checker gives up.

use std::time::{Duration, Instant};

/// A moment, or never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `patience` from now; what the clock cannot count is never.
    pub(crate) fn after(patience: Duration) -> Self {
        Self(Instant::now().checked_add(patience))
    }

    pub(crate) fn passed(self) -> bool {
        self.0.is_some_and(|moment| Instant::now() >= moment)
    }

    /// The nearer deadline of whoever goes first of `sharers`: nobody can take all the time.
    pub(crate) fn share(self, sharers: usize) -> Self {
        let part = |moment: Instant| {
            let left = moment.saturating_duration_since(Instant::now());
            Instant::now() + left / u32::try_from(sharers.max(1)).unwrap_or(u32::MAX)
        };
        Self(self.0.map(part))
    }
}
