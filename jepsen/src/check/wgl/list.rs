//! Invocations and returns in order of time, as a linked list from which an operation is lifted in
//! constant time and put back in the reverse order of the lifting.

/// Node 0 is before the first and after the last.
const END: u32 = 0;

#[derive(Debug)]
struct Node {
    operation: u32,
    returns: bool,
    index: usize,
    before: u32,
    after: u32,
}

/// The operations that have no place in the order yet.
#[derive(Debug)]
pub(super) struct List {
    nodes: Vec<Node>,
    /// Of each operation its invocation and return.
    places: Vec<(u32, u32)>,
}

impl List {
    /// Of operations numbered from 0, each with the indexes of its invocation and return.
    pub(super) fn new(spans: impl ExactSizeIterator<Item = (usize, usize)>) -> Self {
        let mut places = vec![(END, END); spans.len()];
        let mut events = Vec::with_capacity(2 * spans.len());
        for (operation, (from, until)) in spans.enumerate() {
            events.extend([(from, false, operation as u32), (until, true, operation as u32)]);
        }
        events.sort_unstable();
        let count = events.len() as u32;
        let mut nodes =
            vec![Node { operation: 0, returns: true, index: usize::MAX, before: count, after: 1 }];
        for (place, (index, returns, operation)) in (1..).zip(events) {
            let after = if place == count { END } else { place + 1 };
            nodes.push(Node { operation, returns, index, before: place - 1, after });
            let (invoked, returned) = &mut places[operation as usize];
            *(if returns { returned } else { invoked }) = place;
        }
        nodes[0].after = if count == 0 { END } else { 1 };
        Self { nodes, places }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes[0].after == END
    }

    /// The first operation, by invocation.
    pub(super) fn first(&self) -> Option<u32> {
        self.open_at(self.nodes[0].after).map(|(operation, _)| operation)
    }

    /// The operations invoked before the first return: only one of these can come next.
    pub(super) fn open(&self) -> Open<'_> {
        Open { list: self, node: self.nodes[0].after }
    }

    /// The first return: its index and operation. Of an empty list it is at `usize::MAX`.
    pub(super) fn front(&self) -> (usize, u32) {
        let mut open = self.open();
        open.by_ref().for_each(drop);
        let node = &self.nodes[open.node as usize];
        (node.index, node.operation)
    }

    /// Lifts each open operation that is wanted; what this opens is asked about too.
    pub(super) fn lift_open(&mut self, mut wanted: impl FnMut(u32) -> bool) {
        let mut node = self.nodes[0].after;
        while let Some((operation, _)) = self.open_at(node) {
            if wanted(operation) {
                self.lift(operation);
            }
            node = self.nodes[node as usize].after;
        }
    }

    /// The return goes first, so that the invocation still knows what comes after it.
    pub(super) fn lift(&mut self, operation: u32) {
        let (invoked, returned) = self.places[operation as usize];
        for place in [returned, invoked] {
            let (before, after) = self.neighbours(place);
            self.nodes[before as usize].after = after;
            self.nodes[after as usize].before = before;
        }
    }

    /// Puts back what was lifted last.
    pub(super) fn put_back(&mut self, operation: u32) {
        let (invoked, returned) = self.places[operation as usize];
        for place in [invoked, returned] {
            let (before, after) = self.neighbours(place);
            self.nodes[before as usize].after = place;
            self.nodes[after as usize].before = place;
        }
    }

    fn neighbours(&self, place: u32) -> (u32, u32) {
        let node = &self.nodes[place as usize];
        (node.before, node.after)
    }

    /// The invocation at `node` and the node after; `None` if it is a return or the end.
    fn open_at(&self, node: u32) -> Option<(u32, u32)> {
        let node = &self.nodes[node as usize];
        (!node.returns).then_some((node.operation, node.after))
    }
}

/// See [`List::open`].
pub(super) struct Open<'l> {
    list: &'l List,
    node: u32,
}

impl Iterator for Open<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (operation, after) = self.list.open_at(self.node)?;
        self.node = after;
        Some(operation)
    }
}
