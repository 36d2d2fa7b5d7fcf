//! The runner of golden scripts.
//!
//! `script` reads and writes the files, `clients` carries out their lines, `render` shows replies as
//! redis-cli does, `expect` compares them with what is written, `run` brings it all together. What
//! scripts are run against is a `target`: `server` is one process, `trio` three nodes whose leader
//! changes, `machine` sessions over a keyspace within this process.

mod clients;
mod expect;
mod machine;
mod render;
mod run;
mod script;
mod server;
mod target;
mod trio;

pub use machine::Machine;
pub use run::{Mode, Suite, updating};
pub use script::Flavor;
pub use server::Process;
pub use trio::Trio;
