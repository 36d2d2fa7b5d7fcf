//! Checkers: what a history proves about a promise.
//!
//! A checker is a function from a [`History`](crate::history::History) to a [`Finding`]. It never
//! says `valid` of what it could not decide: time that ran out, or nothing to look at, is `unknown`.

use serde::Serialize;

/// A judgement; of several, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The promise held.
    Valid,
    /// It could not be decided.
    Unknown,
    /// The promise was broken.
    Invalid,
}

/// What one checker found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The checker.
    pub checker: &'static str,
    /// Its judgement.
    pub verdict: Verdict,
    /// One or few lines for a person; for `invalid`, a counter-example with the operations' indexes.
    pub summary: String,
    /// Figures and the anomalies found, for programs.
    pub details: serde_json::Value,
}
