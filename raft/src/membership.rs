//! Changes of membership: who has a copy of the log and who votes.
//!
//! Changes run at the leader, one at a time, each on the condition that the membership is still
//! the one it was decided on. A node first learns the log and votes only once it has caught up;
//! that may take long, so it is waited for before it is the change's turn: nothing else, above all
//! no leader that has to go, waits with it. Before anything is proposed, the change is tried
//! against the members that answer at the time; one that would leave no quorum is refused and says
//! so.
//!
//! Invariants
//! * An id is the index of an entry, so no id is ever given twice.
//! * A change that was proposed is driven to its end even if its caller is gone.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::raft::{ClientWriteResponse, Precondition};
use openraft::{ChangeMembers, Instant as _, LinearizerOption};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout};

use crate::consensus::{Consensus, Inner};
use crate::machine::StateMachine;
use crate::options::{FOUNDER_MAX, VOTERS_MAX};
use crate::types::{LogId, Node, NodeId, StoredMembership, Types};

mod refusal;

pub use refusal::MembershipError;
pub(crate) use refusal::leads;

type Result<T> = std::result::Result<T, MembershipError>;
type Metrics<S> = RaftMetrics<Types<S>>;
type Outcome<S, T> = std::result::Result<T, RaftError<Types<S>, ClientWriteError<Types<S>>>>;

/// Changes of membership.
impl<S: StateMachine> Consensus<S> {
    /// An id that no member has, had or will have.
    pub async fn allocate_node_id(&self) -> Result<NodeId> {
        self.exclusively(|inner| async move { inner.allocate_node_id().await }).await
    }

    /// Adds a member without a vote. A learner at its address that does not answer gives way: its
    /// node cannot be there any more, or never came to be. A voter stays, because what it has
    /// promised counts.
    pub async fn add_learner(&self, id: NodeId, node: Node) -> Result<()> {
        self.exclusively(move |inner| async move { inner.add_learner(id, node).await }).await
    }

    /// Gives an id to a new node and adds it without a vote.
    pub async fn join(&self, node: Node) -> Result<NodeId> {
        self.exclusively(move |inner| async move {
            if let Some(known) = holder(&inner.leading()?, &node) {
                return Err(taken(&node, known));
            }
            let id = inner.allocate_node_id().await?;
            inner.add_learner(id, node).await?;
            Ok(id)
        })
        .await
    }

    /// Gives a member a vote, once its log has caught up. `force` skips the checks.
    pub async fn promote(&self, id: NodeId, force: bool) -> Result<()> {
        self.detached(move |inner| async move {
            inner.ready_to_vote(id, force).await?;
            let _turn = inner.turn().await?;
            inner.promote(id, force).await
        })
        .await
    }

    /// Takes a member's vote; it keeps its copy. At the leader, leadership moves first and the
    /// call ends with [`MembershipError::NotLeader`]: it is to be repeated there.
    pub async fn demote(&self, id: NodeId, force: bool) -> Result<()> {
        self.exclusively(move |inner| async move { inner.drop_voter(id, true, force).await }).await
    }

    /// Removes a member. Of the leader itself, see [`demote`](Self::demote).
    pub async fn remove(&self, id: NodeId, force: bool) -> Result<()> {
        self.exclusively(move |inner| async move { inner.remove(id, force).await }).await
    }

    /// Removes `old` and gives its vote to `new`, in one change.
    pub async fn replace(&self, old: NodeId, new: NodeId, force: bool) -> Result<()> {
        self.detached(move |inner| async move {
            inner.check_voter(old)?;
            inner.ready_to_vote(new, force).await?;
            let _turn = inner.turn().await?;
            inner.replace(old, new, force).await
        })
        .await
    }

    /// Hands leadership to `to`, or to whoever has most of the log. Returns the new leader.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId> {
        self.exclusively(move |inner| async move { inner.transfer(to).await }).await
    }

    /// Runs a change when it is its turn.
    async fn exclusively<T, F>(
        &self,
        change: impl FnOnce(Arc<Inner<S>>) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        self.detached(move |inner| async move {
            let _turn = inner.turn().await?;
            change(Arc::clone(&inner)).await
        })
        .await
    }

    /// Runs a change on the shard's runtime, where it goes on even if the caller does not wait.
    async fn detached<T, F>(
        &self,
        change: impl FnOnce(Arc<Inner<S>>) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = self.inner().handle().spawn(change(self.inner()));
        task.await.unwrap_or(Err(MembershipError::Stopped))
    }
}

