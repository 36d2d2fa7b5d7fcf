//! `talus-jepsen`: see `--help`.
//!
//! Exit codes: 0 valid, 1 invalid, 2 unknown or impossible.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use clap::{Args, Parser, Subcommand, ValueEnum};
use jepsen::check::{self, Verdict, selftest};
use jepsen::cluster::{self, Mode, Target, server};
use jepsen::history::History;
use jepsen::nemesis;
use jepsen::report::tabulate::Runs;
use jepsen::report::{self, Summary};
use jepsen::run::again::{self, Known};
use jepsen::run::{self, Config, account, command, mutants, soak, stop, suite};
use jepsen::tell;
use jepsen::workload::{ROWS, Row};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Breaks clusters of Talus and checks what their clients saw
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// One run for each workload
    Run(Run),
    /// Judges a history, .edn or .jsonl
    Check(Check),
    /// Judges histories whose verdict is known
    Selftest,
    /// Workloads, faults, mutants, and what this machine lacks
    List,
    /// Random runs of ten minutes
    Soak(Soak),
    /// Servers with known bugs: each must be caught
    Mutants(Mutants),
    /// Many runs and one table
    Suite(Suite),
    /// Tables over finished runs
    Tabulate(Tabulate),
}

#[derive(Args)]
struct Run {
    /// What clients do, comma-separated: a run for each
    #[arg(long, value_delimiter = ',', default_value = "append", value_parser = workload)]
    workload: Vec<&'static Row>,
    /// What breaks, comma-separated, all in the same run; or none
    #[arg(long, value_delimiter = ',', value_parser = fault)]
    nemesis: Vec<String>,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Seconds under load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time: u64,
    #[command(flatten)]
    common: Common,
}

/// Options of everything that runs clusters
#[derive(Args)]
struct Common {
    /// What everything random is drawn from; random itself if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Where history and report go [default: jepsen-out/SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How nodes are kept apart
    #[arg(long, value_enum, default_value_t = Kept::Auto)]
    mode: Kept,
    /// What is tested
    #[arg(long, value_enum, default_value_t = Tested::Talus)]
    target: Tested,
    /// The server binary [default: talus beside this program, or else in PATH]
    #[arg(long, value_name = "PATH", env = "TALUS")]
    talus: Option<PathBuf>,
    /// Faults leave a majority whole, and service must go on
    #[arg(long)]
    liveness: bool,
    /// Operations a second and client
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// A setting of the server, above the harness's own; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = run::setting)]
    settings: Vec<(String, String)>,
    /// Clients a node
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    concurrency: u32,
}

#[derive(Args)]
struct Check {
    /// The history
    file: PathBuf,
    /// What made it, if its operations do not tell
    #[arg(long, value_parser = workload)]
    workload: Option<&'static Row>,
    /// How many nodes there were [default: the highest that an operation was for]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=15))]
    nodes: Option<u32>,
    /// Its faults left a majority whole, and service had to go on
    #[arg(long)]
    liveness: bool,
}

#[derive(Args)]
struct Soak {
    /// How long
    #[arg(long, default_value_t = 2.0, value_parser = hours)]
    hours: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Mutants {
    /// Runs of each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Only these, comma-separated
    #[arg(long, value_delimiter = ',', value_parser = mutant)]
    only: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Suite {
    /// Which runs
    #[arg(value_enum)]
    which: Which,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Tabulate {
    /// Directories of runs, or of suites with a run in each of theirs
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// Six minutes, with the self-test
    Smoke,
    /// Fifty minutes, with runs of etcd, which keeps its promise, and Sentinel, which does not
    Full,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kept {
    /// Namespaces if this machine allows them
    Auto,
    /// A network namespace each: all faults, needs root
    Namespaces,
    /// A proxy for each directed link
    Loopback,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tested {
    /// Talus
    Talus,
    /// Redis with Sentinel, which loses writes
    Sentinel,
    /// etcd, for `register`
    Etcd,
}

fn workload(name: &str) -> Result<&'static Row, String> {
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    Row::named(name).ok_or_else(|| format!("there are: {}", names.join(", ")))
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.01..=10_000.0)
}

/// At most a year.
fn hours(text: &str) -> Result<f64, String> {
    number(text, 0.001..=8760.0)
}

/// Neither is one that is none, nor infinity, in any range.
fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

fn fault(name: &str) -> Result<String, String> {
    let known = name == "none" || nemesis::names().contains(&name);
    known
        .then(|| name.to_owned())
        .ok_or_else(|| format!("there are: none, {}", nemesis::names().join(", ")))
}

fn mutant(id: &str) -> Result<String, String> {
    let ids: Vec<&str> = mutants::MUTANTS.iter().map(|mutant| mutant.id).collect();
    ids.contains(&id).then(|| id.to_owned()).ok_or_else(|| format!("there are: {}", ids.join(", ")))
}

/// A path from the root, so that what is printed of it holds in every directory.
fn whole(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path:?}: {error}"))
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let stop = match stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => {
            tell::aside(format_args!("signals cannot be handled: {error}"));
            return code(Verdict::Unknown);
        }
    };
    let verdict = match verb {
        Verb::Run(run) => play_run(&run, &stop),
        Verb::Check(check) => check_file(&check),
        Verb::Selftest => Ok(test_self()),
        Verb::List => Ok(list()),
        Verb::Soak(soak) => play_soak(&soak, &stop),
        Verb::Mutants(mutants) => play_mutants(&mutants, &stop),
        Verb::Suite(suite) => play_suite(&suite, &stop),
        Verb::Tabulate(tabulate) => tabulate_runs(&tabulate.dirs),
    };
    code(verdict.unwrap_or_else(|why| {
        tell::aside(why);
        Verdict::Unknown
    }))
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Valid => ExitCode::SUCCESS,
        Verdict::Invalid => ExitCode::from(1),
        Verdict::Unknown => ExitCode::from(2),
    }
}

