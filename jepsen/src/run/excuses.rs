//! Errors in a node's log that a run provokes: they are no finding.
//!
//! Panics are never excused by these texts, unless the panic itself names what was provoked.

/// What an orderly stop leaves in the log of consensus; every run ends with two.
const ALWAYS: &[&str] = &["raft stopped", "failed to receive from RaftCore: None"];

/// What else is to be expected of each fault.
const BY_FAULT: &[(&str, &[&str])] = &[
    (
        "member",
        &[
            "this node was removed from its cluster",
            "the second step error: has to forward request",
        ],
    ),
    ("power", &["Input/output error"]),
    ("fsync-error", &["Input/output error"]),
    ("disk-full", &["No space left on device"]),
];

/// The texts that excuse an error in a run with these faults.
pub fn of(faults: &[String]) -> Vec<&'static str> {
    let wanted = BY_FAULT.iter().filter(|(name, _)| faults.iter().any(|fault| fault == name));
    ALWAYS.iter().chain(wanted.flat_map(|(_, texts)| *texts)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_of_the_run_excuses() {
        let disk_full = of(&["disk-full".to_owned(), "kill".to_owned()]);
        assert!(disk_full.contains(&"No space left on device"));
        assert!(!disk_full.contains(&"Input/output error"));
        assert_eq!(of(&[]), ALWAYS);
        for (name, _) in BY_FAULT {
            assert!(crate::nemesis::names().contains(name), "{name}");
        }
    }
}
