//! Components, reachability and paths compared with what all distances say, on small random graphs.

use proptest::prelude::*;

use super::super::explain::Cycle;
use super::super::graph::{Edge, Graph, Kind};
use super::super::view::View;
use crate::check::scripted::cases;

const TRANSACTIONS: u32 = 7;
const RELAYS: u32 = 3;

/// Relays have only `Through` dependencies, transactions all others.
fn graph(edges: &[(u32, u32, u8)]) -> Graph {
    let edge = |&(from, to, kind): &(u32, u32, u8)| {
        let kind = match kind {
            _ if from >= TRANSACTIONS => Kind::Through,
            0 => Kind::Ww,
            _ => Kind::Rw,
        };
        Edge { from, to, kind, key: 0, at: 0 }
    };
    let edges = edges.iter().filter(|(from, to, _)| from != to).map(edge).collect();
    Graph { transactions: TRANSACTIONS, nodes: TRANSACTIONS + RELAYS, edges }
}

/// Of every two nodes of the view how many transactions a path comes to (Floyd and Warshall); a
/// node is two in an alternating view, the second for who came by rw.
fn distances(graph: &Graph, alternating: bool) -> Vec<Vec<Option<u32>>> {
    let copies = if alternating { 2 } else { 1 };
    let nodes = (graph.nodes * copies) as usize;
    let mut distances = vec![vec![None; nodes]; nodes];
    (0..nodes).for_each(|node| distances[node][node] = Some(0));
    for edge in &graph.edges {
        for from_rw in 0..copies {
            let to_rw = match edge.kind {
                _ if !alternating => 0,
                Kind::Rw if from_rw == 1 => continue,
                Kind::Rw => 1,
                Kind::Through => from_rw,
                _ => 0,
            };
            let (from, to) = (edge.from * copies + from_rw, edge.to * copies + to_rw);
            let step = u32::from(edge.to < TRANSACTIONS);
            let known = &mut distances[from as usize][to as usize];
            *known = Some(known.map_or(step, |known: u32| known.min(step)));
        }
    }
    for middle in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                let round = distances[from][middle].zip(distances[middle][to]).map(|(a, b)| a + b);
                let known = &mut distances[from][to];
                *known = [*known, round].into_iter().flatten().min();
            }
        }
    }
    distances
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_view_agrees_with_all_distances(
        edges in prop::collection::vec(
            (0..TRANSACTIONS + RELAYS, 0..TRANSACTIONS + RELAYS, 0_u8..3), 0..24),
        alternating: bool,
    ) {
        let graph = graph(&edges);
        let all: Vec<u32> = (0..graph.edges.len() as u32).collect();
        let view = View::new(&graph, &all, alternating);
        let (distances, components) = (distances(&graph, alternating), view.components());
        let nodes = 0..distances.len() as u32;
        let pairs: Vec<(u32, u32)> = nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b))).collect();
        let reached = view.reach(&components, &pairs);
        let distance = |a: u32, b: u32| distances[a as usize][b as usize];
        for (&(from, to), reached) in pairs.iter().zip(reached) {
            prop_assert_eq!(reached, distance(from, to).is_some());
            let (a, b) = (components[from as usize], components[to as usize]);
            prop_assert_eq!(a == b, reached && distance(to, from).is_some());
            prop_assert!(!reached || a >= b);
            let path = view.path(from, to, &mut usize::MAX.clone());
            let comes_to = |edge: &&u32| graph.edges[**edge as usize].to < TRANSACTIONS;
            let length = path.map(|path| path.iter().filter(comes_to).count() as u32);
            prop_assert_eq!(length, distance(from, to));
        }
    }

    /// A path of an alternating view may come by a transaction twice; a cycle never does, and each
    /// of its steps leads to the next.
    #[test]
    fn a_cycle_has_each_transaction_once(
        edges in prop::collection::vec((0..TRANSACTIONS, 0..TRANSACTIONS, 0_u8..3), 6..16),
    ) {
        let graph = graph(&edges);
        let all: Vec<u32> = (0..graph.edges.len() as u32).collect();
        let view = View::new(&graph, &all, true);
        for &edge in &all {
            let (from, to) = view.gap(edge);
            let Some(path) = view.path(from, to, &mut usize::MAX.clone()) else { continue };
            let cycle = Cycle::new(&graph, edge, &path);
            let transactions: Vec<u32> = cycle.transactions().collect();
            let distinct: std::collections::HashSet<&u32> = transactions.iter().collect();
            prop_assert!(!transactions.is_empty() && distinct.len() == transactions.len());
            for (place, next) in transactions.iter().cycle().skip(1).take(cycle.len()).enumerate() {
                prop_assert_eq!(cycle.edge(&graph, place).to, *next);
            }
        }
    }
}
