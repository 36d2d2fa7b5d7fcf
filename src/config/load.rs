//! Merging what the sources say: defaults < file < environment < command line.
//!
//! Each value remembers where it came from. Nothing is used unless everything is right.

use super::check::check;
use super::problem::Problem;
use super::settings::{Config, SETTINGS, Setting};
use super::source::{self, Assignment, Contents};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// `FILE:LINE`.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// An option.
    CommandLine(String),
    /// `CONFIG SET`.
    Client,
    /// What this machine allows.
    Machine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(place) | Origin::Environment(place) | Origin::CommandLine(place) => {
                f.write_str(place)
            }
            Origin::Client => f.write_str("CONFIG SET"),
            Origin::Machine => f.write_str("limit of open files"),
        }
    }
}

/// What there is to load from.
#[derive(Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Names and values of the environment; those that are not ours are passed over.
    pub environment: Vec<(String, String)>,
    /// Settings given as options: path (or Redis's name), value, the option for error messages.
    pub options: Vec<(String, String, String)>,
}

/// A configuration that is whole, and where each value came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where each comes from, in the order of `SETTINGS`.
    pub origins: Vec<Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What was said without effect.
    pub warnings: Vec<String>,
}

impl Default for Loaded {
    fn default() -> Self {
        Loaded {
            config: Config::default(),
            origins: vec![Origin::Default; SETTINGS.len()],
            file: None,
            warnings: Vec::new(),
        }
    }
}

impl Sources {
    /// The file `file`, options, and this process's environment.
    pub fn of_process(file: Option<PathBuf>, options: Vec<(String, String, String)>) -> Sources {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        let variables = std::env::vars_os();
        let environment = variables.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Sources { file, environment: environment.collect(), options }
    }

    /// Merges them all, or says everything that is wrong.
    pub fn load(self) -> Result<Loaded, Vec<Problem>> {
        let mut merge = Merge::default();
        if let Some(file) = &self.file {
            merge.file(file);
        }
        for (name, value) in &self.environment {
            merge.variable(name, value);
        }
        for (name, value, option) in self.options {
            merge.option(&name, value, option);
        }
        merge.finish(self.file)
    }
}

#[derive(Default)]
struct Merge {
    loaded: Loaded,
    problems: Vec<Problem>,
}

impl Merge {
    fn file(&mut self, file: &Path) {
        let name = file.display().to_string();
        let contents = match std::fs::read_to_string(file) {
            Ok(text) => source::read(&name, &text),
            Err(error) => return self.problem(name, error.to_string(), None),
        };
        let Contents { assignments, problems, warnings } = contents;
        self.problems.extend(problems);
        self.loaded.warnings.extend(warnings);
        for assignment in assignments {
            self.assign(assignment, Origin::File);
        }
    }

    /// Sections and keys are set apart by two underscores, which no other variable of ours has.
    fn variable(&mut self, name: &str, value: &str) {
        if !name.starts_with("TALUS_") || !name.contains("__") {
            return;
        }
        match SETTINGS.iter().find(|row| row.variable() == name) {
            Some(setting) => {
                let assignment = Assignment { setting, text: value.into(), place: name.into() };
                self.assign(assignment, Origin::Environment);
            }
            None => {
                let variables = SETTINGS.iter().map(Setting::variable);
                let help = super::problem::nearest(name, variables);
                let help = help.map(|near| format!("did you mean {near}?"));
                self.problem(name.into(), "no setting has this variable".into(), help);
            }
        }
    }

    fn option(&mut self, name: &str, text: String, option: String) {
        match super::redis::setting(name) {
            Some(setting) => {
                self.assign(Assignment { setting, text, place: option }, Origin::CommandLine);
            }
            None => {
                self.problems.push(Problem { place: Some(option), ..Problem::unknown(name) });
            }
        }
    }

    fn assign(&mut self, assignment: Assignment, origin: fn(String) -> Origin) {
        let Assignment { setting, text, place } = assignment;
        match setting.assign(&mut self.loaded.config, &text) {
            Ok(()) => self.loaded.origins[index_of(setting)] = origin(place),
            Err(why) => {
                let shown = if setting.is_secret { "(hidden)" } else { &text };
                let message = format!("'{}' cannot be '{shown}': {why}", setting.path());
                self.problem(place, message, Some(format!("the default is '{}'", setting.default)));
            }
        }
    }

    fn problem(&mut self, place: String, message: String, help: Option<String>) {
        self.problems.push(Problem { place: Some(place), message, help });
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Loaded, Vec<Problem>> {
        self.problems.extend(check(&self.loaded.config));
        self.loaded.file = file;
        if self.problems.is_empty() { Ok(self.loaded) } else { Err(self.problems) }
    }
}

/// The place of a row in `SETTINGS`, and of its origin in `Loaded::origins`.
pub fn index_of(setting: &Setting) -> usize {
    let same = |row: &Setting| row.section == setting.section && row.key == setting.key;
    SETTINGS.iter().position(same).expect("rows come from the table")
}
