//! Values of operations, made and taken apart.
//!
//! Operations are made by the workload that performs them, so that a shape which does not fit is a
//! mistake here, not bad input; it is refused all the same.

use crate::client::Trouble;
use crate::history::Value;

/// A vector.
pub fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

/// A vector of integers.
pub fn ints(values: impl IntoIterator<Item = i64>) -> Value {
    list(values.into_iter().map(Value::Int))
}

/// An integer, or nil.
pub fn maybe(value: Option<i64>) -> Value {
    value.map_or(Value::Nil, Value::Int)
}

/// The elements of a vector.
pub fn items(value: &Value) -> Result<&[Value], Trouble> {
    match value {
        Value::List(values) => Ok(values),
        other => Err(misshapen(other)),
    }
}

/// The element at a place, an integer.
pub fn int_at(value: &Value, place: usize) -> Result<i64, Trouble> {
    items(value)?.get(place).ok_or_else(|| misshapen(value)).and_then(int)
}

/// An integer.
pub fn int(value: &Value) -> Result<i64, Trouble> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(misshapen(other)),
    }
}

/// An operation that the workload cannot have made.
pub fn misshapen(value: &Value) -> Trouble {
    Trouble::Refused(format!("no workload makes {value}"))
}

/// A list as it is kept in a string: each element and a comma.
pub fn parse_list(text: &str) -> Result<Vec<i64>, Trouble> {
    let broken = || Trouble::Impossible(format!("{text:?} is no list of numbers and commas"));
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let elements = text.strip_suffix(',').ok_or_else(broken)?;
    elements.split(',').map(|element| element.parse().map_err(|_| broken())).collect()
}
