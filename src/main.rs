//! The one binary: `talus`.

use std::process::ExitCode;

/// Shared with RocksDB, so that one set of numbers tells where memory is.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    talus::cli::run(talus::node::run)
}
