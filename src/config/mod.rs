//! Configuration: one table of settings, and everything that reads it.
//!
//! `settings` is the table. `value` knows the kinds of values, `source` the files, `load` the order
//! of sources, `check` what must hold between settings, `live` how they change while a node runs.
//!
//! Invariants
//! * A setting is described in one place, its row.
//! * A node starts only with a configuration that has no problem at all.
//! * A change at run time is taken over as a whole or not at all, and only by settings that are live.
//! * Secrets are never shown, except to `CONFIG GET`, as in Redis.

pub mod address;
pub mod check;
mod clients;
pub mod files;
pub mod live;
pub mod load;
mod memory;
pub mod problem;
pub mod redis;
pub mod reference;
pub mod rewrite;
pub mod settings;
pub mod source;
#[cfg(test)]
mod tests;
pub mod value;

pub use address::{Advertised, Binding};
pub use live::{Live, SetError};
pub use load::{Loaded, Origin, Sources};
pub use problem::Problem;
pub use rewrite::RewriteError;
pub use settings::{Config, Flag, SETTINGS, Setting};
