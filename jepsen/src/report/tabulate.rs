//! Tables over many finished runs, out of the `results.json` that each has left, whichever build left
//! it.
//!
//! A directory is a run's, or that of a suite with a run in each of its own directories; what lies
//! deeper, such as the runs of other systems below `controls`, is another suite. A run counts once,
//! however often it is named.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::facts::quantile;
use super::results::{Fault, Finished};
use super::table;
use super::tally::{Figures, Tally};
use crate::check::Verdict;

const RESULTS: &str = "results.json";
/// What a run has from its beginning.
const HISTORY: &str = "history.jsonl";
/// The fault that measures itself: nothing but the leader is killed.
const FAILOVER: &str = "failover";

/// Finished runs, by the directories of their suites, and by their own.
#[derive(Debug, Default)]
pub struct Runs {
    suites: BTreeMap<PathBuf, BTreeMap<PathBuf, Finished>>,
    /// What has begun and has not ended, or never will.
    unfinished: Vec<PathBuf>,
}

impl Runs {
    /// Reads all runs of these directories; an error if one of them has none, or one that cannot be
    /// read.
    pub fn read(dirs: &[PathBuf]) -> Result<Self, String> {
        let mut runs = Self::default();
        for dir in dirs {
            let of_dir = runs_of(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            if of_dir.is_empty() {
                return Err(format!("{}: there is no run in it", dir.display()));
            }
            of_dir.into_iter().try_for_each(|run| runs.add(run))?;
        }
        Ok(runs)
    }

    fn add(&mut self, dir: PathBuf) -> Result<(), String> {
        let path = dir.join(RESULTS);
        if !path.exists() {
            self.unfinished.push(dir);
            return Ok(());
        }
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        let run = text.and_then(|text| Finished::parse(&text));
        let run = run.map_err(|error| format!("{}: {error}", path.display()))?;
        let suite = dir.parent().unwrap_or(&dir).to_owned();
        self.suites.entry(suite).or_default().insert(dir, run);
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = (&Path, &Finished)> {
        self.suites.values().flatten().map(|(dir, run)| (dir.as_path(), run))
    }

    /// The worst verdict; of nothing, unknown.
    pub fn worst(&self) -> Verdict {
        self.all().map(|(_, run)| run.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// All tables, as text that is Markdown too.
    pub fn text(&self) -> String {
        let mut text = suites(self);
        for (dir, run) in self.all().filter(|(_, run)| run.verdict != Verdict::Valid) {
            let verdict = super::verdict(run.verdict);
            let _ = write!(text, "\n{verdict}: {}\nrepeat: {}\n", dir.display(), run.command);
        }
        for dir in &self.unfinished {
            let _ = write!(text, "\nnot finished, and not counted: {}\n", dir.display());
        }
        let cases = Case::all(self);
        if !cases.is_empty() {
            let _ =
                write!(text, "\nSeconds in which no write was acknowledged:\n\n{}", faults(&cases));
        }
        text + &failovers(self)
    }
}

/// The directory itself, or those in it, that hold a run, in order.
fn runs_of(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_run = |dir: &PathBuf| dir.join(RESULTS).exists() || dir.join(HISTORY).exists();
    let dir = dir.canonicalize()?;
    if is_run(&dir) {
        return Ok(vec![dir]);
    }
    let within = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let mut runs = within.collect::<Result<Vec<_>, _>>()?;
    runs.retain(is_run);
    runs.sort();
    Ok(runs)
}

/// A row for each suite, which is called by the seed of its first run, and one for all.
fn suites(runs: &Runs) -> String {
    const HEADS: &[&str] =
        &["in", "seed", "runs", "operations", "faults survived", "changes of leader", "valid"];
    let row = |name: String, seed: String, tally: &Tally| {
        let Figures { operations, faults_survived, leader_changes } = tally.figures;
        let counts = [tally.runs(), operations, faults_survived, leader_changes, tally.valid];
        [name, seed].into_iter().chain(counts.map(|count| count.to_string())).collect()
    };
    let mut together = Tally::default();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (dir, runs) in &runs.suites {
        let mut tally = Tally::default();
        for run in runs.values() {
            tally.add(run.verdict, run.figures());
            together.add(run.verdict, run.figures());
        }
        let seed = runs.values().next().map_or(String::new(), |run| run.seed.to_string());
        rows.push(row(dir.display().to_string(), seed, &tally));
    }
    rows.push(row("together".to_owned(), String::new(), &together));
    table::draw(HEADS, &rows)
}

/// A fault that was in effect, and how long nothing was written then.
struct Case<'a> {
    fault: &'a Fault<'static>,
    run: &'a Finished,
    dir: &'a Path,
    /// In microseconds.
    silence: u64,
}

impl<'a> Case<'a> {
    /// Those of every kind, by its name.
    fn all(runs: &'a Runs) -> BTreeMap<&'a str, Vec<Self>> {
        let mut cases: BTreeMap<&str, Vec<Self>> = BTreeMap::new();
        for (dir, run) in runs.all() {
            for fault in &run.faults {
                let Some(silence) = fault.unavailable_ms.map(microseconds) else { continue };
                cases.entry(&fault.name).or_default().push(Case { fault, run, dir, silence });
            }
        }
        cases
    }

    /// On whom it was, and what else was wrong then.
    fn told(&self) -> String {
        let others = self.run.faults.iter().filter(|other| self.meets(other));
        let others: Vec<String> =
            others.map(|it| format!("{} `{}`", it.name, it.targets)).collect();
        let with = if others.is_empty() { String::new() } else { ", with ".to_owned() };
        let suite = self.dir.parent().and_then(Path::parent).unwrap_or(self.dir);
        let name = self.dir.strip_prefix(suite).unwrap_or(self.dir).display();
        let (targets, nodes) = (&self.fault.targets, self.run.nodes);
        format!("`{targets}` of {nodes}{with}{}, in {name}", others.join(" and "))
    }

    fn meets(&self, other: &Fault<'static>) -> bool {
        let at_once = other.from_s < self.fault.until_s && self.fault.from_s < other.until_s;
        at_once && other.error.is_none() && other.name != self.fault.name
    }

    /// How long nobody could write because of it: to the first write after its end, if there was none
    /// before.
    fn lasting(&self) -> u64 {
        let lasted = microseconds((self.fault.until_s - self.fault.from_s) * 1e3);
        let recovery = self.fault.recovery_ms.map_or(0, microseconds);
        // Times are rounded to a microsecond each.
        if self.silence + 2 >= lasted { self.silence + recovery } else { self.silence }
    }
}

/// A row for each kind of fault: how often, and how long nothing was written while it lasted.
fn faults(cases: &BTreeMap<&str, Vec<Case<'_>>>) -> String {
    let row = |(name, cases): (&&str, &Vec<Case<'_>>)| {
        let mut times: Vec<u64> = cases.iter().map(|case| case.silence).collect();
        times.sort_unstable();
        let at = |q| seconds(quantile(&times, q), 1);
        let worst = cases.iter().max_by_key(|case| case.silence).map_or(String::new(), Case::told);
        vec![(*name).to_owned(), times.len().to_string(), at(0.5), at(1.0), worst]
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    table::draw(&["fault", "times", "median", "most", "the worst"], &rows)
}

/// How long it takes until another leads, out of runs in which nothing else went wrong; nothing if
/// there are none.
fn failovers(runs: &Runs) -> String {
    let alone = |run: &Finished| run.nemeses == [FAILOVER];
    let cases = Case::all(runs).remove(FAILOVER).unwrap_or_default();
    let mut times: Vec<u64> =
        cases.iter().filter(|case| alone(case.run)).map(Case::lasting).collect();
    if times.is_empty() {
        return String::new();
    }
    times.sort_unstable();
    let runs = runs.all().filter(|(_, run)| alone(run)).count();
    let at = |q| seconds(quantile(&times, q), 2);
    let row = vec![runs.to_string(), times.len().to_string(), at(0.5), at(0.99), at(1.0)];
    let table = table::draw(&["runs", "leaders killed", "p50", "p99", "most"], &[row]);
    format!("\nSeconds from the death of a leader to the next write:\n\n{table}")
}

fn microseconds(milliseconds: f64) -> u64 {
    (milliseconds.max(0.0) * 1e3).round() as u64
}

fn seconds(microseconds: Option<u64>, digits: usize) -> String {
    microseconds.map_or(String::new(), |time| format!("{:.digits$}", time as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::{Value as Json, json};

    /// A fault of another name than `failover` was on node 1, and from the first second on.
    fn fault(name: &str, until_s: f64, unavailable_ms: f64, recovery_ms: f64) -> Json {
        let targets = format!("[:{name} [1]]");
        json!({
            "name": name, "targets": targets, "from_s": 1.0, "until_s": until_s, "error": null,
            "survived": true, "unavailable_ms": unavailable_ms, "recovery_ms": recovery_ms,
        })
    }

    fn leave(dir: &Path, verdict: &str, seed: u64, nemeses: &[&str], faults: &[Json]) {
        let run = json!({
            "verdict": verdict, "command": "talus-jepsen run", "nemeses": nemeses, "nodes": 3,
            "seed": seed, "operations": { "add": { "ok": 5, "fail": 1, "info": 1 } },
            "faults": faults, "faults_survived": faults.len(), "leader_changes": 2,
            "of_a_newer_build": [],
        });
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join(RESULTS), run.to_string()).unwrap();
    }

    #[test]
    fn suites_and_runs_are_counted_once_and_summed_up() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (suite, alone) = (dir.join("suite"), dir.join("alone/set"));
        let mut refused = fault("kill", 1.0, 0.0, 0.0);
        refused["error"] = json!("nobody leads");
        refused["unavailable_ms"] = Json::Null;
        let kills = [fault("kill", 5.0, 3000.0, 9.0), fault("pause", 2.0, 100.0, 9.0), refused];
        leave(&suite.join("00-append"), "valid", 100, &["kill", "pause"], &kills);
        leave(&suite.join("01-set"), "invalid", 101, &["kill"], &[fault("kill", 3.0, 1000.0, 1.0)]);
        leave(&suite.join("controls/00-etcd"), "invalid", 1, &[], &[]);
        leave(&alone, "valid", 7, &["failover"], &[]);
        fs::create_dir_all(suite.join("02-bank")).unwrap();
        fs::write(suite.join("02-bank").join(HISTORY), "").unwrap();
        let runs = Runs::read(&[suite.join("00-append"), suite.clone(), alone]).unwrap();
        assert_eq!(runs.worst(), Verdict::Invalid);
        let text = runs.text();
        for expected in [
            "/suite    | 100  | 2    | 14         | 4               | 4                 | 1     |\n",
            "/alone    | 7    | 1    | 7          | 0               | 2                 | 1     |\n",
            "| 3    | 21         | 4               | 6                 | 2     |\n",
            "01-set\nrepeat: talus-jepsen run\n",
            "/suite/02-bank\n",
            "| kill  | 2     | 1.0    | 3.0  | `[:kill [1]]` of 3, with pause `[:pause [1]]`, in \
             suite/00-append |\n",
        ] {
            let near = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(near(&text).contains(&near(expected)), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("death of a leader"), "{text}");
    }

    #[test]
    fn a_failover_lasts_until_the_next_write_even_if_that_comes_after_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let within = fault(FAILOVER, 6.0, 1100.0, 4.0);
        let beyond = fault(FAILOVER, 3.0, 2000.0, 500.0);
        leave(&dir.path().join("a"), "valid", 1, &[FAILOVER], &[within, beyond]);
        leave(
            &dir.path().join("b"),
            "valid",
            2,
            &[FAILOVER, "kill"],
            &[fault(FAILOVER, 9.0, 8000.0, 0.0)],
        );
        let text = Runs::read(&[dir.path().to_owned()]).unwrap().text();
        assert!(text.ends_with("| 1    | 2              | 1.10 | 2.50 | 2.50 |\n"), "{text}");
    }

    #[test]
    fn what_holds_no_run_or_one_that_cannot_be_read_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let read = |dir: &Path| Runs::read(&[dir.to_owned()]).unwrap_err();
        assert!(read(dir.path()).ends_with(": there is no run in it"));
        assert!(read(&dir.path().join("nowhere")).contains("/nowhere: No such file"));
        fs::write(dir.path().join(RESULTS), "{\n").unwrap();
        assert!(read(dir.path()).contains("results.json: EOF while parsing an object at line 2"));
    }
}
