//! Administration of this node, behind HTTP and gRPC.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use proto::node::v1::StatusRequest;
use proto::node::v1::cluster_client::ClusterClient;
use raft::{MembershipError, Node, NodeId, Status};
use serde::{Deserialize, Serialize};

use super::service::ask_leader;
use crate::admin::backend::{Answer, MemberView, NewMember, ReplicaDigest, Role, State};
use crate::admin::refusal::Code;
use crate::admin::{Action, AdminBackend, ClusterFacts, ClusterView, DigestView, Done, Refusal};
use crate::config::live::Shown;
use crate::server::{Replica, Server};

/// What a node says about itself to another.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Report {
    pub(super) node: NodeId,
    pub(super) cluster: String,
    pub(super) term: u64,
    pub(super) committed: u64,
    pub(super) applied: u64,
    /// The entry that the members come from.
    pub(super) membership_index: u64,
    pub(super) members: Vec<NodeId>,
    pub(super) keys: u64,
    pub(super) disk_bytes: u64,
    pub(super) version: String,
    pub(super) digest: Option<String>,
    pub(super) error: Option<String>,
}

/// What this node says about itself; the digest is taken when its state is at `digest_at`.
pub(super) async fn report(server: &Arc<Server>, replica: &Arc<Replica>, digest_at: u64) -> Report {
    let status = replica.consensus.status();
    let mut report = Report {
        node: status.node,
        cluster: replica.identity.cluster().to_string(),
        term: status.term,
        committed: status.committed,
        applied: status.applied,
        membership_index: status.membership_index,
        members: status.members.keys().copied().collect(),
        keys: replica.key_count(),
        disk_bytes: replica.disk_bytes(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Report::default()
    };
    if digest_at > 0 {
        match server.digests.at(replica, digest_at).await {
            Ok(digest) => report.digest = digest,
            Err(reason) => report.error = Some(reason),
        }
    }
    report
}

/// See the module.
pub(super) struct Backend {
    server: Arc<Server>,
}

impl Backend {
    pub fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

/// How long a member may take to say how it is.
pub(super) const REPORT_MAX: Duration = Duration::from_millis(700);

/// How long whoever asks for a snapshot waits for it, less than a request over HTTP may take.
const SNAPSHOT_MAX: Duration = Duration::from_secs(50);

impl AdminBackend for Backend {
    fn ready(&self) -> Result<(), String> {
        let replica = self.server.replica.load();
        stay(&replica).map_err(|removed| removed.message)?;
        replica.consensus.contact().map_err(|lost| lost.to_string())
    }

    fn cluster(&self) -> Answer<'_, ClusterView> {
        Box::pin(async move {
            stay(&self.server.replica.load())?;
            Ok(facts(&self.server).await.into())
        })
    }

    fn run(&self, action: Action) -> Answer<'_, Done> {
        Box::pin(run_at_leader(&self.server, action))
    }

    fn snapshot(&self) -> Answer<'_, Done> {
        Box::pin(async move {
            let replica = self.server.replica.load_full();
            let taken = replica.consensus.snapshot(SNAPSHOT_MAX).await;
            let index = taken.map_err(|error| Refusal::new(Code::Timeout, error.to_string()))?;
            let node = replica.identity.node;
            let message = format!("node {node} has a snapshot of log index {index}");
            Ok(Done { message, id: Some(node), index: Some(index) })
        })
    }

    fn digest(&self) -> Answer<'_, DigestView> {
        Box::pin(digest(&self.server))
    }

    fn metrics(&self) -> String {
        self.server.telemetry.render()
    }

    fn settings(&self) -> Vec<Shown> {
        self.server.config.show()
    }
}

/// Whether this node is still a member: what else it knows is out of date.
fn stay(replica: &Replica) -> Result<(), Refusal> {
    if !replica.is_removed() {
        return Ok(());
    }
    let text = format!("node {} was removed from its cluster", replica.identity.node);
    let help = format!("ask another node; {}", super::removal::HELP);
    Err(Refusal::new(Code::Removed, text).help(help))
}

/// How long an action follows the leadership: it moves once for a leader that is to go itself.
const FOLLOW_MAX: Duration = Duration::from_secs(15);

