//! Histories for tests, written as they happen.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::ProptestConfig;

use crate::history::{Event, History, Kind, Process, Value};

/// A property is tried on so many random cases; none is kept in a file.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A list of values.
pub(crate) fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

/// A history that grows; an event's time is its index.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) history: History,
}

impl Script {
    /// Adds an event of the client `process`.
    pub(crate) fn event(&mut self, process: u64, kind: Kind, f: &str, value: Value) {
        let index = self.history.events.len();
        self.history.events.push(Event {
            index,
            kind,
            process: Process::Client(process),
            time: index as u64,
            f: f.to_owned(),
            value,
            error: None,
            node: Some(process as u32 % 5 + 1),
        });
    }

    /// Reads lines such as `0 invoke read x nil`, `1 ok cas x 1 2`, or
    /// `2 ok txn append x 1, r x 1 2, r y`: process, kind, f and the value, whose words are keywords
    /// unless they are numbers or nil.
    pub(crate) fn parse(text: &str) -> History {
        let mut script = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [process, kind, f, rest] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let kind = match kind {
                "invoke" => Kind::Invoke,
                "ok" => Kind::Ok,
                "fail" => Kind::Fail,
                "info" => Kind::Info,
                _ => panic!("{line}"),
            };
            let value = if f.ends_with("txn") { txn(rest) } else { register(rest) };
            script.event(process.parse().unwrap(), kind, f, value);
        }
        script.history
    }
}

fn word(text: &str) -> Value {
    match text.parse() {
        Ok(number) => Value::Int(number),
        Err(_) if text == "nil" => Value::Nil,
        Err(_) => Value::Keyword(text.to_owned()),
    }
}

fn register(text: &str) -> Value {
    match text.split(' ').map(word).collect::<Vec<_>>().as_slice() {
        [key, old, new] => list([key.clone(), list([old.clone(), new.clone()])]),
        pair => list(pair.iter().cloned()),
    }
}

/// A read of nothing sees nil.
fn txn(text: &str) -> Value {
    let micro = |text: &str| {
        let words: Vec<_> = text.trim().split(' ').map(word).collect();
        let [verb, key, rest @ ..] = words.as_slice() else { panic!("{text}") };
        let argument = match (verb, rest) {
            (Value::Keyword(verb), [element]) if verb == "append" => element.clone(),
            (_, [] | [Value::Nil]) => Value::Nil,
            (_, elements) => list(elements.iter().cloned()),
        };
        list([verb.clone(), key.clone(), argument])
    };
    list(text.split(',').map(micro))
}
