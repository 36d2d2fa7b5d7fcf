//! Where times lie on the page.
//!
//! Time runs down, but not evenly: where operations are dense it is stretched, so that each box is
//! high enough to be read, and where nothing is drawn it is short.
//!
//! Invariants: what happened later in the history never lies higher; a box is at least `BOX_LEAST`
//! high; boxes of one process never overlap.

use std::collections::BTreeMap;

use super::Facts;
use crate::report::scale::seconds;

const BOX_LEAST: f64 = 15.0;
const GAP_LEAST: f64 = 24.0;
/// Fewer operations left out than this are no gap: they lie between some that are drawn.
const GAP_OPERATIONS: usize = 10;
/// How high the page would be if nothing was stretched.
const EVEN_HEIGHT: f64 = 900.0;

/// Operations left out between two that are drawn.
pub struct Gap {
    /// Its upper edge.
    pub top: f64,
    /// Its lower edge.
    pub bottom: f64,
    /// How many.
    pub count: usize,
}

/// The places of all that is drawn.
pub struct Layout {
    /// Upper and lower edge of each operation drawn, by its place in `Facts::operations`.
    pub boxes: BTreeMap<usize, (f64, f64)>,
    /// What was left out.
    pub gaps: Vec<Gap>,
    knots: Vec<(u64, f64)>,
    scale: f64,
    left_out: usize,
}

enum Edge {
    Begin(usize),
    End(usize),
    LeftOut,
}

impl Layout {
    /// Lays out the chosen operations.
    pub fn new(facts: &Facts<'_>, chosen: &[usize]) -> Self {
        let mut layout = Self {
            boxes: BTreeMap::new(),
            gaps: Vec::new(),
            knots: vec![(0, 0.0)],
            scale: EVEN_HEIGHT / seconds(facts.end),
            left_out: 0,
        };
        for (_, time, edge) in edges(facts, chosen) {
            match edge {
                Edge::LeftOut => layout.left_out += 1,
                Edge::Begin(place) => {
                    let top = layout.advance(time, 0.0);
                    layout.boxes.insert(place, (top, top));
                }
                Edge::End(place) => {
                    let top = layout.boxes[&place].0;
                    let bottom = layout.advance(time, top + BOX_LEAST);
                    layout.boxes.insert(place, (top, bottom));
                }
            }
        }
        layout.advance(facts.end, 0.0);
        layout
    }

    /// The place of a time.
    pub fn at(&self, time: u64) -> f64 {
        let next = self.knots.partition_point(|(knot, _)| *knot < time);
        let Some((until, bottom)) = self.knots.get(next).copied() else { return self.height() };
        let (from, top) = self.knots[next.saturating_sub(1)];
        let share = if until > from { (time - from) as f64 / (until - from) as f64 } else { 1.0 };
        top + share * (bottom - top)
    }

    /// The place of the end.
    pub fn height(&self) -> f64 {
        self.knots.last().map_or(0.0, |(_, y)| *y)
    }

    /// Goes on to `time`, not above `least`, and says where that is.
    fn advance(&mut self, time: u64, least: f64) -> f64 {
        let (last, y) = self.knots.last().copied().unwrap_or_default();
        let mut next = (y + seconds(time.saturating_sub(last)) * self.scale).max(least);
        if self.left_out >= GAP_OPERATIONS {
            next = next.max(y + GAP_LEAST);
            self.gaps.push(Gap { top: y, bottom: next, count: self.left_out });
        }
        self.left_out = 0;
        self.knots.push((time.max(last), next));
        next
    }
}

/// Beginnings and ends in the order of the history.
fn edges(facts: &Facts<'_>, chosen: &[usize]) -> Vec<(usize, u64, Edge)> {
    let mut edges = Vec::new();
    let mut drawn = chosen.iter().peekable();
    for (place, operation) in facts.operations.iter().enumerate() {
        let invoked = (operation.invoked.index, operation.invoked.time);
        if drawn.next_if(|next| **next == place).is_some() {
            let end = operation.completed.map_or(usize::MAX, |completed| completed.index);
            edges.push((invoked.0, invoked.1, Edge::Begin(place)));
            edges.push((end, facts.until(operation), Edge::End(place)));
        } else {
            edges.push((invoked.0, invoked.1, Edge::LeftOut));
        }
    }
    edges.sort_by_key(|(index, ..)| *index);
    edges
}
