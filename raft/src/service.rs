//! Consensus traffic from the other members, the answering side.
//!
//! Every message says which cluster, shard and node it is meant for, and is refused if that is
//! not here: an address that was given to another node must not let one cluster talk into
//! another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::future::ready;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, VoteRequest,
};
use parking_lot::{Mutex, RwLock};
use proto::node::v1 as wire;
use proto::node::v1::append_reply::Outcome;
use proto::node::v1::consensus_server::{self, ConsensusServer};
use proto::node::v1::read_index_reply;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::consensus::Consensus;
use crate::convert::{
    Malformed, entry_in, log_id_out, required_vote, some_log_id_in, some_log_id_out, vote_out,
};
use crate::machine::StateMachine;
use crate::read::RemoteAnswer;
use crate::snapshot::Manifest;
use crate::stage::Stage;
use crate::types::{Entry, LogId, ShardId, Types, Vote};

/// Chunks of a snapshot between the network and the disk.
const CHUNKS_MAX: usize = 4;

/// The shards of this node, for the other nodes.
pub struct ConsensusService<S: StateMachine> {
    shards: Arc<RwLock<BTreeMap<ShardId, Consensus<S>>>>,
}

impl<S: StateMachine> Clone for ConsensusService<S> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards) }
    }
}

impl<S: StateMachine> Default for ConsensusService<S> {
    fn default() -> Self {
        Self { shards: Arc::default() }
    }
}

impl<S: StateMachine> ConsensusService<S> {
    /// Starts to answer for a shard.
    pub fn register(&self, consensus: Consensus<S>) {
        self.shards.write().insert(consensus.shard(), consensus);
    }

    /// Stops to answer for a shard.
    pub fn unregister(&self, shard: ShardId) {
        self.shards.write().remove(&shard);
    }

    /// The gRPC service, with messages limited to `message_bytes_max`.
    pub fn server(&self, message_bytes_max: usize) -> ConsensusServer<Self> {
        ConsensusServer::new(self.clone())
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max)
    }

    fn shard(&self, route: &Option<wire::Route>) -> Result<Consensus<S>, Status> {
        let route = route.as_ref().ok_or_else(|| Status::invalid_argument("no route"))?;
        let shard = ShardId(route.shard);
        let consensus = self.shards.read().get(&shard).cloned();
        let unknown = || Status::not_found(format!("shard {shard} is not on this node"));
        let consensus = consensus.ok_or_else(unknown)?;
        consensus.check_route(route).map_err(Status::failed_precondition)?;
        Ok(consensus)
    }
}

