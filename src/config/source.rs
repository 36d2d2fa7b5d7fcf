//! Reading a configuration file: TOML, or Redis's `name value` lines. Either way the result is
//! a list of assignments with their lines, and every problem of the file, not only the first.

use super::problem::{Problem, nearest};
use super::redis;
use super::settings::{SECTIONS, SETTINGS, Setting};
use toml_edit::{Document, Item, Key, Table, Value};

/// One setting as a source says it.
pub struct Assignment {
    /// Which.
    pub setting: &'static Setting,
    /// To what.
    pub text: String,
    /// Where: `FILE:LINE`, a variable, an option.
    pub place: String,
}

/// What a file says.
#[derive(Default)]
pub struct Contents {
    /// Its settings, in order.
    pub assignments: Vec<Assignment>,
    /// What keeps it from being used.
    pub problems: Vec<Problem>,
    /// What it says without effect.
    pub warnings: Vec<String>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `[section]` and `key = value`.
    Toml,
    /// `name value`, as in a `redis.conf`.
    Redis,
}

impl Syntax {
    /// `*.conf` is Redis's, everything else TOML.
    pub fn of(name: &str) -> Syntax {
        if name.ends_with(".conf") { Syntax::Redis } else { Syntax::Toml }
    }
}

/// Reads `text`, the contents of the file `name`.
pub fn read(name: &str, text: &str) -> Contents {
    let mut reader = Reader { name, text, contents: Contents::default() };
    match Syntax::of(name) {
        Syntax::Toml => reader.toml(),
        Syntax::Redis => reader.redis(),
    }
    reader.contents
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    contents: Contents,
}

impl Reader<'_> {
    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    fn place_of(&self, key: &Key) -> String {
        self.place(line_at(self.text, key.span().map_or(0, |span| span.start)))
    }

    fn problem(&mut self, place: String, message: String, help: Option<String>) {
        self.contents.problems.push(Problem { place: Some(place), message, help });
    }

    fn toml(&mut self) {
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let line = line_at(self.text, error.span().map_or(0, |span| span.start));
                return self.problem(self.place(line), error.message().replace('\n', ", "), None);
            }
        };
        for (name, item) in document.iter() {
            let key = document.key(name).expect("iterated names are keys");
            match item {
                Item::Table(table) if is_section(name) => self.section(name, table),
                _ => self.unknown_section(key, item),
            }
        }
    }

    fn unknown_section(&mut self, key: &Key, item: &Item) {
        let name = key.get();
        let message = match item.is_table() {
            true => format!("unknown section [{name}]"),
            false if is_section(name) => format!("[{name}] is a section"),
            false => format!("'{name}' is outside of any section"),
        };
        let sections = SECTIONS.iter().map(|(section, _)| format!("[{section}]"));
        let paths = SETTINGS.iter().map(|row| row.key.to_string() + " in [" + row.section + "]");
        let near = if item.is_table() {
            nearest(&format!("[{name}]"), sections)
        } else {
            paths.into_iter().find(|path| path.starts_with(&format!("{name} ")))
        };
        self.problem(self.place_of(key), message, near.map(|near| format!("did you mean {near}?")));
    }

    fn section(&mut self, section: &str, table: &Table) {
        for (name, item) in table.iter() {
            let key = table.key(name).expect("iterated names are keys");
            let place = self.place_of(key);
            let row = SETTINGS.iter().find(|row| row.section == section && row.key == name);
            match (row, item.as_value().and_then(scalar)) {
                (Some(setting), Some(text)) => {
                    self.contents.assignments.push(Assignment { setting, text, place });
                }
                (Some(_), None) => {
                    let message = format!("'{section}.{name}' takes one value or a list of words");
                    self.problem(place, message, None);
                }
                (None, _) => {
                    let problem = Problem::unknown(&format!("{section}.{name}"));
                    self.problem(place, problem.message, problem.help);
                }
            }
        }
    }

    fn redis(&mut self) {
        for (number, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = self.place(number + 1);
            match words(line) {
                Some(words) if words.len() > 1 => self.directive(place, &words[0], &words[1..]),
                Some(words) => {
                    let name = words.first().map_or("", String::as_str);
                    self.problem(place, format!("'{name}' has no value"), None);
                }
                None => self.problem(place, "unbalanced quotes".into(), None),
            }
        }
    }

    fn directive(&mut self, place: String, name: &str, values: &[String]) {
        if let Some(setting) = redis::setting(name) {
            let text = values.join(" ");
            self.contents.assignments.push(Assignment { setting, text, place });
        } else if redis::is_without_effect(name) {
            self.contents.warnings.push(format!("{place}: '{name}' has no effect here"));
        } else {
            let problem = Problem::unknown(name);
            self.problem(place, problem.message, problem.help);
        }
    }
}

fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == name)
}

/// A value as the text a setting reads; lists of words may be written as arrays.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Boolean(flag) => Some(flag.value().to_string()),
        Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            words.map(|words| words.join(" "))
        }
        _ => None,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Splits a line of Redis's syntax: blanks separate words; quotes, double ones with escapes,
/// keep them together. Nothing if quotes are unbalanced.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => quoted(&rest[1..], first)?,
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest[..end].to_string(), &rest[end..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

/// The text up to the closing `quote`, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => {
                let after = &text[at + 1..];
                return after
                    .chars()
                    .next()
                    .is_none_or(char::is_whitespace)
                    .then_some((word, after));
            }
            '\\' if quote == '"' => word.push(match chars.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            '\\' if text[at + 1..].starts_with('\'') => word.push(chars.next()?.1),
            _ => word.push(c),
        }
    }
    None
}
