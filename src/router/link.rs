//! The stream from a follower's outbox to the leader's packer.

use std::sync::Weak;

use bytes::Bytes;
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
    route: Route,
    /// Unbounded in type only: the outbox keeps few batches in flight.
    batches: mpsc::UnboundedSender<ForwardRequest>,
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
        let (batches, outgoing) = mpsc::unbounded_channel();
        runtime.spawn(run(channel, outgoing, epoch, router));
        Self { epoch, route, batches }
    }

    /// The route's number for which it was opened.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sends a batch; a broken stream reports itself to the router.
    pub fn send(&self, batch: Bytes) {
        let _ = self.batches.send(ForwardRequest { route: Some(self.route.clone()), batch });
    }
}

async fn run(
    channel: Channel,
    outgoing: mpsc::UnboundedReceiver<ForwardRequest>,
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
    outgoing: mpsc::UnboundedReceiver<ForwardRequest>,
    epoch: u64,
    router: &Weak<Inner>,
) -> Result<(), tonic::Status> {
    let mut client = ClusterClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let mut replies = client.forward(UnboundedReceiverStream::new(outgoing)).await?.into_inner();
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
