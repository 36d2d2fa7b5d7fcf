//! `timeline.html`: a column for each process, time down, a box for each operation; beside them what
//! was broken and what each node was.
//!
//! One file without script and without any resource of elsewhere: whoever points at a box is shown
//! the whole operation by the style sheet alone. A process that took over the thread of one that
//! ended in `info` stands in the same column.

mod choice;
mod layout;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};

use self::choice::{DRAWN_MAX, choose};
use self::layout::Layout;
use self::nodes::Nodes;
use super::Summary;
use super::chart::{Lanes, hue};
use super::facts::{Facts, OUTCOMES, word};
use super::faults::{self, Band};
use super::leadership::{self, ROLES};
use super::markup::{Attributes, Markup, Px, shorten};
use super::scale::{clock, grouped, nice, seconds, span};
use crate::history::{Event, Kind, Operation, Process};

const STYLE: [&str; 2] = [include_str!("palette.css"), include_str!("timeline.css")];
const AXIS: f64 = 72.0;
const FAULT_LANE: f64 = 118.0;
const FAULT_LANES_MAX: usize = 4;
const FAULT_LEAST: f64 = 18.0;
const COLUMNS_WIDTH: f64 = 1270.0;
const TICK_LEAST: u64 = 50;
const BOX_TEXT_MAX: usize = 60;
const HOVER_MAX: usize = 600;
const HOVER_ACCUSED_MAX: usize = 8_000;
const LINKS_MAX: usize = 40;
const MAP_CELLS: usize = 300;

/// Draws it.
pub fn draw(facts: &Facts<'_>, summary: &Summary) -> String {
    let chosen = choose(facts, DRAWN_MAX);
    let layout = Layout::new(facts, &chosen);
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n");
    page.open("html", &[("lang", &"en")]);
    page.open("head", &[]);
    page.raw("<meta charset=\"utf-8\">\n");
    page.element(
        "title",
        &[],
        &format!("{}: {}", super::verdict(summary.verdict), summary.title()),
    );
    page.raw(&format!("<style>\n{}</style>\n", STYLE.concat()));
    page.close();
    page.open("body", &[]);
    header(&mut page, facts, summary, chosen.len());
    sheet(&mut page, facts, summary.nodes, &layout);
    map(&mut page, facts, &layout);
    page.finish()
}

fn header(page: &mut Markup, facts: &Facts<'_>, summary: &Summary, drawn: usize) {
    page.open("header", &[]);
    page.open("h1", &[]);
    let verdict = super::verdict(summary.verdict);
    page.element("b", &[("class", &verdict)], verdict);
    page.element("span", &[], &summary.title());
    page.close();
    page.element("code", &[], &summary.command);
    findings(page, summary);
    accused(page, facts);
    broken(page, facts);
    page.open("p", &[("class", &"legend")]);
    for outcome in OUTCOMES {
        page.element("i", &[("class", &format!("key {}", word(outcome)))], word(outcome));
    }
    for role in ROLES.map(leadership::word) {
        page.element("i", &[("class", &format!("key {role}"))], role);
    }
    let note = "Point at a box for the operation, or at a lane of a node for its role. Time is stretched where operations are dense.";
    page.element("span", &[], &format!("{} {note}", sampled(facts.operations.len(), drawn)));
    page.close();
    page.close();
}

/// How many operations are drawn, and which.
fn sampled(operations: usize, drawn: usize) -> String {
    let (operations_text, drawn_text) = (grouped(operations), grouped(drawn));
    if operations == drawn {
        return format!("All {operations_text} operations are drawn.");
    }
    format!(
        "Of {operations_text} operations {drawn_text} are drawn: those nearest to the anomalies \
         and to the beginnings and ends of faults."
    )
}

