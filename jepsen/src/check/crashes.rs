//! Crashes: no process falls over, and none reports an error that nobody provoked.
//!
//! As Jepsen's `log-file-pattern`. A node that panics and restarts in time is invisible to clients;
//! RedisRaft's assertions (#42, #43, #48, #50, #53) were found in its logs only. Faults that must end
//! in an error, such as an injected failure of fsync, are passed as excuses. So is what a process says
//! while it ends because the harness has asked it to; the harness notes in the log when that is.
//!
//! * `crashed`: a panic, an abort, a failed assertion or memory fault.
//! * `ended`: a process that ended unasked, or in bad order when it was asked; the harness notes how in
//!   the log. What a signal, the kernel or C++ ends says nothing itself.
//! * `error`: a line of level ERROR.
//! * `refused`: a node did not start on its own files. Whatever a kill or a power cut leaves of them,
//!   and half a write at the end of the log too, is no reason; only damage to what was durable is,
//!   from when the harness notes that it has done some until it notes that the node begins anew.

use super::{Case, Finding};

const BY_ITSELF: &str = "ended";
const CRASHED: &str = "crashed";
const ERROR: &str = "error";
const REFUSED: &str = "refused";

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

/// How a line of a log begins that tells how a process ended which nobody killed.
pub const ENDED: &str = "jepsen: ended by itself: ";
/// How one ends that does not start.
pub const NOT_STARTED: &str = "exit status: 1";
/// How the line begins in which a process says that it will not start on its files.
const REFUSALS: &[&str] = &["error: the log in ", "error: the data in "];

/// The line of a log before the node is asked to end.
pub const STOPPING: &str = "jepsen: asked to end";
/// The line of a log when such a node has ended.
pub const STOPPED: &str = "jepsen: has ended";

/// The line of a log when something of it that was durable was damaged.
pub const DAMAGED: &str = "jepsen: what was durable of its log is damaged";
/// The line of a log when what the node had was put aside.
pub const ANEW: &str = "jepsen: begins anew";

/// Texts of messages that were to be expected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excuses {
    /// At any time.
    pub always: Vec<&'static str>,
    /// Of a node that was asked to end, until it has. They excuse no crash.
    pub stopping: Vec<&'static str>,
}

impl Excuses {
    fn cover(&self, complaint: &str, text: &str, state: State) -> bool {
        let has = |texts: &[&str]| texts.iter().any(|excuse| text.contains(excuse));
        match complaint {
            ERROR if state.stopping && has(&self.stopping) => true,
            REFUSED if state.damaged => true,
            BY_ITSELF if state.damaged && text.ends_with(NOT_STARTED) => true,
            _ => has(&self.always),
        }
    }
}

/// What the harness has noted so far of what it did to a node.
#[derive(Clone, Copy, Default)]
struct State {
    stopping: bool,
    damaged: bool,
}

impl State {
    fn hear(&mut self, line: &str) {
        match line {
            STOPPING => self.stopping = true,
            STOPPED => self.stopping = false,
            DAMAGED => self.damaged = true,
            ANEW => self.damaged = false,
            _ => {}
        }
    }
}

/// Checks each node's log; what the excuses cover is counted and no more.
pub fn check(logs: &[(u32, String)], excuses: &Excuses) -> Finding {
    Case::run("crashes", |case| {
        let mut lines = 0;
        let mut tolerated = 0;
        for (node, log) in logs {
            let log: Vec<&str> = log.lines().collect();
            lines += log.len();
            let mut state = State::default();
            for (place, line) in log.iter().enumerate() {
                state.hear(line);
                let Some(name) = complaint(line) else { continue };
                // The message of a panic stands in the line after its place.
                let message = log.get(place + 1).filter(|_| line.contains("panicked at"));
                let text = message.map_or((*line).to_owned(), |next| format!("{line} {next}"));
                match excuses.cover(name, &text, state) {
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
    if line.starts_with(ENDED) {
        return Some(BY_ITSELF);
    }
    let small = line.to_ascii_lowercase();
    if CRASHES.iter().any(|crash| small.contains(crash)) {
        return Some(CRASHED);
    }
    if REFUSALS.iter().any(|refusal| line.starts_with(refusal)) {
        return Some(REFUSED);
    }
    let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.any(|word| word == "ERROR").then_some(ERROR)
}

/// Long lines are cut: a log may hold whole values.
fn describe(node: u32, place: usize, text: &str) -> String {
    let text: String = text.chars().take(400).collect();
    format!("node {node}, line {}: {text}", place + 1)
}
