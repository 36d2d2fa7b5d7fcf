//! What happened in a run: one list of events, in the order in which they were seen.
//!
//! A client's operation is two events, its invocation and its completion, by the same process; a
//! nemesis's action is one or two events of kind `info`. The format is Jepsen's: one map a line, in
//! EDN or JSON, with `index`, `type`, `process`, `time`, `f`, `value`, and `error` where one was
//! given. [`Value`] has one shape for each `f`; `jepsen/README.md` has the table.
//!
//! Invariants: `index` is an event's place in the list, times never decrease, and a process has at
//! most one operation open. A process whose operation ended as `info` never appears again.

mod edn;
mod json;
mod read;
mod record;
#[cfg(test)]
mod tests;

pub use read::{Format, Malformed};
pub use record::Recorder;

/// A value of an operation, as in EDN.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Absence: what a read of a missing key gives, or what is not yet known.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string.
    Text(String),
    /// A keyword, such as `:append`; without the colon here, and of a symbol's characters.
    Keyword(String),
    /// A vector.
    List(Vec<Value>),
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client: a logical thread with one operation at a time.
    Client(u64),
    /// Whoever breaks things.
    Nemesis,
}

/// What an event says of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It took effect, and this is its result.
    Ok,
    /// It certainly did not and will not take effect.
    Fail,
    /// Nobody knows; it may even take effect later. A nemesis's events are all of this kind.
    Info,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the history.
    pub index: usize,
    /// What it says.
    pub kind: Kind,
    /// Who did it.
    pub process: Process,
    /// Nanoseconds since the run began, by one monotonic clock.
    pub time: u64,
    /// What was done, such as `read`.
    pub f: String,
    /// With what, and in a completion with what result.
    pub value: Value,
    /// What the server or the connection said against it.
    pub error: Option<String>,
    /// The node that was asked, counted from 1.
    pub node: Option<u32>,
}

/// How the error of a fault's end begins if the fault did not do what it was to do. Any other says
/// that it could not be undone.
pub const NOT_CARRIED_OUT: &str = "not carried out: ";

impl Event {
    /// Why the fault that this ends was not carried out, if it was not.
    pub fn not_carried_out(&self) -> Option<&str> {
        self.error.as_deref()?.strip_prefix(NOT_CARRIED_OUT)
    }
}

/// All events of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// In order of `index`.
    pub events: Vec<Event>,
}

/// A client's operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// Its beginning.
    pub invoked: &'a Event,
    /// Its end; `None` if the run ended before.
    pub completed: Option<&'a Event>,
}

impl<'a> Operation<'a> {
    /// `Ok`, `Fail` or `Info`; what never completed is `Info`.
    pub fn outcome(&self) -> Kind {
        self.completed.map_or(Kind::Info, |event| event.kind)
    }

    /// The value of the completion if it is ok, otherwise of the invocation.
    pub fn value(&self) -> &'a Value {
        match self.completed {
            Some(event) if event.kind == Kind::Ok => &event.value,
            _ => &self.invoked.value,
        }
    }

    /// The index from which it has certainly ended; `None` if its effect may still come.
    pub fn ended(&self) -> Option<usize> {
        self.completed.filter(|event| event.kind != Kind::Info).map(|event| event.index)
    }
}

impl Process {
    /// How a history names who breaks things.
    const NEMESIS: &'static str = "nemesis";
}

impl Kind {
    /// How a history names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

impl History {
    /// Operations of clients, in the order of their invocations.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut open = std::collections::HashMap::new();
        let mut operations: Vec<Operation<'_>> = Vec::new();
        for event in self.events.iter().filter(|event| event.process != Process::Nemesis) {
            if event.kind == Kind::Invoke {
                open.insert(event.process, operations.len());
                operations.push(Operation { invoked: event, completed: None });
            } else if let Some(at) = open.remove(&event.process) {
                operations[at].completed = Some(event);
            }
        }
        operations
    }

    /// What the nemesis did.
    pub fn faults(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.process == Process::Nemesis)
    }
}
