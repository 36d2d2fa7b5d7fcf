//! The shape of the source tree, kept by a test.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// No file is longer, in lines: split it by what it does.
const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(".")
}

fn files_below(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn sources() -> Vec<PathBuf> {
    let dirs = [
        "src",
        "raft/src",
        "storage/src",
        "resp/src",
        "proto/src",
        "jepsen/src",
        "jepsen/simulation/src",
        "tests",
    ];
    dirs.iter().flat_map(|dir| files_below(dir, "rs")).collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let ours = ["proto", "raft", "resp", "storage"];
    let depends = |manifest: &str| -> BTreeSet<&str> {
        let text = std::fs::read_to_string(root().join(manifest)).unwrap();
        let uses = |name: &&str| text.lines().any(|l| l == format!("{name}.workspace = true"));
        ours.into_iter().filter(uses).collect()
    };
    assert_eq!(depends("resp/Cargo.toml"), BTreeSet::new());
    assert_eq!(depends("proto/Cargo.toml"), BTreeSet::new());
    assert_eq!(depends("storage/Cargo.toml"), BTreeSet::new());
    assert_eq!(depends("jepsen/Cargo.toml"), BTreeSet::new());
    assert_eq!(depends("raft/Cargo.toml"), BTreeSet::from(["proto"]));
}

#[test]
fn commands_know_neither_network_nor_clock() {
    let forbidden = [
        "tokio",
        "raft::",
        "crate::server",
        "crate::node",
        "crate::config",
        "std::time",
        "std::net",
    ];
    let is_test = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tests");
    for path in files_below("src/commands", "rs").into_iter().filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in forbidden {
            let uses = text.lines().any(|l| l.trim_start().starts_with("use ") && l.contains(word));
            assert!(!uses, "{} uses {word}", path.display());
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_tests = path.ends_with("tests.rs");
        assert!(is_tests || text.starts_with("//!"), "{} does not say what it is", path.display());
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// No function is longer, in lines from its signature to its last brace.
const FUNCTION_LINES_MAX: usize = 60;
/// Half of them are no longer: the ordinary function fits in the eye.
const FUNCTION_LINES_MEDIAN_MAX: usize = 8;

#[test]
fn functions_are_short() {
    let mut lengths = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (name, length) in functions(&lines) {
            let place = path.display();
            assert!(length <= FUNCTION_LINES_MAX, "{place}: {name} has {length} lines");
            lengths.push(length);
        }
    }
    lengths.sort_unstable();
    assert!(lengths.len() > 1000, "only {} functions were found", lengths.len());
    let median = lengths[lengths.len() / 2];
    assert!(median <= FUNCTION_LINES_MEDIAN_MAX, "the median function has {median} lines");
}

/// Names and lengths of the functions in a file that rustfmt has formatted: what begins in a column
/// ends in it.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize)> {
    let begins = lines.iter().enumerate();
    begins.filter_map(|(at, line)| Some((function_name(line)?, length(&lines[at..])))).collect()
}

fn function_name(line: &str) -> Option<&str> {
    const BEFORE: [&str; 6] = ["pub", "pub(crate)", "pub(super)", "const", "async", "default"];
    let (before, name) = line.trim_start().split_once("fn ")?;
    let begins = before.split_whitespace().all(|word| BEFORE.contains(&word));
    begins.then(|| name.split(['(', '<']).next().unwrap_or(name))
}

fn length(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let ends = |line: &&str| {
        let (before, rest) = line.split_at_checked(indent).unwrap_or((line, ""));
        before.trim().is_empty() && (rest.starts_with('}') || is_closed(rest))
    };
    1 + lines.iter().position(ends).expect("a function ends")
}

/// Whether a line in the column of a function is its end: all of it, or a signature alone.
fn is_closed(line: &str) -> bool {
    !line.starts_with(' ') && (line.ends_with('}') || line.ends_with(';'))
}

#[test]
fn functions_are_found_and_measured() {
    let text = "\
trait T {
    fn signature(
        a: u8,
    ) -> u8;
    fn one() {}
}
pub(super) async fn whole<T>()
where
    T: Copy,
{
    if true {
    }
}
let fn_like = fn_pointer;
/// Calls fn twice.
";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(functions(&lines), [("signature", 3), ("one", 1), ("whole", 7)]);
}

#[test]
fn every_command_has_a_script() {
    let scripts = files_below("tests/scripts", "txt");
    let text: String = scripts.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    let text = text.to_ascii_lowercase();
    for command in talus::commands::all() {
        let name = command.name;
        let exempt = name.contains('|') || command.is_internal() || name.starts_with("talus");
        if exempt {
            continue;
        }
        let called = text.contains(&format!("> {name} ")) || text.contains(&format!("> {name}\n"));
        assert!(called, "no script calls {name}");
    }
}

/// The harness links nothing of the server, so the names of the bugs are in both.
#[test]
fn the_harness_looks_for_every_known_bug() {
    let named = |path: &str, before: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let quoted = text.split(before).skip(1).filter_map(|rest| {
            let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            // Of several words, unlike the name of the feature.
            name.contains('-').then(|| name.to_owned())
        });
        quoted.collect()
    };
    let built = named("raft/src/mutant.rs", " = ");
    assert!(built.len() > 10, "{built:?}");
    assert_eq!(named("jepsen/src/run/mutants.rs", "mutant("), built);
}
