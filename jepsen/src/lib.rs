//! A Jepsen-style harness: real clusters, faults, recorded histories, checkers.
//!
//! A run starts a [`cluster`], lets clients carry out a [`workload`] while a [`nemesis`] breaks
//! things, records all of it in one [`history`], [`check`]s that, and writes a [`report`]. Nothing
//! here links the server: the harness sees what a client, an operator and a disk would see.
//!
//! Everything blocks and runs in threads, not tasks: a thread can move into a network namespace.

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod check;
pub mod client;
pub mod cluster;
pub mod history;
pub mod nemesis;
pub mod report;
pub mod run;
pub mod tell;
pub mod workload;
