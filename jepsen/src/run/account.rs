//! What is told of several runs: as each ends, and of all of them at the end.

use super::command;
use super::suite::{Line, blame, titled, word};
use crate::check::Verdict;
use crate::cluster::server::Identity;
use crate::report::table;
use crate::report::tally::Tally;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The table of all runs, what was run, what they come to, and the first one that was worst.
pub fn summary(lines: &[Line]) -> String {
    const HEADS: &[&str] =
        &["workload", "nemesis", "nodes", "seed", "operations", "seconds", "verdict", "why"];
    let table = table::draw(HEADS, &lines.iter().map(Line::cells).collect::<Vec<_>>());
    format!("{table}{}\n{}\n{}", servers(lines), tally(lines), first_failure(lines))
}

/// A line for each server that was run: there are several if one was built meanwhile.
pub(super) fn servers<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    let ran = lines.into_iter().filter_map(|line| Some(&line.result.as_ref().ok()?.server));
    let servers: BTreeSet<&Identity> = ran.collect();
    servers.iter().map(|server| format!("\nserver: {server}")).collect()
}

/// What they come to. A run that came to nothing counts with its verdict.
pub fn tally(lines: &[Line]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        let figures = line.result.as_ref().map(|outcome| outcome.figures);
        tally.add(line.verdict(), figures.unwrap_or_default());
    }
    tally
}

/// Of the runs that were not valid the first of the worst, and how to repeat it; nothing if there is
/// none.
fn first_failure(lines: &[Line]) -> String {
    let failed = lines.iter().filter(|line| line.verdict() != Verdict::Valid);
    let Some(line) = failed.min_by_key(|line| Reverse(line.verdict())) else {
        return String::new();
    };
    let config = &line.config;
    let why = match &line.result {
        Ok(outcome) => blame(&outcome.findings),
        Err(failure) => failure.to_string(),
    };
    let why = why.replace('\n', "\n  ");
    let run = titled(config);
    let (verdict, dir) = (word(line.verdict()), config.dir.display());
    format!("first {verdict}: {run}\n  {why}\n  repeat: {}\n  in {dir}\n", command::of(config))
}

/// Whether of the last `count` runs none gave a report.
pub fn came_to_nothing(lines: &[Line], count: usize) -> bool {
    lines.iter().rev().take(count).filter(|line| line.result.is_err()).count() == count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::run::suite::tests::{ended, line};
    use crate::run::{Failure, Problem};

    fn did_not_start() -> Line {
        line(Err(Failure::Cluster(Problem::new("node 1", "no memory"))))
    }

    #[test]
    fn the_end_tells_the_sums_and_how_to_repeat_the_first_of_the_worst() {
        let mut lines = vec![ended(Verdict::Valid, "set"), ended(Verdict::Unknown, "coverage")];
        lines.extend([ended(Verdict::Invalid, "set"), did_not_start()]);
        lines.iter_mut().zip(7..).for_each(|(line, seed)| line.config.seed = seed);
        let text = summary(&lines);
        let end = "4 runs: 1 valid, 2 invalid, 1 unknown; 3,000 operations, 6 faults survived, 9 \
            changes of leader\nfirst invalid: register × none, seed 9\n  set: \n  repeat: talus-jepsen \
            run --workload register --nodes 3 --time 1 --seed 9 ";
        assert!(text.contains(end), "{text}");
        lines.truncate(2);
        assert!(summary(&lines).contains("\nfirst unknown: register × none, seed 8\n"));
        lines.truncate(1);
        assert!(summary(&lines).ends_with("3 changes of leader\n"));
    }

    #[test]
    fn the_table_tells_each_server_that_was_run_once() {
        let mut lines = [(); 3].map(|()| ended(Verdict::Valid, "set"));
        for (line, binary) in lines.iter_mut().zip(["9c26f03aa17b", "9c26f03aa17b", "0b5c11d2a9e4"])
        {
            let (version, binary) = ("talus 0.1.0".to_owned(), binary.to_owned());
            line.result.as_mut().unwrap().server = Identity { version, binary };
        }
        let told =
            "\nserver: talus 0.1.0 · 0b5c11d2a9e4\nserver: talus 0.1.0 · 9c26f03aa17b\n3 runs:";
        assert!(summary(&lines).contains(told), "{}", summary(&lines));
    }

    #[test]
    fn only_runs_in_a_row_come_to_nothing_together() {
        let lines = [did_not_start(), ended(Verdict::Invalid, "set"), did_not_start()];
        assert!(came_to_nothing(&lines, 1) && !came_to_nothing(&lines, 2));
        assert!(!came_to_nothing(&[did_not_start()], 2));
    }
}