impl Common {
    /// What all runs of this command share. Says at once what this machine lacks.
    fn config(&self) -> Result<Config, String> {
        let seed = self.seed.unwrap_or_else(rand::random);
        let target = match self.target {
            Tested::Talus => Target::Talus(self.talus.as_deref().map_or_else(server::find, whole)?),
            Tested::Sentinel => Target::Sentinel,
            Tested::Etcd => Target::Etcd,
        };
        let out =
            self.out.clone().unwrap_or_else(|| Path::new("jepsen-out").join(seed.to_string()));
        Ok(Config {
            workload: &ROWS[0],
            nemeses: Vec::new(),
            nodes: 3,
            seconds: 0,
            seed,
            dir: whole(&out)?,
            mode: self.mode(),
            target,
            rate: self.rate,
            concurrency: self.concurrency,
            liveness: self.liveness,
            settings: self.settings.clone(),
            env: Vec::new(),
        })
    }

    fn mode(&self) -> Mode {
        match self.mode {
            Kept::Namespaces => Mode::Namespaces,
            Kept::Loopback => Mode::Loopback,
            Kept::Auto => {
                let lacking = cluster::lacks(Mode::Namespaces);
                if lacking.is_empty() {
                    return Mode::Namespaces;
                }
                tell::aside(format_args!(
                    "nodes run on loopback addresses behind proxies, since for namespaces this \
                     machine lacks {}; faults that need more are skipped",
                    lacking.join(", ")
                ));
                Mode::Loopback
            }
        }
    }
}

fn play_run(args: &Run, stop: &AtomicBool) -> Result<Verdict, String> {
    let base = args.common.config()?;
    let nemeses: Vec<String> =
        args.nemesis.iter().filter(|name| *name != "none").cloned().collect();
    let several = args.workload.len() > 1;
    let configs = args.workload.iter().map(|workload| Config {
        workload,
        nemeses: nemeses.clone(),
        nodes: args.nodes,
        seconds: args.time,
        dir: if several { base.dir.join(workload.name) } else { base.dir.clone() },
        ..base.clone()
    });
    let lines = suite::play(configs, stop);
    if several {
        tell::out(account::summary(&lines));
    }
    Ok(suite::worst(&lines))
}

fn check_file(args: &Check) -> Result<Verdict, String> {
    let command = args.again()?;
    let (summary, history) = match History::read(&args.file) {
        Ok(history) => {
            let Check { workload, nodes, liveness, .. } = *args;
            (again::judge(&history, &Known { workload, nodes, liveness }, command), history)
        }
        Err(malformed) => {
            let findings = vec![check::unreadable(&malformed)];
            (Summary { findings, ..Summary::new(command) }, History::default())
        }
    };
    tell::out(report::text(&summary, &history));
    Ok(summary.verdict)
}

impl Check {
    /// The command that judges the same again, in every directory.
    fn again(&self) -> Result<String, String> {
        let mut words = format!("talus-jepsen check {}", command::path(&whole(&self.file)?));
        if let Some(row) = self.workload {
            words += &format!(" --workload {}", row.name);
        }
        if let Some(nodes) = self.nodes {
            words += &format!(" --nodes {nodes}");
        }
        Ok(words + if self.liveness { " --liveness" } else { "" })
    }
}

