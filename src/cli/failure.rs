//! Why a command line did not do what was asked: what is wrong, what to do, and the exit code.

use crate::admin::Refusal;
use crate::config::Problem;
use std::process::ExitCode;

/// Exit codes. `cluster status` and `cluster health` use 0, 1 and 2 for what they found.
const FAILED: u8 = 1;
const NOT_ASKED: u8 = 3;
pub(super) const USAGE: u8 = 64;

/// Everything that is wrong, each with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    reasons: Vec<(String, Option<String>)>,
    exit: u8,
}

impl Failure {
    /// One thing that is wrong.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { reasons: vec![(message.into(), None)], exit: FAILED }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        if let Some((_, last)) = self.reasons.last_mut() {
            *last = Some(help.into());
        }
        self
    }

    /// The cluster could not be asked: neither healthy nor degraded nor without a quorum.
    #[must_use]
    pub(super) fn not_asked(mut self) -> Failure {
        self.exit = NOT_ASKED;
        self
    }

    /// The lines for standard error.
    pub fn lines(&self) -> String {
        let line = |(message, help): &(String, Option<String>)| {
            let help = help.as_ref().map(|help| format!("help: {help}\n"));
            format!("error: {message}\n{}", help.unwrap_or_default())
        };
        self.reasons.iter().map(line).collect()
    }

    pub(super) fn report(&self) -> ExitCode {
        eprint!("{}", self.lines());
        self.exit.into()
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Failure {
        let reason = |problem: Problem| (problem.to_string(), problem.help);
        Failure { reasons: problems.into_iter().map(reason).collect(), exit: FAILED }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure { reasons: vec![(refusal.message, refusal.help)], exit: FAILED }.not_asked()
    }
}
