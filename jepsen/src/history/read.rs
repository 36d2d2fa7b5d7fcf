//! Reading and writing whole histories, line by line.
//!
//! A history that breaks the format's invariants is no evidence, so reading stops at the first such
//! line and says which. Unknown keys are passed over; blank lines and `;` comments as well.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use super::{Event, History, Kind, Process, Value, edn, json};

/// The longest line that is read, so that a file of something else cannot fill the memory.
const LINE_MAX: u64 = 256 << 20;

/// A line that cannot be an event of this history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its number, from 1; 0 where the file itself is the trouble.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for Malformed {}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One EDN map a line.
    Edn,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "edn" => Some(Self::Edn),
            "jsonl" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

impl History {
    /// Reads a file; its extension, `edn` or `jsonl`, tells the format.
    pub fn read(path: &Path) -> Result<Self, Malformed> {
        let trouble = |what| Malformed { line: 0, what: format!("{}: {what}", path.display()) };
        let format = Format::of(path)
            .ok_or_else(|| trouble("a history ends in .edn or .jsonl".to_owned()))?;
        let file = File::open(path).map_err(|error| trouble(error.to_string()))?;
        Self::parse(BufReader::new(file), format)
    }

    /// Reads from anything; no more than one line is held beside what was read.
    pub fn parse(from: impl BufRead, format: Format) -> Result<Self, Malformed> {
        let mut lines = Lines { from, line: Vec::new(), number: 0 };
        let mut history = Self::default();
        let mut rules = Rules::default();
        while let Some((number, text, whole)) = lines.next()? {
            let text = text.trim();
            if text.is_empty() || text.starts_with(';') {
                continue;
            }
            let event = event(text, format, history.events.len()).map_err(|what| match whole {
                true => Malformed { line: number, what },
                false => Malformed { line: number, what: format!("cut off: {what}") },
            })?;
            rules.admit(&event).map_err(|what| Malformed { line: number, what })?;
            history.events.push(event);
        }
        Ok(history)
    }

    /// Writes `history.edn`.
    pub fn write_edn(&self, to: &mut impl Write) -> io::Result<()> {
        self.events.iter().try_for_each(|event| writeln!(to, "{event}"))
    }

    /// Writes `history.jsonl`.
    pub fn write_jsonl(&self, to: &mut impl Write) -> io::Result<()> {
        self.events.iter().try_for_each(|event| writeln!(to, "{}", event.to_json()))
    }
}

impl Event {
    /// One line of `history.edn`, without its end.
    pub fn to_edn(&self) -> String {
        self.to_string()
    }

    /// One line of `history.jsonl`, without its end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event has only strings as keys")
    }
}

/// Lines of bounded length with their numbers.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next line and whether it has an end; a file that was cut off ends without one.
    fn next(&mut self) -> Result<Option<(usize, &str, bool)>, Malformed> {
        self.number += 1;
        let number = self.number;
        let trouble = |what: String| Malformed { line: number, what };
        self.line.clear();
        let limited = &mut self.from.by_ref().take(LINE_MAX);
        let read = limited.read_until(b'\n', &mut self.line);
        match read.map_err(|error| trouble(error.to_string()))? {
            0 => return Ok(None),
            length if length as u64 == LINE_MAX => return Err(trouble("too long".to_owned())),
            _ => {}
        }
        let whole = self.line.ends_with(b"\n");
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some((number, text, whole))),
            Err(_) => Err(trouble("no UTF-8".to_owned())),
        }
    }
}

fn event(line: &str, format: Format, place: usize) -> Result<Event, String> {
    let draft = match format {
        Format::Edn => edn::parse(line),
        Format::Jsonl => json::parse(line),
    }?;
    draft.event(place)
}

/// A line's values under the keys of an event, of which any may be missing or of a wrong type.
#[derive(Default)]
pub(super) struct Draft {
    index: Option<Value>,
    kind: Option<Value>,
    process: Option<Value>,
    time: Option<Value>,
    f: Option<Value>,
    value: Option<Value>,
    error: Option<Value>,
    node: Option<Value>,
}

