//! `roles.svg`: who led, and what every node took itself for.

use super::chart::{Chart, Key};
use super::facts::Facts;
use super::leadership::{ROLES, Stretch, by_node, leaders, rivals, title, word};
use super::scale::clock;
use crate::cluster::Role;

const LANE: f64 = 30.0;
const DIGIT: f64 = 6.6;

/// Draws it, with a lane for each of `nodes` and for every other that was sampled.
pub fn draw(facts: &Facts<'_>, nodes: u32, run: &str) -> String {
    let mut chart = Chart::new(facts, "Who led, and what every node was", run);
    ROLES.iter().for_each(|role| chart.key(&Key::Box(word(*role)), word(*role)));
    chart.key(&Key::Box("none"), "nobody leads");
    chart.faults();
    let lanes = by_node(&facts.stretches, nodes);
    let height = LANE * (lanes.len() + 1) as f64 + 14.0;
    let panel = chart.panel(height, &caption(&facts.stretches));
    leadership(&mut chart, &facts.stretches, panel.top + 4.0);
    for (place, (node, of_node)) in lanes.iter().enumerate() {
        let y = panel.top + 12.0 + (place + 1) as f64 * LANE;
        chart.margin(y + 15.0, &format!("node {node}"));
        lane(&mut chart, of_node, y);
    }
    if facts.stretches.is_empty() {
        chart.nothing(panel, "no node was ever sampled");
    }
    chart.finish()
}

/// How often the leader changed, and whether ever two led at once in one term.
fn caption(stretches: &[Stretch]) -> String {
    let changes = leaders(stretches).len().saturating_sub(1);
    let rivals = rivals(stretches).map_or(String::new(), |(one, other, time)| {
        let (one, other, term) = (one.said.node, other.said.node, one.said.term);
        format!(" · nodes {one} and {other} both led term {term} at {}", clock(time))
    });
    format!("changes of leader: {changes}{rivals}")
}

/// The first lane: the leader, of two at once the one with the greater term.
fn leadership(chart: &mut Chart<'_>, stretches: &[Stretch], y: f64) {
    chart.margin(y + 15.0, "leader");
    let (Some(from), Some(until)) =
        (stretches.iter().map(|it| it.from).min(), stretches.iter().map(|it| it.until).max())
    else {
        return;
    };
    let (left, right) = (chart.x(from), chart.x(until));
    chart.titled("none", (left, y), (right - left, LANE - 8.0), "nobody leads");
    let mut leading: Vec<&Stretch> =
        stretches.iter().filter(|it| it.said.role == Role::Leader).collect();
    leading.sort_by_key(|stretch| (stretch.said.term, stretch.from));
    for stretch in leading {
        let name = format!("node {}", stretch.said.node);
        strip(chart, stretch, y);
        if chart.x(stretch.until) - chart.x(stretch.from) > name.len() as f64 * DIGIT + 6.0 {
            chart.label("on", (chart.x(stretch.from) + 4.0, y + 15.0), &name);
        }
    }
}

/// A node: a strip for each role, and each new term where there is room for it.
fn lane(chart: &mut Chart<'_>, stretches: &[&Stretch], y: f64) {
    stretches.iter().for_each(|stretch| strip(chart, stretch, y));
    let (mut term, mut free) = (0, 0.0);
    for stretch in stretches.iter().filter(|it| it.said.role != Role::Down) {
        let x = chart.x(stretch.from) + 4.0;
        if x >= free && stretch.said.term != term {
            term = stretch.said.term;
            let text = format!("t{term}");
            chart.label("on", (x, y + 15.0), &text);
            free = x + text.len() as f64 * DIGIT + 4.0;
        }
    }
}

fn strip(chart: &mut Chart<'_>, stretch: &Stretch, y: f64) {
    let (from, until) = (chart.x(stretch.from), chart.x(stretch.until));
    let size = ((until - from).max(0.8), LANE - 8.0);
    chart.titled(word(stretch.said.role), (from, y), size, &title(stretch));
}
