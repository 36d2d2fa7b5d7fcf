//! `latency.svg`: how long each operation took, and what most of them took at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::chart::{Chart, Key};
use super::facts::{Facts, OUTCOMES, quantile, word};
use super::markup::Px;
use super::scale::{Scale, grouped, nice, seconds, span};
use crate::history::{Kind, Operation};

/// Shapes by `f`: a disc, a triangle, a cross, a bar, a diamond, a plus and a box.
const SHAPES: [&str; 7] = [
    "h0",
    "m0-1.7l1.6 2.8h-3.2z",
    "m-1.6-1.6l3.2 3.2m0-3.2l-3.2 3.2",
    "m-2.2 0h4.4",
    "m0-2l1.8 2l-1.8 2l-1.8-2z",
    "m-2 0h4m-2-2v4",
    "m-1.4-1.4h2.8v2.8h-2.8z",
];
const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 1.0];
const WINDOWS: f64 = 150.0;
const WINDOW_OPERATIONS: f64 = 10.0;

/// Draws it.
pub fn draw(facts: &Facts<'_>, run: &str) -> String {
    let mut chart = Chart::new(facts, "How long each operation took", run);
    legend(&mut chart, facts);
    chart.faults();
    let panel = chart.panel(360.0, "each operation, at its invocation");
    let scale = Scale::log(range(facts), (panel.bottom, panel.top));
    chart.ticks(&scale, 0, label);
    points(&mut chart, facts, &scale);
    if facts.operations.is_empty() {
        chart.nothing(panel, "no operation");
    }
    let caption = format!("quantiles of what ended ok, per {}", span((window(facts) * 1e9) as u64));
    let panel = chart.panel(200.0, &caption);
    let scale = Scale::log(range(facts), (panel.bottom, panel.top));
    chart.ticks(&scale, 0, label);
    quantiles(&mut chart, facts, &scale);
    chart.finish()
}

fn legend(chart: &mut Chart<'_>, facts: &Facts<'_>) {
    let totals = facts.counts().values().fold([0; 3], |mut totals, counts| {
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        totals
    });
    for (outcome, total) in OUTCOMES.iter().zip(totals) {
        let text = format!("{} {}", word(*outcome), grouped(total));
        chart.key(&Key::Box(word(*outcome)), &text);
    }
    for (place, f) in facts.functions().iter().enumerate() {
        chart.key(&Key::Shape(SHAPES[place % SHAPES.len()]), f);
    }
    if facts.operations.iter().any(|it| facts.is_accused(it)) {
        chart.key(&Key::Box("accused"), "accused");
    }
    for (place, q) in QUANTILES.iter().enumerate() {
        let text = if *q == 1.0 { "longest".to_string() } else { format!("p{}", q * 100.0) };
        chart.key(&Key::Line(&format!("q{place}")), &text);
    }
}

fn label(seconds: f64) -> String {
    span((seconds * 1e9).round() as u64)
}

/// A time on the logarithmic axis, which has no zero.
fn drawn(nanoseconds: u64) -> f64 {
    seconds(nanoseconds.max(1_000))
}

fn range(facts: &Facts<'_>) -> (f64, f64) {
    let times = || facts.operations.iter().map(|it| drawn(facts.lasted(it)));
    if facts.operations.is_empty() {
        return (1e-3, 1.0);
    }
    (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max))
}

/// One path for each outcome and `f`; of points on the same pixel, one is written.
fn points(chart: &mut Chart<'_>, facts: &Facts<'_>, scale: &Scale) {
    let functions = facts.functions();
    let mut paths: BTreeMap<(Kind, usize), BTreeSet<(u64, u64)>> = BTreeMap::new();
    for operation in &facts.operations {
        let shape = functions.iter().position(|f| *f == operation.invoked.f).unwrap_or_default();
        let x = chart.x(operation.invoked.time);
        let y = scale.at(drawn(facts.lasted(operation)));
        let pixel = (x.round() as u64, y.round() as u64);
        paths.entry((operation.outcome(), shape)).or_default().insert(pixel);
    }
    for ((outcome, shape), places) in paths {
        let mut path = String::new();
        for (x, y) in places {
            let _ = write!(path, "M{x} {y}{}", SHAPES[shape % SHAPES.len()]);
        }
        chart.path(&format!("dots {}{}", word(outcome), disc(SHAPES[shape % SHAPES.len()])), &path);
    }
    for operation in facts.operations.iter().filter(|it| facts.is_accused(it)) {
        accused(chart, facts, operation, scale);
    }
}

/// The class of the one shape that is nothing but a thick end of a line.
pub fn disc(shape: &str) -> &'static str {
    if shape == SHAPES[0] { " disc" } else { "" }
}

fn accused(chart: &mut Chart<'_>, facts: &Facts<'_>, operation: &Operation<'_>, scale: &Scale) {
    let (x, y) = (chart.x(operation.invoked.time), scale.at(drawn(facts.lasted(operation))));
    chart.path("accused", &format!("M{} {}h9v9h-9z", Px(x - 4.5), Px(y - 4.5)));
}

/// A round time, in which so many operations end as a quantile needs to mean anything.
fn window(facts: &Facts<'_>) -> f64 {
    let operations = facts.operations.len().max(1) as f64;
    nice(seconds(facts.end) * (1.0 / WINDOWS).max(WINDOW_OPERATIONS / operations))
}

/// A line for each quantile, broken where nothing ended `ok`.
fn quantiles(chart: &mut Chart<'_>, facts: &Facts<'_>, scale: &Scale) {
    let width = window(facts);
    let mut windows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for operation in facts.operations.iter().filter(|it| it.outcome() == Kind::Ok) {
        let window = (seconds(operation.invoked.time) / width) as u64;
        windows.entry(window).or_default().push(facts.lasted(operation));
    }
    windows.values_mut().for_each(|times| times.sort_unstable());
    for (place, q) in QUANTILES.iter().enumerate() {
        let mut path = String::new();
        let mut previous = None;
        for (window, times) in &windows {
            let Some(time) = quantile(times, *q) else { continue };
            let x = chart.x(((*window as f64 + 0.5) * width * 1e9) as u64);
            let joined = previous.is_some_and(|last: u64| last + 1 == *window);
            let step = if joined { "L" } else { "M" };
            let _ = write!(path, "{step}{} {}h0", Px(x), Px(scale.at(drawn(time))));
            previous = Some(*window);
        }
        if !path.is_empty() {
            chart.path(&format!("line q{place}"), &path);
        }
    }
}
