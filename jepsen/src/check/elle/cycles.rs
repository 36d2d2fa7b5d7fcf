//! Cycles of the graph, by the anomaly that they are (Adya).
//!
//! - `G0`: only ww. `G1c`: ww and at least one wr.
//! - `G-single`: exactly one rw. `G-nonadjacent`: several, no two in a row.
//! - `G2-item`: several, some in a row.
//!
//! Of each also the `-process` and `-realtime` variant: a cycle that needs the order of a process,
//! or real time. They are looked for one after the other, in this order and each plain before its
//! variants, by [`search`](super::search). Dependencies by which one of a type was found are left
//! out for the next: one fault is not told as five.

use super::anomaly::{Anomalies, Anomaly};
use super::explain::Cycle;
use super::graph::{Graph, Kind};
use super::log::Log;
use super::search::{candidates, search};
use super::versions::Versions;
use super::view::View;
use crate::check::deadline::Deadline;

/// One way of looking for cycles: with which dependencies, through which.
struct Hunt {
    /// Beside those of the level.
    kinds: &'static [Kind],
    /// Each cycle has one of these.
    pivot: Kind,
    /// Whether two rw in a row are left out.
    alternating: bool,
}

const HUNTS: [Hunt; 5] = [
    Hunt { kinds: &[Kind::Ww], pivot: Kind::Ww, alternating: false },
    Hunt { kinds: &[Kind::Ww, Kind::Wr], pivot: Kind::Wr, alternating: false },
    Hunt { kinds: &[Kind::Ww, Kind::Wr], pivot: Kind::Rw, alternating: false },
    Hunt { kinds: &[Kind::Ww, Kind::Wr, Kind::Rw], pivot: Kind::Rw, alternating: true },
    Hunt { kinds: &[Kind::Ww, Kind::Wr, Kind::Rw], pivot: Kind::Rw, alternating: false },
];

const LEVELS: [&[Kind]; 3] = [&[], &[Kind::Process], &[Kind::Process, Kind::Realtime]];

/// Adds what cycles there are to `anomalies`: if time runs out not of all types, but at least one.
pub(super) fn find(
    log: &Log<'_>,
    versions: &Versions<'_>,
    graph: &Graph,
    deadline: Deadline,
    anomalies: &mut Anomalies,
) {
    let mut left = on_cycles(graph);
    if left.is_empty() {
        return;
    }
    let mut note = |view: &View<'_>, edges: Vec<u32>| {
        for cycle in search(graph, view, edges, deadline) {
            anomalies.add(&cycle.anomaly(graph), || anomaly(log, versions, graph, &cycle));
        }
    };
    let hunts = HUNTS.iter().flat_map(|hunt| LEVELS.iter().map(move |level| (hunt, level)));
    for (hunt, level) in hunts {
        let kind = |edge: u32| graph.edges[edge as usize].kind;
        let usable = |kind| level.contains(&kind) || hunt.kinds.contains(&kind);
        let usable = |edge: &u32| kind(*edge) == Kind::Through || usable(kind(*edge));
        let edges: Vec<u32> = left.iter().copied().filter(usable).collect();
        let pivots = left.iter().copied().filter(|&edge| kind(edge) == hunt.pivot);
        let view = View::new(graph, &edges, hunt.alternating);
        let Some(closed) = candidates(&view, pivots, deadline) else {
            return note(&View::new(graph, &left, false), left[..1].to_vec());
        };
        left.retain(|edge| closed.binary_search(edge).is_err());
        note(&view, closed);
    }
}

/// The edges that are on some cycle, in order.
fn on_cycles(graph: &Graph) -> Vec<u32> {
    let all: Vec<u32> = (0..graph.edges.len() as u32).collect();
    let components = View::new(graph, &all, false).components();
    let component = |node: u32| components[node as usize];
    let inside = |&edge: &u32| {
        let edge = &graph.edges[edge as usize];
        component(edge.from) == component(edge.to)
    };
    all.into_iter().filter(inside).collect()
}

fn anomaly(log: &Log<'_>, versions: &Versions<'_>, graph: &Graph, cycle: &Cycle) -> Anomaly {
    let event = |id: u32| log.transactions[id as usize].operation.invoked.index;
    Anomaly {
        events: cycle.transactions().map(event).collect(),
        text: cycle.explain(log, versions, graph),
    }
}
