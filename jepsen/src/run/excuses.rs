//! Errors in a node's log that a run provokes: they are no finding.
//!
//! Panics are never excused by these texts, unless the panic itself names what was provoked.

use crate::check::crashes::{Excuses, NOT_STARTED};

/// What consensus says to whoever asks it for something when it has stopped.
const STOPPED: &str = "raft stopped";

/// What a node says while it ends because it was asked to; every run has such an end of each.
const STOPPING: &[&str] = &[STOPPED, "failed to receive from RaftCore: None"];

/// What else is to be expected of each fault.
const BY_FAULT: &[(&str, &[&str])] = &[
    (
        "member",
        &[
            "this node was removed from its cluster",
            "the second step error: has to forward request",
            // It could not join in time.
            NOT_STARTED,
        ],
    ),
    // Consensus stops with the disk, and others ask it until the process has ended.
    ("power", &["Input/output error", STOPPED, ABORTED, NOT_STARTED]),
    ("fsync-error", &["Input/output error", STOPPED, ABORTED, NOT_STARTED]),
    ("disk-full", &["No space left on device", STOPPED, ABORTED, NOT_STARTED]),
];

/// The end of a node whose disk failed.
const ABORTED: &str = "signal: 6";

/// What excuses an error in a run with these faults.
pub fn of(faults: &[String]) -> Excuses {
    let wanted = BY_FAULT.iter().filter(|(name, _)| faults.iter().any(|fault| fault == name));
    let always = wanted.flat_map(|(_, texts)| *texts).copied().collect();
    Excuses { always, stopping: STOPPING.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_of_the_run_excuses() {
        let disk_full = of(&["disk-full".to_owned(), "kill".to_owned()]);
        assert!(disk_full.always.contains(&"No space left on device"));
        assert!(!disk_full.always.contains(&"Input/output error"));
        assert_eq!(of(&["kill".to_owned()]).always, [""; 0]);
        for (name, _) in BY_FAULT {
            assert!(crate::nemesis::names().contains(name), "{name}");
        }
    }
}
