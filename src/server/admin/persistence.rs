//! SAVE, BGSAVE, LASTSAVE and SHUTDOWN.
//!
//! A write is on disk before it is answered, so nothing is lost by never saving. To save is to
//! take a snapshot: it shortens the log and what a restart or a new member has to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use resp::{Reply, ReplyError};

use super::time::unix_seconds;
use crate::commands::verbs::Shutdown;
use crate::server::{self, Server};

/// The snapshots that clients asked for.
#[derive(Debug)]
pub struct Saves {
    running: AtomicBool,
    failed: AtomicBool,
    count: AtomicU64,
    last_unix_s: AtomicU64,
    last_took_s: AtomicU64,
}

impl Default for Saves {
    /// As in Redis, the state read at the start counts as saved.
    fn default() -> Self {
        Self {
            running: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            count: AtomicU64::new(0),
            last_unix_s: AtomicU64::new(unix_seconds()),
            last_took_s: AtomicU64::new(u64::MAX),
        }
    }
}

impl Saves {
    /// Whether one is being taken.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether the last one failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many were taken.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// When the last one was taken, in seconds since 1970.
    pub fn last_unix_s(&self) -> u64 {
        self.last_unix_s.load(Ordering::Relaxed)
    }

    /// How long the last one took, if there was one.
    pub fn last_took_s(&self) -> Option<u64> {
        Some(self.last_took_s.load(Ordering::Relaxed)).filter(|took| *took != u64::MAX)
    }

    fn begin(&self) -> bool {
        !self.running.swap(true, Ordering::AcqRel)
    }

    fn end(&self, took: Duration, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
        self.last_took_s.store(took.as_secs(), Ordering::Relaxed);
        if !failed {
            self.last_unix_s.store(unix_seconds(), Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.running.store(false, Ordering::Release);
    }
}

/// LASTSAVE.
pub fn last_save(server: &Server) -> Reply {
    Reply::count(server.saves.last_unix_s())
}

/// SAVE.
pub async fn save(server: &Arc<Server>) -> Reply {
    if !server.saves.begin() {
        return Reply::Error(already_running());
    }
    take_snapshot(server).await.map(|()| Reply::OK).into()
}

/// BGSAVE.
pub fn background_save(server: &Arc<Server>) -> Reply {
    if !server.saves.begin() {
        return Reply::Error(already_running());
    }
    let server = Arc::clone(server);
    tokio::spawn(async move {
        if let Err(error) = take_snapshot(&server).await {
            tracing::warn!(%error, "BGSAVE took no snapshot");
        }
    });
    Reply::simple("Background saving started")
}

fn already_running() -> ReplyError {
    refusal("Background save already in progress")
}

/// Takes the snapshot that was begun, and always ends it: in a task of its own, because the
/// connection that asked may end first.
async fn take_snapshot(server: &Arc<Server>) -> Result<(), ReplyError> {
    let server = Arc::clone(server);
    let task = tokio::spawn(async move {
        let began = server::now();
        let consensus = server.replica.load().consensus.clone();
        let taken = consensus.snapshot(SNAPSHOT_TIME_MAX).await.map(drop);
        let taken = taken.map_err(|error| refusal(&error.to_string()));
        server.saves.end(began.elapsed(), taken.is_err());
        taken
    });
    task.await.unwrap_or_else(|_| Err(refusal("the snapshot was interrupted")))
}

/// Whoever asks is not kept longer; the snapshot goes on.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(3600);

fn refusal(text: &str) -> ReplyError {
    ReplyError::Raw(format!("ERR {text}"))
}

/// SHUTDOWN. Redis never answers it unless it fails; clients wait for the connection to close.
pub async fn shut_down(server: &Arc<Server>, how: Shutdown) -> Reply {
    if how.abort {
        return Reply::Error(refusal("No shutdown in progress."));
    }
    match try_shut_down(server, how).await {
        Ok(()) => tokio::time::sleep(SHUTDOWN_TIME_MAX).await,
        Err(error) => tracing::error!(%error, "cannot shut down"),
    }
    Reply::Error(refusal("Errors trying to SHUTDOWN. Check logs."))
}

/// The process has ended long before this.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(60);

async fn try_shut_down(server: &Arc<Server>, how: Shutdown) -> Result<(), ReplyError> {
    if how.save == Some(true) && server.saves.begin() {
        // Whatever goes wrong with a snapshot, no write is lost; FORCE asks to go on.
        take_snapshot(server).await.or_else(|error| if how.force { Ok(()) } else { Err(error) })?;
    }
    server.control.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_save_at_a_time() {
        let saves = Saves::default();
        assert_eq!((saves.count(), saves.last_took_s()), (0, None));
        assert!(saves.begin() && !saves.begin() && saves.is_running());
        saves.end(Duration::from_secs(3), true);
        assert!(saves.has_failed() && saves.count() == 0 && saves.begin());
        saves.end(Duration::from_secs(2), false);
        assert_eq!((saves.has_failed(), saves.count(), saves.last_took_s()), (false, 1, Some(2)));
    }
}
