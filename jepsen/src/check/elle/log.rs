//! The transactions of a history and who appended what.
//!
//! Transactions are known by their place in the list, lists by the order in which they appear. Of a
//! transaction that did not complete with ok only the appends count: it saw nothing.

use std::collections::HashMap;

use crate::check::place::place;
use crate::history::{History, Kind, Operation, Value};

/// One step of a transaction, on the list of this number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Micro<'a> {
    Append(u32, &'a Value),
    Read(u32, &'a [Value]),
}

#[derive(Debug)]
pub(super) struct Transaction<'a> {
    pub(super) operation: Operation<'a>,
    pub(super) outcome: Kind,
    pub(super) micros: Vec<Micro<'a>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn appends(&self) -> impl Iterator<Item = (u32, &'a Value)> {
        self.micros.iter().filter_map(|micro| match *micro {
            Micro::Append(key, element) => Some((key, element)),
            Micro::Read(..) => None,
        })
    }
}

/// Who appended an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) by: u32,
    /// Whether it is what `by` appended to that list last.
    pub(super) last: bool,
}

/// All that clients were told.
#[derive(Debug, Default)]
pub(super) struct Log<'a> {
    pub(super) keys: Vec<&'a Value>,
    pub(super) transactions: Vec<Transaction<'a>>,
    sources: HashMap<(u32, &'a Value), Source>,
}

impl<'a> Log<'a> {
    /// The transactions of `history`; or which event is none, or appends what was appended before.
    pub(super) fn read(history: &'a History) -> Result<Self, String> {
        let mut log = Self::default();
        let mut keys = HashMap::new();
        let transactions = history.operations();
        for operation in transactions.into_iter().filter(|o| is_transaction(&o.invoked.f)) {
            let outcome = operation.outcome();
            let event = operation.completed.unwrap_or(operation.invoked);
            let steps = elements(operation.value()).ok_or_else(|| malformed(&operation))?;
            let mut micros = Vec::with_capacity(steps.len());
            for step in steps {
                let (key, step) = parse(step).ok_or_else(|| malformed(&operation))?;
                let number = *keys.entry(key).or_insert_with(|| {
                    log.keys.push(key);
                    log.keys.len() as u32 - 1
                });
                micros.extend(match step {
                    Step::Append(element) => Some(Micro::Append(number, element)),
                    Step::Read(seen) if outcome == Kind::Ok => {
                        let seen = elements(seen).ok_or_else(|| malformed(&operation))?;
                        Some(Micro::Read(number, seen))
                    }
                    Step::Read(_) => None,
                });
            }
            log.transactions.push(Transaction { operation, outcome, micros });
            log.note_appends().map_err(|what| format!("event {}: {what}", event.index))?;
        }
        Ok(log)
    }

    /// Notes what the last transaction appended.
    fn note_appends(&mut self) -> Result<(), String> {
        let by = self.transactions.len() as u32 - 1;
        let mut last: HashMap<u32, &Value> = HashMap::new();
        for (key, element) in self.transactions[by as usize].appends() {
            if self.sources.insert((key, element), Source { by, last: true }).is_some() {
                let key = self.keys[key as usize];
                return Err(format!("{element} was appended to {key} before: nothing can be told"));
            }
            if let Some(before) = last.insert(key, element)
                && let Some(source) = self.sources.get_mut(&(key, before))
            {
                source.last = false;
            }
        }
        Ok(())
    }

    /// Who appended `element`; `None` if nobody.
    pub(super) fn source(&self, key: u32, element: &'a Value) -> Option<Source> {
        self.sources.get(&(key, element)).copied()
    }

    pub(super) fn outcome(&self, transaction: u32) -> Kind {
        self.transactions[transaction as usize].outcome
    }

    /// Each read: the transaction, the list, and what was seen.
    pub(super) fn reads(&self) -> impl Iterator<Item = (u32, u32, &'a [Value])> {
        (0..).zip(&self.transactions).flat_map(|(id, transaction)| {
            transaction.micros.iter().filter_map(move |micro| match *micro {
                Micro::Read(key, seen) => Some((id, key, seen)),
                Micro::Append(..) => None,
            })
        })
    }

    /// A transaction for people.
    pub(super) fn show(&self, transaction: u32) -> String {
        let operation = &self.transactions[transaction as usize].operation;
        format!("{} {}", place(operation), operation.value())
    }
}

fn is_transaction(f: &str) -> bool {
    matches!(f, "txn" | "final-txn")
}

enum Step<'a> {
    Append(&'a Value),
    Read(&'a Value),
}

/// Such as `[:append key element]` or `[:r key seen]`.
fn parse(step: &Value) -> Option<(&Value, Step<'_>)> {
    let [Value::Keyword(verb), key, argument] = elements(step)? else { return None };
    match verb.as_str() {
        "append" => Some((key, Step::Append(argument))),
        "r" => Some((key, Step::Read(argument))),
        _ => None,
    }
}

/// Those of a list; nil is an empty one.
fn elements(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(values) => Some(values),
        Value::Nil => Some(&[]),
        _ => None,
    }
}

fn malformed(operation: &Operation<'_>) -> String {
    let event = operation.completed.unwrap_or(operation.invoked);
    format!("event {}: {} is no transaction on lists", event.index, operation.value())
}
