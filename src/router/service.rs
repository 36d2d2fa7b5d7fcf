//! The leader's end of the streams from other nodes' outboxes.

use std::pin::Pin;

use prost::Message;
use proto::log::v1::Origin;
use proto::node::v1::{ForwardReply, ForwardRequest, Route};
use raft::NodeId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::packer::{Done, Packer};

/// Answers of a forward stream.
pub type ForwardStream = Pin<Box<dyn Stream<Item = Result<ForwardReply, Status>> + Send>>;

/// Feeds forwarded batches to the packer and streams what becomes of them.
pub fn serve(
    packer: Packer,
    cluster: bytes::Bytes,
    node: NodeId,
    mut batches: Streaming<ForwardRequest>,
) -> ForwardStream {
    let (answers, replies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // The end of the stream or its breaking: the sender sees to what is unanswered.
        while let Ok(Some(request)) = batches.message().await {
            let Some(sequence) = check(&request, &cluster, node) else { return };
            let done = Done::Remote { sequence, answers: answers.clone() };
            packer.push(request.batch, crate::server::now(), done);
        }
    });
    Box::pin(UnboundedReceiverStream::new(replies).map(Ok))
}

/// What names a `talus.log.v1.Batch`; its commands are skipped, not decoded.
#[derive(Message)]
struct Head {
    #[prost(message, optional, tag = "1")]
    origin: Option<Origin>,
}

/// The number of a batch that is meant for this node; none when it is not.
fn check(request: &ForwardRequest, cluster: &[u8], node: NodeId) -> Option<u64> {
    let Route { cluster: theirs, target, .. } = request.route.as_ref()?;
    if theirs != cluster || *target != node {
        return None;
    }
    Head::decode(request.batch.clone()).ok()?.origin.map(|origin| origin.sequence)
}
