//! The command line. Every subcommand says what is wrong in one line and what to do in another.
//!
//! `flags` reads options off the table of settings, `cluster` speaks to a running node over HTTP,
//! `playground` runs several nodes as child processes. The server itself is given to `run`, so
//! that nothing here knows what a node is made of.

mod client;
mod cluster;
mod configuration;
mod failure;
mod flags;
mod playground;
mod serve;
pub mod startup;
mod table;
#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand};
pub use failure::Failure;
use std::process::ExitCode;

/// Runs a node with a configuration until it is told to stop.
pub type Node = fn(crate::config::Live) -> Result<(), Failure>;

/// A Redis-compatible, strongly consistent, durable key-value service
#[derive(Parser)]
#[command(name = "talus", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a node
    Serve(serve::Serve),
    /// Run a cluster on this machine, with temporary data
    Playground(playground::Playground),
    /// Look at a cluster and change it
    Cluster(cluster::Cluster),
    /// Check and show settings
    #[command(subcommand)]
    Config(configuration::Configuration),
    /// Print the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what this process's arguments ask for; `node` runs a node.
pub fn run(node: Node) -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.verb.run(node).unwrap_or_else(|failure| failure.report()),
        Err(usage) => {
            let asked = !usage.use_stderr();
            // Nobody is left to be told that nobody reads the help.
            let _ = usage.print();
            if asked { ExitCode::SUCCESS } else { failure::USAGE.into() }
        }
    }
}

impl Verb {
    fn run(self, node: Node) -> Result<ExitCode, Failure> {
        match self {
            Verb::Serve(serve) => serve.run(node).map(|()| ExitCode::SUCCESS),
            Verb::Playground(playground) => playground.run().map(|()| ExitCode::SUCCESS),
            Verb::Cluster(cluster) => cluster.run(),
            Verb::Config(configuration) => configuration.run().map(|()| ExitCode::SUCCESS),
            Verb::Version { json } => {
                println!("{}", version(json));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn version(json: bool) -> String {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    match json {
        true => serde_json::json!({ "name": "talus", "version": VERSION }).to_string(),
        false => format!("talus {VERSION}"),
    }
}
