//! A cycle: which anomaly it is, and why it is one, for people.

use super::graph::{Edge, Graph, Kind};
use super::log::Log;
use super::versions::Versions;

/// One transaction of a cycle and why it comes before the next.
#[derive(Debug, Clone, Copy)]
struct Step {
    transaction: u32,
    /// The edge by which it is left, perhaps to a relay.
    edge: u32,
}

/// Transactions of which each must come before the next, and the last before the first.
#[derive(Debug)]
pub(super) struct Cycle {
    steps: Vec<Step>,
}

impl Cycle {
    /// The edge `first` and a path that leads back; relays leave no trace. Where the path comes by a
    /// transaction twice, the cycle is what lies between.
    pub(super) fn new(graph: &Graph, first: u32, path: &[u32]) -> Self {
        let edges = std::iter::once(&first).chain(path);
        let steps = edges.map(|&edge| Step { transaction: graph.edges[edge as usize].from, edge });
        let mut steps: Vec<Step> = steps.filter(|step| !graph.is_relay(step.transaction)).collect();
        while let Some((from, to)) = repetition(&steps) {
            steps.truncate(to);
            steps.drain(..from);
        }
        Self { steps }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = u32> {
        self.steps.iter().map(|step| step.transaction)
    }

    /// The dependency by which the transaction at `place` is left.
    pub(super) fn edge<'g>(&self, graph: &'g Graph, place: usize) -> &'g Edge {
        &graph.edges[self.steps[place % self.steps.len()].edge as usize]
    }

    /// Such as `G-single-realtime`.
    pub(super) fn anomaly(&self, graph: &Graph) -> String {
        let kind = |place| self.edge(graph, place).kind;
        let has = |wanted| (0..self.len()).any(|place| kind(place) == wanted);
        let rw = |place| kind(place) == Kind::Rw;
        let name = match (0..self.len()).filter(|&place| rw(place)).count() {
            0 if has(Kind::Wr) => "G1c",
            0 => "G0",
            1 => "G-single",
            _ if (0..self.len()).any(|place| rw(place) && rw(place + 1)) => "G2-item",
            _ => "G-nonadjacent",
        };
        let level = match (has(Kind::Realtime), has(Kind::Process)) {
            (true, _) => "-realtime",
            (false, true) => "-process",
            (false, false) => "",
        };
        format!("{name}{level}")
    }

    /// The transactions, then a line for each step.
    pub(super) fn explain(&self, log: &Log<'_>, versions: &Versions<'_>, graph: &Graph) -> String {
        let mut lines = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            lines.push(format!("T{number} = {}", log.show(step.transaction)));
        }
        for place in 0..self.len() {
            let next = (place + 1) % self.len();
            let to = self.steps[next].transaction;
            let edge = self.edge(graph, place);
            let why = reason(log, versions, edge, to, &format!("T{next}"));
            lines.push(format!("T{place} < T{next} ({}): T{place} {why}", edge.kind.name()));
        }
        lines.join("\n")
    }
}

/// The nearest two places of the same transaction.
fn repetition(steps: &[Step]) -> Option<(usize, usize)> {
    let mut last = std::collections::HashMap::new();
    let places = steps.iter().enumerate();
    let repeated =
        |(place, step): (usize, &Step)| Some((last.insert(step.transaction, place)?, place));
    places.filter_map(repeated).min_by_key(|(from, to)| to - from)
}

/// What an edge says of the transaction that it leaves and of `to`, which it leads to, perhaps by
/// relays; there it is called `next`.
fn reason(log: &Log<'_>, versions: &Versions<'_>, edge: &Edge, to: u32, next: &str) -> String {
    match edge.kind {
        Kind::Process => format!("was the same process's, before {next}"),
        Kind::Realtime | Kind::Through => {
            let operation = |id: u32| &log.transactions[id as usize].operation;
            let end = operation(edge.from).ended().map_or("?".to_owned(), |at| at.to_string());
            let begin = operation(to).invoked.index;
            format!("had completed at event {end} when {next} began at event {begin}")
        }
        Kind::Ww | Kind::Wr | Kind::Rw => {
            let order = &versions.orders[edge.key as usize];
            let (key, element) = (log.keys[edge.key as usize], order.element(edge.at as usize, to));
            match edge.kind {
                Kind::Wr => format!("appended {element} to {key}, and {next} read it"),
                Kind::Rw => format!("read {key} without {element}, which {next} appended"),
                _ => {
                    let own = order.last_of(edge.from, edge.at as usize);
                    format!("appended {own} to {key}, and {next} appended {element} after it")
                }
            }
        }
    }
}