#[tonic::async_trait]
impl<S: StateMachine> consensus_server::Consensus for ConsensusService<S> {
    type AppendStream = BoxStream<'static, Result<wire::AppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // Answered at once: the caller waits for the headers before it has anything to send.
        let (service, mut requests) = (self.clone(), request.into_inner());
        let replies = stream::once(async move {
            let opened = match requests.message().await {
                Ok(Some(first)) => service.append_stream(first, requests),
                Ok(None) => Ok(stream::empty().boxed()),
                Err(status) => Err(status),
            };
            opened.unwrap_or_else(|status| stream::iter([Err(status)]).boxed())
        });
        Ok(Response::new(replies.flatten().boxed()))
    }

    async fn append_once(
        &self,
        request: Request<wire::AppendRequest>,
    ) -> Result<Response<wire::AppendReply>, Status> {
        let consensus = self.shard(&request.get_ref().route)?;
        let request = append_in::<S>(request.into_inner()).map_err(malformed)?;
        let last = last_of(&request);
        let previous = request.prev_log_id;
        consensus.heard_from_leader();
        let reply = consensus.raft().append_entries(request).await.map_err(stopped)?;
        let outcome = match reply {
            AppendEntriesResponse::Success => matched(last),
            AppendEntriesResponse::PartialSuccess(upto) => matched(upto),
            AppendEntriesResponse::Conflict => {
                let previous = previous.ok_or_else(|| Status::internal("conflict with nothing"))?;
                Outcome::Conflict(log_id_out(&previous))
            }
            AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(vote_out(&vote)),
        };
        Ok(Response::new(wire::AppendReply { outcome: Some(outcome) }))
    }

    async fn vote(
        &self,
        request: Request<wire::VoteRequest>,
    ) -> Result<Response<wire::VoteReply>, Status> {
        let message = request.into_inner();
        let consensus = self.shard(&message.route)?;
        let vote = required_vote(&message.vote).map_err(malformed)?;
        let mut request = VoteRequest::new(vote, some_log_id_in(&message.last_log_id));
        request.leadership_transfer = message.transfer;
        let raft = consensus.raft();
        let reply = match message.pre_vote {
            true => raft.pre_vote(request).await,
            false => raft.vote(request).await,
        };
        let reply = reply.map_err(stopped)?;
        Ok(Response::new(wire::VoteReply {
            vote: Some(vote_out(&reply.vote)),
            granted: reply.vote_granted,
            last_log_id: some_log_id_out(&reply.last_log_id),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferRequest>,
    ) -> Result<Response<wire::TransferReply>, Status> {
        let message = request.into_inner();
        let consensus = self.shard(&message.route)?;
        let from = required_vote(&message.from).map_err(malformed)?;
        let last = some_log_id_in(&message.last_log_id);
        let request = TransferLeaderRequest::new(from, message.to, last);
        let answer = consensus.raft().handle_transfer_leader(request).await.map_err(stopped)?;
        let refused = answer.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(wire::TransferReply { refused }))
    }

    async fn offer_snapshot(
        &self,
        request: Request<wire::SnapshotOffer>,
    ) -> Result<Response<wire::SnapshotWants>, Status> {
        let message = request.into_inner();
        let consensus = self.shard(&message.route)?;
        let vote = required_vote(&message.vote).map_err(malformed)?;
        let manifest = message.manifest.ok_or_else(|| malformed(Malformed("no manifest")))?;
        let manifest = Manifest::from_wire(manifest).map_err(malformed)?;
        let receiver = consensus.receiver();
        let offered = crate::beside::blocking(move || receiver.offer(vote, manifest)).await;
        Ok(Response::new(match offered {
            Ok((transfer, files)) => wire::SnapshotWants { transfer, files, ..Default::default() },
            Err(error) => wire::SnapshotWants { refused: error.to_string(), ..Default::default() },
        }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotChunk>>,
    ) -> Result<Response<wire::SnapshotReply>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.ok_or_else(|| malformed(Malformed("no chunk")))?;
        let consensus = self.shard(&first.route)?;
        let reply = match receive(&consensus, first, chunks).await {
            Ok(vote) => wire::SnapshotReply { vote: Some(vote_out(&vote)), ..Default::default() },
            Err(error) => {
                tracing::warn!(%error, "snapshot not received");
                wire::SnapshotReply { refused: error.to_string(), ..Default::default() }
            }
        };
        Ok(Response::new(reply))
    }

    async fn read_index(
        &self,
        request: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexReply>, Status> {
        let consensus = self.shard(&request.into_inner().route)?;
        let outcome = match consensus.barrier().ask_as_remote().await {
            Ok(RemoteAnswer::Index(index)) => read_index_reply::Outcome::Index(index),
            Ok(RemoteAnswer::NotLeader(leader)) => {
                read_index_reply::Outcome::Leader(leader.unwrap_or_default())
            }
            Err(error) => read_index_reply::Outcome::Unavailable(error.to_string()),
        };
        Ok(Response::new(wire::ReadIndexReply { outcome: Some(outcome) }))
    }
}

impl<S: StateMachine> ConsensusService<S> {
    /// Feeds a stream of appends to its shard. A message for somebody else ends the stream.
    fn append_stream(
        &self,
        first: wire::AppendRequest,
        rest: Streaming<wire::AppendRequest>,
    ) -> Result<BoxStream<'static, Result<wire::AppendReply, Status>>, Status> {
        let consensus = self.shard(&first.route)?;
        let refused = Arc::new(Mutex::new(None));
        let requests = accepted(consensus.clone(), first, rest, Arc::clone(&refused));
        let results = consensus.raft().stream_append(requests);
        let replies = results.map(|result| match result {
            Ok(result) => Ok(append_out::<S>(result)),
            Err(fatal) => Err(stopped(fatal)),
        });
        let refusal = stream::iter([()]).filter_map(move |()| {
            let refused = refused.lock().take();
            async move { refused.map(Err) }
        });
        Ok(replies.chain(refusal).boxed())
    }
}

/// The appends of a stream up to the first that is not for this shard and node.
fn accepted<S: StateMachine>(
    consensus: Consensus<S>,
    first: wire::AppendRequest,
    rest: Streaming<wire::AppendRequest>,
    refused: Arc<Mutex<Option<Status>>>,
) -> impl Stream<Item = AppendEntriesRequest<Types<S>>> + Send + 'static {
    let messages = stream::once(ready(Ok(first))).chain(rest);
    messages.scan((), move |(), message| {
        let accepted = message.and_then(|message| {
            let route = message.route.as_ref();
            let route = route.ok_or_else(|| Status::invalid_argument("no route"))?;
            consensus.check_route(route).map_err(Status::failed_precondition)?;
            append_in::<S>(message).map_err(malformed)
        });
        ready(match accepted {
            Ok(request) => {
                consensus.heard_from_leader();
                Some(request)
            }
            Err(status) => {
                *refused.lock() = Some(status);
                None
            }
        })
    })
}

/// Takes a snapshot off the network and hands it to consensus.
async fn receive<S: StateMachine>(
    consensus: &Consensus<S>,
    first: wire::SnapshotChunk,
    mut rest: Streaming<wire::SnapshotChunk>,
) -> std::io::Result<crate::types::Vote> {
    let transfer = consensus.receiver().begin(first.transfer)?;
    let (vote, begun) = (transfer.vote(), Instant::now());
    let (chunks, queue) = mpsc::channel(CHUNKS_MAX);
    let taken = crate::beside::spawn(transfer.take(queue));
    let idle = consensus.options().idle_timeout;
    let forwarded = async {
        let mut next = Some(first);
        while let Some(chunk) = next {
            if chunks.send(chunk).await.is_err() {
                // The disk side ended; it says why.
                break;
            }
            let message = tokio::time::timeout(idle, rest.message()).await;
            next = message
                .map_err(|_| std::io::Error::other("the sender made no progress"))?
                .map_err(std::io::Error::other)?;
        }
        Ok::<(), std::io::Error>(())
    };
    let forwarded = forwarded.await;
    drop(chunks);
    let taken = taken.await.map_err(std::io::Error::other)?;
    forwarded?;
    let dir = taken?;
    let snapshot = openraft::Snapshot { meta: dir.meta().clone(), snapshot: dir };
    let installed = consensus.raft().install_full_snapshot(vote, snapshot).await;
    let installed = installed.map_err(|fatal| std::io::Error::other(fatal.to_string()))?;
    consensus.on_stage(Stage::SnapshotReceived, begun.elapsed());
    Ok(installed.vote)
}

fn append_in<S: StateMachine>(
    message: wire::AppendRequest,
) -> Result<AppendEntriesRequest<Types<S>>, Malformed> {
    let vote = required_vote(&message.vote)?;
    let prev_log_id = some_log_id_in(&message.previous);
    let entries = message.entries.into_iter().map(entry_in).collect::<Result<Vec<_>, _>>()?;
    check_origin(&vote, prev_log_id, &entries)?;
    let leader_commit = some_log_id_in(&message.committed);
    Ok(AppendEntriesRequest { vote, prev_log_id, leader_commit, entries })
}

/// Refuses entries that the leader of this vote cannot have had behind each other. A stream may
/// outlive its leadership by a moment, and read from a log that the next leader rewrites already:
/// taken for true, such an append would break log matching.
fn check_origin(vote: &Vote, previous: Option<LogId>, entries: &[Entry]) -> Result<(), Malformed> {
    let mut last = previous;
    for Entry { log_id, .. } in entries {
        let follows = |before: LogId| {
            before.index + 1 == log_id.index && before.leader_id <= log_id.leader_id
        };
        if !last.is_none_or(follows) {
            return Err(Malformed("entries that do not follow each other"));
        }
        last = Some(*log_id);
    }
    match last.is_none_or(|last| last.leader_id <= vote.leader_id) {
        true => Ok(()),
        false => Err(Malformed("entries of a later leader than the one who sent them")),
    }
}

fn last_of<S: StateMachine>(request: &AppendEntriesRequest<Types<S>>) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
}

