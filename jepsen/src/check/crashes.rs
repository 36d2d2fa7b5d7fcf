//! Crashes: no process falls over, and none reports an error that nobody provoked.
//!
//! As Jepsen's `log-file-pattern`. A node that panics and restarts in time is invisible to clients;
//! RedisRaft's assertions (#42, #43, #48, #50, #53) were found in its logs only. Faults that must end
//! in an error, such as an injected failure of fsync, are passed as allowed texts.
//!
//! * `crashed`: a panic, an abort, a failed assertion or memory fault.
//! * `error`: a line of level ERROR.

use super::{Case, Finding};

/// What a process writes that goes down unasked; compared without regard to case.
const CRASHES: &[&str] = &[
    "panicked at",
    "has overflowed its stack",
    "memory allocation of",
    "sigsegv",
    "sigabrt",
    "segmentation fault",
    "assertion failed",
    "aborted (core dumped)",
    "bug report start",
];

/// Checks each node's log, allowing nothing.
pub fn check(logs: &[(u32, String)]) -> Finding {
    check_allowing(logs, &[])
}

/// Checks each node's log; a message that contains one of the `allowed` texts was to be expected.
pub fn check_allowing(logs: &[(u32, String)], allowed: &[&str]) -> Finding {
    Case::run("crashes", |case| {
        let mut lines = 0;
        let mut tolerated = 0;
        for (node, log) in logs {
            let log: Vec<&str> = log.lines().collect();
            lines += log.len();
            for (place, line) in log.iter().enumerate() {
                let Some(name) = complaint(line) else { continue };
                // The message of a panic stands in the line after its place.
                let message = log.get(place + 1).filter(|_| line.contains("panicked at"));
                let text = message.map_or((*line).to_owned(), |next| format!("{line} {next}"));
                match allowed.iter().any(|allowed| text.contains(allowed)) {
                    true => tolerated += 1,
                    false => case.accuse(name, &[], describe(*node, place, &text)),
                }
            }
        }
        if lines == 0 {
            case.doubt("there are no logs");
        }
        case.figure("lines", lines);
        case.figure("allowed", tolerated);
        Ok(())
    })
}

fn complaint(line: &str) -> Option<&'static str> {
    let small = line.to_ascii_lowercase();
    if CRASHES.iter().any(|crash| small.contains(crash)) {
        return Some("crashed");
    }
    let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.any(|word| word == "ERROR").then_some("error")
}

/// Long lines are cut: a log may hold whole values.
fn describe(node: u32, place: usize, text: &str) -> String {
    let text: String = text.chars().take(400).collect();
    format!("node {node}, line {}: {text}", place + 1)
}
