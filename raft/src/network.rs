//! Consensus traffic to the other members, the calling side.
//!
//! Replication uses one stream with appends in flight; heartbeats are single calls on another
//! connection, so that neither waits for the other. Errors tell openraft what to do next: a node
//! that cannot be reached or refuses is left alone for a while, anything else is tried again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{
    RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential,
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use proto::node::v1 as wire;
use proto::node::v1::consensus_client::ConsensusClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::convert::{
    entry_out, log_id_in, required_vote, some_log_id_in, some_log_id_out, vote_in, vote_out,
};
use crate::machine::StateMachine;
use crate::options::Options;
use crate::peers::{Peers, Purpose};
use crate::snapshot::SnapshotDir;
use crate::snapshot::send::{self, SendError};
use crate::stage::{OnStage, Stage};
use crate::types::{ClusterId, LeaderId, LogId, Node, NodeId, ShardId, Types, Vote};

type Snapshot = openraft::Snapshot<LeaderId, NodeId, Node, SnapshotDir>;

/// Who speaks for which shard.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub cluster: ClusterId,
    pub shard: ShardId,
    pub node: NodeId,
}

impl Sender {
    pub fn route(&self, target: NodeId) -> wire::Route {
        let cluster = bytes::Bytes::copy_from_slice(&self.cluster.0);
        wire::Route { cluster, shard: self.shard.0, target, source: self.node }
    }
}

/// Makes clients to the members of one shard.
pub(crate) struct Network {
    pub sender: Sender,
    pub peers: Peers,
    pub options: Arc<Options>,
    pub on_stage: OnStage,
}

impl Network {
    fn client(&self, target: NodeId, node: &Node, purpose: Purpose) -> Client {
        Client {
            sender: self.sender.clone(),
            target,
            purpose,
            address: node.rpc.clone(),
            client: self.peers.consensus(node, purpose).ok(),
            options: Arc::clone(&self.options),
            on_stage: Arc::clone(&self.on_stage),
        }
    }
}

impl<S: StateMachine> RaftNetworkFactory<Types<S>> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(target, node, Purpose::Append)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(target, node, Purpose::Control)
    }

    async fn new_snapshot_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(target, node, Purpose::Snapshot)
    }
}

/// One member, for one purpose.
pub(crate) struct Client {
    sender: Sender,
    target: NodeId,
    purpose: Purpose,
    address: String,
    /// Absent if the member's address is none.
    client: Option<ConsensusClient<Channel>>,
    options: Arc<Options>,
    on_stage: OnStage,
}

impl Client {
    fn connected<S: StateMachine>(&self) -> Result<ConsensusClient<Channel>, RPCError<Types<S>>> {
        let bad = || unreachable::<S>(&format!("not an address: {:?}", self.address));
        self.client.clone().ok_or_else(bad)
    }

    fn route(&self) -> Option<wire::Route> {
        Some(self.sender.route(self.target))
    }

    /// One call, within the time openraft gives it.
    async fn call<S: StateMachine, T>(
        &self,
        action: RPCTypes,
        limit: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, RPCError<Types<S>>> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(failed::<S>(&status)),
            Err(_) => {
                let (id, target) = (self.sender.node, self.target);
                Err(RPCError::Timeout(Timeout { action, id, target, timeout: limit }))
            }
        }
    }

    async fn ask_vote<S: StateMachine>(
        &self,
        request: VoteRequest<Types<S>>,
        pre_vote: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<S>>, RPCError<Types<S>>> {
        let message = wire::VoteRequest {
            route: self.route(),
            vote: Some(vote_out(&request.vote)),
            last_log_id: some_log_id_out(&request.last_log_id),
            pre_vote,
            transfer: request.leadership_transfer,
        };
        let mut client = self.connected::<S>()?;
        let reply = self.call::<S, _>(RPCTypes::Vote, option.hard_ttl(), client.vote(message));
        let reply = reply.await?;
        let vote = required_vote(&reply.vote).map_err(|error| unreachable::<S>(&error))?;
        Ok(VoteResponse::new(vote, some_log_id_in(&reply.last_log_id), reply.granted))
    }

    /// A stream of appends, answered in order.
    async fn stream<S: StateMachine>(
        &self,
        input: impl Stream<Item = AppendEntriesRequest<Types<S>>> + Send + Unpin + 'static,
    ) -> Result<Answers<S>, RPCError<Types<S>>> {
        let route = self.sender.route(self.target);
        // openraft pauses after a failure where it makes the next request: before one is asked for,
        // a member that cannot be reached would be tried without a pause.
        let mut input = input.peekable();
        std::pin::Pin::new(&mut input).peek().await;
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let requests = input.map(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            append_out(route.clone(), &request)
        });
        let mut client = self.connected::<S>()?;
        let call = client.append(requests);
        let patience = self.options.idle_timeout;
        let replies = self.call::<S, _>(RPCTypes::AppendEntries, patience, call).await?;
        Ok(answers::<S>(replies, sent, patience, Arc::clone(&self.on_stage)))
    }
}

type Answers<S> = BoxStream<'static, Result<StreamAppendResult<Types<S>>, RPCError<Types<S>>>>;