/// Runs an action at whoever leads. A leader that has to go first hands over, and whoever leads
/// then does the rest.
async fn run_at_leader(server: &Arc<Server>, action: Action) -> Result<Done, Refusal> {
    const PAUSE: Duration = Duration::from_millis(100);
    let deadline = crate::server::now() + FOLLOW_MAX;
    let mut moved = false;
    loop {
        let replica = server.replica.load_full();
        stay(&replica)?;
        let ran = match replica.consensus.status().is_leader() {
            true => run_here(&replica, &action).await,
            false => ask_leader(&replica, &action).await,
        };
        match ran {
            Err(refusal) if refusal.code == Code::NotLeader && crate::server::now() < deadline => {
                moved = true;
            }
            // A leader that was replaced in the middle of the change has left the rest to the next.
            Err(_) if moved && is_done(&action, &replica.consensus.status()) => {
                return Ok(done(&action, action.member().unwrap_or_default(), &replica));
            }
            ran => return ran,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs an action at this node, which must lead.
pub(super) async fn run_here(replica: &Replica, action: &Action) -> Result<Done, Refusal> {
    let consensus = &replica.consensus;
    let ran = match action {
        Action::AddLearner { member } => consensus.join(node_of(member.clone())?).await,
        Action::Promote { id } => consensus.promote(*id, false).await.map(|()| *id),
        Action::Demote { id } => consensus.demote(*id, false).await.map(|()| *id),
        Action::Remove { id, force } => consensus.remove(*id, *force).await.map(|()| *id),
        Action::Replace { id, with } => consensus.replace(*id, *with, false).await.map(|()| *with),
        Action::Transfer { to } => consensus.transfer_leader(Some(*to)).await,
    };
    Ok(done(action, ran.map_err(refusal)?, replica))
}

fn done(action: &Action, id: NodeId, replica: &Replica) -> Done {
    let became = match action {
        Action::AddLearner { .. } | Action::Demote { .. } => "is a learner",
        Action::Promote { .. } => "is a voter",
        Action::Remove { .. } => "is removed",
        Action::Replace { .. } => "has taken over",
        Action::Transfer { .. } => "leads",
    };
    let index = Some(replica.consensus.status().membership_index);
    Done { message: format!("node {id} {became}"), id: Some(id), index }
}

/// Whether the shard is as the action wants it.
fn is_done(action: &Action, status: &Status) -> bool {
    let is_voter = |id: &NodeId| status.voters.contains(id);
    let is_member = |id: &NodeId| status.members.contains_key(id);
    let is_so = match action {
        Action::AddLearner { .. } => false,
        Action::Promote { id } => is_voter(id),
        Action::Demote { id } => is_member(id) && !is_voter(id),
        Action::Remove { id, .. } => !is_member(id),
        Action::Replace { id, with } => !is_member(id) && is_voter(with),
        Action::Transfer { to } => status.leader == Some(*to),
    };
    is_so && !status.is_joint()
}

fn node_of(member: NewMember) -> Result<Node, Refusal> {
    let rpc = match member.rpc.as_str() {
        "" => {
            let (host, port) = crate::config::address::host_and_port(&member.resp, 0)
                .filter(|(_, port)| (1..=55_535).contains(port))
                .ok_or_else(|| Refusal::new(Code::BadRequest, "resp must be HOST:PORT"))?;
            crate::config::address::join_host_port(&host, port + 10_000)
        }
        rpc => rpc.to_owned(),
    };
    Ok(Node { resp: member.resp, rpc, http: member.http, replica: false })
}

fn refusal(error: MembershipError) -> Refusal {
    use MembershipError as E;
    let code = match &error {
        E::NotLeader { .. } => Code::NotLeader,
        E::UnknownMember(_) => Code::NotFound,
        E::AlreadyMember(_) | E::AddressTaken { .. } | E::AlreadyVoter(_) | E::NotVoter(_) => {
            Code::Conflict
        }
        E::AddressAnswers { .. } | E::AwaitsSnapshot(_) => Code::Conflict,
        E::InProgress | E::Behind { .. } => Code::Conflict,
        E::Replica(_) | E::TooManyVoters | E::LastVoter(_) | E::NoQuorum { .. } => Code::WouldBreak,
        E::Silent(_) | E::TransferFailed { .. } => Code::WouldBreak,
        E::Unknown => Code::Timeout,
        E::Stopped | E::Unavailable => Code::NoLeader,
    };
    Refusal::new(code, error.to_string())
}

async fn facts(server: &Arc<Server>) -> ClusterFacts {
    let replica = server.replica.load_full();
    let status = replica.consensus.status();
    let asked = status.members.iter().map(|(id, node)| ask(server, &replica, *id, node, 0));
    let reports: BTreeMap<NodeId, Asked> = join_all(asked).await.into_iter().collect();
    let committed = reports.values().filter_map(|a| a.report.as_ref().ok()).map(|r| r.committed);
    let committed = committed.max().unwrap_or(0).max(status.committed);
    let member =
        |(id, node): (&NodeId, &Node)| member_view(*id, node, &status, reports.get(id), committed);
    ClusterFacts {
        cluster: replica.identity.cluster().to_string(),
        name: replica.identity.cluster_name.clone(),
        node: replica.identity.node,
        leader: status.leader,
        term: status.term,
        committed,
        commit_p99_us: commit_p99_us(server),
        voter_sets: status.voter_sets.iter().map(|set| set.iter().copied().collect()).collect(),
        members: status.members.iter().map(member).collect(),
    }
}

fn commit_p99_us(server: &Server) -> Option<u64> {
    let times = server.telemetry.write.total.snapshot();
    times.percentile(99.0).map(|time| time.as_micros() as u64)
}

/// What came of asking a member.
struct Asked {
    report: Result<Report, String>,
    took: Option<Duration>,
}

async fn ask(
    server: &Arc<Server>,
    replica: &Arc<Replica>,
    id: NodeId,
    node: &Node,
    digest_at: u64,
) -> (NodeId, Asked) {
    if id == replica.identity.node {
        let report = Ok(report(server, replica, digest_at).await);
        return (id, Asked { report, took: None });
    }
    let begun = crate::server::now();
    let limit = if digest_at > 0 { DIGEST_MAX } else { REPORT_MAX };
    let report = match tokio::time::timeout(limit, ask_remote(replica, node, digest_at)).await {
        Ok(Ok(report)) if report.node == id => Ok(report),
        Ok(Ok(report)) => Err(format!("node {} answers at its address", report.node)),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err("did not answer in time".into()),
    };
    (id, Asked { report, took: Some(begun.elapsed()) })
}

pub(super) async fn ask_remote(
    replica: &Replica,
    node: &Node,
    digest_at: u64,
) -> Result<Report, String> {
    let channel = replica.peers.channel(node).map_err(|e| e.to_string())?;
    let reply = ClusterClient::new(channel)
        .status(StatusRequest { digest_at })
        .await
        .map_err(|status| status.message().to_owned())?;
    serde_json::from_slice(&reply.into_inner().body).map_err(|e| e.to_string())
}

/// A member this far behind is catching up.
const LAG_MAX: u64 = 1000;

fn member_view(
    id: NodeId,
    node: &Node,
    status: &Status,
    asked: Option<&Asked>,
    committed: u64,
) -> MemberView {
    let report = asked.and_then(|a| a.report.as_ref().ok());
    let lag = report.map(|r| committed.saturating_sub(r.applied));
    MemberView {
        id,
        resp: node.resp.clone(),
        rpc: node.rpc.clone(),
        http: node.http.clone(),
        role: role(id, node, status),
        state: match lag {
            None => State::Unreachable,
            Some(lag) if lag > LAG_MAX => State::CatchingUp,
            Some(_) => State::Healthy,
        },
        term: report.map(|r| r.term),
        applied: report.map(|r| r.applied),
        lag,
        keys: report.map(|r| r.keys),
        disk_bytes: report.map(|r| r.disk_bytes),
        rtt_us: asked.and_then(|a| a.took).map(|took| took.as_micros() as u64),
        version: report.map(|r| r.version.clone()),
    }
}

fn role(id: NodeId, node: &Node, status: &Status) -> Role {
    if status.leader == Some(id) {
        Role::Leader
    } else if status.voters.contains(&id) {
        Role::Voter
    } else if node.replica {
        Role::Replica
    } else {
        Role::Learner
    }
}

/// How long a replica may take over its digest.
const DIGEST_MAX: Duration = Duration::from_secs(300);

/// Holds writes for a moment, so that every replica comes to stand at the same log index, and has
/// each take the digest of that state; the writes go on while the digests are computed.
async fn digest(server: &Arc<Server>) -> Result<DigestView, Refusal> {
    let replica = server.replica.load_full();
    if !replica.consensus.status().is_leader() {
        let help = "ask the leader: `talus cluster status` shows which node that is";
        return Err(Refusal::new(Code::NotLeader, "only the leader can hold writes").help(help));
    }
    let hold = replica.router.packer().hold().await;
    let status = replica.consensus.status();
    let index = status.last_log;
    let taken = ask_all(server, &replica, &status, index).await;
    drop(hold);
    let mut replicas = Vec::new();
    for (id, first) in taken {
        replicas.push(collect(server, &replica, &status, id, index, first).await);
    }
    Ok(DigestView::of(index, replicas))
}

async fn ask_all(
    server: &Arc<Server>,
    replica: &Arc<Replica>,
    status: &Status,
    index: u64,
) -> Vec<(NodeId, Asked)> {
    let asked = status.members.iter().map(|(id, node)| ask(server, replica, *id, node, index));
    join_all(asked).await
}

/// Asks again until the digest is computed.
async fn collect(
    server: &Arc<Server>,
    replica: &Arc<Replica>,
    status: &Status,
    id: NodeId,
    index: u64,
    first: Asked,
) -> ReplicaDigest {
    let deadline: Instant = crate::server::now() + DIGEST_MAX;
    let mut answer = first.report;
    loop {
        match answer {
            Ok(Report { digest: None, error: None, .. }) if crate::server::now() < deadline => {}
            Ok(report) => return ReplicaDigest { id, digest: report.digest, error: report.error },
            Err(error) => return ReplicaDigest { id, digest: None, error: Some(error) },
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some(node) = status.members.get(&id) else {
            return ReplicaDigest { id, digest: None, error: Some("is gone".into()) };
        };
        answer = ask(server, replica, id, node, index).await.1.report;
    }
}
