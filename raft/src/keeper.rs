//! What a shard does by itself: snapshots and purges by bytes, local reads for a leader that is
//! alone, and the end of membership changes that were left half done.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{LinearizerOption, RaftState, ServerState};
use tokio::time::sleep;

use crate::consensus::Inner;
use crate::machine::StateMachine;
use crate::observe::{Growth, LocalReads, sole_voter};
use crate::types::{LogId, NodeId, Types};
use crate::worker::OnFault;

/// How often housekeeping looks around.
const PERIOD: Duration = Duration::from_millis(500);

/// When a node that started is expected to stay.
const SETTLED: Duration = Duration::from_secs(60);

/// Starts both tasks on the current runtime. They end with the shard.
pub(crate) fn start<S: StateMachine>(
    inner: &Arc<Inner<S>>,
    growth: Arc<Growth>,
    on_fault: OnFault,
) {
    tokio::spawn(house(Arc::downgrade(inner), growth));
    tokio::spawn(local_reads(Arc::downgrade(inner), on_fault));
}

async fn house<S: StateMachine>(inner: Weak<Inner<S>>, growth: Arc<Growth>) {
    let (mut bytes, mut since) = (0, Instant::now());
    // How much log was found at the start is not known; a snapshot soon makes it not matter.
    let mut interval = SETTLED;
    loop {
        sleep(PERIOD).await;
        let Some(inner) = inner.upgrade() else { return };
        let metrics = inner.metrics();
        if metrics.running_state.is_err() {
            return;
        }
        let options = inner.options();
        let grown = growth.total() - bytes;
        let beyond = metrics.last_applied > metrics.snapshot;
        let due = grown >= options.snapshot_log_bytes
            || (beyond && since.elapsed() >= interval.min(options.snapshot_interval));
        if due {
            inner.want_snapshot();
            (bytes, since, interval) = (growth.total(), Instant::now(), Duration::MAX);
        }
        inner.take_wanted_snapshot().await;
        let purged = metrics.purged.map_or(0, |id| id.index);
        growth.forget(purged);
        // Only what a snapshot holds may go.
        let covered = metrics.snapshot.map(|id| id.index);
        let target = covered.min(growth.index_before(options.log_bytes_kept));
        if let Some(index) = target.filter(|index| *index > purged) {
            let _ = inner.raft().trigger().purge_log(index).await;
        }
        let joint = metrics.membership_config.membership().get_joint_config().len() > 1;
        if joint
            && metrics.state.is_leader()
            && let Ok(_free) = inner.changes.try_lock()
            && let Err(error) = inner.settle().await
        {
            tracing::info!(%error, "an unfinished change of voters stays for now");
        }
    }
}

/// Allows local reads when this node leads alone and has applied what came before.
async fn local_reads<S: StateMachine>(inner: Weak<Inner<S>>, on_fault: OnFault) {
    let Some(strong) = inner.upgrade() else { return };
    let mut server = strong.raft().server_metrics();
    drop(strong);
    loop {
        let alone = {
            let now = server.borrow_and_update();
            now.state == ServerState::Leader
        };
        let Some(strong) = inner.upgrade() else { return };
        if alone {
            allow_if_alone(&strong).await;
        }
        drop(strong);
        if server.changed().await.is_err() {
            break;
        }
    }
    // Consensus has ended; if nobody asked it to, the node must not go on without it.
    let Some(inner) = inner.upgrade() else { return };
    inner.local().forbid();
    match inner.metrics().running_state {
        Ok(()) | Err(Fatal::Stopped) => {}
        Err(fatal) => on_fault(&format!("consensus failed: {fatal}")),
    }
}

async fn allow_if_alone<S: StateMachine>(inner: &Inner<S>) {
    let node = inner.node();
    let metrics = inner.metrics();
    if !sole_voter(metrics.membership_config.membership(), node) || inner.local().get() {
        return;
    }
    // Of the only voter this asks nobody; it says which entry must be applied first.
    let option = LinearizerOption::new(Some(Duration::ZERO), true);
    let Ok(linearizer) = inner.raft().get_read_linearizer(option).await else { return };
    let read: LogId = *linearizer.read_log_id().log_id();
    let mut applied = inner.applied().clone();
    if applied.wait_for(|applied| *applied >= read.index).await.is_err() {
        return;
    }
    let local = Arc::clone(inner.local());
    // Decided inside the task of consensus, so that nothing can change between look and leap.
    let decide = move |state: &RaftState<Types<S>>| decide(state, node, read, &local);
    let _ = inner.raft().with_raft_state(decide).await;
}

fn decide<S: StateMachine>(
    state: &RaftState<Types<S>>,
    node: NodeId,
    read: LogId,
    local: &LocalReads,
) {
    let vote = state.vote_ref();
    let leads = state.server_state == ServerState::Leader
        && vote.committed
        && vote.leader_id == read.leader_id
        && vote.leader_id.node_id == node;
    let members = &state.membership_state;
    if leads
        && sole_voter(members.effective().membership(), node)
        && sole_voter(members.committed().membership(), node)
    {
        local.allow();
    }
}
