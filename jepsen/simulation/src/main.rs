//! Whole clusters of Talus in one thread, under a scheduler, network, clock and disk of one seed.
//!
//! ```text
//! talus-simulation --first 1 --seconds 60        as many seeds as fit into a minute
//! talus-simulation --first 17 --seeds 1          one of them; TALUS_SIMULATION_TRACE=1 shows it
//! ```
//! Every seed is a process of its own, so that nothing of one run is left for the next; see `os.c`
//! and `files.c` for what makes it the same run each time. Consensus with its log, the connections between
//! nodes, the router, sessions and keyspace are the server's own, byte for byte as they are built.
//!
//! * `machine`, `network`, `disk`, `power`: what nodes run on. `node`: its parts, and its death.
//! * `world`: a run. `faults`: what happens in it. `clients`: who uses it meanwhile.
//! * `laws`, `history`: what must hold, at every step and for every client. `journal`: the trace.

mod clients;
#[path = "../../../raft/tests/log_disk/disk.rs"]
mod disk;
mod driver;
mod faults;
mod history;
mod journal;
mod laws;
mod machine;
mod network;
mod node;
mod power;
mod watched;
mod world;

use std::process::ExitCode;

use world::World;

/// Tells a process which run it is; read by `os.c`, too.
const SEED: &str = "TALUS_SIMULATION_SEED";

fn main() -> ExitCode {
    match std::env::var(SEED).ok().map(|seed| seed.parse()) {
        None => driver::run(),
        Some(Ok(seed)) => run(seed),
        Some(Err(error)) => {
            eprintln!("{SEED}: {error}");
            ExitCode::from(2)
        }
    }
}

/// One run. A broken law is a panic, wherever it is found, and ends the process.
fn run(seed: u64) -> ExitCode {
    std::panic::set_hook(Box::new(move |panic| {
        println!("seed {seed} failed after {} ms: {panic}", journal::elapsed_ms());
        std::process::exit(1);
    }));
    let mut world = World::new(seed);
    world.run();
    println!("seed {seed} holds, {}", world.report());
    ExitCode::SUCCESS
}
