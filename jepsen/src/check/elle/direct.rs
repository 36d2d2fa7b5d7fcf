//! Anomalies that a transaction, a read or the order of one list shows by itself.
//!
//! - `internal`: a transaction contradicts itself.
//! - `incompatible-order`: two reads of a list are no prefixes of each other.
//! - `duplicate-elements`: an element is twice in a list.
//! - `garbage-read`: a read of what nobody appended.
//! - `G1a`: a read of what failed. `dirty-update`: an append behind it that did not fail.
//! - `G1b`: a read of a list as another transaction had it before its last append to it.
//! - `lost-update`: two transactions read the same version of a list, then both appended to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::anomaly::{Anomalies, Anomaly};
use super::log::{Log, Micro};
use super::versions::{Order, Versions};
use crate::history::{Kind, Value};

pub(super) fn find(log: &Log<'_>, versions: &Versions<'_>, anomalies: &mut Anomalies) {
    let mut finder = Finder { log, anomalies };
    (0..log.transactions.len() as u32).for_each(|id| finder.internal(id));
    for (key, order) in (0..).zip(&versions.orders) {
        finder.incompatible(key, order);
        finder.duplicates(key, order);
        finder.sources(key, order);
        finder.intermediate(key, order);
        finder.dirty_update(key, order);
    }
    finder.lost_updates(versions);
}

struct Finder<'f, 'a> {
    log: &'f Log<'a>,
    anomalies: &'f mut Anomalies,
}

impl<'a> Finder<'_, 'a> {
    /// Notes an anomaly: what is wrong, then the transactions.
    fn note(&mut self, name: &str, transactions: &[u32], what: impl FnOnce() -> String) {
        let log = self.log;
        self.anomalies.add(name, || {
            let event = |&id: &u32| log.transactions[id as usize].operation.invoked.index;
            let shown = transactions.iter().map(|&id| format!("\n{}", log.show(id)));
            Anomaly {
                events: transactions.iter().map(event).collect(),
                text: shown.fold(what(), |text, line| text + &line),
            }
        });
    }

    /// Each list must be as this transaction left it, or if it has not read it yet, end so.
    fn internal(&mut self, id: u32) {
        let transaction = &self.log.transactions[id as usize];
        if transaction.outcome != Kind::Ok {
            return;
        }
        let mut known: HashMap<u32, (bool, Vec<&Value>)> = HashMap::new();
        for micro in &transaction.micros {
            match *micro {
                Micro::Append(key, element) => known.entry(key).or_default().1.push(element),
                Micro::Read(key, seen) => {
                    let (whole, expected) = known.entry(key).or_default();
                    let start = seen.len().saturating_sub(expected.len());
                    let same = seen[start..].iter().eq(expected.iter().copied());
                    if !same || *whole && start > 0 {
                        let key = self.log.keys[key as usize];
                        return self.note("internal", &[id], || {
                            format!("list {key} was not as the transaction itself had left it")
                        });
                    }
                    *whole = true;
                    *expected = seen.iter().collect();
                }
            }
        }
    }

    fn incompatible(&mut self, key: u32, order: &Order<'a>) {
        let longest = order.reads.iter().find(|(_, seen)| seen.len() == order.elements.len());
        let misfits = order.reads.iter().filter(|(_, seen)| order.disputed && !order.has(seen));
        let name = self.log.keys[key as usize];
        for (&(id, _), &(other, _)) in misfits.zip(longest.into_iter().cycle()) {
            self.note("incompatible-order", &[id, other], || {
                format!("list {name} was read in two orders")
            });
        }
    }

    fn duplicates(&mut self, key: u32, order: &Order<'a>) {
        let longest = order.reads.iter().find(|(_, seen)| seen.len() == order.elements.len());
        let misfits = order.reads.iter().filter(|(_, seen)| order.disputed && !order.has(seen));
        let name = self.log.keys[key as usize];
        for &(id, seen) in longest.into_iter().chain(misfits) {
            let mut met = HashSet::new();
            if let Some(twice) = seen.iter().find(|element| !met.insert(*element)) {
                self.note("duplicate-elements", &[id], || {
                    format!("{twice} was more than once in list {name}")
                });
            }
        }
    }

    fn sources(&mut self, key: u32, order: &Order<'a>) {
        let name = self.log.keys[key as usize];
        for (reader, element) in order.sightings() {
            match self.log.source(key, element) {
                None => self.note("garbage-read", &[reader], || {
                    format!("{element} was read of list {name}, and nobody appended it")
                }),
                Some(source) if self.log.outcome(source.by) == Kind::Fail => {
                    self.note("G1a", &[source.by, reader], || {
                        format!("{element} was read of list {name}, and its append had failed")
                    });
                }
                Some(_) => {}
            }
        }
    }

    fn intermediate(&mut self, key: u32, order: &Order<'a>) {
        let name = self.log.keys[key as usize];
        for &(reader, seen) in &order.reads {
            let Some(element) = seen.last() else { continue };
            let source = self.log.source(key, element);
            if let Some(source) = source.filter(|source| !source.last && source.by != reader) {
                self.note("G1b", &[source.by, reader], || {
                    format!("list {name} was read up to {element}, amid a transaction's appends")
                });
            }
        }
    }

    fn dirty_update(&mut self, key: u32, order: &Order<'a>) {
        let owners = || order.owners.iter().copied().flatten();
        let failed = |&id: &u32| self.log.outcome(id) == Kind::Fail;
        let Some(dirty) = owners().find(failed) else { return };
        let behind = owners().skip_while(|&id| id != dirty).find(|id| !failed(id));
        let name = self.log.keys[key as usize];
        if let Some(update) = behind {
            self.note("dirty-update", &[dirty, update], || {
                format!("list {name} was appended to behind what had failed")
            });
        }
    }

    fn lost_updates(&mut self, versions: &Versions<'a>) {
        let mut updates: BTreeMap<(u32, usize), Vec<u32>> = BTreeMap::new();
        for (id, transaction) in (0..).zip(&self.log.transactions) {
            for (key, seen) in updated(&transaction.micros) {
                if versions.orders[key as usize].has(seen) {
                    updates.entry((key, seen.len())).or_default().push(id);
                }
            }
        }
        for ((key, length), ids) in updates.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let name = self.log.keys[key as usize];
            self.note("lost-update", &ids, || {
                format!(
                    "list {name} was read with {length} elements and then appended to, by all of"
                )
            });
        }
    }
}

/// The lists that a transaction read and then appended to, as it first read them.
fn updated<'a>(micros: &[Micro<'a>]) -> Vec<(u32, &'a [Value])> {
    let (mut read, mut updated) = (HashMap::new(), Vec::new());
    let mut appended = HashSet::new();
    for micro in micros {
        match *micro {
            Micro::Read(key, seen) => {
                read.entry(key).or_insert(seen);
            }
            Micro::Append(key, _) => {
                let first = appended.insert(key);
                updated.extend(read.get(&key).filter(|_| first).map(|seen| (key, *seen)));
            }
        }
    }
    updated
}
