//! Arguments in the notation of Redis's documentation, with types.
//!
//! ```text
//! key value [NX | XX] [GET] [EX seconds:integer | PX milliseconds:integer | KEEPTTL]
//! {key value}...
//! ```
//!
//! A word in lower case is an argument, a string unless a type follows its colon; `key` and the
//! like are keys. A word in upper case is said as it is; first in its brackets, it introduces what
//! follows. `[ ]` is optional, `{ }` groups, `|` separates choices, `...` repeats what it follows.

/// One argument, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, in lower case.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word that is said, by itself or before the argument.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be given several times.
    pub multiple: bool,
    /// What it consists of, or the choices.
    pub parts: Vec<Argument>,
}

/// What an argument is. The names are those of `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    String,
    /// A whole number.
    Integer,
    /// A floating-point number.
    Double,
    /// A key.
    Key,
    /// A glob.
    Pattern,
    /// A time since 1970.
    UnixTime,
    /// A word by itself.
    Token,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

impl Kind {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::String, "string"),
        (Self::Integer, "integer"),
        (Self::Double, "double"),
        (Self::Key, "key"),
        (Self::Pattern, "pattern"),
        (Self::UnixTime, "unix-time"),
        (Self::Token, "pure-token"),
        (Self::OneOf, "oneof"),
        (Self::Block, "block"),
    ];

    /// As `COMMAND DOCS` prints it.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(kind, _)| *kind == self).map_or("string", |(_, name)| name)
    }

    fn named(name: &str) -> Self {
        Self::NAMES.into_iter().find(|(_, it)| *it == name).map_or(Self::String, |(kind, _)| kind)
    }
}

/// The arguments `text` describes.
pub fn parse(text: &'static str) -> Vec<Argument> {
    let mut parser = Parser { rest: text };
    parser.sequence()
}

struct Parser {
    rest: &'static str,
}

impl Parser {
    fn eat(&mut self, mark: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> &'static str {
        let ends = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '{' | '}' | '|');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let end = self.rest[..end].find("...").unwrap_or(end);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Everything up to a bracket, a bar or the end.
    fn sequence(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        loop {
            let mut argument = if self.eat("[") {
                Argument { optional: true, ..self.group("]") }
            } else if self.eat("{") {
                self.group("}")
            } else {
                match self.word() {
                    "" => return arguments,
                    word => leaf(word),
                }
            };
            argument.multiple |= self.eat("...");
            arguments.push(argument);
        }
    }

    /// Choices up to the closing bracket.
    fn group(&mut self, close: &str) -> Argument {
        let mut choices = vec![introduce(self.sequence())];
        while self.eat("|") {
            choices.push(introduce(self.sequence()));
        }
        self.eat(close);
        if choices.len() == 1 { choices.remove(0) } else { collect(Kind::OneOf, choices) }
    }
}

fn leaf(word: &'static str) -> Argument {
    let (name, kind) = match word.split_once(':') {
        // An address is not an argument with a type.
        Some((name, kind)) if name != "ip" => (name, Kind::named(kind)),
        _ if word.starts_with("key") => (word, Kind::Key),
        _ => (word, Kind::String),
    };
    let said = name.starts_with(|c: char| c.is_ascii_uppercase());
    Argument {
        name: name.to_ascii_lowercase(),
        kind: if said { Kind::Token } else { kind },
        token: said.then_some(word),
        optional: false,
        multiple: false,
        parts: Vec::new(),
    }
}

/// A sequence as one argument; a word at its head introduces the rest.
fn introduce(mut sequence: Vec<Argument>) -> Argument {
    if sequence.len() == 1 {
        return sequence.remove(0);
    }
    if sequence.first().is_none_or(|first| first.kind != Kind::Token) {
        return collect(Kind::Block, sequence);
    }
    let head = sequence.remove(0);
    let single = sequence.len() == 1 && sequence[0].token.is_none() && !sequence[0].optional;
    let tail = if single { sequence.remove(0) } else { collect(Kind::Block, sequence) };
    Argument { token: head.token, name: if single { tail.name } else { head.name }, ..tail }
}

fn collect(kind: Kind, parts: Vec<Argument>) -> Argument {
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let name = names.join("-");
    Argument { name, kind, token: None, optional: false, multiple: false, parts }
}

/// Arguments as a person reads them, in HELP.
pub fn display(arguments: &[Argument]) -> String {
    arguments.iter().map(display_one).collect::<Vec<_>>().join(" ")
}

fn display_one(argument: &Argument) -> String {
    let inner = match argument.kind {
        Kind::Token => argument.token.unwrap_or_default().to_owned(),
        Kind::OneOf => argument.parts.iter().map(display_one).collect::<Vec<_>>().join("|"),
        Kind::Block => display(&argument.parts),
        _ => format!("<{}>", argument.name),
    };
    let token = argument.token.filter(|_| argument.kind != Kind::Token);
    let whole = token.map_or(inner.clone(), |token| format!("{token} {inner}"));
    let whole = if argument.multiple { format!("{whole} [{whole} ...]") } else { whole };
    if argument.optional { format!("[{whole}]") } else { whole }
}

#[cfg(test)]
mod tests {
    use super::{Kind, display, parse};

    #[test]
    fn options_carry_their_tokens() {
        let arguments = parse("key [NX | XX] [EX seconds:integer | KEEPTTL] {field value}...");
        assert_eq!(arguments.len(), 4);
        assert_eq!(arguments[0].kind, Kind::Key);
        assert_eq!((arguments[1].kind, arguments[1].optional), (Kind::OneOf, true));
        let ex = &arguments[2].parts[0];
        assert_eq!((ex.name.as_str(), ex.kind, ex.token), ("seconds", Kind::Integer, Some("EX")));
        assert_eq!((arguments[3].kind, arguments[3].multiple), (Kind::Block, true));
        assert_eq!(arguments[3].parts.len(), 2);
    }

    #[test]
    fn a_token_before_several_arguments_makes_a_block() {
        let arguments = parse("[LIMIT offset:integer count:integer]");
        assert_eq!((arguments[0].kind, arguments[0].token), (Kind::Block, Some("LIMIT")));
        assert_eq!(arguments[0].name, "limit");
    }

    #[test]
    fn people_can_read_it() {
        let text = |syntax| display(&parse(syntax));
        assert_eq!(text("key [COUNT count:integer]"), "<key> [COUNT <count>]");
        assert_eq!(text("{ON | OFF} key..."), "ON|OFF <key> [<key> ...]");
    }
}