fn append_out<S: StateMachine>(result: StreamAppendResult<Types<S>>) -> wire::AppendReply {
    let outcome = match result {
        Ok(upto) => matched(upto),
        Err(StreamAppendError::Conflict(id)) => Outcome::Conflict(log_id_out(&id)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_out(&vote)),
    };
    wire::AppendReply { outcome: Some(outcome) }
}

fn matched(upto: Option<LogId>) -> Outcome {
    Outcome::Matched(wire::Matched { log_id: some_log_id_out(&upto) })
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LeaderId, Payload};

    fn id(term: u64, index: u64) -> LogId {
        LogId { leader_id: LeaderId { term, node_id: 1 }, index }
    }

    fn check(previous: Option<LogId>, ids: &[LogId]) -> Result<(), Malformed> {
        let entry = |id: &LogId| Entry { log_id: *id, payload: Payload::Blank };
        let entries: Vec<Entry> = ids.iter().map(entry).collect();
        check_origin(&Vote::new_committed(5, 1), previous, &entries)
    }

    #[test]
    fn entries_of_one_log_are_taken() {
        assert_eq!(check(None, &[id(0, 0), id(1, 1)]), Ok(()));
        assert_eq!(check(Some(id(3, 7)), &[id(3, 8), id(5, 9)]), Ok(()));
        assert_eq!(check(Some(id(3, 7)), &[]), Ok(()));
    }

    #[test]
    fn entries_of_two_logs_are_refused() {
        for (previous, ids) in [
            // The next leader's entry behind one of this leader.
            (id(5, 7), vec![id(6, 8)]),
            // What the next leader brought from an earlier one.
            (id(5, 7), vec![id(4, 8)]),
            (id(3, 7), vec![id(5, 8), id(4, 9)]),
            (id(3, 7), vec![id(3, 9)]),
            (id(6, 7), vec![]),
        ] {
            assert!(check(Some(previous), &ids).is_err(), "{previous:?} {ids:?}");
        }
    }
}
