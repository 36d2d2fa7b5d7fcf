//! `rate.svg`: how many operations a second ended how, a panel for each `f`.
//!
//! What ended badly stands at the bottom, where it can be compared, and is never thinner than can
//! be seen: one failure among thousands is what the reader looks for.

use super::chart::{Chart, Key, Panel};
use super::facts::{Facts, OUTCOMES, place, word};
use super::scale::{Scale, grouped, nice, seconds, span};

const WINDOWS: f64 = 150.0;
const SEEN: f64 = 2.0;

/// Counts of one `f` over time: in each window how many ended how.
type Windows = Vec<[usize; 3]>;

/// Draws it.
pub fn draw(facts: &Facts<'_>, run: &str) -> String {
    let mut chart = Chart::new(facts, "Operations per second, by how they ended", run);
    OUTCOMES.iter().for_each(|outcome| chart.key(&Key::Box(word(*outcome)), word(*outcome)));
    chart.faults();
    let width = nice(seconds(facts.end) / WINDOWS);
    for (f, [ok, fail, info]) in facts.counts() {
        let counts = [ok, fail, info].map(grouped);
        let caption = format!("{f}: {} ok, {} fail, {} info", counts[0], counts[1], counts[2]);
        panel(&mut chart, facts, f, width, &caption);
    }
    if facts.operations.is_empty() {
        let panel = chart.panel(120.0, "");
        chart.nothing(panel, "no operation");
    }
    let windows = format!("counted per {}, at their completion", span((width * 1e9) as u64));
    chart.note(&windows);
    chart.finish()
}

fn panel(chart: &mut Chart<'_>, facts: &Facts<'_>, f: &str, width: f64, caption: &str) {
    let windows = windows(facts, f, width);
    let most = windows.iter().map(|counts| counts.iter().sum::<usize>()).max().unwrap_or_default();
    let panel = chart.panel(130.0, caption);
    let scale = Scale::linear((0.0, (most.max(1) as f64) / width), (panel.bottom, panel.top + 6.0));
    chart.ticks(&scale, 4, |rate| format!("{rate}/s"));
    for (window, counts) in windows.iter().enumerate() {
        bar(chart, panel, &scale, (window as f64 * width, width), *counts);
    }
}

fn windows(facts: &Facts<'_>, f: &str, width: f64) -> Windows {
    let mut windows = vec![[0; 3]; (seconds(facts.end) / width).floor() as usize + 1];
    for operation in facts.operations.iter().filter(|it| it.invoked.f == f) {
        let window = (seconds(facts.until(operation)) / width) as usize;
        if let Some(counts) = windows.get_mut(window) {
            counts[place(operation.outcome())] += 1;
        }
    }
    windows
}

/// One window: info at the bottom, then fail, then ok.
fn bar(
    chart: &mut Chart<'_>,
    panel: Panel,
    scale: &Scale,
    (from, width): (f64, f64),
    counts: [usize; 3],
) {
    let (left, right) = (chart.x((from * 1e9) as u64), chart.x(((from + width) * 1e9) as u64));
    let mut bottom = panel.bottom;
    for outcome in OUTCOMES.iter().rev() {
        let count = counts[place(*outcome)];
        if count > 0 {
            let height = (panel.bottom - scale.at(count as f64 / width)).max(SEEN);
            let at = (left, bottom - height);
            chart.rect(word(*outcome), at, ((right - left - 0.4).max(0.6), height));
            bottom -= height;
        }
    }
}
