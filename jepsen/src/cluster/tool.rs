//! Programs of Debian that do what safe Rust cannot, or would do in many lines.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Problem;

/// Where root's programs are; not every user's path has them.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program, to be given arguments.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Whether the program is installed.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where the program is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|dir| Path::new(dir).join(program)).find(|file| is_program(file))
}

/// Whether it is a file that somebody may execute.
pub fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// What this process lacks of root's rights. Root of a container has them not all: without the one to
/// administer the system there are neither namespaces nor mounts.
pub fn lacks_root() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("the rights of root");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (!administers(&status)).then_some("the capability CAP_SYS_ADMIN")
}

fn administers(status: &str) -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|capabilities| capabilities & CAP_SYS_ADMIN != 0)
}

/// Runs a line of words, such as `ip netns add x`; gives what it prints.
pub fn run(line: &str) -> Result<String, Problem> {
    let mut words = line.split_whitespace();
    insist(command(words.next().unwrap_or_default()).args(words))
}

/// Runs a command that must succeed; gives what it prints.
pub fn insist(command: &mut Command) -> Result<String, Problem> {
    let output = command.output().map_err(|error| Problem::new(shown(command), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Problem::new(shown(command), format!("{}: {}", output.status, said.trim())))
}

/// Runs a command that reads `input` and must succeed.
pub fn feed(mut command: Command, input: &str) -> Result<(), Problem> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let name = shown(&command);
    let fails = |error| Problem::new(&name, error);
    let mut child = command.spawn().map_err(fails)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(fails)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(Problem::new(&name, said.trim())) }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_container_is_not_enough() {
        // The capabilities of all, and those that Docker leaves.
        assert!(administers("Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n"));
        assert!(!administers("CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n"));
        assert!(!administers(""));
    }
}
