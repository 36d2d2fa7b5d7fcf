//! What all clients together may hold in memory: requests that are arriving, queues of MULTI,
//! replies that wait to be taken.
//!
//! One account for all of it. A connection charges what it holds beyond `FREE_BYTES`; so clients
//! with ordinary requests are never held up by those with large ones. Who wants more than there is
//! waits in turn, for a while.
//!
//! Invariants
//! * What is charged is given back when a connection ends, however it ends.
//! * When nobody holds anything, anything has room: nothing is too large for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::limits::FREE_BYTES;
use crate::config::Live;

/// How long a connection waits for room before it is told so.
const PATIENCE: Duration = Duration::from_secs(5);

/// The account.
pub struct Budget {
    config: Live,
    used: AtomicUsize,
    /// Who waits first is served first: large requests are not starved by smaller ones.
    queue: tokio::sync::Mutex<()>,
    freed: Notify,
}

impl Budget {
    /// An account within `limits.clients_bytes_max`.
    pub fn new(config: Live) -> Arc<Self> {
        let (queue, freed) = (tokio::sync::Mutex::default(), Notify::new());
        Arc::new(Self { config, used: AtomicUsize::new(0), queue, freed })
    }

    /// Bytes charged.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), charged: 0 }
    }

    /// Charges `more`, if there is room.
    fn try_charge(&self, more: usize) -> bool {
        let limit = self.config.now().limits.clients_bytes_max.as_usize();
        let charge = |used: usize| {
            let fits = used.saturating_add(more) <= limit || used == 0;
            fits.then(|| used.saturating_add(more))
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge).is_ok()
    }
}

/// What one connection is charged.
pub struct Share {
    budget: Arc<Budget>,
    charged: usize,
}

impl Share {
    /// Takes note of what is held, whether or not there is room.
    pub fn set(&mut self, held: usize) {
        let charge = held.saturating_sub(FREE_BYTES);
        if charge > self.charged {
            self.budget.used.fetch_add(charge - self.charged, Ordering::Relaxed);
        } else if charge < self.charged {
            self.budget.used.fetch_sub(self.charged - charge, Ordering::Relaxed);
            self.budget.freed.notify_waiters();
        }
        self.charged = charge;
    }

    /// Whether there is room to hold so much; then it is charged.
    pub fn try_set(&mut self, held: usize) -> bool {
        let charge = held.saturating_sub(FREE_BYTES);
        if charge <= self.charged {
            self.set(held);
            return true;
        }
        let fits = self.budget.try_charge(charge - self.charged);
        if fits {
            self.charged = charge;
        }
        fits
    }

    /// As [`Share::try_set`], but waits its turn, for a while.
    pub async fn wait_for(&mut self, held: usize) -> bool {
        let budget = Arc::clone(&self.budget);
        let turn = async {
            let _turn = budget.queue.lock().await;
            loop {
                let freed = budget.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if self.try_set(held) {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(PATIENCE, turn).await.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    const MB: usize = 1 << 20;

    fn budget(limit: usize) -> Arc<Budget> {
        let mut loaded = Loaded::default();
        loaded.config.limits.clients_bytes_max.0 = limit as u64;
        Budget::new(Live::new(loaded))
    }

    #[test]
    fn what_is_charged_is_given_back() {
        let budget = budget(10 * MB);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.try_set(6 * MB) && !other.try_set(6 * MB) && other.try_set(4 * MB));
        assert!(one.try_set(2 * MB) && other.try_set(6 * MB));
        one.set(30 * MB);
        assert!(budget.used() > 30 * MB && !other.try_set(7 * MB), "an overdraft is one");
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_ordinary_is_free_and_one_alone_may_exceed() {
        let budget = budget(MB);
        let (mut large, mut small) = (budget.share(), budget.share());
        assert!(large.try_set(8 * MB) && !large.try_set(9 * MB));
        assert!(small.try_set(FREE_BYTES) && !small.try_set(FREE_BYTES + 1));
    }

    #[tokio::test]
    async fn who_waits_is_served_when_there_is_room() {
        let budget = budget(10 * MB);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.try_set(8 * MB));
        let moment = Duration::from_millis(20);
        let early = tokio::time::timeout(moment, other.wait_for(8 * MB)).await;
        assert!(early.is_err(), "there is no room");
        let waiting = tokio::spawn(async move { other.wait_for(8 * MB).await });
        tokio::task::yield_now().await;
        drop(one);
        assert!(waiting.await.expect("it ends"));
    }
}