impl Draft {
    /// Keeps what an event needs and drops the rest.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        let place = match key {
            "index" => &mut self.index,
            "type" => &mut self.kind,
            "process" => &mut self.process,
            "time" => &mut self.time,
            "f" => &mut self.f,
            "value" => &mut self.value,
            "error" => &mut self.error,
            "node" => &mut self.node,
            _ => return,
        };
        *place = Some(value);
    }

    fn event(self, place: usize) -> Result<Event, String> {
        match natural("index", self.index)? {
            Some(index) if index != place as u64 => {
                return Err(format!("index {index}, where {place} follows: events are missing"));
            }
            _ => {}
        }
        Ok(Event {
            index: place,
            kind: kind(&name("type", self.kind)?)?,
            process: process(self.process)?,
            time: natural("time", self.time)?.ok_or("time is missing")?,
            f: name("f", self.f)?,
            value: self.value.unwrap_or_default(),
            error: error(self.error),
            node: node(self.node)?,
        })
    }
}

fn natural(key: &str, value: Option<Value>) -> Result<Option<u64>, String> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Int(number)) if number >= 0 => Ok(Some(number.unsigned_abs())),
        Some(other) => Err(format!("{key} {other} is no natural number")),
    }
}

fn name(key: &str, value: Option<Value>) -> Result<String, String> {
    match value {
        None | Some(Value::Nil) => Err(format!("{key} is missing")),
        Some(Value::Text(name) | Value::Keyword(name)) => Ok(name),
        Some(other) => Err(format!("{key} {other} is no name")),
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let kinds = [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info];
    let kind = kinds.into_iter().find(|kind| kind.name() == name);
    kind.ok_or_else(|| format!("type {name} is none of invoke, ok, fail, info"))
}

fn process(value: Option<Value>) -> Result<Process, String> {
    match value {
        None | Some(Value::Nil) => Err("process is missing".to_owned()),
        Some(Value::Int(number)) if number >= 0 => Ok(Process::Client(number.unsigned_abs())),
        Some(Value::Text(name) | Value::Keyword(name)) if name == Process::NEMESIS => {
            Ok(Process::Nemesis)
        }
        Some(other) => Err(format!("process {other} is neither a natural number nor nemesis")),
    }
}

fn error(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Nil => None,
        Value::Text(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn node(value: Option<Value>) -> Result<Option<u32>, String> {
    let number = natural("node", value)?;
    let node = number.map(u32::try_from).transpose().ok().filter(|node| *node != Some(0));
    node.ok_or_else(|| "node is counted from 1".to_owned())
}

/// What must hold from event to event.
#[derive(Default)]
struct Rules {
    time: u64,
    open: HashMap<Process, (usize, String)>,
    retired: HashSet<Process>,
}

impl Rules {
    fn admit(&mut self, event: &Event) -> Result<(), String> {
        if event.time < self.time {
            return Err(format!("time goes back from {} to {}", self.time, event.time));
        }
        self.time = event.time;
        match (event.process, event.kind) {
            (Process::Nemesis, Kind::Info) => Ok(()),
            (Process::Nemesis, kind) => {
                Err(format!("an event of the nemesis is of type info, not {}", kind.name()))
            }
            (_, Kind::Invoke) => self.open(event),
            (_, kind) => self.close(event, kind),
        }
    }

    fn open(&mut self, event: &Event) -> Result<(), String> {
        let process = event.process;
        if self.retired.contains(&process) {
            return Err(format!("process {process} is used after an operation of unknown outcome"));
        }
        match self.open.insert(process, (event.index, event.f.clone())) {
            None => Ok(()),
            Some((index, _)) => {
                Err(format!("process {process} has still the operation of event {index} open"))
            }
        }
    }

    fn close(&mut self, event: &Event, kind: Kind) -> Result<(), String> {
        let process = event.process;
        if kind == Kind::Info {
            self.retired.insert(process);
        }
        match self.open.remove(&process) {
            None => Err(format!("process {process} completes what it never invoked")),
            Some((index, f)) if f != event.f => Err(format!(
                "process {process} completes {}, but event {index} invoked {f}",
                event.f
            )),
            Some(_) => Ok(()),
        }
    }
}
