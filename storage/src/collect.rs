//! Collection of rows that nothing refers to: those of flushed databases.
//!
//! Compactions drop them one day. When they are many, a thread of its own compacts at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::core::Core;
use crate::error::Result;

/// Fewer dead keys than this are left to ordinary compactions.
const DEAD_KEYS_MIN: u64 = 100_000;

/// Compacts everything, a range of slots at a time, until done or told to stop.
pub(crate) fn collect(core: &Core, is_stopping: impl Fn() -> bool) -> Result<()> {
    core.dead_keys.store(0, Ordering::Relaxed);
    core.drain_and(|| core.rocks.flush())?;
    core.rocks.drop_dead_spaces()?;
    for part in 0..core.rocks.parts() {
        if is_stopping() {
            break;
        }
        core.rocks.compact(part);
    }
    Ok(())
}

/// Runs at most one collection in the background.
#[derive(Default)]
pub(crate) struct Collector {
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Begins a collection if it is worth while.
    pub fn collect_if_due(&mut self, core: &Arc<Core>) {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let dead = core.dead_keys.load(Ordering::Relaxed);
        let living: u64 = core.read().root.spaces.iter().map(|(_, space)| space.keys).sum();
        if dead < DEAD_KEYS_MIN || dead < living / 2 {
            return;
        }
        let (core, is_stopping) = (core.clone(), self.is_stopping.clone());
        let thread = std::thread::Builder::new().name("talus-collect".into()).spawn(move || {
            if let Err(error) = collect(&core, || is_stopping.load(Ordering::Relaxed)) {
                core.fail(&error);
            }
        });
        // Without a thread, ordinary compactions will do it.
        self.thread = thread.ok();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
