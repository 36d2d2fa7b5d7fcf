//! A node's wall clock.
//!
//! Every node is started with a small library before the C library (`clock.c`, compiled when a
//! cluster starts) that answers for the wall clock, and reads from a file how wrong that is. Debian's
//! libfaketime would do as much, but asks for memory before it is ready, and an allocator that asks
//! for the time, as Talus's does, never starts under it. The monotonic clock is left alone: runtimes
//! hand its values to the kernel, which knows no other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Problem, tool};

const SOURCE: &str = include_str!("clock.c");
const COMPILER: &str = "cc";
// Places in the file: what is added, what is added to each second, and since when.
const OFFSET: u64 = 0;
const RATE: u64 = 8;
const SINCE: u64 = 16;
const SECOND: f64 = 1e9;

/// What this machine lacks for it.
pub fn lacks() -> Option<String> {
    (!tool::has(COMPILER)).then(|| format!("the program {COMPILER}"))
}

/// Compiles the library into `dir`.
pub fn library(dir: &Path) -> Result<PathBuf, Problem> {
    let library = dir.join("clock.so");
    let mut compiler = tool::command(COMPILER);
    compiler.args(["-shared", "-fPIC", "-O2", "-x", "c", "-", "-o"]).arg(&library);
    tool::feed(compiler, SOURCE)?;
    Ok(library)
}

/// Lets a process have the clock that the file tells.
pub fn fake(command: &mut Command, library: &Path, file: &Path) {
    command.env("LD_PRELOAD", library).env("JEPSEN_CLOCK", file);
}

/// Makes the file; the clock is right.
pub fn create(file: &Path) -> io::Result<()> {
    File::create(file)?.set_len(SINCE + 8)
}

/// Lets the clock be ahead by so many seconds, and run as it should.
pub fn set(file: &Path, seconds: i64) -> io::Result<()> {
    write(file, RATE, 0)?;
    write(file, OFFSET, seconds * SECOND as i64)
}

/// Lets the clock run so many times as fast from now on.
pub fn set_speed(file: &Path, speed: f64) -> io::Result<()> {
    let now = true_time().duration_since(UNIX_EPOCH).unwrap_or_default();
    // While it does not drift, since when does not matter.
    write(file, RATE, 0)?;
    write(file, SINCE, i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))?;
    write(file, RATE, ((speed - 1.0) * SECOND) as i64)
}

#[expect(clippy::disallowed_methods, reason = "a wrong clock is wrong from the true time on")]
fn true_time() -> SystemTime {
    SystemTime::now()
}

/// In one piece: whoever reads sees the old number or the new one.
fn write(file: &Path, at: u64, value: i64) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all_at(&value.to_ne_bytes(), at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn date(library: &Path, file: &Path) -> f64 {
        let mut date = tool::command("date");
        fake(date.arg("+%s.%N"), library, file);
        tool::insist(&mut date).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_clock_jumps_drifts_and_is_right_again() {
        if let Some(lack) = lacks() {
            eprintln!("skipped: {lack} is missing");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (library, file) = (library(dir.path()).unwrap(), dir.path().join("clock"));
        create(&file).unwrap();
        let right = date(&library, &file);
        set(&file, -3600).unwrap();
        let early = date(&library, &file);
        assert!((-3600.0..-3590.0).contains(&(early - right)), "{early} {right}");
        set(&file, 0).unwrap();
        set_speed(&file, 101.0).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let late = date(&library, &file);
        assert!((10.0..1000.0).contains(&(late - right)), "{late} {right}");
        set(&file, 0).unwrap();
        assert!((date(&library, &file) - right).abs() < 10.0);
    }
}
