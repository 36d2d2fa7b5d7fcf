//! Commands on a store, without a server: the rows, and a few edges. The golden scripts are run in
//! this way by `tests/golden.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod effects;
mod keyspace;
mod rows;

use keyspace::Keyspace;
