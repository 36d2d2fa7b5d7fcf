//! What may be asked of a running node as a whole: follow another, leave, stop.

use std::io;
use std::sync::Arc;

use resp::ReplyError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::parts::Parts;
use crate::server::Server;

/// A handle with which connections ask for it. Requests are carried out one after the other.
#[derive(Clone)]
pub struct Control {
    requests: mpsc::Sender<Request>,
}

type Answer = oneshot::Sender<Result<(), ReplyError>>;

/// What was asked.
pub(super) enum Request {
    ReplicaOf(String, u16, Answer),
    Detach(Answer),
    Shutdown,
}

impl Control {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(16);
        (Self { requests }, receiver)
    }

    /// Makes this node, which must be empty, a learner of another cluster.
    ///
    /// # Errors
    /// Why it stays what it is.
    pub async fn replica_of(&self, host: String, port: u16) -> Result<(), ReplyError> {
        self.ask(|answer| Request::ReplicaOf(host, port, answer)).await
    }

    /// Leaves the cluster and keeps the data.
    ///
    /// # Errors
    /// Why it stays what it is.
    pub async fn detach(&self) -> Result<(), ReplyError> {
        self.ask(Request::Detach).await
    }

    /// Stops the node in good order.
    ///
    /// # Errors
    /// When it is stopping already.
    pub async fn shutdown(&self) -> Result<(), ReplyError> {
        self.requests.send(Request::Shutdown).await.map_err(|_| stopping())
    }

    async fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Result<(), ReplyError> {
        let (answer, outcome) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| stopping())?;
        outcome.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn stopping() -> ReplyError {
    ReplyError::Raw("ERR this node is stopping".into())
}

fn say(reason: &str) {
    tracing::info!(
        "{reason}: handing leadership over if there is whom to, then closing log and data"
    );
}

/// The signals that ask a node to stop in good order. Until they are listened to, they end it.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Carries requests out until the node is to stop.
pub(super) async fn run(
    server: &Arc<Server>,
    parts: &Parts,
    mut requests: mpsc::Receiver<Request>,
    signals: Signals,
) {
    let Signals { mut terminate, mut interrupt } = signals;
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            _ = terminate.recv() => return say("SIGTERM"),
            _ = interrupt.recv() => return say("SIGINT"),
        };
        match request {
            None | Some(Request::Shutdown) => return say("SHUTDOWN"),
            Some(Request::ReplicaOf(host, port, answer)) => {
                let _ = answer.send(parts.follow(server, &host, port).await);
            }
            Some(Request::Detach(answer)) => {
                let _ = answer.send(parts.detach(server).await);
            }
        }
    }
}
