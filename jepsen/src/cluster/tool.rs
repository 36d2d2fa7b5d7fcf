//! Programs of Debian that do what safe Rust cannot, or would do in many lines.

use std::io::Write;
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
    PATH.split(':').any(|dir| std::path::Path::new(dir).join(program).exists())
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