fn findings(page: &mut Markup, summary: &Summary) {
    page.open("table", &[]);
    for finding in summary.worst_first() {
        let verdict = super::verdict(finding.verdict);
        page.open("tr", &[]);
        page.element("th", &[], finding.checker);
        page.element("td", &[("class", &verdict)], verdict);
        page.element("td", &[("class", &"summary")], &finding.summary);
        page.close();
    }
    page.close();
}

/// Links to the operations that findings accuse.
fn accused(page: &mut Markup, facts: &Facts<'_>) {
    let accused: Vec<_> = facts.operations.iter().filter(|it| facts.is_accused(it)).collect();
    if accused.is_empty() {
        return;
    }
    page.open("p", &[("class", &"links")]);
    page.element("span", &[], "accused:");
    for operation in accused.iter().take(LINKS_MAX) {
        let index = operation.invoked.index;
        page.element("a", &[("href", &format!("#op-{index}"))], &format!("#{index}"));
    }
    if accused.len() > LINKS_MAX {
        page.element("span", &[], &format!("and {} more", accused.len() - LINKS_MAX));
    }
    page.close();
}

/// Links to the faults, each with what it cost.
fn broken(page: &mut Markup, facts: &Facts<'_>) {
    if facts.bands.is_empty() {
        return;
    }
    page.open("p", &[("class", &"faults")]);
    for (place, (band, cost)) in facts.bands.iter().zip(faults::costs(facts)).enumerate() {
        let silence = cost.silence.filter(|_| band.error.is_none());
        let silence = silence.map_or(String::new(), |it| format!(" · no write for {}", span(it)));
        let text = format!("{:.1} s {}{silence}", seconds(band.from), band.label());
        let (class, href) = (class(facts, band), format!("#fault-{place}"));
        page.element("a", &[("class", &class), ("href", &href)], &shorten(&text, HOVER_MAX));
    }
    page.close();
}

fn class(facts: &Facts<'_>, band: &Band) -> String {
    if band.error.is_some() { "void".to_string() } else { hue(facts, &band.name) }
}

fn sheet(page: &mut Markup, facts: &Facts<'_>, nodes: u32, layout: &Layout) {
    let lanes = Lanes::new(facts.bands.iter().map(|band| edges(layout, band)));
    let nodes =
        Nodes::new(facts, nodes, AXIS + lanes.count.min(FAULT_LANES_MAX) as f64 * FAULT_LANE);
    let left = nodes.right();
    let columns = Columns::new(facts);
    let count = columns.0.len().max(1) as f64;
    let width = ((COLUMNS_WIDTH - left) / count).clamp(56.0, 190.0);
    let total = Px(left + width * count);
    let style = format!("--l:{}px;--w:{}px;width:{total}px", Px(left), Px(width));
    page.open("main", &[("style", &style)]);
    heads(page, facts, &nodes, &columns);
    let height = format!("height:{}px", Px(layout.height() + 20.0));
    page.open("div", &[("class", &"sheet"), ("style", &height)]);
    bands(page, facts, layout, &lanes.of);
    ticks(page, facts, layout);
    nodes.draw(page, layout);
    gaps(page, layout);
    boxes(page, facts, layout, &columns);
    page.close();
    page.close();
}

/// The thread of each column, with the node that it asks if it is always the same.
fn heads(page: &mut Markup, facts: &Facts<'_>, lanes: &Nodes<'_>, columns: &Columns) {
    let mut nodes: BTreeMap<u64, BTreeSet<Option<u32>>> = BTreeMap::new();
    for operation in &facts.operations {
        nodes.entry(facts.thread(operation)).or_default().insert(operation.invoked.node);
    }
    page.open("div", &[("class", &"heads")]);
    page.element("span", &[], "process");
    lanes.heads(page);
    for (thread, nodes) in nodes {
        let node = match nodes.first() {
            Some(Some(node)) if nodes.len() == 1 => format!(" · node {node}"),
            _ => String::new(),
        };
        let style = format!("--c:{}", columns.of(thread));
        page.element("div", &[("style", &style)], &format!("{thread}{node}"));
    }
    page.close();
}

