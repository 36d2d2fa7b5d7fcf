//! The anomalies that were found, by type.

use serde::{Serialize, Serializer};

/// How many of one type are kept.
pub(super) const KEPT_MAX: usize = 8;

/// How long a line of the summary may be, in characters.
const LINE_MAX: usize = 1000;

/// One anomaly.
#[derive(Debug, Serialize)]
pub(super) struct Anomaly {
    /// The invocations of its transactions.
    pub(super) events: Vec<usize>,
    /// Why it is one, in lines.
    pub(super) text: String,
}

#[derive(Debug)]
struct Group {
    name: String,
    count: usize,
    kept: Vec<Anomaly>,
}

/// All anomalies; types in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Anomalies {
    groups: Vec<Group>,
}

impl Anomalies {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Counts it, and keeps it if it is one of the first of its type.
    pub(super) fn add(&mut self, name: &str, anomaly: impl FnOnce() -> Anomaly) {
        let place = self.groups.iter().position(|group| group.name == name);
        let place = place.unwrap_or_else(|| {
            self.groups.push(Group { name: name.to_owned(), count: 0, kept: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.count += 1;
        if group.kept.len() < KEPT_MAX {
            group.kept.push(anomaly());
        }
    }

    /// The types and how many of each, then the first of each.
    pub(super) fn summary(&self) -> String {
        let count = |group: &Group| format!("{} ({})", group.name, group.count);
        let counts: Vec<String> = self.groups.iter().map(count).collect();
        let mut text = counts.join(", ");
        for group in &self.groups {
            text += &format!("\n{}:", group.name);
            let lines = group.kept.iter().take(1).flat_map(|anomaly| anomaly.text.lines());
            lines.for_each(|line| text += &format!("\n  {}", shorten(line)));
        }
        text
    }
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A map from the type to the anomalies kept of it.
impl Serialize for Anomalies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.groups.iter().map(|group| (&group.name, &group.kept)))
    }
}
