//! In which order the versions of each list came, and which transactions took effect.
//!
//! The versions of a list are the prefixes of its longest read. A transaction took effect if it
//! completed with ok, or if an element of it was read by another, whatever its client was told.

use super::log::Log;
use crate::history::{Kind, Value};

/// What is known of one list.
#[derive(Debug, Default)]
pub(super) struct Order<'a> {
    /// Each read, by whom, in the order of the invocations.
    pub(super) reads: Vec<(u32, &'a [Value])>,
    /// The longest read.
    pub(super) elements: &'a [Value],
    /// Who appended each of its elements; `None` if nobody.
    pub(super) owners: Vec<Option<u32>>,
    /// Whether some read is no prefix of the longest.
    pub(super) disputed: bool,
    /// What certainly was appended though it is in no read, and by whom: it came after all that is.
    pub(super) unread: Vec<(u32, &'a Value)>,
}

impl<'a> Order<'a> {
    /// Whether `seen` is one of the versions.
    pub(super) fn has(&self, seen: &[Value]) -> bool {
        self.elements.starts_with(seen)
    }

    /// The reads of versions.
    pub(super) fn fitting(&self) -> impl Iterator<Item = (u32, &'a [Value])> {
        let fits = |(_, seen): &&(u32, &[Value])| !self.disputed || self.has(seen);
        self.reads.iter().filter(fits).copied()
    }

    /// What `by` appended as element `at`, or if that is beyond the longest read, unread.
    pub(super) fn element(&self, at: usize, by: u32) -> &'a Value {
        let unread = || self.unread.iter().find(|(id, _)| *id == by).map(|(_, element)| *element);
        self.elements.get(at).or_else(unread).unwrap_or(&Value::Nil)
    }

    /// What `by` appended last before element `at`.
    pub(super) fn last_of(&self, by: u32, at: usize) -> &'a Value {
        let place = self.owners[..at].iter().rposition(|owner| *owner == Some(by));
        place.map_or(&Value::Nil, |place| &self.elements[place])
    }

    /// Each element that was read and the first to read it: once for all versions, and of reads
    /// that are no versions each.
    pub(super) fn sightings(&self) -> impl Iterator<Item = (u32, &'a Value)> {
        let mut first_readers = vec![u32::MAX; self.elements.len()];
        let mut from = 0;
        for (reader, seen) in self.fitting() {
            let fresh = first_readers.get_mut(from..seen.len()).unwrap_or_default();
            fresh.fill(reader);
            from = from.max(seen.len());
        }
        let misfits = self.reads.iter().filter(|(_, seen)| self.disputed && !self.has(seen));
        let misfits = misfits.flat_map(|&(id, seen)| seen.iter().map(move |element| (id, element)));
        first_readers.into_iter().zip(self.elements).chain(misfits)
    }
}

#[derive(Debug)]
pub(super) struct Versions<'a> {
    /// Of each list.
    pub(super) orders: Vec<Order<'a>>,
    /// Of each transaction whether it took effect.
    pub(super) happened: Vec<bool>,
}

impl<'a> Versions<'a> {
    pub(super) fn new(log: &Log<'a>) -> Self {
        let mut orders: Vec<Order<'a>> = log.keys.iter().map(|_| Order::default()).collect();
        for (id, key, seen) in log.reads() {
            let order = &mut orders[key as usize];
            order.reads.push((id, seen));
            if seen.len() > order.elements.len() {
                order.elements = seen;
            }
        }
        let ok = log.transactions.iter().map(|transaction| transaction.outcome == Kind::Ok);
        let mut versions = Self { orders, happened: ok.collect() };
        for (key, order) in (0..).zip(&mut versions.orders) {
            order.disputed = order.reads.iter().any(|(_, seen)| !order.elements.starts_with(seen));
            let owner = |element| log.source(key, element).map(|source| source.by);
            order.owners = order.elements.iter().map(owner).collect();
            for (_, element) in order.sightings() {
                owner(element).into_iter().for_each(|by| versions.happened[by as usize] = true);
            }
        }
        versions.note_unread(log);
        versions
    }

    /// Of lists that nobody read nothing is known, and of disputed ones not what came after; what
    /// failed and was read nevertheless is no witness for the rest of it.
    fn note_unread(&mut self, log: &Log<'a>) {
        let mut read: Vec<std::collections::HashSet<&Value>> = Vec::new();
        read.extend(self.orders.iter().map(|order| order.elements.iter().collect()));
        for (id, transaction) in (0..).zip(&log.transactions) {
            let counts = self.happened[id as usize] && transaction.outcome != Kind::Fail;
            for (key, element) in transaction.appends().filter(|_| counts) {
                let order = &mut self.orders[key as usize];
                let known = !order.reads.is_empty() && !order.disputed;
                if known && !read[key as usize].contains(element) {
                    order.unread.push((id, element));
                }
            }
        }
    }
}