impl<S: StateMachine> Inner<S> {
    /// The turn to change members, until it is dropped. Whoever has it waits for nothing that a
    /// quorum does not do by itself.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        self.established().await?;
        let turn = self.changes.lock().await;
        self.settle().await?;
        Ok(turn)
    }

    /// Waits until this node leads in deed: until then, openraft refuses changes.
    async fn established(&self) -> Result<()> {
        self.leading()?;
        let option = LinearizerOption::new(Some(Duration::ZERO), true);
        let option = option.with_wait_timeout(self.options().lease());
        let linearizer =
            self.raft().get_read_linearizer(option).await.map_err(|error| match error {
                RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                    MembershipError::NotLeader { leader: forward.leader_id }
                }
                RaftError::APIError(_) => MembershipError::Unavailable,
                RaftError::Fatal(_) => MembershipError::Stopped,
            })?;
        let index = linearizer.read_log_id().index();
        let mut applied = self.applied().clone();
        let reached = applied.wait_for(|applied| *applied >= index);
        match timeout(self.options().change_timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::Stopped),
            Err(_) => Err(MembershipError::Unavailable),
        }
    }

    /// Ends a change that its proposer left half done: two sets of voters become one again.
    pub(crate) async fn settle(&self) -> Result<()> {
        let metrics = self.leading()?;
        let membership = &metrics.membership_config;
        if membership.membership().get_joint_config().len() < 2 {
            return Ok(());
        }
        if membership.log_id() != metrics.committed_membership_config.log_id() {
            return Err(MembershipError::InProgress);
        }
        tracing::info!(shard = %self.shard(), "an unfinished change of voters is completed");
        let nothing = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.change(membership, nothing, false).await
    }

    /// The index of an entry written for it, beyond what founders may be called.
    async fn allocate_node_id(&self) -> Result<NodeId> {
        loop {
            let blank = self.within(self.raft().write_blank()).await?;
            if blank.log_id.index > FOUNDER_MAX {
                return Ok(blank.log_id.index);
            }
        }
    }

    async fn add_learner(&self, id: NodeId, node: Node) -> Result<()> {
        let metrics = self.leading()?;
        let stored = &metrics.membership_config;
        match stored.membership().get_node(&id) {
            Some(known) if *known == node => return Ok(()),
            Some(_) => return Err(MembershipError::AlreadyMember(id)),
            None => {}
        }
        let earlier = self.gives_way(&metrics, &node)?;
        let add = ChangeMembers::AddNodes([(id, node)].into());
        let Some(earlier) = earlier else { return self.change(stored, add, true).await };
        tracing::info!(shard = %self.shard(), earlier, id, "a learner that is not there gives way");
        let remove = ChangeMembers::RemoveNodes([earlier].into());
        self.change(stored, ChangeMembers::Batch(vec![remove, add]), true).await
    }

    /// The member whose address a new one has, if it may be removed for it.
    fn gives_way(&self, metrics: &Metrics<S>, node: &Node) -> Result<Option<NodeId>> {
        match holder(metrics, node) {
            Some(known) if voters(metrics).contains(&known) => Err(taken(node, known)),
            Some(known) if self.reachable(metrics).contains(&known) => {
                Err(MembershipError::AddressAnswers { address: node.rpc.clone(), node: known })
            }
            learner => Ok(learner),
        }
    }

    async fn promote(&self, id: NodeId, force: bool) -> Result<()> {
        let metrics = self.leading()?;
        check_candidate(&metrics, id, force)?;
        let voters = voters(&metrics);
        if voters.len() >= VOTERS_MAX {
            return Err(MembershipError::TooManyVoters);
        }
        if !force {
            let after = voters.iter().copied().chain([id]).collect();
            self.check_quorum(&format!("promoting node {id}"), &[&voters, &after]).await?;
        }
        let promote = ChangeMembers::AddVoterIds([id].into());
        self.change(&metrics.membership_config, promote, true).await
    }

    async fn remove(&self, id: NodeId, force: bool) -> Result<()> {
        let metrics = self.leading()?;
        let stored = &metrics.membership_config;
        let node = stored.membership().get_node(&id).cloned();
        let node = node.ok_or(MembershipError::UnknownMember(id))?;
        if voters(&metrics).contains(&id) {
            self.drop_voter(id, false, force).await?;
        } else {
            self.change(stored, ChangeMembers::RemoveNodes([id].into()), false).await?;
        }
        self.peers().forget(&node.rpc);
        Ok(())
    }

    /// Takes a vote away; `retain`: the member stays as a learner.
    async fn drop_voter(&self, id: NodeId, retain: bool, force: bool) -> Result<()> {
        let metrics = self.leading()?;
        self.check_voter(id)?;
        let before = voters(&metrics);
        if before.len() == 1 {
            return Err(MembershipError::LastVoter(id));
        }
        let after: BTreeSet<NodeId> = before.iter().copied().filter(|voter| *voter != id).collect();
        if !force {
            let verb = if retain { "demoting" } else { "removing" };
            self.check_quorum(&format!("{verb} node {id}"), &[&before, &after]).await?;
        }
        self.leave_first(id).await?;
        let drop = ChangeMembers::RemoveVoters([id].into());
        self.change(&metrics.membership_config, drop, retain).await
    }

    async fn replace(&self, old: NodeId, new: NodeId, force: bool) -> Result<()> {
        let metrics = self.leading()?;
        self.check_voter(old)?;
        check_candidate(&metrics, new, force)?;
        if !force {
            let before = voters(&metrics);
            let kept = before.iter().copied().filter(|voter| *voter != old);
            let after = kept.chain([new]).collect();
            let change = format!("replacing node {old} by node {new}");
            self.check_quorum(&change, &[&before, &after]).await?;
        }
        self.leave_first(old).await?;
        let swap = ChangeMembers::Batch(vec![
            ChangeMembers::AddVoterIds([new].into()),
            ChangeMembers::RemoveVoters([old].into()),
        ]);
        self.change(&metrics.membership_config, swap, false).await
    }

    /// A leader that is about to lose its vote hands over while it still leads; otherwise the
    /// others would wait for an election.
    async fn leave_first(&self, id: NodeId) -> Result<()> {
        if id != self.node() {
            return Ok(());
        }
        let leader = self.transfer(None).await?;
        Err(MembershipError::NotLeader { leader: Some(leader) })
    }

    async fn transfer(&self, to: Option<NodeId>) -> Result<NodeId> {
        let metrics = self.leading()?;
        let to = match to {
            Some(to) => to,
            None => self.best_successor(&metrics)?,
        };
        self.check_successor(&metrics, to).await?;
        if to == self.node() {
            return Ok(to);
        }
        let term = metrics.current_term;
        self.raft().trigger().transfer_leader(to).await.map_err(|_| MembershipError::Stopped)?;
        let mut server = self.raft().server_metrics();
        let moved = async {
            loop {
                let now = server.borrow_and_update().clone();
                match now.current_leader {
                    Some(leader) if now.vote.leader_id.term > term => return Some(leader),
                    _ => server.changed().await.ok()?,
                }
            }
        };
        match timeout(self.options().transfer_timeout, moved).await {
            Ok(Some(leader)) if leader == to => Ok(to),
            Ok(leader) => Err(MembershipError::TransferFailed { to, leader }),
            Err(_) => {
                // openraft serves nothing until somebody leads anew, and has no way back: standing
                // for election itself is the way.
                let _ = self.raft().trigger().elect(false).await;
                Err(MembershipError::TransferFailed { to, leader: None })
            }
        }
    }

    fn best_successor(&self, metrics: &Metrics<S>) -> Result<NodeId> {
        let reachable = self.reachable(metrics);
        let candidates = voters(metrics).into_iter().filter(|id| *id != self.node());
        let candidates: Vec<NodeId> = candidates.collect();
        let best = candidates.iter().filter(|id| reachable.contains(id));
        let best = best.max_by_key(|id| matched(metrics, **id)).copied();
        best.ok_or_else(|| match candidates.first() {
            Some(silent) => MembershipError::Silent(*silent),
            None => MembershipError::LastVoter(self.node()),
        })
    }

    /// A leader that was just elected does not know yet what the others have.
    async fn check_successor(&self, metrics: &Metrics<S>, to: NodeId) -> Result<()> {
        if metrics.membership_config.membership().get_node(&to).is_none() {
            return Err(MembershipError::UnknownMember(to));
        }
        if !voters(metrics).contains(&to) {
            return Err(MembershipError::NotVoter(to));
        }
        let ready = |metrics: &Metrics<S>| match self.reachable(metrics).contains(&to) {
            true => self.check_caught_up(metrics, to),
            false => Err(MembershipError::Silent(to)),
        };
        self.patiently(self.options().lease(), ready).await
    }

    fn check_voter(&self, id: NodeId) -> Result<()> {
        match voters(&self.leading()?).contains(&id) {
            true => Ok(()),
            false => Err(MembershipError::NotVoter(id)),
        }
    }

    /// Waits until a member may vote: it can be given a vote and, unless forced, has caught up.
    async fn ready_to_vote(&self, id: NodeId, force: bool) -> Result<()> {
        let ready = |metrics: &Metrics<S>| {
            check_candidate(metrics, id, force)?;
            if force { Ok(()) } else { self.check_caught_up(metrics, id) }
        };
        self.patiently(self.options().catch_up_timeout, ready).await
    }

    /// Repeats a check until it holds. A refusal that may pass counts once `limit` is over.
    async fn patiently(
        &self,
        limit: Duration,
        check: impl Fn(&Metrics<S>) -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            match check(&self.leading()?) {
                Err(refusal) if refusal.may_pass() && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                checked => return checked,
            }
        }
    }

    /// Whether every one of `sets` has a majority that answers. A leader that was just elected has
    /// not heard from everybody, so a refusal takes a moment.
    async fn check_quorum(&self, change: &str, sets: &[&BTreeSet<NodeId>]) -> Result<()> {
        let quorums = |metrics: &Metrics<S>| {
            let answering = self.reachable(metrics);
            let reachable = |set: &BTreeSet<NodeId>| set.intersection(&answering).count();
            match sets.iter().find(|set| reachable(set) <= set.len() / 2) {
                None => Ok(()),
                Some(set) => Err(MembershipError::NoQuorum {
                    change: change.to_owned(),
                    reachable: reachable(set),
                    voters: set.len(),
                }),
            }
        };
        self.patiently(self.options().lease(), quorums).await
    }

    /// Members that answered lately, this one included.
    fn reachable(&self, metrics: &Metrics<S>) -> BTreeSet<NodeId> {
        let fresh =
            |id: &NodeId, at: Duration| *id == self.node() || at < 2 * self.options().lease();
        let heard = metrics.heartbeat.iter().flatten();
        let heard = heard.filter_map(|(id, at)| Some((*id, at.as_ref()?.elapsed())));
        let heard = heard.filter(|(id, at)| fresh(id, *at)).map(|(id, _)| id);
        heard.chain([self.node()]).collect()
    }

    /// Whether a member lacks so little of the log that it can soon be counted on. What it lacks
    /// must still be there: a snapshot on its way may take long, however short the log.
    fn check_caught_up(&self, metrics: &Metrics<S>, node: NodeId) -> Result<()> {
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let has = index(matched(metrics, node));
        if has < index(metrics.purged) {
            return Err(MembershipError::AwaitsSnapshot(node));
        }
        match metrics.last_log_index.unwrap_or(0).saturating_sub(has) {
            entries if entries > self.options().catch_up_entries => {
                Err(MembershipError::Behind { node, entries })
            }
            _ => Ok(()),
        }
    }

    /// What is known now, if this node leads.
    fn leading(&self) -> Result<Metrics<S>> {
        let metrics = self.metrics();
        if metrics.running_state.is_err() {
            return Err(MembershipError::Stopped);
        }
        if !metrics.state.is_leader() {
            return Err(MembershipError::NotLeader { leader: metrics.current_leader });
        }
        Ok(metrics)
    }

    /// Proposes a change on the condition that the membership is still `base`.
    async fn change(
        &self,
        base: &StoredMembership,
        change: ChangeMembers<NodeId, Node>,
        retain: bool,
    ) -> Result<()> {
        let last_membership_log_id: Option<LogId> = *base.log_id();
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id };
        tracing::info!(shard = %self.shard(), %change, "changing membership");
        self.within(self.raft().change_membership_if(change, retain, [unchanged])).await?;
        Ok(())
    }

    async fn within(
        &self,
        write: impl Future<Output = Outcome<S, ClientWriteResponse<Types<S>>>>,
    ) -> Result<ClientWriteResponse<Types<S>>> {
        match timeout(self.options().change_timeout, write).await {
            Ok(outcome) => outcome.map_err(refusal::of),
            Err(_) => Err(MembershipError::Unknown),
        }
    }
}

