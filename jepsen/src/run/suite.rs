//! Runs one after another, and one table at the end.

use super::{Config, Failure, Outcome, account, run};
use crate::check::{Finding, Verdict};
use crate::cluster::Target;
use crate::tell;
use crate::workload::Row;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// A run of a suite.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The workload's name.
    pub workload: &'static str,
    /// What breaks.
    pub nemeses: &'static [&'static str],
    /// Nodes.
    pub nodes: u32,
    /// Seconds under load.
    pub seconds: u64,
    /// Whether a majority stays whole, so that service must go on.
    pub live: bool,
}

pub(super) const fn job(
    workload: &'static str,
    nemeses: &'static [&'static str],
    nodes: u32,
    seconds: u64,
) -> Job {
    Job { workload, nemeses, nodes, seconds, live: false }
}

/// A job of which a majority stays whole.
const fn live(
    workload: &'static str,
    nemeses: &'static [&'static str],
    nodes: u32,
    seconds: u64,
) -> Job {
    Job { live: true, ..job(workload, nemeses, nodes, seconds) }
}

/// At most six minutes on two cores.
pub const SMOKE: &[Job] = &[
    job("append", &[], 3, 15),
    job("append", &["kill"], 3, 20),
    job("append", &["pause"], 3, 20),
    job("append", &["partition"], 3, 20),
    job("append", &["member"], 3, 20),
    job("register", &[], 3, 15),
    job("register", &["kill"], 3, 20),
    job("register", &["pause"], 3, 20),
    job("register", &["partition"], 3, 20),
    job("register", &["member"], 3, 20),
    live("register", &["partition"], 3, 25),
];

/// About fifty minutes with the controls: every workload, every nemesis, alone and together, and
/// clusters of one; and some of which a majority stays whole.
pub const FULL: &[Job] = &[
    job("append", &[], 5, 20),
    job("append", &["partition", "kill"], 5, 60),
    job("append", &["member", "kill"], 5, 60),
    job("append", &["member", "partition"], 5, 60),
    job("append", &["pause", "transfer"], 5, 45),
    job("append", &["power"], 3, 45),
    job("append", &["snapshot", "kill"], 3, 45),
    job("append", &["loss", "delay"], 3, 45),
    job("append", &["kill"], 1, 30),
    job("append", &["clock", "cpu"], 3, 45),
    job("register", &["partition"], 5, 45),
    job("register", &["pause"], 5, 45),
    job("register", &["kill", "partition"], 3, 60),
    job("register", &["delay", "transfer"], 3, 45),
    job("register", &["member", "pause"], 5, 45),
    job("register", &["clock"], 3, 30),
    job("single", &["kill", "transfer"], 3, 45),
    job("single", &["slow", "snapshot"], 3, 45),
    job("set", &["power", "kill"], 3, 60),
    job("set", &["torn-tail"], 3, 45),
    job("set", &["fsync-error"], 3, 45),
    job("set", &["disk-full"], 3, 45),
    job("set", &["slow-fsync", "kill"], 3, 45),
    job("set", &["partition", "kill"], 5, 45),
    job("counter", &["kill", "transfer"], 5, 60),
    job("counter", &["partition"], 3, 45),
    job("counter", &["term", "loss"], 3, 45),
    job("bank", &["transfer", "kill"], 3, 45),
    job("bank", &["partition", "pause"], 5, 60),
    job("bank", &["power"], 3, 45),
    job("queue", &["kill", "pause"], 3, 45),
    job("queue", &["partition", "member"], 5, 60),
    job("lock", &["pause", "clock"], 3, 60),
    job("lock", &["partition"], 3, 45),
    job("ttl", &["clock", "kill"], 3, 60),
    job("ttl", &["pause", "transfer"], 3, 45),
    job("verify", &["kill", "snapshot"], 3, 60),
    job("verify", &["clock", "partition"], 5, 60),
    job("set", &["wipe", "kill"], 3, 45),
    job("append", &["outage"], 3, 40),
    job("set", &["power", "snapshot"], 3, 45),
    job("set", &["kill"], 1, 25),
    job("set", &["power"], 1, 25),
    job("counter", &["kill"], 1, 25),
    job("register", &["kill"], 1, 25),
    job("register", &["pause"], 3, 50),
    live("register", &["kill", "partition"], 5, 45),
    live("append", &["pause", "member"], 5, 45),
    live("set", &["power"], 3, 45),
];

/// Systems of which it is known how they fare, and which checker finds fault with them: a harness
/// that sees it otherwise is blind, or lies.
pub const CONTROLS: &[(Target, Job, Option<&str>)] = &[
    (Target::Etcd, job("register", &["partition"], 5, 30), None),
    (Target::Sentinel, job("set", &["partition"], 3, 40), Some("set")),
];

