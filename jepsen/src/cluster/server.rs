//! The program that is tested: where it is if nobody says, and which one it is.
//!
//! A version is that of many builds, so the binary's own digest tells them apart: the first digits of
//! what `sha256sum` says of the file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::{Problem, Target, tool};

/// So many digits of a digest are told: none of a project's builds has those of another.
const DIGITS: usize = 12;

/// Which program was tested.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Identity {
    /// What it says of its version; empty if it cannot be asked.
    pub version: String,
    /// The beginning of its file's SHA-256; empty if it cannot be read.
    pub binary: String,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = [&self.version, &self.binary].into_iter().filter(|it| !it.is_empty());
        f.write_str(&known.map(String::as_str).collect::<Vec<_>>().join(" · "))
    }
}

/// A Talus that nobody named: the one beside this program, or else the first in `PATH`.
pub fn find() -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(own.as_deref().and_then(Path::parent), &path)
}

fn find_in(beside: Option<&Path>, path: &OsStr) -> Result<PathBuf, String> {
    let dirs = beside.map(Path::to_owned).into_iter().chain(std::env::split_paths(path));
    let mut files = dirs.map(|dir| dir.join("talus"));
    let found = files.find(|file| tool::is_program(file));
    let found = found.and_then(|file| std::path::absolute(file).ok());
    let own = beside.map_or_else(|| "this program".to_owned(), |dir| dir.display().to_string());
    found.ok_or_else(|| format!("there is no talus in {own} nor in PATH: name it with --talus"))
}

impl Target {
    /// Whether it is ours.
    pub fn is_talus(&self) -> bool {
        matches!(self, Self::Talus(_))
    }

    /// Which program it is; it may be another tomorrow.
    pub fn identity(&self) -> Identity {
        let Some(program) = self.program() else { return Identity::default() };
        let version = said(Command::new(&program).arg("--version"));
        let digest = said(tool::command("sha256sum").arg("--").arg(&program));
        // Before the digest of a file whose name has to be escaped there is a backslash.
        let digits = digest.trim_start_matches('\\').chars().take(DIGITS);
        Identity { version, binary: digits.collect() }
    }

    /// Why it would not start with these settings.
    pub fn refuses(&self, settings: &[(String, String)]) -> Option<Problem> {
        let Self::Talus(program) = self else { return None };
        let given = settings.iter().map(|(key, value)| format!("--set={key}={value}"));
        tool::insist(Command::new(program).args(["config", "show"]).args(given)).err()
    }

    fn program(&self) -> Option<PathBuf> {
        match self {
            Self::Talus(path) => Some(path.clone()),
            Self::Sentinel => tool::find("redis-server"),
            Self::Etcd => tool::find("etcd"),
        }
    }
}

/// The first line that a command says; nothing if it fails.
fn said(command: &mut Command) -> String {
    let text = tool::insist(command.stdin(std::process::Stdio::null())).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn server(dir: &Path, version: &str) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let file = dir.join("talus");
        fs::write(&file, format!("#!/bin/sh\necho {version}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn the_server_beside_the_harness_comes_before_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (own, one, two) = (dir.path().join("own"), dir.path().join("1"), dir.path().join("2"));
        let path = std::env::join_paths([&one, &two]).unwrap();
        let none = find_in(Some(&own), &path).unwrap_err();
        assert!(none.contains(&own.display().to_string()) && none.contains("--talus"), "{none}");
        let second = server(&two, "2");
        assert_eq!(find_in(Some(&own), &path).unwrap(), second);
        // What nobody may execute is no program.
        fs::create_dir(&one).unwrap();
        fs::write(one.join("talus"), "").unwrap();
        assert_eq!(find_in(Some(&own), &path).unwrap(), second);
        let first = server(&own, "1");
        assert_eq!(find_in(Some(&own), &path).unwrap(), first);
    }

    #[test]
    fn builds_of_one_version_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let identity =
            |name: &str, version| Target::Talus(server(&dir.path().join(name), version)).identity();
        let (one, two) = (identity("one", "talus 0.1.0"), identity("two", "talus 0.1.0 # built"));
        assert_eq!((one.version.as_str(), two.version.as_str()), ("talus 0.1.0", "talus 0.1.0"));
        assert_eq!(one.binary.len(), DIGITS);
        assert_ne!(one.binary, two.binary);
        assert_eq!(identity("again", "talus 0.1.0"), one);
        assert_eq!(Target::Talus(dir.path().join("none")).identity(), Identity::default());
    }
}
