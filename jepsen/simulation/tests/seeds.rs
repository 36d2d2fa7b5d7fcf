//! Many seeds hold, and a seed is always the same run.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_talus-simulation");

fn simulate(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Always the same seeds, as many as there is time for: what fails here fails again.
/// `make simulate` tries others.
#[test]
fn seeds_hold() {
    let seconds = std::env::var("TALUS_SIMULATION_SECONDS").unwrap_or_else(|_| "50".into());
    let output = simulate(&["--first", "1", "--seconds", &seconds]);
    let said = said(&output);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in ["1", "2", "3"] {
        let run =
            || said(&Command::new(PROGRAM).env("TALUS_SIMULATION_SEED", seed).output().unwrap());
        let first = run();
        assert!(first.contains("hash"), "{first}");
        assert_eq!(first, run());
    }
}
