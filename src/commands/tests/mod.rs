//! Commands on a store, without a server: the golden scripts, the rows, and a few edges.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod effects;
mod keyspace;
mod rows;
mod scripts;

use keyspace::Keyspace;