fn test_self() -> Verdict {
    let outcomes = selftest::selftest();
    let failures: Vec<_> =
        outcomes.iter().filter_map(|o| Some((&o.name, o.failure.as_ref()?))).collect();
    failures.iter().for_each(|(name, failure)| tell::out(format_args!("{name}: {failure}")));
    tell::out(format_args!("selftest: {} of {} tests failed", failures.len(), outcomes.len()));
    match (outcomes.is_empty(), failures.is_empty()) {
        (false, true) => Verdict::Valid,
        (true, _) => Verdict::Unknown,
        (false, false) => Verdict::Invalid,
    }
}

fn list() -> Verdict {
    let mut lines = vec!["workloads".to_owned()];
    lines.extend(ROWS.iter().map(|row| format!("  {:10} {}", row.name, row.about)));
    lines.extend(listed_faults());
    lines.push("targets".to_owned());
    lines.extend(listed_targets());
    lines.push("mutants".to_owned());
    lines.extend(mutants::MUTANTS.iter().map(|it| format!("  {:33} {}", it.id, it.bug)));
    for mode in [Mode::Namespaces, Mode::Loopback] {
        lines.push(format!("clusters in the mode {}", command::mode(mode)));
        let lacking = cluster::lacks(mode);
        lines
            .push(format!("  this machine lacks {}", joined(&lacking).unwrap_or("nothing".into())));
    }
    tell::out(lines.join("\n"));
    Verdict::Valid
}

/// Each with what is lacking for it where most can be had.
fn listed_faults() -> Vec<String> {
    let whole = cluster::lacks(Mode::Namespaces).is_empty();
    let mode = if whole { Mode::Namespaces } else { Mode::Loopback };
    let line = |(name, about): &(&str, &str)| {
        let lacking = nemesis::requires(&[(*name).to_owned()]).lacks(mode);
        format!("  {name:11} {about}{}", lack(&lacking))
    };
    let head = format!("nemeses, in the mode {}", command::mode(mode));
    std::iter::once(head).chain(nemesis::kinds().iter().map(line)).collect()
}

fn listed_targets() -> [String; 3] {
    let talus = server::find().map_or_else(|why| why, |path| path.display().to_string());
    let lacking = |target: Target| lack(&target.lacks());
    [
        format!("  talus       {talus}"),
        format!(
            "  sentinel    Redis with Sentinel, which loses writes{}",
            lacking(Target::Sentinel)
        ),
        format!("  etcd        etcd, for register{}", lacking(Target::Etcd)),
    ]
}

/// What stands behind a line.
fn lack(lacking: &[String]) -> String {
    joined(lacking).map_or_else(String::new, |what| format!("; this machine lacks {what}"))
}

fn joined(lacking: &[String]) -> Option<String> {
    (!lacking.is_empty()).then(|| lacking.join(", "))
}

fn play_soak(args: &Soak, stop: &AtomicBool) -> Result<Verdict, String> {
    let base = args.common.config()?;
    let faults: Vec<String> = nemesis::names().iter().map(|name| (*name).to_owned()).collect();
    let length = Duration::from_secs_f64(args.hours * 3600.0);
    let lines = soak::play(&base, &faults, length, stop);
    tell::out(account::summary(&lines));
    Ok(suite::worst(&lines))
}

fn tabulate_runs(dirs: &[PathBuf]) -> Result<Verdict, String> {
    let runs = Runs::read(dirs)?;
    tell::out(runs.text());
    Ok(runs.worst())
}

fn play_mutants(args: &Mutants, stop: &AtomicBool) -> Result<Verdict, String> {
    let base = args.common.config()?;
    let control = mutants::control(&base, stop);
    if control != Verdict::Valid {
        tell::out("the build without a bug is not valid: what is caught of it proves nothing");
        return Ok(control);
    }
    let trials = mutants::play(&base, &args.only, args.seeds, stop);
    tell::out(mutants::summary(&trials));
    let caught = trials.iter().all(mutants::Trial::is_caught);
    Ok(if caught { Verdict::Valid } else { Verdict::Invalid })
}

fn play_suite(args: &Suite, stop: &AtomicBool) -> Result<Verdict, String> {
    let base = args.common.config()?;
    let (jobs, tested) = match args.which {
        Which::Smoke => (suite::SMOKE, test_self()),
        // A target that is asked for is what shall be tested, and no control.
        Which::Full if !base.is_talus() => (suite::FULL, Verdict::Valid),
        Which::Full => (suite::FULL, suite::control(&base, stop)),
    };
    let configs = jobs.iter().enumerate().map(|(number, job)| suite::configure(&base, job, number));
    let lines = suite::play(configs, stop);
    tell::out(account::summary(&lines));
    Ok(suite::worst(&lines).max(tested))
}
