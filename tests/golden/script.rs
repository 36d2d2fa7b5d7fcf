//! The format of a script.
//!
//! ```text
//! # A comment. Those at the top may be headers:
//! # since: valkey        Debian's Redis is too old for this
//! # not: valkey          Valkey has changed this
//! # talus-only           no other server has this
//! # resp: 2              only in RESP2 (or 3)
//! # multi: no            not wrapped in MULTI and EXEC
//! # cluster: no          not on three nodes; the next line says why
//! # needs: lists         Talus skips it until it has them
//!
//! > SET key "a b"        a request; words and quotes as in redis-cli
//! OK                     its reply, as redis-cli shows it
//! > CONFIG GET port
//! 1) "port"
//! 2) "6379"
//! resp3:                 what RESP3 shows, where that is something else
//! 1# "port" => "6379"
//! a> GET key             clients have names of one letter; no name is a client too
//! ~> KEYS *              the order of the elements does not matter
//! !> CLIENT REPLY OFF    sent, and no reply waited for
//! a<                     the next reply or push of a client
//! => "PING\r\n"          bytes as they are
//! advance 10ms           waits
//! ```
//!
//! In a request, the word `<reply>` stands for the last string that was a reply, to any client.
//! In replies, `<integer>` stands for any integer, `<10..20>` for one of these, `<any>` for any text
//! within a line, and a line `...` for any lines.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which server a script is run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    Redis,
    Valkey,
    Talus,
}

/// One file.
#[derive(Debug)]
pub struct Script {
    /// Its path below `scripts/` without the ending, such as `strings/set`.
    pub name: String,
    pub path: PathBuf,
    pub headers: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

/// A line and the reply below it. Comments and blank lines are steps too, so that they survive
/// recording.
#[derive(Debug)]
pub struct Step {
    /// From 1.
    pub line: usize,
    /// As written.
    pub text: String,
    pub deed: Deed,
    pub reply: Vec<String>,
    pub resp3: Option<Vec<String>>,
}

#[derive(Debug)]
pub enum Deed {
    Remark,
    Advance(Duration),
    Request { client: char, args: Vec<Vec<u8>>, unordered: bool },
    Send { client: char, args: Vec<Vec<u8>> },
    Raw { client: char, bytes: Vec<u8> },
    Receive { client: char },
}

/// The client of lines without a name.
const NAMELESS: char = '-';

impl Script {
    pub fn load(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(root).unwrap().with_extension("");
        let mut script = Self {
            name: name.to_str().unwrap().to_owned(),
            path: path.to_owned(),
            headers: headers(&text),
            steps: Vec::new(),
        };
        let mut in_resp3 = false;
        for (index, line) in text.lines().enumerate() {
            let deed = Deed::parse(line).unwrap_or_else(|why| {
                panic!("{}:{}: {why}: {line}", path.display(), index + 1);
            });
            match deed {
                Some(deed) => {
                    in_resp3 = false;
                    script.steps.push(Step::new(index + 1, line, deed));
                }
                None => in_resp3 = script.add_reply(line, in_resp3),
            }
        }
        script
    }

    /// Adds a line of a reply; tells whether the next ones are RESP3's.
    fn add_reply(&mut self, line: &str, in_resp3: bool) -> bool {
        let step = self.steps.last_mut().expect("a script begins with a comment or a request");
        if line == "resp3:" {
            step.resp3 = Some(Vec::new());
            return true;
        }
        match &mut step.resp3 {
            Some(resp3) if in_resp3 => resp3.push(line.to_owned()),
            _ => step.reply.push(line.to_owned()),
        }
        in_resp3
    }

    pub fn save(&self) {
        let mut text = String::new();
        for step in &self.steps {
            writeln!(text, "{}", step.text).unwrap();
            for line in &step.reply {
                writeln!(text, "{line}").unwrap();
            }
            if let Some(resp3) = &step.resp3 {
                writeln!(text, "resp3:").unwrap();
                for line in resp3 {
                    writeln!(text, "{line}").unwrap();
                }
            }
        }
        fs::write(&self.path, text).unwrap();
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The servers that can run this.
    pub fn flavors(&self) -> Vec<Flavor> {
        if self.header("talus-only").is_some() {
            return vec![Flavor::Talus];
        }
        let mut flavors = vec![Flavor::Talus];
        if self.header("since") != Some("valkey") {
            flavors.push(Flavor::Redis);
        }
        if self.header("not") != Some("valkey") {
            flavors.push(Flavor::Valkey);
        }
        flavors
    }

    /// Every request that is sent as one.
    pub fn requests(&self) -> impl Iterator<Item = &[Vec<u8>]> {
        self.steps.iter().filter_map(|step| match &step.deed {
            Deed::Request { args, .. } | Deed::Send { args, .. } => Some(&args[..]),
            _ => None,
        })
    }

    /// The server its replies come from.
    pub fn recorded_from(&self) -> Flavor {
        match self.flavors()[..] {
            [Flavor::Talus] => Flavor::Talus,
            [_, first, ..] => first,
            _ => unreachable!("a script is for Talus, and maybe for others"),
        }
    }
}

impl Step {
    fn new(line: usize, text: &str, deed: Deed) -> Self {
        Self { line, text: text.to_owned(), deed, reply: Vec::new(), resp3: None }
    }

    /// What the reply should be.
    pub fn expected(&self, resp3: bool) -> &[String] {
        match &self.resp3 {
            Some(reply) if resp3 => reply,
            _ => &self.reply,
        }
    }
}

impl Deed {
    /// `None` if the line belongs to a reply.
    fn parse(line: &str) -> Result<Option<Self>, String> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(Some(Self::Remark));
        }
        if let Some(time) = line.strip_prefix("advance ") {
            return parse_time(time).map(Self::Advance).map(Some).ok_or("no time".to_owned());
        }
        let Some((client, mark, rest)) = split_prompt(line) else { return Ok(None) };
        let words = || {
            let words = resp::split_arguments(rest.as_bytes()).ok_or("unbalanced quotes")?;
            if words.is_empty() { Err("nothing to send") } else { Ok(words) }
        };
        Ok(Some(match mark {
            '<' => Self::Receive { client },
            '!' => Self::Send { client, args: words()? },
            '=' => Self::Raw { client, bytes: words()?.concat() },
            mark => Self::Request { client, args: words()?, unordered: mark == '~' },
        }))
    }
}

/// The client, what is special, and what follows `> `; or a lone `<`.
fn split_prompt(line: &str) -> Option<(char, char, &str)> {
    let (client, rest) = match line.chars().next()? {
        client @ 'a'..='z' => (client, &line[1..]),
        _ => (NAMELESS, line),
    };
    if rest == "<" {
        return Some((client, '<', ""));
    }
    let (mark, rest) = match rest.chars().next()? {
        mark @ ('~' | '!' | '=') => (mark, &rest[1..]),
        _ => ('>', rest),
    };
    Some((client, mark, rest.strip_prefix("> ")?))
}

fn parse_time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

/// `name: value`, or a name alone, in the comments at the top.
fn headers(text: &str) -> Vec<(String, String)> {
    const NAMES: [&str; 7] = ["since", "not", "talus-only", "resp", "multi", "cluster", "needs"];
    let comments = text.lines().map_while(|line| line.strip_prefix("# "));
    comments
        .filter_map(|comment| {
            let (name, value) = comment.split_once(": ").unwrap_or((comment, ""));
            NAMES.contains(&name).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
