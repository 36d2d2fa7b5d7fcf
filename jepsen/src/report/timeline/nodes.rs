//! Beside the processes: a lane for each node, with the role that it said it had and the term.

use std::collections::BTreeMap;

use super::Layout;
use crate::report::facts::Facts;
use crate::report::leadership::{Stretch, by_node, title, word};
use crate::report::markup::{Markup, Px};

const LANE: f64 = 22.0;
/// Between the last lane and the first process.
const SPACE: f64 = 8.0;
/// Less than this below the one before, nobody would see it.
const LEAST: f64 = 2.0;
/// A term has room in so much.
const TERM_LEAST: f64 = 13.0;

/// The lanes; none if no node was sampled, as in a history from elsewhere.
pub struct Nodes<'a> {
    lanes: BTreeMap<u32, Vec<&'a Stretch>>,
    left: f64,
}

impl<'a> Nodes<'a> {
    /// Lanes from `left` on, for each of `nodes` and for every other that was sampled.
    pub fn new(facts: &'a Facts<'_>, nodes: u32, left: f64) -> Self {
        let lanes = match facts.stretches.is_empty() {
            true => BTreeMap::new(),
            false => by_node(&facts.stretches, nodes),
        };
        Self { lanes, left }
    }

    /// Where the processes may begin.
    pub fn right(&self) -> f64 {
        let space = if self.lanes.is_empty() { 0.0 } else { SPACE };
        self.left + LANE * self.lanes.len() as f64 + space
    }

    fn lanes(&self) -> impl Iterator<Item = (f64, u32, &[&'a Stretch])> {
        self.lanes.iter().enumerate().map(|(place, (node, stretches))| {
            (self.left + LANE * place as f64, *node, stretches.as_slice())
        })
    }

    /// The number of each node, above its lane.
    pub fn heads(&self, page: &mut Markup) {
        for (left, node, _) in self.lanes() {
            let style = format!("left:{}px", Px(left));
            page.element("b", &[("style", &style)], &format!("n{node}"));
        }
    }

    /// The lanes themselves.
    pub fn draw(&self, page: &mut Markup, layout: &Layout) {
        for (left, _, stretches) in self.lanes() {
            let mut free = 0.0;
            for stretch in stretches {
                let (top, bottom) = (layout.at(stretch.from), layout.at(stretch.until));
                if bottom >= free {
                    self::draw(page, stretch, left, (top, bottom));
                    free = bottom + LEAST;
                }
            }
        }
    }
}

fn draw(page: &mut Markup, stretch: &Stretch, left: f64, (top, bottom): (f64, f64)) {
    let height = Px((bottom - top).max(LEAST));
    let style = format!("left:{}px;top:{}px;height:{height}px", Px(left), Px(top));
    let class = format!("role {}", word(stretch.said.role));
    page.open("div", &[("class", &class), ("style", &style), ("data-t", &title(stretch))]);
    if bottom - top >= TERM_LEAST && stretch.said.term > 0 {
        page.element("span", &[], &format!("t{}", stretch.said.term));
    }
    page.close();
}
