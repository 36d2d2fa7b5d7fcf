//! What a terminal is told at the end of a run: the verdict first, how to repeat it last.

use std::fmt::Write;

use super::facts::{Facts, quantile, word};
use super::faults;
use super::markup::shorten;
use super::scale::{clock, grouped, span};
use super::{Summary, verdict};
use crate::check::{Finding, Verdict};
use crate::history::{History, Operation, Process};

const LINE_MAX: usize = 100;
const COUNTEREXAMPLE_LINES_MAX: usize = 40;
const ACCUSED_MAX: usize = 16;

/// Verdict, findings, counter-examples, counts, faults, and the command that repeats the run.
pub fn text(summary: &Summary, history: &History) -> String {
    let facts = Facts::new(history, &[], summary);
    let mut text = String::new();
    let (verdict, title) = (verdict(summary.verdict).to_uppercase(), summary.title());
    let _ = writeln!(text, "{verdict}  {}\n", printable(&title));
    findings(&mut text, summary);
    for finding in summary.findings.iter().filter(|it| it.verdict == Verdict::Invalid) {
        counterexample(&mut text, finding);
    }
    accused(&mut text, &facts);
    counts(&mut text, &facts);
    broken(&mut text, &facts);
    for skipped in &summary.skipped {
        let _ = writeln!(text, "skipped: {}", printable(skipped));
    }
    for unjudged in &summary.unjudged {
        let _ = writeln!(text, "not judged: {}", printable(unjudged));
    }
    let _ = writeln!(text, "repeat: {}", printable(&summary.command));
    text
}

/// A line each: checker, verdict, the first line of what it says.
fn findings(text: &mut String, summary: &Summary) {
    if summary.findings.is_empty() {
        let _ = writeln!(text, "nothing was checked");
    }
    let wide = summary.findings.iter().map(|it| it.checker.len()).max().unwrap_or_default();
    for finding in summary.worst_first() {
        let says = printable(finding.summary.lines().next().unwrap_or_default());
        let room = LINE_MAX.saturating_sub(wide + 13);
        let (checker, verdict) = (finding.checker, verdict(finding.verdict));
        let _ = writeln!(text, "  {checker:wide$}  {verdict:7}  {}", shorten(&says, room));
    }
    text.push('\n');
}

fn counterexample(text: &mut String, finding: &Finding) {
    let _ = writeln!(text, "{}:", finding.checker);
    let mut lines = finding.summary.lines();
    for line in lines.by_ref().take(COUNTEREXAMPLE_LINES_MAX) {
        let _ = writeln!(text, "  {}", printable(line));
    }
    let rest = lines.count();
    if rest > 0 {
        let _ = writeln!(text, "  and {rest} more lines, see results.json");
    }
    text.push('\n');
}

/// The operations that findings accuse, each with its index, as far as there are few.
fn accused(text: &mut String, facts: &Facts<'_>) {
    let accused: Vec<_> = facts.operations.iter().filter(|it| facts.is_accused(it)).collect();
    if accused.is_empty() {
        return;
    }
    let _ = writeln!(text, "operations accused:");
    for operation in accused.iter().take(ACCUSED_MAX) {
        let _ = writeln!(text, "  {}", shorten(&line(facts, operation), 2 * LINE_MAX));
    }
    if accused.len() > ACCUSED_MAX {
        let _ = writeln!(text, "  and {} more, see timeline.html", accused.len() - ACCUSED_MAX);
    }
    text.push('\n');
}

fn line(facts: &Facts<'_>, operation: &Operation<'_>) -> String {
    let invoked = operation.invoked;
    let process = match invoked.process {
        Process::Client(process) => process.to_string(),
        Process::Nemesis => "nemesis".to_string(),
    };
    let node = invoked.node.map_or(String::new(), |node| format!(" node {node}"));
    let error = operation.completed.and_then(|it| it.error.as_ref());
    let error = error.map_or(String::new(), |error| format!(" ({error})"));
    printable(&format!(
        "#{} {} +{} process {process}{node}: {} {} {}{error}",
        invoked.index,
        clock(invoked.time),
        span(facts.lasted(operation)),
        invoked.f,
        word(operation.outcome()),
        operation.value(),
    ))
}

/// A table: how many of each `f` ended how, and how long those that ended `ok` took.
fn counts(text: &mut String, facts: &Facts<'_>) {
    let latencies = facts.latencies();
    let wide = facts.functions().iter().map(|f| f.len()).max().unwrap_or_default().max(10);
    let titles = ["ok", "fail", "info", "p50", "p99", "max"].map(String::from);
    let _ = writeln!(text, "{:wide$}{}", "operations", cells(&titles));
    for (f, counts) in facts.counts() {
        let times = latencies.get(f).map_or(&[][..], Vec::as_slice);
        let took = |q| quantile(times, q).map_or("-".to_string(), span);
        let [ok, fail, info] = counts.map(grouped);
        let row = [ok, fail, info, took(0.5), took(0.99), took(1.0)];
        let _ = writeln!(text, "{:wide$}{}", printable(f), cells(&row));
    }
    text.push('\n');
}

fn cells(row: &[String]) -> String {
    row.iter().map(|cell| format!("  {cell:>9}")).collect()
}

/// What was broken, and the longest time that nobody could write meanwhile.
fn broken(text: &mut String, facts: &Facts<'_>) {
    let carried_out = faults::carried_out(&facts.bands);
    if !carried_out.is_empty() {
        let each: Vec<String> =
            carried_out.iter().map(|(name, count)| format!("{name} ×{count}")).collect();
        let _ = writeln!(text, "faults: {}", printable(&each.join(", ")));
    }
    for ((name, error), count) in faults::refused(&facts.bands) {
        let _ = writeln!(text, "not installed: {} ×{count}: {}", printable(name), printable(error));
    }
    for band in facts.bands.iter().filter(|band| band.failed.is_some() || band.undone.is_some()) {
        let _ = writeln!(text, "fault at {}: {}", clock(band.from), printable(&band.label()));
    }
    let costs = faults::costs(facts);
    let worst = facts.bands.iter().zip(&costs).filter(|(band, _)| band.error.is_none());
    let worst = worst.max_by_key(|(_, cost)| cost.silence);
    if let Some((band, silence)) = worst.and_then(|(band, cost)| Some((band, cost.silence?))) {
        let (silence, from, label) = (span(silence), clock(band.from), printable(&band.what()));
        let _ = writeln!(text, "longest without a write: {silence}, in {label} at {from}");
    }
}

/// `text` without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
