//! The command as a shell starts it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn harness() -> Command {
    Command::new(env!("CARGO_BIN_EXE_talus-jepsen"))
}

/// Ends at once: its standard output, or both, go to a pipe that nobody reads.
fn unread(args: &[&str], errors_too: bool) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = harness();
    command.args(args).stdin(Stdio::null()).stderr(Stdio::piped());
    if errors_too {
        command.stderr(writer.try_clone().unwrap());
    }
    command.stdout(writer).output().unwrap()
}

#[test]
fn whoever_closes_the_pipe_is_told_no_more_and_nothing_panics() {
    let valid = "histories/set-valid-concurrent-read-misses.edn";
    let invalid = "histories/set-invalid-lost.edn";
    let impossible = ["run", "--talus", "/nowhere/talus", "--time", "1", "--mode", "loopback"];
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("run").display().to_string();
    let impossible = [&impossible[..], &["--out", &out]].concat();
    for (args, code) in
        [(&["check", valid][..], 0), (&["check", invalid], 1), (&["list"], 0), (&impossible, 2)]
    {
        for errors_too in [false, true] {
            let output = unread(args, errors_too);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
            assert!(!said.contains("panicked"), "{args:?}: {said}");
        }
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused_with_what_would() {
    for (args, told) in [
        (["soak", "--hours", "1e30"], "from 0.001 to 8760"),
        (["soak", "--hours", "NaN"], "from 0.001 to 8760"),
        (["soak", "--hours", "0"], "from 0.001 to 8760"),
        (["run", "--rate", "1e-320"], "from 0.01 to 10000"),
        (["run", "--rate", "inf"], "from 0.01 to 10000"),
        (["suite", "smoke", "--rate=-1"], "from 0.01 to 10000"),
    ] {
        let output = harness().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), said.contains(told)),
            (Some(2), true),
            "{args:?}: {said}"
        );
    }
}

/// The harness on a machine without a program: in a namespace where it is none. `None`, and why, if
/// this machine cannot have that.
fn without(program: &str) -> Option<Command> {
    let hide = format!("mount --bind /dev/null $(command -v {program}) && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    let can = command.args([&hide, "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {program} cannot be hidden here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &hide, env!("CARGO_BIN_EXE_talus-jepsen")]);
    Some(command)
}

#[test]
fn a_fault_that_cannot_be_had_is_said_at_the_start() {
    for (program, fault) in [("strace", "fsync-error"), ("cc", "clock"), ("mkfs.ext4", "power")] {
        let Some(mut list) = without(program) else { return };
        let listed = list.arg("list").output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let line = listed.lines().find(|line| line.starts_with(&format!("  {fault} "))).unwrap();
        let told = format!("lacks the program {program}");
        assert!(line.contains(&told), "{line}");
        let dir = tempfile::tempdir().unwrap();
        let mut run = without(program).unwrap();
        run.args(["run", "--mode", "loopback", "--talus", "/bin/true", "--nemesis", fault]);
        let ran = run.arg("--out").arg(dir.path().join("run")).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert_eq!((ran.status.code(), said.contains(&told)), (Some(2), true), "{said}");
    }
}

/// The harness copied to where no server is beside it.
fn alone(dir: &Path) -> Command {
    let copy = dir.join("talus-jepsen");
    std::fs::copy(env!("CARGO_BIN_EXE_talus-jepsen"), &copy).unwrap();
    let mut command = Command::new(copy);
    command.env_remove("TALUS").env("PATH", dir.join("empty")).current_dir(dir);
    command
}

#[test]
fn whoever_names_no_server_is_told_where_one_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let output = alone(dir.path()).args(["run", "--mode", "loopback"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = format!("there is no talus in {} nor in PATH", dir.path().display());
    assert_eq!((output.status.code(), said.contains(&told)), (Some(2), true), "{said}");
}
