//! Servers with known bugs, each of which must be caught: the harness is what is tested here.
//!
//! A build of the server with its mutants in it reads which one to be from `TALUS_MUTANT`. The table
//! pairs each bug with the workload and the faults under which it must show.

use super::suite::{self, Job, Line, job};
use super::{Config, Outcome, account};
use crate::check::Verdict;
use crate::report::table;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

/// A known bug.
#[derive(Debug)]
pub struct Mutant {
    /// What the server knows it by.
    pub id: &'static str,
    /// What is wrong with it.
    pub bug: &'static str,
    /// Under what it must show.
    pub job: Job,
}

/// The variable that chooses the mutant.
const VARIABLE: &str = "TALUS_MUTANT";

const fn mutant(id: &'static str, bug: &'static str, job: Job) -> Mutant {
    Mutant { id, bug, job }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    mutant("ack-before-fsync", "answers before the log is on disk", job("set", &["power"], 3, 40)),
    mutant(
        "ack-before-commit",
        "the leader answers when its own log has it",
        job("set", &["partition"], 5, 40),
    ),
    mutant(
        "no-read-barrier",
        "a node reads what it has, and asks nobody",
        job("register", &["partition", "pause"], 3, 30),
    ),
    mutant(
        "long-lease",
        "a leader trusts its lease longer than others wait",
        job("register", &["partition", "pause"], 5, 40),
    ),
    mutant(
        "vote-not-persisted",
        "a restarted node votes twice in a term",
        job("append", &["kill", "partition"], 5, 60),
    ),
    mutant(
        "apply-twice-after-restart",
        "effects outlive a crash that forgets they were applied",
        job("counter", &["kill"], 3, 30),
    ),
    mutant(
        "transaction-as-two-entries",
        "a transaction is cut in two in the log",
        job("append", &["kill"], 3, 30),
    ),
    mutant(
        "forward-without-dedup",
        "a forwarded write that is sent again is applied again",
        job("counter", &["delay", "failover"], 3, 60),
    ),
    mutant(
        "wrong-error-class",
        "a definite no for what may have happened",
        job("append", &["kill", "partition"], 5, 40),
    ),
    mutant(
        "snapshot-without-last-entry",
        "a snapshot lacks the entry it claims to end with",
        job("set", &["snapshot", "kill"], 3, 40),
    ),
    mutant(
        "snapshot-without-deadlines",
        "no key of a snapshot expires",
        job("verify", &["snapshot"], 3, 40),
    ),
    mutant(
        "no-term-gate",
        "who has just been elected reads what it has applied",
        job("register", &["slow-fsync", "failover"], 3, 60),
    ),
    mutant(
        "wiped-node-keeps-its-id",
        "a node that lost its data is taken for the voter it was",
        job("set", &["wipe", "kill"], 3, 40),
    ),
    mutant("local-clock-expiry", "each node's clock decides expiry", job("ttl", &["clock"], 3, 40)),
    mutant("skip-one-apply", "a follower skips an entry now and then", job("verify", &[], 3, 30)),
    mutant("watch-ignored", "EXEC does not check what was watched", job("bank", &[], 3, 20)),
    mutant(
        "fsync-error-ignored",
        "a failed fsync is taken for done",
        job("set", &["fsync-error", "power"], 3, 40),
    ),
    mutant(
        "torn-tail-kept",
        "an entry of the log counts even if its checksum does not fit",
        job("set", &["torn-tail"], 3, 40),
    ),
];

/// How one mutant fared.
pub struct Trial {
    mutant: &'static Mutant,
    lines: Vec<Line>,
}

impl Trial {
    /// The runs that caught it. One that did not even start proves nothing.
    fn caught(&self) -> impl Iterator<Item = &Outcome> {
        let outcomes = self.lines.iter().filter_map(|line| line.result.as_ref().ok());
        outcomes.filter(|outcome| outcome.verdict == Verdict::Invalid)
    }

    /// Whether any run caught it.
    pub fn is_caught(&self) -> bool {
        self.caught().next().is_some()
    }

    fn cells(&self) -> Vec<String> {
        let caught = format!("{} of {}", self.caught().count(), self.lines.len());
        let (by, job) = (self.by(), &self.mutant.job);
        let faults =
            if job.nemeses.is_empty() { "none".to_owned() } else { job.nemeses.join(", ") };
        let under = format!("{} × {faults}", job.workload);
        let seconds = self.median_seconds().map_or_else(String::new, |seconds| seconds.to_string());
        let (id, bug) = (self.mutant.id.to_owned(), self.mutant.bug.to_owned());
        vec![id, bug, under, caught, by, seconds]
    }

    fn by(&self) -> String {
        let findings = self.caught().flat_map(|outcome| &outcome.findings);
        let guilty = findings.filter(|finding| finding.verdict == Verdict::Invalid);
        let checkers: BTreeSet<&str> = guilty.map(|finding| finding.checker).collect();
        checkers.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Seconds of a run that caught it, start and judgement included.
    fn median_seconds(&self) -> Option<u64> {
        let mut seconds: Vec<u64> =
            self.caught().map(|outcome| outcome.duration.as_secs()).collect();
        seconds.sort_unstable();
        seconds.get(seconds.len() / 2).copied()
    }
}

/// The same build without a bug: what is caught there is not one of these.
const CONTROL: Job = job("append", &["kill", "partition"], 3, 30);

/// Runs the control. Its verdict; anything but valid makes the mutants prove nothing.
pub fn control(base: &Config, stop: &AtomicBool) -> Verdict {
    let base = Config { dir: base.dir.join("control"), ..base.clone() };
    suite::worst(&suite::play([suite::configure(&base, &CONTROL, 0)], stop))
}

/// Tries those whose id is in `only`, or all if it is empty, with so many seeds each.
pub fn play(base: &Config, only: &[String], seeds: u64, stop: &AtomicBool) -> Vec<Trial> {
    let chosen =
        MUTANTS.iter().filter(|mutant| only.is_empty() || only.iter().any(|id| id == mutant.id));
    chosen
        .map(|mutant| Trial { mutant, lines: suite::play(configs(base, mutant, seeds), stop) })
        .collect()
}

fn configs(base: &Config, mutant: &Mutant, seeds: u64) -> impl Iterator<Item = Config> {
    (0..seeds).map(move |number| {
        let seed = base.seed.wrapping_add(number);
        let dir = base.dir.join(format!("{}-{seed}", mutant.id));
        let mut env = base.env.clone();
        env.push((VARIABLE.to_owned(), mutant.id.to_owned()));
        Config { seed, dir, env, ..suite::configure(base, &mutant.job, 0) }
    })
}

/// The table of all mutants.
pub fn summary(trials: &[Trial]) -> String {
    const HEADS: &[&str] = &["mutant", "bug", "under", "caught", "by", "seconds"];
    let lines = trials.iter().flat_map(|trial| &trial.lines);
    table::draw(HEADS, &trials.iter().map(Trial::cells).collect::<Vec<_>>())
        + &account::servers(lines)
}
