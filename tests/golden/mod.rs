//! The runner of golden scripts.
//!
//! `script` reads and writes the files, `render` shows replies as redis-cli does, `expect` compares
//! them with what is written, `server` starts processes, `run` brings them together.

mod expect;
mod render;
mod run;
mod script;
mod server;

pub use run::{Mode, Suite, updating};
pub use script::Flavor;
pub use server::Process;
