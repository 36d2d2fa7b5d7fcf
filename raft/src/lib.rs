//! Consensus: the one crate that knows openraft.
//!
//! A shard is a Raft group. Its commands are replicated, committed, and applied by a
//! [`StateMachine`]; what is above sees neither terms of openraft nor its types.
//!
//! ```text
//! write → queue of consensus → log (fsync) ∥ followers → committed → applied → reply
//! read  → barrier (shared round: which index?) → applied here → read
//! ```
//!
//! Invariants
//! * A write is answered after it is applied here, and applied after it is durable on a quorum
//!   and in this node's own log.
//! * An error says whether the write happened, or that nobody knows.
//! * A fault of disk or state machine stops the node; it never becomes an answer.
//! * Messages from another cluster, for another shard or another node are refused.

mod adapter;
mod beside;
mod consensus;
mod contact;
pub mod convert;
mod keeper;
pub mod log;
mod machine;
mod membership;
mod mutant;
mod network;
mod observe;
mod options;
mod peers;
mod read;
mod record;
mod runtime;
mod service;
mod snapshot;
mod stage;
mod status;
pub mod types;
mod worker;

pub use consensus::{Consensus, LogStore, OpenError, Setup, SnapshotError, WriteError};
pub use contact::Lost;
pub use machine::{Checkpointer, Committed, StateMachine};
pub use membership::MembershipError;
pub use mutant::Mutant;
pub use options::{FOUNDER_MAX, Options, VOTERS_MAX};
pub use peers::{BadAddress, Dial, PeerOptions, Peers, Purpose, Wire, server};
pub use read::ReadError;
pub use record::founding_record;
pub use runtime::runtime;
pub use service::ConsensusService;
pub use stage::{OnStage, Proposed, Stage, unwatched};
pub use status::{Role, Status};
pub use types::{ClusterId, Command, Node, NodeId, ShardId};
pub use worker::{Flushed, OnFault, stop_the_process};