/// Runs the controls, but for those that this machine lacks. Whether each fared as is known.
pub fn control(base: &Config, stop: &AtomicBool) -> Verdict {
    let base = Config { dir: base.dir.join("controls"), ..base.clone() };
    let mut worst = Verdict::Valid;
    for (number, (target, job, fault)) in CONTROLS.iter().enumerate() {
        let config = Config { target: target.clone(), ..configure(&base, job, number) };
        match config.possible() {
            Ok(_) => worst = worst.max(as_known(*fault, &play([config], stop))),
            Err(why) => tell::aside(format_args!("skipped: {} on {target:?}: {why}", job.workload)),
        }
    }
    worst
}

/// Another checker's finding, such as a cluster that never came together, shows nothing.
fn as_known(fault: Option<&str>, lines: &[Line]) -> Verdict {
    let Some(seen) = lines.iter().find_map(|line| line.result.as_ref().ok()) else {
        return Verdict::Unknown;
    };
    let guilty =
        |finding: &Finding| finding.verdict == Verdict::Invalid && Some(finding.checker) == fault;
    match (fault, seen.verdict) {
        (None, Verdict::Valid) => Verdict::Valid,
        (Some(_), Verdict::Invalid) if seen.findings.iter().any(guilty) => Verdict::Valid,
        (None, Verdict::Invalid) | (Some(_), Verdict::Valid) => {
            let known = fault.unwrap_or("nobody");
            tell::out(format_args!(
                "the harness is wrong: {known} finds fault with this, as is known\n"
            ));
            Verdict::Invalid
        }
        (None, Verdict::Unknown) | (Some(_), _) => Verdict::Unknown,
    }
}

/// One line of the table.
pub struct Line {
    /// What was run.
    pub config: Config,
    /// How it ended.
    pub result: Result<Outcome, Failure>,
}

impl Line {
    /// Its verdict; a cluster that did not start is a failure of what is tested.
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            Ok(outcome) => outcome.verdict,
            Err(Failure::Cluster(_)) => Verdict::Invalid,
            Err(_) => Verdict::Unknown,
        }
    }

    /// What the table has of it.
    pub(super) fn cells(&self) -> Vec<String> {
        let config = &self.config;
        let (operations, duration, what) = match &self.result {
            Ok(o) => {
                let operations = o.figures.operations.to_string();
                (operations, o.duration.as_secs().to_string(), blame(&o.findings))
            }
            Err(failure) => (String::new(), String::new(), first_line(&failure.to_string())),
        };
        let (nemeses, seed) = (named(config), config.seed.to_string());
        let (nodes, verdict) = (config.nodes.to_string(), word(self.verdict()).to_owned());
        let workload = config.workload.name.to_owned();
        vec![workload, nemeses, nodes, seed, operations, duration, verdict, what]
    }
}

/// A run for people.
pub(super) fn titled(config: &Config) -> String {
    format!("{} × {}, seed {}", config.workload.name, named(config), config.seed)
}

/// The faults for people.
fn named(config: &Config) -> String {
    match (config.nemeses.is_empty(), config.liveness) {
        (true, _) => "none".to_owned(),
        (false, true) => format!("{} (majority whole)", config.nemeses.join(", ")),
        (false, false) => config.nemeses.join(", "),
    }
}

/// The checkers that found it not valid, each with the first line of what it says.
pub fn blame(findings: &[Finding]) -> String {
    let guilty = findings.iter().filter(|finding| finding.verdict != Verdict::Valid);
    let said =
        guilty.map(|finding| format!("{}: {}", finding.checker, first_line(&finding.summary)));
    said.collect::<Vec<_>>().join("; ")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A verdict as it is printed.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Unknown => "unknown",
        Verdict::Invalid => "invalid",
    }
}

/// `base` with what a job says, in a directory of its own.
pub fn configure(base: &Config, job: &Job, number: usize) -> Config {
    let nemeses: Vec<String> = job.nemeses.iter().map(|name| (*name).to_owned()).collect();
    let name = [&[job.workload.to_owned()], nemeses.as_slice()].concat().join("-");
    Config {
        workload: Row::named(job.workload).expect("suites name workloads that exist"),
        nemeses,
        nodes: job.nodes,
        seconds: job.seconds,
        liveness: base.liveness || job.live,
        seed: base.seed.wrapping_add(number as u64),
        dir: base.dir.join(format!("{number:02}-{name}")),
        ..base.clone()
    }
}

