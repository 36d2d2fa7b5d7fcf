//! EDN, as far as a history needs it: one map of keywords a line.
//!
//! Writing is exact: what was written is read back equal. Reading is more tolerant, so that
//! histories of other programs can be checked: sets and lists are read as vectors, maps as vectors
//! of pairs, fractions as their text, and a tag before a form is ignored.

use std::fmt::{self, Display, Formatter, Write};

use super::read::Draft;
use super::{Event, Process, Value};

/// How deeply forms may be nested: a line of brackets must not exhaust the stack.
const DEPTH_MAX: usize = 128;

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => quote(value, f),
            Self::Keyword(value) => write!(f, ":{value}"),
            Self::List(values) => {
                f.write_char('[')?;
                for (place, value) in values.iter().enumerate() {
                    let gap = if place == 0 { "" } else { " " };
                    write!(f, "{gap}{value}")?;
                }
                f.write_char(']')
            }
        }
    }
}

impl Display for Process {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "{number}"),
            Self::Nemesis => f.write_str(Self::NEMESIS),
        }
    }
}

/// One line of `history.edn`, without its end.
impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { index, kind, process, time, f: what, value, error, node } = self;
        let colon = if *process == Process::Nemesis { ":" } else { "" };
        write!(f, "{{:index {index}, :type :{}, :process {colon}{process}, ", kind.name())?;
        write!(f, ":time {time}, :f :{what}, :value {value}")?;
        if let Some(error) = error {
            f.write_str(", :error ")?;
            quote(error, f)?;
        }
        if let Some(node) = node {
            write!(f, ", :node {node}")?;
        }
        f.write_char('}')
    }
}

fn quote(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// The map of one line.
pub(super) fn parse(line: &str) -> Result<Draft, String> {
    let mut reader = Reader { text: line, at: 0, depth: 0 };
    reader.skip_tag()?;
    if !reader.take(b'{') {
        return Err("an event is a map, {…}".to_owned());
    }
    let mut draft = Draft::default();
    while !reader.closes(b'}')? {
        let key = reader.form()?;
        let value = reader.form()?;
        if let Value::Keyword(key) = key {
            draft.set(&key, value);
        }
    }
    match reader.peek() {
        None => Ok(draft),
        Some(_) => Err(reader.wrong("more than one form in a line")),
    }
}

/// Where in a line the reading is.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, what: &str) -> String {
        format!("column {}: {what}", self.at + 1)
    }

    /// The next byte that is no blank; a comma is a blank in EDN.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b',');
        self.at += blanks.count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn closes(&mut self, bracket: u8) -> Result<bool, String> {
        match self.peek() {
            None => Err(self.wrong(&format!("'{}' is missing", char::from(bracket)))),
            Some(_) => Ok(self.take(bracket)),
        }
    }

    /// Passes over `#some.record` before a form; `#{` begins a set.
    fn skip_tag(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'#') && self.text.as_bytes().get(self.at + 1) != Some(&b'{') {
            self.at += 1;
            if self.word().is_empty() {
                return Err(self.wrong("a tag without a name"));
            }
        }
        Ok(())
    }

    fn form(&mut self) -> Result<Value, String> {
        self.skip_tag()?;
        match self.peek() {
            None => Err(self.wrong("a form is missing")),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'[') => self.sequence(b']').map(Value::List),
            Some(b'(') => self.sequence(b')').map(Value::List),
            Some(b'{') => self.sequence(b'}').and_then(|forms| self.pairs(forms)),
            Some(b'#') => {
                self.at += 1;
                self.sequence(b'}').map(Value::List)
            }
            Some(_) => self.atom(),
        }
    }

    fn sequence(&mut self, end: u8) -> Result<Vec<Value>, String> {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong("nested too deeply"));
        }
        self.at += 1;
        self.depth += 1;
        let mut forms = Vec::new();
        while !self.closes(end)? {
            forms.push(self.form()?);
        }
        self.depth -= 1;
        Ok(forms)
    }

    fn pairs(&self, forms: Vec<Value>) -> Result<Value, String> {
        if forms.len() % 2 == 1 {
            return Err(self.wrong("a key without a value"));
        }
        Ok(Value::List(forms.chunks(2).map(|pair| Value::List(pair.to_vec())).collect()))
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |letter: char| letter.is_whitespace() || "()[]{}\",;".contains(letter);
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn atom(&mut self) -> Result<Value, String> {
        let start = self.at;
        let word = self.word();
        let value = match word {
            "nil" => Some(Value::Nil),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => match word.strip_prefix(':') {
                Some(name) => Some(name).filter(|name| !name.is_empty()).map(keyword),
                None => number(word),
            },
        };
        value.ok_or_else(|| {
            self.at = start;
            self.wrong(&format!("{word:?} is no form that a history can hold"))
        })
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = rest.find(['"', '\\']) else {
                return Err(self.wrong("a string without its end"));
            };
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(text);
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let mut letters = self.text[self.at..].chars();
        let letter = letters.next();
        self.at += letter.map_or(0, char::len_utf8);
        match letter {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some(same @ ('"' | '\\')) => Ok(same),
            Some('u') => {
                let digits = self.text.get(self.at..self.at + 4);
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let letter = code.and_then(char::from_u32);
                self.at += 4 * usize::from(letter.is_some());
                letter.ok_or_else(|| self.wrong("\\u wants four hexadecimal digits of a character"))
            }
            _ => Err(self.wrong("an escape that EDN does not have")),
        }
    }
}

fn keyword(name: &str) -> Value {
    Value::Keyword(name.to_owned())
}

/// An integer, or a fraction as text. Clojure writes an `N` after a big integer.
fn number(word: &str) -> Option<Value> {
    if !word.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
        return None;
    }
    let digits = word.strip_suffix('N').unwrap_or(word);
    if let Ok(number) = digits.parse() {
        return Some(Value::Int(number));
    }
    let fraction = word.contains('.') && word.parse::<f64>().is_ok();
    fraction.then(|| Value::Text(word.to_owned()))
}
