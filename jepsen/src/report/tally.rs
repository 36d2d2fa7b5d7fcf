//! What several runs come to together.

use std::fmt;

use super::scale::grouped;
use crate::check::Verdict;

/// What one run counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Operations that clients began.
    pub operations: usize,
    /// Faults after whose end an operation succeeded.
    pub faults_survived: usize,
    /// How often another node began to lead.
    pub leader_changes: usize,
}

/// Sums over runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were valid,
    pub valid: usize,
    /// how many were invalid,
    pub invalid: usize,
    /// and of how many it is not known.
    pub unknown: usize,
    /// Their figures.
    pub figures: Figures,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, verdict: Verdict, of: Figures) {
        match verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Invalid => self.invalid += 1,
        }
        self.figures.operations += of.operations;
        self.figures.faults_survived += of.faults_survived;
        self.figures.leader_changes += of.leader_changes;
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        self.valid + self.invalid + self.unknown
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { operations, faults_survived, leader_changes } = self.figures;
        let (runs, valid, invalid, unknown) = (self.runs(), self.valid, self.invalid, self.unknown);
        write!(f, "{runs} runs: {valid} valid, {invalid} invalid, {unknown} unknown; ")?;
        write!(f, "{} operations, {faults_survived} faults survived, ", grouped(operations))?;
        write!(f, "{leader_changes} changes of leader")
    }
}
