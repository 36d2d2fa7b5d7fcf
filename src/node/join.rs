//! How a node becomes a member of a cluster that exists.
//!
//! It asks any member, as a Redis client would, who leads and where; the leader gives it an id, then
//! adds it as a learner; from then on it is sent the log. Once it has caught up it asks to vote.
//! Until it is added it starts over whenever the leader changes or an answer is lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::node::v1::cluster_client::ClusterClient;
use proto::node::v1::{JoinRequest, NodeInfo};
use raft::{ClusterId, Node, NodeId, Peers, Purpose};
use resp::Reply;
use serde::Deserialize;

use super::identity::Identity;
use crate::admin::Action;
use crate::server::Server;

/// What `TALUS MEMBERS` says.
#[derive(Debug, Deserialize)]
struct Members {
    cluster: String,
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
    /// Nobody could be asked, or whoever was asked cannot say yes now.
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

/// How long one node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a node that is a member already waits to be told of which cluster others are.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// Between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(200);

/// A node that asks for membership.
pub(super) struct Joiner<'a> {
    peers: &'a Peers,
    node: Node,
    /// The cluster that gave this node an id, and the id. It is kept while asking, so that an
    /// answer that gets lost leaves no member behind that nobody is.
    given: Option<(ClusterId, NodeId)>,
}

impl<'a> Joiner<'a> {
    pub fn new(peers: &'a Peers, node: Node) -> Self {
        Self { peers, node, given: None }
    }

    /// Asks the clusters behind `addresses` in turn, until one lets it in, one refuses for good,
    /// or `limit` is over.
    ///
    /// # Errors
    /// Why membership is not to be had, in one line.
    pub async fn join(
        mut self,
        addresses: &[String],
        limit: Duration,
    ) -> Result<Identity, JoinError> {
        let deadline = crate::server::now() + limit;
        loop {
            let mut reasons = Vec::new();
            for address in addresses {
                match self.join_behind(address).await {
                    Err(JoinError::NotNow(reason)) => reasons.push(reason),
                    outcome => return outcome,
                }
            }
            if crate::server::now() > deadline {
                return Err(JoinError::NotNow(reasons.join("; ")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn join_behind(&mut self, address: &str) -> Result<Identity, JoinError> {
        let members = ask_members(address.to_owned()).await?;
        let leader = members
            .leader
            .and_then(|id| members.members.iter().find(|m| m.id == id))
            .ok_or_else(|| format!("the cluster behind {address} has no leader now"))?;
        if self.given.is_none() {
            self.given = Some(self.ask(leader).await?);
        }
        let (cluster, id) = self.ask(leader).await?;
        let mut identity = Identity::new(cluster, id, members.cluster_name);
        identity.joining = !self.node.replica;
        identity.replica = self.node.replica;
        Ok(identity)
    }

    /// Asks for an id, or to be added under the one that was given.
    async fn ask(&self, leader: &Member) -> Result<(ClusterId, NodeId), JoinError> {
        let at_leader = |why: &str| format!("the leader at {}: {why}", leader.rpc);
        let channel = self.peers.channel_for(&leader.rpc, Purpose::Service);
        let channel = channel.map_err(|error| at_leader(&error.to_string()))?;
        let mut client = ClusterClient::new(channel);
        let reply = tokio::time::timeout(ANSWER_MAX, client.join(self.request()))
            .await
            .map_err(|_| at_leader("no answer in time"))?
            .map_err(|status| at_leader(status.message()))?
            .into_inner();
        match reply.refused.as_str() {
            "" => {}
            why if reply.retry => return Err(JoinError::NotNow(at_leader(why))),
            why => return Err(JoinError::Refused(why.to_owned())),
        }
        let cluster: [u8; 16] =
            reply.cluster.as_ref().try_into().map_err(|_| at_leader("no cluster id"))?;
        Ok((ClusterId(cluster), reply.id))
    }

    fn request(&self) -> JoinRequest {
        let Node { resp, rpc, http, replica } = self.node.clone();
        let info = NodeInfo { resp, rpc, http, ..NodeInfo::default() };
        let (cluster, id) = match &self.given {
            Some((cluster, id)) => (Bytes::copy_from_slice(&cluster.0), *id),
            None => (Bytes::new(), 0),
        };
        JoinRequest { info: Some(info), cluster, replica, id }
    }
}

/// Which of `addresses` is of another cluster than `own`, and which; as far as they answer soon.
/// A node must also come back when it is the first to do so.
pub(super) async fn other_cluster(
    addresses: &[String],
    own: ClusterId,
) -> Option<(String, String)> {
    let own = own.to_string();
    let ask = |address: &String| tokio::time::timeout(PROBE_MAX, ask_members(address.clone()));
    let answers = futures::future::join_all(addresses.iter().map(ask)).await;
    let clusters = answers.into_iter().map(|answer| Some(answer.ok()?.ok()?.cluster));
    let named = addresses.iter().cloned().zip(clusters);
    named.filter_map(|(address, of)| Some((address, of?))).find(|(_, of)| *of != own)
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
        } else {
            // Whatever the refusal: it asks again.
            let _ = super::service::ask_leader(&replica, &Action::Promote { id: me }).await;
        }
        drop(replica);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
