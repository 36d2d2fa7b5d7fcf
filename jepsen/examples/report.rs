//! Writes the report of a run that never was, to look at: `cargo run --example report -- DIR [SEED [SECONDS]]`.

#[path = "../tests/report/invented.rs"]
mod invented;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "target/report".to_string()));
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let seconds = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(60);
    let operations = seconds * 600;
    let size = invented::Size { seed, seconds, nodes: 5, threads: 10, operations };
    let (history, samples, summary) = invented::run(size);
    jepsen::report::write(&dir, &history, &samples, &summary)?;
    print!("{}", jepsen::report::text(&summary, &history));
    Ok(())
}
