//! Operations as checkers see them: what was done, when it can have happened, with which values.

use std::collections::HashSet;

use crate::history::{Event, History, Kind, Operation, Value};

/// An operation whose value has not the shape that its `f` demands; nothing can be said of it.
pub(super) struct Odd(pub(super) String);

impl<'a> Operation<'a> {
    /// What was done, whether in the final phase or before.
    pub fn verb(&self) -> &'a str {
        verb(&self.invoked.f)
    }

    /// Whether it belongs to the final phase, after all faults were healed.
    pub fn is_final(&self) -> bool {
        self.invoked.f.starts_with(FINAL)
    }

    /// The index of its invocation: it cannot have had an effect before.
    pub fn start(&self) -> usize {
        self.invoked.index
    }

    /// The index of its completion, if it is ok.
    pub fn ok(&self) -> Option<usize> {
        self.done().map(|event| event.index)
    }

    /// Its completion, if it is ok.
    pub(super) fn done(&self) -> Option<&'a Event> {
        self.completed.filter(|event| event.kind == Kind::Ok)
    }

    /// Whether it may have had an effect.
    pub(super) fn possible(&self) -> bool {
        self.outcome() != Kind::Fail
    }
}

const FINAL: &str = "final-";

/// An operation's name without its phase.
pub(super) fn verb(f: &str) -> &str {
    f.strip_prefix(FINAL).unwrap_or(f)
}

/// All operations of that name, in the order of their invocations.
pub(super) fn named<'a>(history: &'a History, wanted: &str) -> Vec<Operation<'a>> {
    let mut operations = history.operations();
    operations.retain(|operation| operation.verb() == wanted);
    operations
}

/// An integer in an operation's value.
pub(super) fn int(operation: &Operation<'_>, value: &Value) -> Result<i64, Odd> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(odd(operation, &format!("{other} where an integer belongs"))),
    }
}

/// A vector in an operation's value.
pub(super) fn list<'a>(operation: &Operation<'_>, value: &'a Value) -> Result<&'a [Value], Odd> {
    match value {
        Value::List(values) => Ok(values),
        other => Err(odd(operation, &format!("{other} where a vector belongs"))),
    }
}

/// A vector of `N` in an operation's value.
pub(super) fn tuple<'a, const N: usize>(
    operation: &Operation<'_>,
    value: &'a Value,
) -> Result<&'a [Value; N], Odd> {
    let values = list(operation, value)?;
    values.try_into().map_err(|_| odd(operation, &format!("{value} where {N} values belong")))
}

/// That every operation has a value of its own, as checkers need that tell operations by values.
pub(super) fn distinct(operations: &[Operation<'_>]) -> Result<(), Odd> {
    let mut seen = HashSet::new();
    match operations.iter().find(|operation| !seen.insert(&operation.invoked.value)) {
        None => Ok(()),
        Some(twice) => Err(odd(twice, &format!("{} is not unique", twice.invoked.value))),
    }
}

/// What is wrong with an operation.
pub(super) fn odd(operation: &Operation<'_>, what: &str) -> Odd {
    let event = operation.completed.unwrap_or(operation.invoked);
    Odd(format!("event {}: {}: {what}", event.index, event.f))
}
