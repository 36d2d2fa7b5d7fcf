//! Shards over real connections in one process, with a state machine in memory.

mod cluster;
mod membership;
mod snapshot;
mod support;
