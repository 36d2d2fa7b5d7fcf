//! How a node becomes a member of a cluster that exists.
//!
//! It asks any member, as a Redis client would, who leads and where; the leader gives it an id and
//! adds it as a learner; from then on it is sent the log. Once it has caught up it asks to vote.

use std::sync::Arc;
use std::time::Duration;

use proto::node::v1::cluster_client::ClusterClient;
use proto::node::v1::{AdminRequest, JoinRequest, NodeInfo};
use raft::{ClusterId, Node, NodeId, Peers, Purpose};
use resp::Reply;
use serde::Deserialize;

use super::identity::Identity;
use crate::admin::Action;
use crate::server::Server;

/// What `TALUS MEMBERS` says.
#[derive(Debug, Deserialize)]
struct Members {
    cluster_name: String,
    leader: Option<NodeId>,
    members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    id: NodeId,
    rpc: String,
}

/// Why a cluster was not joined.
#[derive(Debug)]
pub(super) enum JoinError {
    /// The leader refused, and will again.
    Refused(String),
    /// Nobody could be asked, or there is no leader now.
    NotNow(String),
}

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(reason) | Self::NotNow(reason) => f.write_str(reason),
        }
    }
}

impl From<String> for JoinError {
    fn from(reason: String) -> Self {
        Self::NotNow(reason)
    }
}

/// How long one member may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks the cluster behind `address` for membership.
///
/// # Errors
/// Why it is not to be had, in one line.
pub(super) async fn join(
    peers: &Peers,
    address: &str,
    node: &Node,
    replica: bool,
) -> Result<Identity, JoinError> {
    let members = ask_members(address.to_owned()).await?;
    let leader = members
        .leader
        .and_then(|id| members.members.iter().find(|m| m.id == id))
        .ok_or_else(|| format!("the cluster behind {address} has no leader now"))?;
    let channel = peers
        .channel_for(&leader.rpc, Purpose::Service)
        .map_err(|error| format!("the leader's address: {error}"))?;
    let info = NodeInfo {
        resp: node.resp.clone(),
        rpc: node.rpc.clone(),
        http: node.http.clone(),
        ..NodeInfo::default()
    };
    let request = JoinRequest { info: Some(info), cluster: bytes::Bytes::new(), replica };
    let reply = ClusterClient::new(channel)
        .join(request)
        .await
        .map_err(|status| format!("the leader at {}: {}", leader.rpc, status.message()))?
        .into_inner();
    if !reply.refused.is_empty() {
        return Err(JoinError::Refused(reply.refused));
    }
    let cluster: [u8; 16] = reply
        .cluster
        .as_ref()
        .try_into()
        .map_err(|_| "the leader sent no cluster id".to_owned())?;
    let mut identity = Identity::new(ClusterId(cluster), reply.id, members.cluster_name);
    identity.joining = !replica;
    identity.replica = replica;
    Ok(identity)
}

async fn ask_members(address: String) -> Result<Members, String> {
    let name = address.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let mut client = resp::client::Client::connect(&address)?;
        client.set_timeout(Some(ANSWER_MAX))?;
        client.request(&["TALUS", "MEMBERS"])
    });
    let reply = match asked.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return Err(format!("{name}: {error}")),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    match reply {
        Reply::Bulk(json) => serde_json::from_slice(&json)
            .map_err(|error| format!("{name}: not a node of Talus: {error}")),
        Reply::Error(error) => Err(format!("{name}: {error}")),
        _ => Err(format!("{name}: not a node of Talus")),
    }
}

/// Asks for a vote until this node has one, if it joined to become a voter.
pub(super) async fn become_voter(server: Arc<Server>) {
    loop {
        let replica = server.replica.load_full();
        let me = replica.identity.node;
        let status = replica.consensus.status();
        if !replica.is_joining() || status.voters.contains(&me) {
            replica.joined();
        } else if let Some(leader) = status.leader_node() {
            let _ = ask_for_vote(&server, leader, me).await;
        }
        drop(replica);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn ask_for_vote(server: &Server, leader: &Node, me: NodeId) -> Result<(), tonic::Status> {
    let replica = server.replica.load_full();
    let channel = replica.peers.channel(leader).map_err(|e| tonic::Status::internal(e.0))?;
    let body = serde_json::to_vec(&Action::Promote { id: me }).unwrap_or_default();
    let request = AdminRequest { verb: "action".into(), body: body.into() };
    ClusterClient::new(channel).admin(request).await.map(drop)
}
