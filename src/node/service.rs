//! What other nodes ask of this one above consensus: forwarded writes, joining, administration.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::node::v1::cluster_client::ClusterClient;
use proto::node::v1::cluster_server::{Cluster, ClusterServer};
use proto::node::v1::{
    AdminReply, AdminRequest, ForwardRequest, JoinReply, JoinRequest, NodeInfo, StatusReply,
    StatusRequest,
};
use raft::{MembershipError, Mutant, Node, NodeId};
use tonic::{Request, Response, Status, Streaming};

use super::backend;
use crate::admin::{Action, Done, Refusal, refusal::Code};
use crate::router::{self, ForwardStream};
use crate::server::{Replica, Server};

/// The service.
#[derive(Clone)]
pub(super) struct ClusterService {
    server: Arc<Server>,
}

impl ClusterService {
    pub fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    pub fn server(self, message_bytes_max: usize) -> ClusterServer<Self> {
        ClusterServer::new(self)
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Cluster for ClusterService {
    type ForwardStream = ForwardStream;

    async fn forward(
        &self,
        request: Request<Streaming<ForwardRequest>>,
    ) -> Answer<Self::ForwardStream> {
        let replica = self.server.replica.load_full();
        let cluster = Bytes::copy_from_slice(&replica.identity.cluster().0);
        let packer = replica.router.packer();
        let stream =
            router::serve_forward(packer, cluster, replica.identity.node, request.into_inner());
        Ok(Response::new(stream))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Answer<JoinReply> {
        let JoinRequest { info, cluster: believed, replica: is_replica, id } = request.into_inner();
        let replica = self.server.replica.load_full();
        let cluster = Bytes::copy_from_slice(&replica.identity.cluster().0);
        if !believed.is_empty() && believed != cluster {
            return Ok(Response::new(refuse("this node belongs to another cluster", false)));
        }
        let info = info.ok_or_else(|| Status::invalid_argument("no addresses"))?;
        let NodeInfo { resp, rpc, http, .. } = info;
        let node = Node { resp, rpc, http, replica: is_replica };
        Ok(Response::new(match admit(&replica, id, node).await {
            Ok(id) => JoinReply { cluster, id, ..JoinReply::default() },
            Err(error) => refuse(&error.to_string(), passes(&error)),
        }))
    }

    async fn admin(&self, request: Request<AdminRequest>) -> Answer<AdminReply> {
        let request = request.into_inner();
        let replica = self.server.replica.load_full();
        let action: Action = serde_json::from_slice(&request.body)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let reply = match backend::run_here(&replica, &action).await {
            Ok(done) => answer(200, &done),
            Err(refusal) => answer(u32::from(refusal.code.status().as_u16()), &refusal),
        };
        Ok(Response::new(reply))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Answer<StatusReply> {
        let replica = self.server.replica.load_full();
        let report = backend::report(&self.server, &replica, request.into_inner().digest_at).await;
        let body = serde_json::to_vec(&report).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(StatusReply { body: body.into() }))
    }
}

fn answer(status: u32, body: &impl serde::Serialize) -> AdminReply {
    let body = serde_json::to_vec(body).unwrap_or_default();
    AdminReply { status, body: body.into() }
}

/// Gives an id to a node that has none; adds one that has.
async fn admit(replica: &Replica, id: NodeId, node: Node) -> Result<NodeId, MembershipError> {
    let consensus = &replica.consensus;
    match id {
        0 => match known_at(replica, &node) {
            Some(known) if Mutant::WipedNodeKeepsItsId.is_on() => Ok(known),
            _ => consensus.allocate_node_id().await,
        },
        id => consensus.add_learner(id, node).await.map(|()| id),
    }
}

/// Whether the same may be granted later, by whoever leads then.
fn passes(error: &MembershipError) -> bool {
    use MembershipError as E;
    let is_of_now = matches!(error, E::NotLeader { .. } | E::AddressAnswers { .. });
    is_of_now || matches!(error, E::Unavailable | E::InProgress | E::Unknown | E::Stopped)
}

fn refuse(reason: &str, retry: bool) -> JoinReply {
    JoinReply { refused: reason.to_owned(), retry, ..JoinReply::default() }
}

/// The member that is at the address of a node.
fn known_at(replica: &Replica, node: &Node) -> Option<NodeId> {
    let members = replica.consensus.status().members;
    members.into_iter().find(|(_, member)| member.rpc == node.rpc).map(|(id, _)| id)
}

/// How long the leader may take over a change of membership.
const CHANGE_MAX: Duration = Duration::from_secs(90);

/// How long an election is waited for.
const ELECTION_MAX: Duration = Duration::from_secs(3);

/// The status once somebody leads, or after a moment without.
async fn led(replica: &Replica) -> raft::Status {
    let mut status = replica.consensus.watch();
    let led = status.wait_for(|status| status.leader.is_some());
    let _ = tokio::time::timeout(ELECTION_MAX, led).await;
    replica.consensus.status()
}

/// Has the leader do it, wherever that is.
pub(super) async fn ask_leader(replica: &Replica, action: &Action) -> Result<Done, Refusal> {
    let status = led(replica).await;
    let leader = status
        .leader_node()
        .ok_or_else(|| Refusal::new(Code::NoLeader, "there is no leader now"))?;
    let unreachable =
        |why: String| Refusal::new(Code::NoLeader, format!("the leader at {}: {why}", leader.rpc));
    let channel = replica.peers.channel(leader).map_err(|e| unreachable(e.to_string()))?;
    let body = serde_json::to_vec(action).unwrap_or_default();
    let request = AdminRequest { verb: "action".into(), body: body.into() };
    let mut client = ClusterClient::new(channel);
    let reply = tokio::time::timeout(CHANGE_MAX, client.admin(request))
        .await
        .map_err(|_| Refusal::new(Code::Timeout, "the leader did not answer in time"))?
        .map_err(|status| unreachable(status.message().to_owned()))?
        .into_inner();
    let malformed = |e: serde_json::Error| unreachable(e.to_string());
    if reply.status == 200 {
        return serde_json::from_slice(&reply.body).map_err(malformed);
    }
    Err(serde_json::from_slice(&reply.body).unwrap_or_else(malformed))
}
