//! What system calls of a running process give, through `strace`.
//!
//! While a process is traced each of its system calls costs some ten microseconds more.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::guard::{self, MARK};
use super::{Problem, tool};

const ATTACH_MAX: Duration = Duration::from_secs(5);

/// What this machine lacks to trace processes: it is tried on one that only waits.
pub fn lacks() -> Option<String> {
    if !tool::has("strace") {
        return Some("the program strace".to_owned());
    }
    let mark = guard::mark();
    let mut waits = tool::command("sleep").arg("60").env(MARK, &mark).spawn().ok()?;
    let traced = Trace::attach(waits.id(), Sync::Fails, &mark);
    let why = traced.err().map(|why| format!("the right to trace processes ({why})"));
    let _ = (waits.kill(), waits.wait());
    why
}

/// What happens to each fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It fails, and nothing is synced.
    Fails,
    /// It takes longer by so much.
    Slow(Duration),
}

/// A process under the eyes of another. Dropping it leaves the process alone again.
#[derive(Debug)]
pub struct Trace(Child);

impl Trace {
    /// From the return of this on, every fsync of the process is as said.
    pub fn attach(pid: u32, sync: Sync, mark: &str) -> Result<Self, Problem> {
        let what = match sync {
            Sync::Fails => "error=EIO".to_owned(),
            Sync::Slow(by) => format!("delay_exit={}", by.as_micros()),
        };
        let mut trace = Self(strace(pid, &what).env(MARK, mark).spawn()?);
        let begun = Instant::now();
        while !is_traced(pid) {
            if let Ok(Some(status)) = trace.0.try_wait() {
                return Err(Problem::new("strace", format!("{status}: may not trace {pid}")));
            }
            if begun.elapsed() > ATTACH_MAX {
                return Err(Problem::new("strace", format!("does not get hold of {pid}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(trace)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Asked to end it lets go of every thread first; killed, the kernel does that.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begun.elapsed() < ATTACH_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn strace(pid: u32, what: &str) -> Command {
    const CALLS: &str = "fsync,fdatasync";
    let mut strace = tool::command("strace");
    strace.args(["-qq", "-f", "-o", "/dev/null", "-p", &pid.to_string()]);
    strace.args(["-e", &format!("trace={CALLS}"), "-e", &format!("inject={CALLS}:{what}")]);
    strace.stdout(Stdio::null()).stderr(Stdio::null());
    strace
}

/// Whether all its threads are traced.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let status = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("status"));
    // One that has just ended does not count.
    let mut statuses = threads.flatten().filter_map(|thread| status(thread).ok());
    statuses.all(|status| status.lines().any(is_tracer))
}

fn is_tracer(line: &str) -> bool {
    line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0")
}
