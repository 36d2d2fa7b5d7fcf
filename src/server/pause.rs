//! CLIENT PAUSE: requests wait, none is refused.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

use super::now;

/// Whether requests are held back.
#[derive(Default)]
pub struct Pause {
    /// Spares the lock while nothing is paused.
    active: AtomicBool,
    state: Mutex<Option<Until>>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Until {
    end: Instant,
    reads_too: bool,
}

impl Pause {
    /// Holds requests back for a while; a pause of both kinds is not weakened by a later one.
    pub fn begin(&self, duration: Duration, reads_too: bool) {
        let end = now() + duration;
        let mut state = self.state.lock();
        let running = state.filter(|u| u.end > now());
        *state = Some(Until {
            end: running.map_or(end, |u| u.end.max(end)),
            reads_too: reads_too || running.is_some_and(|u| u.reads_too),
        });
        self.active.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Lets requests pass again.
    pub fn end(&self) {
        *self.state.lock() = None;
        self.active.store(false, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether a request must wait.
    pub fn holds(&self, writes: bool) -> bool {
        self.active.load(Ordering::Acquire) && self.remaining(writes).is_some()
    }

    /// Waits until requests of this kind pass.
    pub async fn wait(&self, writes: bool) {
        loop {
            let changed = self.changed.notified();
            let Some(remaining) = self.remaining(writes) else { return };
            // Whether time is up or the pause has changed: look again.
            let _ = tokio::time::timeout(remaining, changed).await;
        }
    }

    fn remaining(&self, writes: bool) -> Option<Duration> {
        let until = (*self.state.lock())?;
        let left = until.end.checked_duration_since(now()).filter(|left| !left.is_zero())?;
        (writes || until.reads_too).then_some(left)
    }
}
