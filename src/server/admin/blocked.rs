//! Connections that wait for something, and how CLIENT UNBLOCK ends their wait.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use resp::ReplyError;
use tokio::sync::oneshot;

/// How a wait is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time had run out.
    TimeOut,
    /// With an error.
    Error,
}

/// The connections of a node that wait.
#[derive(Default)]
pub struct Blocked {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Unblock>>>,
}

impl Blocked {
    /// Connection `client` begins to wait. A connection waits for one thing at a time.
    pub fn enter(&self, client: u64) -> Waiting<'_> {
        let (end, ended) = oneshot::channel();
        self.waiting.lock().insert(client, end);
        Waiting { blocked: self, client, ended }
    }

    /// Ends a wait. False if that connection does not wait.
    pub fn end(&self, client: u64, how: Unblock) -> bool {
        let waiting = self.waiting.lock().remove(&client);
        waiting.is_some_and(|end| end.send(how).is_ok())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A wait; it ends when this is dropped.
pub struct Waiting<'a> {
    blocked: &'a Blocked,
    client: u64,
    ended: oneshot::Receiver<Unblock>,
}

impl Waiting<'_> {
    /// Returns when the wait is ended from outside.
    pub async fn ended(&mut self) -> Unblock {
        // The sender is only dropped unsent by a second wait of the same connection.
        (&mut self.ended).await.unwrap_or(Unblock::TimeOut)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.blocked.waiting.lock().remove(&self.client);
    }
}

/// What a client is told whose wait was ended with an error.
pub fn unblocked() -> ReplyError {
    ReplyError::Raw("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())
}

/// What a client is told whose wait makes no sense any more.
pub fn lost_leadership() -> ReplyError {
    ReplyError::Raw(
        "UNBLOCKED force unblock from blocking operation, instance state changed \
         (master -> replica?)"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_end_once() {
        let blocked = Blocked::default();
        assert!(!blocked.end(7, Unblock::TimeOut));
        let mut waiting = blocked.enter(7);
        assert_eq!(blocked.len(), 1);
        assert!(blocked.end(7, Unblock::Error));
        assert!(!blocked.end(7, Unblock::Error));
        assert_eq!(waiting.ended().await, Unblock::Error);
        drop(waiting);
        drop(blocked.enter(7));
        assert!(blocked.is_empty());
    }
}
