//! One process of a node: started so that it cannot outlive the harness, signalled, waited for.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::guard::MARK;
use crate::check::crashes::{ENDED, STOPPED, STOPPING};

const TICK: Duration = Duration::from_millis(10);

/// A process. Dropping it kills it. Its log tells how it ended, unless it was killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// How it ended is told, or nobody asks.
    told: bool,
}

impl Process {
    /// Starts it. What it says is appended to `log`; it carries `mark`, and its standard input
    /// ends with the harness. What interrupts the harness from a terminal does not interrupt it.
    pub fn spawn(command: &mut Command, log: &Path, mark: &str) -> io::Result<Self> {
        let file = open(log)?;
        command.env(MARK, mark).stdin(Stdio::piped()).process_group(0);
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log: log.to_owned(), told: false })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        if !std::mem::replace(&mut self.told, true) {
            note(&self.log, &format!("{ENDED}{status}"));
        }
        Some(status)
    }

    /// Whether it is still there, be it stopped.
    pub fn runs(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Sends a signal, if it is still there.
    pub fn signal(&mut self, signal: Signal) {
        if self.runs() {
            // It may end at this very moment, which is as good.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        self.told = self.runs() || self.told;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; kill -9 if it takes longer than `limit`. Whether it ended by itself. The log says when
    /// it was asked to end and when it had, so that what it says between is told from the rest.
    pub fn terminate(&mut self, limit: Duration) -> bool {
        self.signal(Signal::CONT);
        note(&self.log, STOPPING);
        self.signal(Signal::TERM);
        let ended = self.wait(limit);
        self.kill();
        note(&self.log, STOPPED);
        ended
    }

    /// Whoever was asked to end need not tell that it has, only that it could not in good order.
    fn wait(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.told |= status.success();
                return self.ended().is_some();
            }
            std::thread::sleep(TICK);
        }
        false
    }
}

/// Writes a line of the harness's own into a node's log.
pub fn note(log: &Path, line: &str) {
    // In one write: processes write to the same file. Where it fails, what the node says of what is
    // done to it is a finding, which is the safe side.
    let _ = open(log).and_then(|mut log| log.write_all(format!("{line}\n").as_bytes()));
}

fn open(log: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(log)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use rustix::process::getpgid;

    fn shell(script: &str, dir: &Path) -> Process {
        let mut command = Command::new("sh");
        Process::spawn(command.args(["-c", script]), &dir.join("log"), "jp-0-0").unwrap()
    }

    #[test]
    fn it_has_a_process_group_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell("sleep 60", dir.path());
        let pid = Pid::from_child(&process.child);
        assert_eq!(getpgid(Some(pid)).unwrap(), pid);
        assert_ne!(getpgid(None).unwrap(), pid);
    }

    #[test]
    fn the_log_tells_how_it_ended_unless_it_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let long = Duration::from_secs(30);
        for script in ["kill -ABRT $$", "exit 0"] {
            let mut process = shell(script, dir.path());
            while process.runs() {
                std::thread::sleep(TICK);
            }
        }
        shell("sleep 60", dir.path()).kill();
        let mut process =
            shell("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done", dir.path());
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();
        while !log().ends_with("up\n") {
            std::thread::sleep(TICK);
        }
        assert!(process.terminate(long));
        let told = log();
        let told: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix(ENDED)).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("signal: 6"), "{told:?}");
        assert_eq!(told[1..], ["exit status: 0", "exit status: 3"]);
    }

    #[test]
    fn the_log_tells_what_was_said_while_it_ended_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();
        let script = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done";
        let mut process = shell(script, dir.path());
        while log().is_empty() {
            std::thread::sleep(TICK);
        }
        assert!(process.terminate(Duration::from_secs(30)));
        drop(shell("echo again; sleep 60", dir.path()));
        let expected = format!("up\n{STOPPING}\nbye\n{STOPPED}\n");
        assert!(log().starts_with(&expected), "{}", log());
    }
}
