//! What sees to it that nothing of a cluster stays, however the harness ends.
//!
//! Everything of a cluster carries its *mark*, `jp-<pid>-<count>`: processes in their environment,
//! namespaces, mounts and control groups in their names. A guard process waits until the harness
//! closes a pipe, which the kernel does for it even after kill -9, and then removes all that carries
//! the mark. A guard that was killed too is made good for by the next start: it removes whatever
//! carries the mark of a harness that is not there any more.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::tool;

/// The variable in the environment of every process of a cluster.
pub const MARK: &str = "JEPSEN_RUN";

/// Where the mounts of all clusters are, in directories named after their marks.
pub const MOUNTS: &str = "/run/talus-jepsen";

/// Where control groups of version 1 limit the processor.
pub const CPU_GROUPS: &str = "/sys/fs/cgroup/cpu";

/// Removes everything that carries the mark `$1`. Each step may be repeated, and none depends on
/// what an earlier one found: a cluster may be removed when it was only half made.
const REMOVE: &str = r#"
    trap '' HUP INT TERM
    [ "$2" = now ] || cat >/dev/null
    kill_all() {
        found=
        for each in /proc/[0-9]*; do
            grep -qsz "^JEPSEN_RUN=$1$" "$each/environ" || continue
            # One that has ended and only waits for its parent has no environment.
            found=yes; kill -9 "${each#/proc/}" 2>/dev/null
        done
        [ -n "$found" ]
    }
    for try in 1 2 3 4 5 6 7 8 9 10; do kill_all "$1" || break; sleep 0.1; done
    for each in /run/talus-jepsen/$1/*; do
        [ -d "$each" ] || continue
        umount "$each" 2>/dev/null || umount --lazy "$each" 2>/dev/null
        rmdir "$each"
    done
    rmdir "/run/talus-jepsen/$1" /run/talus-jepsen 2>/dev/null
    for each in /run/netns/$1-*; do
        [ -e "$each" ] && ip netns delete "${each##*/}"
    done
    for each in /sys/fs/cgroup/cpu/$1-*; do
        [ -d "$each" ] && rmdir "$each"
    done
    true
"#;

/// A mark nobody else has. It names this process, so that others can tell whether it still lives.
pub fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("jp-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Dropping it removes everything that carries its mark.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Watches over `mark` from now on.
    pub fn new(mark: &str) -> io::Result<Self> {
        // In a group of its own: what interrupts the harness does not interrupt the guard.
        let mut guard = remover(mark, "later");
        guard.process_group(0).stdin(Stdio::piped());
        guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn remover(mark: &str, when: &str) -> std::process::Command {
    let mut sh = tool::command("sh");
    sh.args(["-c", REMOVE, "guard", mark, when]);
    sh
}

/// Removes what harnesses left that are dead, and whose guards are too.
pub fn sweep() {
    let mut marks = remains();
    marks.retain(|mark| owner(mark).is_some_and(is_dead));
    for mark in marks {
        // What cannot be removed is somebody else's.
        let _ = remover(&mark, "now").output();
    }
}

/// Marks that are seen in names.
pub fn remains() -> Vec<String> {
    let names = ["/run/netns", MOUNTS, CPU_GROUPS].into_iter().flat_map(std::fs::read_dir);
    let names = names.flatten().flatten().map(|entry| entry.file_name());
    let mut marks: Vec<String> =
        names.filter_map(|name| mark_in(&name.to_string_lossy())).chain(marked()).collect();
    marks.sort();
    marks.dedup();
    marks
}

/// Marks in the environment of processes.
fn marked() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let environments = processes.filter_map(|it| std::fs::read(it.path().join("environ")).ok());
    environments.filter_map(|environment| mark_of(&environment)).collect()
}

fn mark_of(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|it| it.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    mark_in(&String::from_utf8_lossy(value))
}

/// `jp-12-1` of `jp-12-1-n3`.
fn mark_in(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix("jp-")?.split('-').map(str::parse::<u32>);
    let (pid, count) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some(format!("jp-{pid}-{count}"))
}

fn owner(mark: &str) -> Option<u32> {
    mark.strip_prefix("jp-")?.split('-').next()?.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn marks_are_found_in_names() {
        assert_eq!(mark_in("jp-12-3-sw").as_deref(), Some("jp-12-3"));
        assert_eq!(mark_in("jp-12-3").as_deref(), Some("jp-12-3"));
        assert_eq!(mark_in("jp-x-3"), None);
        assert_eq!(mark_in("other-1-2"), None);
        assert_eq!(mark_of(b"A=1\0JEPSEN_RUN=jp-7-1\0B=2").as_deref(), Some("jp-7-1"));
        assert_eq!(owner("jp-12-3"), Some(12));
    }

    #[test]
    fn a_dropped_guard_kills_what_carries_its_mark_and_nothing_else() {
        let (mark, other) = (mark(), mark());
        let sleeper = |mark: &str| tool::command("sleep").arg("60").env(MARK, mark).spawn();
        let (mut marked, mut spared) = (sleeper(&mark).unwrap(), sleeper(&other).unwrap());
        let guard = Guard::new(&mark).unwrap();
        assert!(marked.try_wait().unwrap().is_none());
        drop(guard);
        assert!(!marked.wait().unwrap().success());
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