/// Runs all, until `stop`, telling of each as it ends.
pub fn play(configs: impl IntoIterator<Item = Config>, stop: &AtomicBool) -> Vec<Line> {
    play_while(configs, stop, |_| true)
}

/// The same, as long as `go_on` says so of those that there are.
pub fn play_while(
    configs: impl IntoIterator<Item = Config>,
    stop: &AtomicBool,
    go_on: impl Fn(&[Line]) -> bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for config in configs {
        if stop.load(Ordering::SeqCst) || !go_on(&lines) {
            break;
        }
        tell::aside(format_args!("{} …", titled(&config)));
        let result = survive(|| run(&config, stop));
        let line = Line { config, result };
        announce(&line);
        lines.push(line);
        if lines.len() > 1 {
            tell::out(format_args!("so far {}\n", account::tally(&lines)));
        }
    }
    lines
}

/// A harness that falls over in one run has others to come, and a table to print.
fn survive(run: impl FnOnce() -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Failure::Panicked))
}

fn announce(line: &Line) {
    match &line.result {
        Ok(outcome) => tell::out(format_args!(
            "{}report: {}\n",
            outcome.text,
            outcome.dir.join("timeline.html").display()
        )),
        Err(failure) => {
            tell::out(format_args!("{}  {failure}\n", word(line.verdict()).to_uppercase()))
        }
    }
}

/// The worst verdict; of nothing, unknown.
pub fn worst(lines: &[Line]) -> Verdict {
    lines.iter().map(Line::verdict).max().unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cluster::Mode;
    use crate::report::tally::Figures;
    use crate::run::Problem;
    use std::path::PathBuf;

    pub fn line(result: Result<Outcome, Failure>) -> Line {
        let config = Config {
            workload: &crate::workload::ROWS[0],
            nemeses: Vec::new(),
            nodes: 3,
            seconds: 1,
            seed: 1,
            dir: PathBuf::new(),
            mode: Mode::Loopback,
            target: Target::Sentinel,
            rate: 1.0,
            concurrency: 1,
            liveness: false,
            settings: Vec::new(),
            env: Vec::new(),
        };
        Line { config, result }
    }

    pub fn ended(verdict: Verdict, checker: &'static str) -> Line {
        let (duration, dir, text, server) = Default::default();
        let (summary, details) = Default::default();
        let figures = Figures { operations: 1000, faults_survived: 2, leader_changes: 3 };
        let findings = vec![Finding { checker, verdict, summary, details }];
        line(Ok(Outcome { verdict, findings, server, figures, duration, dir, text }))
    }

    #[test]
    fn a_harness_that_falls_over_goes_on_with_the_next_run() {
        let fell = survive(|| panic!("on purpose"));
        assert_eq!(fell.unwrap_err().to_string(), "the harness itself panicked");
    }

    #[test]
    fn suites_have_jobs_of_which_a_majority_stays_whole_and_say_so() {
        let base = line(Err(Failure::Impossible(String::new()))).config;
        for suite in [SMOKE, FULL] {
            let live = suite.iter().filter(|job| job.live);
            let configs: Vec<Config> = live.map(|job| configure(&base, job, 0)).collect();
            assert!(!configs.is_empty());
            for config in configs {
                assert!(config.liveness);
                assert!(super::super::command::of(&config).contains(" --liveness "));
                assert!(config.plan().is_ok(), "{:?}", config.nemeses);
                let cells =
                    Line { config, result: Err(Failure::Impossible(String::new())) }.cells();
                assert!(cells[1].ends_with(" (majority whole)"), "{cells:?}");
            }
        }
        let safe = configure(&base, &job("set", &["kill"], 3, 20), 0);
        assert!(!safe.liveness);
        assert_eq!(named(&safe), "kill");
    }

    #[test]
    fn a_control_that_fares_otherwise_fails() {
        use Verdict::{Invalid, Unknown, Valid};
        for (fault, seen, checker, expected) in [
            (Some("set"), Invalid, "set", Valid),
            (Some("set"), Invalid, "setup", Unknown),
            (Some("set"), Valid, "set", Invalid),
            (Some("set"), Unknown, "set", Unknown),
            (None, Valid, "wgl", Valid),
            (None, Invalid, "wgl", Invalid),
            (None, Unknown, "wgl", Unknown),
        ] {
            let judged = as_known(fault, &[ended(seen, checker)]);
            assert_eq!(judged, expected, "{seen:?} by {checker} for {fault:?}");
        }
        let did_not_start = line(Err(Failure::Cluster(Problem::new("redis-server", "no memory"))));
        assert_eq!(as_known(Some("set"), &[did_not_start]), Unknown);
    }
}
