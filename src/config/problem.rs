//! What is wrong with a configuration, and what would be right.

use super::settings::SETTINGS;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE`, a variable, an option; nothing if it concerns several settings.
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Problem {
    /// A problem that concerns several settings.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), help: Some(help.into()) }
    }

    /// No setting is called `name`.
    pub fn unknown(name: &str) -> Problem {
        let names = SETTINGS.iter().flat_map(|row| {
            [Some(row.path()), row.redis_name.map(String::from)].into_iter().flatten()
        });
        let moved = SETTINGS.iter().find(|row| name.rsplit('.').next() == Some(row.key));
        let near = nearest(name, names).or_else(|| moved.map(|row| row.path()));
        let help = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => "`talus config show` lists all settings".into(),
        };
        Problem { place: None, message: format!("unknown setting '{name}'"), help: Some(help) }
    }
}

/// The candidate closest to `name`, if one is close enough to be meant.
pub fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let near = candidates.map(|candidate| (distance(name, &candidate), candidate));
    let (edits, candidate) = near.min_by_key(|(edits, _)| *edits)?;
    (edits <= (1 + name.len() / 4).min(3)).then_some(candidate)
}

/// How many letters must be inserted, removed or replaced to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.bytes().enumerate() {
        let mut current = vec![row + 1];
        for (column, y) in b.bytes().enumerate() {
            let replaced = previous[column] + usize::from(!x.eq_ignore_ascii_case(&y));
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}
