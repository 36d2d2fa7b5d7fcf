//! What must stay compatible between versions of Talus: the contents of the Raft log
//! ([`log::v1`]) and what nodes say to each other ([`node::v1`]).
//!
//! The `.proto` files are the specification; this crate only makes them Rust. `bytes` fields are
//! [`bytes::Bytes`], so decoding out of a `Bytes` shares its memory instead of copying it.
//!
//! Invariants
//! * A field number is never reused and never changes its type; fields are only ever added.
//! * Every message has golden bytes under `tests/golden`; a change that alters them breaks
//!   clusters in which two versions run side by side, and its test.

/// The Raft log: what one entry carries.
pub mod log {
    /// Version 1 of the log's contents.
    #[allow(missing_docs, reason = "generated; the documentation is in the .proto file")]
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("talus.log.v1");
    }
}

/// The services between nodes and their messages.
pub mod node {
    /// Version 1 of the node protocol.
    #[allow(missing_docs, reason = "generated; the documentation is in the .proto file")]
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("talus.node.v1");
    }
}

pub use prost::Message;
