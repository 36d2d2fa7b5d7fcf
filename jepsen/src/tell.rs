//! What a person is told, on standard output and standard error.
//!
//! Invariant: that nobody is there to read it, as behind `| head` or a terminal that was closed, is no
//! reason to panic, nor to give up what runs: all of it is in files too.

use std::fmt::Display;
use std::io::{self, Write};

/// A line, or several, of what was asked for.
pub fn out(text: impl Display) {
    // In one write, so that lines of several threads do not mix.
    let _ = io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}

/// A line beside it: what goes on, and what is not as it should be.
pub fn aside(text: impl Display) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
