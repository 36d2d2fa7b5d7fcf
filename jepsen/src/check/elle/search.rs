//! Short cycles through given dependencies.
//!
//! Which dependencies are on a cycle at all is known exactly, in time linear in the graph for every
//! 64 of them. A path that closes the cycle is then looked for from each, those first whose
//! transactions are near each other in time, until a budget is used up: the shortest cycle is the
//! shortest of all in small components, and of those tried in huge ones.

use std::collections::HashSet;

use super::explain::Cycle;
use super::graph::Graph;
use super::view::View;
use crate::check::deadline::Deadline;

/// How many arcs are looked at for all cycles of one kind, once there is one.
const BUDGET: usize = 3_000_000;

/// How many different cycles of one kind are worked out and counted.
const CYCLES_MAX: usize = 64;

/// Of how many dependencies at a time it is asked whether they are on a cycle.
const BLOCK: usize = 64 * 16;

/// Which of the edges `pivots` a path of the view makes a cycle with; `None` if time ran out.
pub(super) fn candidates(
    view: &View<'_>,
    pivots: impl Iterator<Item = u32>,
    deadline: Deadline,
) -> Option<Vec<u32>> {
    let components = view.components();
    let gap = |edge: u32| {
        let (from, to) = view.gap(edge);
        components[from as usize].cmp(&components[to as usize])
    };
    // A path only ever leads to components of lower numbers.
    let (mut closed, open): (Vec<u32>, Vec<u32>) =
        pivots.filter(|&edge| gap(edge).is_ge()).partition(|&edge| gap(edge).is_eq());
    for block in open.chunks(BLOCK) {
        if deadline.passed() {
            return None;
        }
        let pairs: Vec<(u32, u32)> = block.iter().map(|&edge| view.gap(edge)).collect();
        let reached = view.reach(&components, &pairs);
        closed.extend(block.iter().zip(reached).filter(|(_, yes)| *yes).map(|(edge, _)| *edge));
    }
    closed.sort_unstable();
    Some(closed)
}

/// Cycles through each of `edges`, the shortest first. The first is found at whatever cost.
pub(super) fn search(
    graph: &Graph,
    view: &View<'_>,
    mut edges: Vec<u32>,
    deadline: Deadline,
) -> Vec<Cycle> {
    let distance = |&edge: &u32| {
        let edge = &graph.edges[edge as usize];
        // A relay is as far as any: its number says nothing of its time.
        if graph.is_relay(edge.to) { u32::MAX } else { edge.from.abs_diff(edge.to) }
    };
    edges.sort_by_cached_key(distance);
    let (mut cycles, mut known, mut budget) = (Vec::<Cycle>::new(), HashSet::new(), usize::MAX);
    for edge in edges {
        if cycles.len() >= CYCLES_MAX || !cycles.is_empty() && deadline.passed() {
            break;
        }
        let (from, to) = view.gap(edge);
        let Some(path) = view.path(from, to, &mut budget) else { break };
        let cycle = Cycle::new(graph, edge, &path);
        let mut transactions: Vec<u32> = cycle.transactions().collect();
        transactions.sort_unstable();
        if known.insert(transactions) {
            cycles.push(cycle);
        }
        budget = budget.min(BUDGET);
    }
    cycles.sort_by_key(|cycle| cycle.len());
    cycles
}