/// Where a fault's label begins and ends; never so short that it could not be read.
fn edges(layout: &Layout, band: &Band) -> (f64, f64) {
    let (top, bottom) = (layout.at(band.from), layout.at(band.until));
    (top, bottom.max(top + FAULT_LEAST))
}

fn bands(page: &mut Markup, facts: &Facts<'_>, layout: &Layout, lanes: &[usize]) {
    for (place, (band, lane)) in facts.bands.iter().zip(lanes).enumerate() {
        let (top, bottom) = edges(layout, band);
        let edges = format!("top:{}px;height:{}px", Px(top), Px(bottom - top));
        let hue = class(facts, band);
        if band.error.is_none() {
            let class = format!("shade {hue}");
            page.element("div", &[("class", &class), ("style", &edges)], "");
        }
        let lane = AXIS + *lane.min(&(FAULT_LANES_MAX - 1)) as f64 * FAULT_LANE;
        let style = format!("left:{}px;{edges}", Px(lane));
        let class = format!("fault {hue}");
        let id = format!("fault-{place}");
        let hover = format!("{}\n{} to {}", band.label(), clock(band.from), clock(band.until));
        page.open("div", &[("class", &class), ("id", &id), ("style", &style), ("data-t", &hover)]);
        page.element("span", &[], &shorten(&band.what(), BOX_TEXT_MAX));
        page.close();
    }
}

/// Times at round numbers, as many as have room, the roundest first.
fn ticks(page: &mut Markup, facts: &Facts<'_>, layout: &Layout) {
    let end = seconds(facts.end);
    let mut ticks: BTreeMap<u64, u64> = BTreeMap::new();
    for part in [6.0, 12.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_500.0] {
        let step = nice(end / part);
        for count in 0..=(end / step) as u64 {
            let time = (count as f64 * step * 1e9).round() as u64;
            let y = layout.at(time) as u64;
            if ticks.range(y.saturating_sub(TICK_LEAST)..y + TICK_LEAST).next().is_none() {
                ticks.insert(y, time);
            }
        }
    }
    for (y, time) in ticks {
        let style = format!("top:{y}px");
        page.element("div", &[("class", &"tick"), ("style", &style)], &plain(time));
    }
}