/// Replies as openraft wants them. The stream ends with an error if an append is not answered for
/// too long; while there is nothing to answer, it waits as long as it takes.
fn answers<S: StateMachine>(
    replies: tonic::Streaming<wire::AppendReply>,
    sent: Arc<AtomicU64>,
    patience: Duration,
    on_stage: OnStage,
) -> Answers<S> {
    let (state, opened) = (Some((replies, 0)), Instant::now());
    Box::pin(futures::stream::unfold(state, move |state| {
        let (sent, on_stage) = (Arc::clone(&sent), Arc::clone(&on_stage));
        async move {
            let (mut replies, answered) = state?;
            let result = loop {
                match tokio::time::timeout(patience, replies.next()).await {
                    Ok(None) => return None,
                    Ok(Some(Ok(reply))) => break append_result::<S>(reply),
                    Ok(Some(Err(status))) => break Err(failed::<S>(&status)),
                    Err(_) if sent.load(Ordering::Relaxed) > answered => {
                        break Err(unreachable::<S>(&"an append was not answered"));
                    }
                    Err(_) => {}
                }
            };
            if answered == 0 && matches!(result, Ok(Ok(_))) {
                on_stage(Stage::LogTakenUp, opened.elapsed());
            }
            let next = matches!(result, Ok(Ok(_))).then_some((replies, answered + 1));
            Some((result, next))
        }
    }))
}

fn append_out<S: StateMachine>(
    route: wire::Route,
    request: &AppendEntriesRequest<Types<S>>,
) -> wire::AppendRequest {
    wire::AppendRequest {
        route: Some(route),
        vote: Some(vote_out(&request.vote)),
        previous: some_log_id_out(&request.prev_log_id),
        committed: some_log_id_out(&request.leader_commit),
        entries: request.entries.iter().map(entry_out).collect(),
    }
}

fn append_result<S: StateMachine>(
    reply: wire::AppendReply,
) -> Result<StreamAppendResult<Types<S>>, RPCError<Types<S>>> {
    use wire::append_reply::Outcome;
    match reply.outcome {
        Some(Outcome::Matched(matched)) => Ok(Ok(some_log_id_in(&matched.log_id))),
        Some(Outcome::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(log_id_in(&id)))),
        Some(Outcome::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(vote_in(&vote)))),
        Some(Outcome::Refused(why)) => Err(unreachable::<S>(&why)),
        None => Err(unreachable::<S>(&"an append was answered with nothing")),
    }
}

impl<S: StateMachine> RaftNetworkV2<Types<S>> for Client {
    type SnapshotData = SnapshotDir;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types<S>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<S>>, RPCError<Types<S>>> {
        let last: Option<LogId> =
            request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let message = append_out(self.sender.route(self.target), &request);
        let mut client = self.connected::<S>()?;
        let call = client.append_once(message);
        let reply = self.call::<S, _>(RPCTypes::AppendEntries, option.hard_ttl(), call).await?;
        Ok(match append_result::<S>(reply)? {
            Ok(matched) if matched == last => AppendEntriesResponse::Success,
            Ok(matched) => AppendEntriesResponse::PartialSuccess(matched),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, I>(
        &'s mut self,
        input: I,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<Types<S>>, RPCError<Types<S>>>>,
            RPCError<Types<S>>,
        >,
    >
    where
        I: Stream<Item = AppendEntriesRequest<Types<S>>> + Send + Unpin + 'static,
    {
        if self.purpose != Purpose::Append {
            return stream_append_sequential(self, input, option);
        }
        Box::pin(async move {
            let answers: BoxStream<'s, _> = self.stream::<S>(input).await?;
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types<S>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<S>>, RPCError<Types<S>>> {
        self.ask_vote(request, false, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<S>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<S>>, RPCError<Types<S>>> {
        self.ask_vote(request, true, option).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<S>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<S>>, RPCError<Types<S>>> {
        let message = wire::TransferRequest {
            route: self.route(),
            from: Some(vote_out(request.from_leader())),
            to: *request.to_node_id(),
            last_log_id: request.last_log_id().map(crate::convert::log_id_out),
        };
        let mut client = self.connected::<S>()?;
        let call = client.transfer_leader(message);
        let reply = self.call::<S, _>(RPCTypes::TransferLeader, option.hard_ttl(), call).await?;
        if reply.refused.is_empty() {
            return Ok(Ok(()));
        }
        tracing::warn!(target_node = self.target, why = reply.refused, "transfer refused");
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<S>>, StreamingError<Types<S>>> {
        let client = self.connected::<S>()?;
        let route = self.sender.route(self.target);
        let sending =
            send::send(client, route, &vote, snapshot.snapshot, &self.options, &self.on_stage);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => {
                    tracing::warn!(to = self.target, %error, "snapshot not sent");
                    Err(not_sent(&error))
                }
            },
        }
    }
}

/// Every failure waits a little before the next attempt, which goes on where this one ended.
fn not_sent<S: StateMachine>(error: &SendError) -> StreamingError<Types<S>> {
    StreamingError::Unreachable(Unreachable::from_string(error))
}

fn unreachable<S: StateMachine>(why: &dyn std::fmt::Display) -> RPCError<Types<S>> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

fn failed<S: StateMachine>(status: &Status) -> RPCError<Types<S>> {
    match status.code() {
        Code::Unavailable | Code::FailedPrecondition | Code::NotFound | Code::Unimplemented => {
            unreachable::<S>(status)
        }
        _ => RPCError::Network(NetworkError::from_string(status)),
    }
}
