//! A node's wall clock, through `libfaketime`.
//!
//! The library is loaded before the C library and reads a file at every call, so a running node's
//! clock can be moved. The monotonic clock is left alone: runtimes hand its values to the kernel,
//! which knows no other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// Where Debian has it.
pub fn library() -> Option<PathBuf> {
    let roots = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    roots.map(|root| root.path().join(LIBRARY)).find(|path| path.exists())
}

/// Lets a process have the clock that the file tells.
pub fn fake(command: &mut Command, library: &Path, file: &Path) {
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
    let switches = ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"];
    command.envs(switches.map(|name| (name, "1")));
}

/// Moves the clock by so many seconds from the true time.
pub fn set(file: &Path, seconds: i64) -> io::Result<()> {
    write(file, &format!("{seconds:+}"))
}

/// Lets the clock run so many times as fast as the true time, from the node's start on.
pub fn set_speed(file: &Path, speed: f64) -> io::Result<()> {
    write(file, &format!("+0 x{speed:.3}"))
}

/// By a rename: nobody reads half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let next = file.with_extension("next");
    fs::write(&next, format!("{text}\n"))?;
    fs::rename(next, file)
}
