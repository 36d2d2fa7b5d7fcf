//! The stream from a follower's outbox to the leader's packer.
//!
//! A batch waits in it until the connection asks for the next one; only then does it leave, and
//! only if the outbox still wants it to. So a batch that never left is known not to be proposed.

use std::sync::Weak;

use bytes::Bytes;
use futures::future::ready;
use futures::stream::{Stream, StreamExt};
use proto::node::v1::cluster_client::ClusterClient;
use proto::node::v1::{ForwardReply, ForwardRequest, Route, forward_reply};
use resp::ReplyError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

use super::Inner;
use super::outbox::Verdict;

/// An open stream to one leader. Dropping it closes the stream.
pub struct Link {
    epoch: u64,
    /// Unbounded in type only: the outbox keeps few batches in flight.
    batches: mpsc::UnboundedSender<(u64, Bytes)>,
}

impl Link {
    /// Opens a stream; what is sent before it stands waits in it.
    pub fn open(
        runtime: &Handle,
        channel: Channel,
        route: Route,
        epoch: u64,
        router: Weak<Inner>,
    ) -> Self {
        let (batches, waiting) = mpsc::unbounded_channel();
        let outgoing = departures(UnboundedReceiverStream::new(waiting), route, epoch, &router);
        runtime.spawn(run(channel, outgoing, epoch, router));
        Self { epoch, batches }
    }

    /// The route's number for which it was opened.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sends a batch; a broken stream reports itself to the router.
    pub fn send(&self, sequence: u64, batch: Bytes) {
        let _ = self.batches.send((sequence, batch));
    }
}

/// The batches as the connection takes them.
fn departures(
    waiting: impl Stream<Item = (u64, Bytes)> + Send + 'static,
    route: Route,
    epoch: u64,
    router: &Weak<Inner>,
) -> impl Stream<Item = ForwardRequest> + Send + 'static {
    let router = Weak::clone(router);
    waiting.filter_map(move |(sequence, batch)| {
        let departs = router.upgrade().is_some_and(|router| router.depart(sequence, epoch));
        let request = ForwardRequest { route: Some(route.clone()), batch };
        ready(departs.then_some(request))
    })
}

async fn run(
    channel: Channel,
    outgoing: impl Stream<Item = ForwardRequest> + Send + 'static,
    epoch: u64,
    router: Weak<Inner>,
) {
    if let Err(status) = relay(channel, outgoing, epoch, &router).await {
        tracing::debug!(%status, "the stream to the leader broke");
    }
    if let Some(router) = router.upgrade() {
        router.link_lost(epoch);
    }
}

async fn relay(
    channel: Channel,
    outgoing: impl Stream<Item = ForwardRequest> + Send + 'static,
    epoch: u64,
    router: &Weak<Inner>,
) -> Result<(), tonic::Status> {
    let mut client = ClusterClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let mut replies = client.forward(outgoing).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        let Some(router) = router.upgrade() else { return Ok(()) };
        let sequence = reply.sequence;
        router.complete(sequence, epoch, verdict_of(reply));
    }
    Ok(())
}

fn verdict_of(reply: ForwardReply) -> Verdict {
    use forward_reply::Outcome;
    match reply.outcome {
        Some(Outcome::Replies(replies)) => decode(&replies),
        Some(Outcome::NotLeader(_)) => Verdict::NotLeader,
        Some(Outcome::Refused(text)) => Verdict::Refused(ReplyError::Raw(text)),
        Some(Outcome::Gap(_)) => Verdict::Gap,
        Some(Outcome::Forgotten(_)) => Verdict::Forgotten,
        Some(Outcome::Unknown(_)) | None => Verdict::Unknown,
    }
}

fn decode(replies: &Bytes) -> Verdict {
    match resp::decode_replies(replies) {
        Ok(replies) => Verdict::Replies(replies),
        Err(_) => Verdict::Forgotten,
    }
}
