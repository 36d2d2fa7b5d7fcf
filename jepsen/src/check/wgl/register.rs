//! The register of one key, and of the operations on it those that say something.
//!
//! An operation that failed certainly did nothing and is left out; so is a read that nobody saw the
//! result of. A write or `cas` of unknown outcome is `possible`: it may happen once, at any time
//! after its invocation, or never. All others are `certain`.

use std::collections::HashMap;

use crate::history::{History, Kind, Operation, Value};

/// What an operation does; values are places in the table of its register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Read(u32),
    Write(u32),
    Cas(u32, u32),
}

/// The place of nil in every table: what a register holds at first.
pub(super) const NIL: u32 = 0;

impl Action {
    /// What the register must hold before; `None` if anything.
    pub(super) fn expects(self) -> Option<u32> {
        match self {
            Self::Read(value) | Self::Cas(value, _) => Some(value),
            Self::Write(_) => None,
        }
    }

    /// What the register holds afterwards.
    pub(super) fn leaves(self) -> u32 {
        match self {
            Self::Read(value) | Self::Write(value) | Self::Cas(_, value) => value,
        }
    }

    /// Whether it may change the register to `value`.
    pub(super) fn brings(self, value: u32) -> bool {
        self.leaves() == value && self.expects() != Some(value)
    }

    /// Whether it can happen while the register holds `value`.
    pub(super) fn can_follow(self, value: u32) -> bool {
        self.expects().is_none_or(|expected| expected == value)
    }
}

/// An operation and the indexes between which it took effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) operation: Operation<'a>,
    pub(super) action: Action,
    pub(super) from: usize,
    /// `usize::MAX` if it may take effect at any time later.
    pub(super) until: usize,
}

/// All that is known of one key; calls in order of their invocations.
#[derive(Debug, Clone)]
pub(super) struct Register<'a> {
    pub(super) key: &'a Value,
    pub(super) values: Vec<&'a Value>,
    pub(super) certain: Vec<Call<'a>>,
    pub(super) possible: Vec<Call<'a>>,
}

impl<'a> Register<'a> {
    /// Whether any operation saw what the register held.
    pub(super) fn observed(&self) -> bool {
        self.certain.iter().any(|call| call.action.expects().is_some())
    }

    /// The register as it was known just before the event `front`.
    pub(super) fn before(&self, front: usize) -> Self {
        let (certain, mut possible): (Vec<Call<'a>>, Vec<Call<'a>>) =
            self.certain.iter().filter(|call| call.from < front).partition(|c| c.until < front);
        possible.extend(self.possible.iter().filter(|call| call.from < front));
        possible.retain(|call| !matches!(call.action, Action::Read(_)));
        possible.iter_mut().for_each(|call| call.until = usize::MAX);
        possible.sort_by_key(|call| call.from);
        let mut prefix = Self { key: self.key, values: self.values.clone(), certain, possible };
        prefix.prune();
        prefix
    }

    /// Leaves out possible calls that cannot matter: nobody who could have come after expects what
    /// they leave, so whatever follows them in an order overwrites it, and the order holds without.
    fn prune(&mut self) {
        let mut last_wanted = vec![0; self.values.len()];
        for call in &self.certain {
            want(&mut last_wanted, call);
        }
        let (mut kept, mut left) = (Vec::new(), std::mem::take(&mut self.possible));
        left.retain(|call| call.action.expects() != Some(call.action.leaves()));
        loop {
            let wanted = |call: &Call<'_>| last_wanted[call.action.leaves() as usize] > call.from;
            let (more, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(wanted);
            if more.is_empty() {
                break;
            }
            more.iter().for_each(|call| want(&mut last_wanted, call));
            kept.extend(more);
            left = rest;
        }
        kept.sort_by_key(|call| call.from);
        self.possible = kept;
    }
}

/// Notes until when `call` may see the value that it expects.
fn want(last_wanted: &mut [usize], call: &Call<'_>) {
    if let Some(value) = call.action.expects() {
        let last = &mut last_wanted[value as usize];
        *last = (*last).max(call.until);
    }
}

/// The registers of a history, in the order in which their keys appear; or which event is not
/// an operation on a register.
pub(super) fn partition(history: &History) -> Result<Vec<Register<'_>>, String> {
    let mut builders: Vec<Builder<'_>> = Vec::new();
    let mut places = HashMap::new();
    for operation in history.operations() {
        let Some(verb) = Verb::of(&operation.invoked.f) else { continue };
        let unseen = verb == Verb::Read && operation.outcome() != Kind::Ok;
        if operation.outcome() == Kind::Fail || unseen {
            continue;
        }
        let (key, argument) = pair(operation.value()).ok_or_else(|| malformed(&operation))?;
        let place = *places.entry(key).or_insert_with(|| {
            builders.push(Builder::new(key));
            builders.len() - 1
        });
        builders[place].add(operation, verb, argument).ok_or_else(|| malformed(&operation))?;
    }
    Ok(builders.into_iter().map(Builder::finish).collect())
}

fn malformed(operation: &Operation<'_>) -> String {
    let event = operation.completed.unwrap_or(operation.invoked);
    format!("event {}: {} is no value of {}", event.index, operation.value(), event.f)
}

fn pair(value: &Value) -> Option<(&Value, &Value)> {
    match value {
        Value::List(values) => match values.as_slice() {
            [first, second] => Some((first, second)),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Read,
    Write,
    Cas,
}

impl Verb {
    fn of(f: &str) -> Option<Self> {
        match f.strip_prefix("final-").unwrap_or(f) {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "cas" => Some(Self::Cas),
            _ => None,
        }
    }
}

/// A register whose values still get their numbers.
struct Builder<'a> {
    register: Register<'a>,
    numbers: HashMap<&'a Value, u32>,
}

impl<'a> Builder<'a> {
    fn new(key: &'a Value) -> Self {
        let register =
            Register { key, values: vec![&Value::Nil], certain: Vec::new(), possible: Vec::new() };
        Self { register, numbers: HashMap::from([(&Value::Nil, NIL)]) }
    }

    fn number(&mut self, value: &'a Value) -> u32 {
        let values = &mut self.register.values;
        *self.numbers.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as u32 - 1
        })
    }

    /// `None` if `argument` is none of `verb`.
    fn add(&mut self, operation: Operation<'a>, verb: Verb, argument: &'a Value) -> Option<()> {
        let action = match verb {
            Verb::Read => Action::Read(self.number(argument)),
            Verb::Write => Action::Write(self.number(argument)),
            Verb::Cas => {
                let (old, new) = pair(argument)?;
                Action::Cas(self.number(old), self.number(new))
            }
        };
        let until = operation.ended();
        let from = operation.invoked.index;
        let call = Call { operation, action, from, until: until.unwrap_or(usize::MAX) };
        match until {
            Some(_) => self.register.certain.push(call),
            None => self.register.possible.push(call),
        }
        Some(())
    }

    fn finish(mut self) -> Register<'a> {
        self.register.prune();
        self.register
    }
}
