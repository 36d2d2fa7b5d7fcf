//! Talus: a Redis-compatible, strongly consistent, durable key-value service.
//!
//! ```text
//! write: connection → session → router → packer → consensus → keyspace → reply
//! read:  connection → session → read barrier → view → reply
//! ```
//! ARCHITECTURE.md tells the reasons and the invariants.

pub mod admin;
pub mod cli;
pub mod commands;
pub mod config;
pub mod keyspace;
pub mod node;
pub mod router;
pub mod server;
pub mod session;
pub mod telemetry;
pub mod threads;
