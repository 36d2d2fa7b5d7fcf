//! Runs seeds, each in a process, as many at once as there are cores, and says which failed.

use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::SEED;

/// A run that takes longer, by the clock on the wall, hangs.
const RUN_MAX: Duration = Duration::from_secs(120);
/// After so many failures there is enough to look at.
const FAILURES_MAX: usize = 10;

/// Which seeds, and for how long.
struct Order {
    first: u64,
    seeds: u64,
    time: Duration,
    jobs: usize,
    is_verbose: bool,
}

impl Order {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let time = Duration::MAX;
        let mut order = Self { first: 1, seeds: u64::MAX, time, jobs, is_verbose: false };
        while let Some(word) = words.next() {
            if word == "--verbose" {
                order.is_verbose = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number: u64 = value.parse().map_err(|error| format!("{word} {value}: {error}"))?;
            match word.as_str() {
                "--first" => order.first = number,
                "--seeds" => order.seeds = number,
                "--seconds" => order.time = Duration::from_secs(number),
                "--minutes" => order.time = Duration::from_secs(60 * number),
                "--jobs" => order.jobs = number.max(1) as usize,
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(order)
    }
}

/// What has been found out.
#[derive(Default)]
struct Found {
    held: u64,
    failed: Vec<u64>,
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    match Order::parse(std::env::args().skip(1)) {
        Ok(order) => run_all(&order),
        Err(reason) => {
            eprintln!(
                "{reason}\nusage: [--first N] [--seeds N] [--seconds N | --minutes N] [--jobs N]"
            );
            ExitCode::from(2)
        }
    }
}

fn run_all(order: &Order) -> ExitCode {
    let (begun, next, found) = (Instant::now(), AtomicU64::new(0), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..order.jobs {
            scope.spawn(|| {
                while begun.elapsed() < order.time && found.lock().failed.len() < FAILURES_MAX {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= order.seeds {
                        return;
                    }
                    run_one(order.first.wrapping_add(number), order.is_verbose, &found);
                }
            });
        }
    });
    let Found { held, failed } = found.into_inner();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let rate = (held + failed.len() as u64) as f64 / minutes;
    println!("{held} seeds hold, {} failed: {failed:?}; {rate:.0} a minute", failed.len());
    if failed.is_empty() && held > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(seed: u64, is_verbose: bool, found: &Mutex<Found>) {
    let (holds, said) = match run_in_process(seed) {
        Ok(outcome) => outcome,
        Err(error) => (false, format!("seed {seed} did not run: {error}")),
    };
    let mut found = found.lock();
    if holds {
        found.held += 1;
    } else {
        found.failed.push(seed);
    }
    if !holds || is_verbose {
        println!("{}", said.trim_end());
    }
    if !holds {
        println!("repeat it: {SEED}={seed} TALUS_SIMULATION_TRACE=1 talus-simulation");
    }
}

/// Whether a run ended well, and what it said.
fn run_in_process(seed: u64) -> std::io::Result<(bool, String)> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.env(SEED, seed.to_string()).stdin(Stdio::null());
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = run.id();
    let (done, waits) = channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = waits.recv_timeout(RUN_MAX) == Err(RecvTimeoutError::Timeout);
        if hangs {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        hangs
    });
    let output = run.wait_with_output()?;
    drop(done);
    let hangs = watch.join().unwrap_or(false);
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if hangs {
        said.push_str(&format!("\nseed {seed} hangs"));
    }
    Ok((output.status.success(), said))
}