/// The member that has the address of a node.
fn holder<S: StateMachine>(metrics: &Metrics<S>, node: &Node) -> Option<NodeId> {
    let mut nodes = metrics.membership_config.membership().nodes();
    nodes.find(|(_, known)| known.rpc == node.rpc).map(|(id, _)| *id)
}

fn taken(node: &Node, known: NodeId) -> MembershipError {
    MembershipError::AddressTaken { address: node.rpc.clone(), node: known }
}

/// Whether a member may be given a vote, as far as the membership says.
fn check_candidate<S: StateMachine>(metrics: &Metrics<S>, id: NodeId, force: bool) -> Result<()> {
    let node = metrics.membership_config.membership().get_node(&id);
    let node = node.ok_or(MembershipError::UnknownMember(id))?;
    if voters(metrics).contains(&id) {
        return Err(MembershipError::AlreadyVoter(id));
    }
    if node.replica && !force {
        return Err(MembershipError::Replica(id));
    }
    Ok(())
}

fn voters<S: StateMachine>(metrics: &Metrics<S>) -> BTreeSet<NodeId> {
    metrics.membership_config.membership().voter_ids().collect()
}

fn matched<S: StateMachine>(metrics: &Metrics<S>, id: NodeId) -> Option<LogId> {
    metrics.replication.as_ref()?.get(&id).copied().flatten()
}
