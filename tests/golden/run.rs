//! Scripts against servers.
//!
//! All scripts of a run share one target; before each one everything is flushed, and each has
//! connections of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::clients::Clients;
use super::expect::matches;
use super::script::{Deed, Flavor, Script, Step};
use super::target::Target;

/// The types Talus has, as scripts name them in `# needs:`.
const TALUS_HAS: &[&str] = &[];

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Resp2,
    Resp3,
    /// Each request between MULTI and EXEC, in RESP2.
    Transaction,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Resp2, Mode::Resp3, Mode::Transaction];
}

/// Whether replies are to be recorded.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// The scripts.
pub struct Suite {
    pub scripts: Vec<Script>,
}

impl Suite {
    /// All scripts, or those the environment names.
    pub fn load() -> Self {
        let root = Path::new("tests/scripts");
        let mut paths = Vec::new();
        collect(root, &mut paths);
        paths.sort();
        let filter = std::env::var("GOLDEN").unwrap_or_default();
        let scripts = paths.iter().map(|path| Script::load(root, path));
        Self { scripts: scripts.filter(|script| script.name.contains(&filter)).collect() }
    }

    /// Runs every script that `target` can run. Panics with all differences found.
    pub fn run(&self, target: &mut impl Target, mode: Mode) {
        let begin = Instant::now();
        let (mut ran, mut skipped, mut differences) = (0, BTreeMap::new(), Vec::new());
        for script in &self.scripts {
            let reason = reason_to_skip(script, target.flavor(), mode);
            if let Some(reason) = reason.or_else(|| target.refuses(script)) {
                *skipped.entry(reason).or_insert(0) += 1;
                continue;
            }
            ran += 1;
            differences.extend(run_script(script, target, mode));
        }
        let (name, took) = (target.name(), begin.elapsed());
        println!("{name} {mode:?}: {ran} scripts in {took:?}, skipped {skipped:?}");
        let count = differences.len();
        assert!(count == 0, "{count} differences\n{}", differences.join("\n"));
    }

    /// Writes the replies of `target` into the scripts it is the model for.
    pub fn record(&mut self, target: &mut impl Target) {
        for script in &mut self.scripts {
            if script.recorded_from() == target.flavor() {
                record_script(script, target);
                script.save();
            }
        }
    }
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "txt") {
            paths.push(path);
        }
    }
}

fn reason_to_skip(script: &Script, flavor: Flavor, mode: Mode) -> Option<String> {
    if !script.flavors().contains(&flavor) {
        return Some("not for this server".to_owned());
    }
    let lacks = |needed: &str| flavor == Flavor::Talus && !TALUS_HAS.contains(&needed);
    if let Some(needed) = script.header("needs").filter(|needed| lacks(needed)) {
        return Some(format!("needs {needed}"));
    }
    let resp3 = mode == Mode::Resp3;
    match (script.header("resp"), script.header("multi")) {
        (Some("2"), _) if resp3 => Some("RESP2 only".to_owned()),
        (Some("3"), _) if !resp3 => Some("RESP3 only".to_owned()),
        (_, Some("no")) if mode == Mode::Transaction => Some("not in a transaction".to_owned()),
        _ => None,
    }
}

fn run_script(script: &Script, target: &mut impl Target, mode: Mode) -> Vec<String> {
    target.begin(script);
    let mut differences = Vec::new();
    let mut clients = Clients::new(mode);
    if let Err(error) = clients.reset(target) {
        return vec![format!("{}: cannot begin: {error}", script.name)];
    }
    for (at, step) in script.steps.iter().enumerate() {
        if matches!(step.deed, Deed::Remark) {
            continue;
        }
        target.before_step(&script.steps[at..]);
        let Some(actual) = clients.step(step, target) else { continue };
        let expected = step.expected(mode == Mode::Resp3);
        if !matches(expected, &actual) {
            differences.push(difference(script, step, expected, &actual));
        }
    }
    differences
}

fn difference(script: &Script, step: &Step, expected: &[String], actual: &[String]) -> String {
    let block = |lines: &[String]| lines.join("\n    ");
    let (name, line, text) = (&script.name, step.line, &step.text);
    format!(
        "{name}:{line}: {text}\n  expected\n    {}\n  got\n    {}",
        block(expected),
        block(actual)
    )
}

/// Keeps what matches already; RESP3's reply is written only where it is another one.
fn record_script(script: &mut Script, target: &mut impl Target) {
    for mode in [Mode::Resp2, Mode::Resp3] {
        if reason_to_skip(script, target.flavor(), mode).is_some() {
            continue;
        }
        let mut clients = Clients::new(mode);
        clients.reset(target).unwrap();
        for step in &mut script.steps {
            let Some(actual) = clients.step(step, target) else { continue };
            let resp3 = mode == Mode::Resp3;
            if resp3 && matches(&step.reply, &actual) {
                step.resp3 = None;
            } else if !matches(step.expected(resp3), &actual) {
                match (resp3, script.headers.iter().any(|(name, _)| name == "resp")) {
                    (true, false) => step.resp3 = Some(actual),
                    _ => step.reply = actual,
                }
            }
        }
    }
}