/// A time in seconds, with no more digits than it needs.
fn plain(time: u64) -> String {
    let digits = format!("{:.6}", seconds(time));
    format!("{} s", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn gaps(page: &mut Markup, layout: &Layout) {
    for gap in &layout.gaps {
        let style = format!("top:{}px;height:{}px", Px(gap.top), Px(gap.bottom - gap.top));
        let text = format!("{} operations not drawn", grouped(gap.count));
        page.element("div", &[("class", &"gap"), ("style", &style)], &text);
    }
}

fn boxes(page: &mut Markup, facts: &Facts<'_>, layout: &Layout, columns: &Columns) {
    let mut seen: BTreeSet<Process> = BTreeSet::new();
    for (place, operation) in facts.operations.iter().enumerate() {
        let process = operation.invoked.process;
        let heir = seen.insert(process) && process != Process::Client(facts.thread(operation));
        let Some((top, bottom)) = layout.boxes.get(&place) else { continue };
        let accused = facts.is_accused(operation);
        let mut class = format!("op {}", word(operation.outcome()));
        class += if accused { " accused" } else { "" };
        class += if heir { " heir" } else { "" };
        let style = format!(
            "--c:{};top:{}px;height:{}px",
            columns.of(facts.thread(operation)),
            Px(*top),
            Px(bottom - top - 1.0)
        );
        let hover = hover(facts, operation, if accused { HOVER_ACCUSED_MAX } else { HOVER_MAX });
        let id = format!("op-{}", operation.invoked.index);
        let attributes: Attributes<'_> =
            &[("class", &class), ("id", &id), ("style", &style), ("data-t", &hover)];
        page.element("div", attributes, &caption(operation, heir));
    }
}

fn caption(operation: &Operation<'_>, heir: bool) -> String {
    let heir = if heir { format!("{} ▸ ", process(operation.invoked)) } else { String::new() };
    let text = format!("{heir}{} {}", operation.invoked.f, operation.value());
    shorten(&text, BOX_TEXT_MAX)
}

/// All that is known of an operation, as lines.
fn hover(facts: &Facts<'_>, operation: &Operation<'_>, max: usize) -> String {
    let (invoked, completed) = (operation.invoked, operation.completed);
    let end = completed.map_or("never completed".to_string(), |it| format!("#{}", it.index));
    let outcome = word(operation.outcome());
    let node = invoked.node.map_or(String::new(), |node| format!(", node {node}"));
    let mut lines = vec![
        format!(
            "{} {outcome}   #{} → {end}   process {}{node}",
            invoked.f,
            invoked.index,
            process(invoked)
        ),
        format!(
            "{} → {}, {}",
            clock(invoked.time),
            clock(facts.until(operation)),
            span(facts.lasted(operation))
        ),
        format!("invoked    {}", shorten(&invoked.value.to_string(), max)),
    ];
    if let Some(completed) = completed.filter(|it| it.kind == Kind::Ok) {
        lines.push(format!("completed  {}", shorten(&completed.value.to_string(), max)));
    }
    if let Some(error) = completed.and_then(|it| it.error.as_ref()) {
        lines.push(format!("error      {}", shorten(error, max)));
    }
    lines.join("\n")
}

fn process(event: &Event) -> String {
    match event.process {
        Process::Client(process) => process.to_string(),
        Process::Nemesis => "nemesis".to_string(),
    }
}

/// The whole page beside the page: faults, what ended badly, and what is accused, each a link.
fn map(page: &mut Markup, facts: &Facts<'_>, layout: &Layout) {
    let share = |y: f64| Px(y / layout.height().max(1.0) * 100.0);
    page.open("nav", &[]);
    for (place, band) in facts.bands.iter().enumerate().filter(|(_, it)| it.error.is_none()) {
        let (top, bottom) = (layout.at(band.from), layout.at(band.until));
        let style = format!("top:{}%;height:{}%", share(top), share(bottom - top));
        let (class, href) = (hue(facts, &band.name), format!("#fault-{place}"));
        page.element("a", &[("class", &class), ("href", &href), ("style", &style)], "");
    }
    for (cell, (index, class)) in marks(facts, layout) {
        let style = format!("top:{}%", Px(cell as f64 * 100.0 / MAP_CELLS as f64));
        let (class, href) = (format!("mark {class}"), format!("#op-{index}"));
        page.element("a", &[("class", &class), ("href", &href), ("style", &style)], "");
    }
    page.close();
}

/// For each part of the page the worst that ended in it.
fn marks(facts: &Facts<'_>, layout: &Layout) -> BTreeMap<usize, (usize, &'static str)> {
    let mut marks = BTreeMap::new();
    for worst in ["info", "accused"] {
        for (place, (_, bottom)) in &layout.boxes {
            let operation = &facts.operations[*place];
            let accused = worst == "accused" && facts.is_accused(operation);
            if accused || word(operation.outcome()) == worst {
                let cell = bottom / layout.height().max(1.0) * (MAP_CELLS - 1) as f64;
                marks.insert(cell as usize, (operation.invoked.index, worst));
            }
        }
    }
    marks
}

/// Threads that did anything, in order: each has a column.
struct Columns(Vec<u64>);

impl Columns {
    fn new(facts: &Facts<'_>) -> Self {
        let threads: BTreeSet<u64> = facts.operations.iter().map(|it| facts.thread(it)).collect();
        Self(threads.into_iter().collect())
    }

    fn of(&self, thread: u64) -> usize {
        self.0.partition_point(|other| *other < thread)
    }
}
