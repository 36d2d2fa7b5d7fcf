//! A part of the graph, laid out for searching: successors, strong components, paths.
//!
//! In an alternating view each node is there twice, as `2n` and `2n + 1`: the latter is where one
//! arrives by an rw dependency, and it has no rw dependency onward. So the paths of an alternating
//! view are those that have no two rw dependencies in a row.

use std::collections::VecDeque;

use super::graph::{Graph, Kind};

/// An arc of a view: where to, and which edge of the graph it is.
#[derive(Debug, Clone, Copy)]
struct Arc {
    to: u32,
    edge: u32,
}

#[derive(Debug)]
pub(super) struct View<'g> {
    graph: &'g Graph,
    alternating: bool,
    /// Where the arcs of each node begin, and where all end.
    starts: Vec<u32>,
    arcs: Vec<Arc>,
}

const NONE: u32 = u32::MAX;

impl<'g> View<'g> {
    /// Of the graph's edges of these numbers.
    pub(super) fn new(graph: &'g Graph, edges: &[u32], alternating: bool) -> Self {
        let nodes = graph.nodes as usize * if alternating { 2 } else { 1 };
        let arcs = || edges.iter().flat_map(|&edge| ends(graph, edge, alternating));
        let mut starts = vec![0; nodes + 1];
        arcs().for_each(|(from, _)| starts[from as usize + 1] += 1);
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut sorted = vec![Arc { to: 0, edge: 0 }; starts[nodes] as usize];
        for (from, arc) in arcs() {
            sorted[next[from as usize] as usize] = arc;
            next[from as usize] += 1;
        }
        Self { graph, alternating, starts, arcs: sorted }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn arcs(&self, node: u32) -> &[Arc] {
        let (start, end) = (self.starts[node as usize], self.starts[node as usize + 1]);
        &self.arcs[start as usize..end as usize]
    }

    /// Between which nodes a path makes a cycle with the graph's edge of this number.
    pub(super) fn gap(&self, edge: u32) -> (u32, u32) {
        let edge = &self.graph.edges[edge as usize];
        match self.alternating {
            true => (2 * edge.to + u32::from(edge.kind == Kind::Rw), 2 * edge.from),
            false => (edge.to, edge.from),
        }
    }

    /// The strong component of each node (Tarjan). An arc that leaves a component leads to one of a
    /// lower number.
    pub(super) fn components(&self) -> Vec<u32> {
        let mut tarjan = Tarjan {
            view: self,
            indexes: vec![NONE; self.len()],
            lows: vec![NONE; self.len()],
            components: vec![NONE; self.len()],
            open: Vec::new(),
            found: 0,
            visited: 0,
        };
        for node in 0..self.len() as u32 {
            if tarjan.indexes[node as usize] == NONE {
                tarjan.visit(node);
            }
        }
        tarjan.components
    }

    /// Of each pair whether a path leads from the first node to the second; 64 at a time.
    pub(super) fn reach(&self, components: &[u32], pairs: &[(u32, u32)]) -> Vec<bool> {
        let mut order: Vec<u32> =
            (0..self.len() as u32).filter(|&n| !self.arcs(n).is_empty()).collect();
        order.sort_unstable_by_key(|&node| std::cmp::Reverse(components[node as usize]));
        let component = |node: u32| components[node as usize] as usize;
        let mut reached = Vec::with_capacity(pairs.len());
        for block in pairs.chunks(64) {
            let mut marks = vec![0_u64; self.len()];
            for (bit, &(from, _)) in block.iter().enumerate() {
                marks[component(from)] |= 1 << bit;
            }
            for &node in &order {
                let mark = marks[component(node)];
                let arcs = self.arcs(node).iter().filter(|_| mark != 0);
                arcs.for_each(|arc| marks[component(arc.to)] |= mark);
            }
            let arrives =
                |(bit, &(_, to)): (usize, &(u32, u32))| marks[component(to)] >> bit & 1 == 1;
            reached.extend(block.iter().enumerate().map(arrives));
        }
        reached
    }

    /// A path with the fewest transactions, as edges of the graph. Takes a step off `budget` for
    /// each arc looked at, and gives up when there is none.
    pub(super) fn path(&self, from: u32, to: u32, budget: &mut usize) -> Option<Vec<u32>> {
        *budget = budget.checked_sub(self.len() / 8)?;
        let mut reached = vec![(u32::MAX, Arc { to: NONE, edge: NONE }); self.len()];
        let mut queue = VecDeque::from([(0, from)]);
        reached[from as usize].0 = 0;
        while let Some((distance, node)) = queue.pop_front() {
            if node == to {
                return Some(trace(&reached, from, to));
            }
            if distance > reached[node as usize].0 {
                continue;
            }
            *budget = budget.checked_sub(self.arcs(node).len())?;
            for arc in self.arcs(node) {
                let relayed =
                    self.graph.is_relay(if self.alternating { arc.to / 2 } else { arc.to });
                let distance = distance + u32::from(!relayed);
                if distance < reached[arc.to as usize].0 {
                    reached[arc.to as usize] = (distance, Arc { to: node, edge: arc.edge });
                    match relayed {
                        true => queue.push_front((distance, arc.to)),
                        false => queue.push_back((distance, arc.to)),
                    }
                }
            }
        }
        None
    }
}

/// The edges on the way that `reached` remembers backwards.
fn trace(reached: &[(u32, Arc)], from: u32, to: u32) -> Vec<u32> {
    let (mut edges, mut node) = (Vec::new(), to);
    while node != from {
        let back = reached[node as usize].1;
        edges.push(back.edge);
        node = back.to;
    }
    edges.reverse();
    edges
}

/// The arcs of a view that an edge makes.
fn ends(graph: &Graph, number: u32, alternating: bool) -> impl Iterator<Item = (u32, Arc)> {
    let edge = &graph.edges[number as usize];
    let arc = |from: u32, to: u32| Some((from, Arc { to, edge: number }));
    let (from, to) = (2 * edge.from, 2 * edge.to);
    let pair = match edge.kind {
        _ if !alternating => [arc(edge.from, edge.to), None],
        Kind::Rw => [arc(from, to + 1), None],
        Kind::Through => [arc(from, to), arc(from + 1, to + 1)],
        _ => [arc(from, to), arc(from + 1, to)],
    };
    pair.into_iter().flatten()
}

struct Tarjan<'v, 'g> {
    view: &'v View<'g>,
    indexes: Vec<u32>,
    lows: Vec<u32>,
    components: Vec<u32>,
    /// Visited and in no component yet.
    open: Vec<u32>,
    found: u32,
    visited: u32,
}

impl Tarjan<'_, '_> {
    /// Goes through all that is reached from `root`, with a stack of its own: of each node how many
    /// of its arcs are done.
    fn visit(&mut self, root: u32) {
        let mut stack = vec![(root, 0)];
        self.begin(root);
        while let Some((node, done)) = stack.last_mut() {
            let node = *node;
            let Some(arc) = self.view.arcs(node).get(*done) else {
                stack.pop();
                self.end(node);
                if let Some(&(parent, _)) = stack.last() {
                    self.lower(parent, self.lows[node as usize]);
                }
                continue;
            };
            *done += 1;
            if self.indexes[arc.to as usize] == NONE {
                self.begin(arc.to);
                stack.push((arc.to, 0));
            } else if self.components[arc.to as usize] == NONE {
                self.lower(node, self.indexes[arc.to as usize]);
            }
        }
    }

    fn begin(&mut self, node: u32) {
        self.indexes[node as usize] = self.visited;
        self.lows[node as usize] = self.visited;
        self.visited += 1;
        self.open.push(node);
    }

    fn lower(&mut self, node: u32, low: u32) {
        let own = &mut self.lows[node as usize];
        *own = low.min(*own);
    }

    fn end(&mut self, node: u32) {
        if self.lows[node as usize] != self.indexes[node as usize] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.components[member as usize] = self.found;
            if member == node {
                break;
            }
        }
        self.found += 1;
    }
}
