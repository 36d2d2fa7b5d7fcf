//! Scripts against servers.
//!
//! All scripts of a run share one server process; before each one everything is flushed, and each
//! has connections of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use resp::client::{Client, Timeouts};
use resp::{Protocol, Reply};

use super::expect::matches;
use super::render::{ordered, render};
use super::script::{Deed, Flavor, Script, Step};
use super::server::Target;

/// The types Talus has, as scripts name them in `# needs:`.
const TALUS_HAS: &[&str] = &[];
/// No reply of a script takes longer, waits included.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Resp2,
    Resp3,
    /// Each request between MULTI and EXEC, in RESP2.
    Transaction,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Resp2, Mode::Resp3, Mode::Transaction];
}

/// Whether replies are to be recorded.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// The scripts.
pub struct Suite {
    pub scripts: Vec<Script>,
}

impl Suite {
    /// All scripts, or those the environment names.
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        paths.sort();
        let filter = std::env::var("GOLDEN").unwrap_or_default();
        let scripts = paths.iter().map(|path| Script::load(&root, path));
        Self { scripts: scripts.filter(|script| script.name.contains(&filter)).collect() }
    }

    /// Runs every script that `target` can run. Panics with all differences found.
    pub fn run(&self, target: &mut impl Target, mode: Mode) {
        let begin = Instant::now();
        let (mut ran, mut skipped, mut differences) = (0, BTreeMap::new(), Vec::new());
        for script in &self.scripts {
            if let Some(reason) = reason_to_skip(script, target.flavor(), mode) {
                *skipped.entry(reason).or_insert(0) += 1;
                continue;
            }
            ran += 1;
            differences.extend(run_script(script, target, mode));
        }
        let flavor = target.flavor();
        println!(
            "{flavor:?} {mode:?}: {ran} scripts in {:?}, skipped {skipped:?}",
            begin.elapsed()
        );
        let count = differences.len();
        assert!(count == 0, "{count} differences\n{}", differences.join("\n"));
    }

    /// Writes the replies of `target` into the scripts it is the model for.
    pub fn record(&mut self, target: &mut impl Target) {
        for script in &mut self.scripts {
            if script.recorded_from() == target.flavor() {
                record_script(script, target);
                script.save();
            }
        }
    }
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "txt") {
            paths.push(path);
        }
    }
}

fn reason_to_skip(script: &Script, flavor: Flavor, mode: Mode) -> Option<String> {
    if !script.flavors().contains(&flavor) {
        return Some("not for this server".to_owned());
    }
    let lacks = |needed: &str| flavor == Flavor::Talus && !TALUS_HAS.contains(&needed);
    if let Some(needed) = script.header("needs").filter(|needed| lacks(needed)) {
        return Some(format!("needs {needed}"));
    }
    let resp3 = mode == Mode::Resp3;
    match (script.header("resp"), script.header("multi")) {
        (Some("2"), _) if resp3 => Some("RESP2 only".to_owned()),
        (Some("3"), _) if !resp3 => Some("RESP3 only".to_owned()),
        (_, Some("no")) if mode == Mode::Transaction => Some("not in a transaction".to_owned()),
        _ => None,
    }
}

fn run_script(script: &Script, target: &mut impl Target, mode: Mode) -> Vec<String> {
    let mut differences = Vec::new();
    let mut clients = Clients::new(mode);
    if let Err(error) = clients.reset(target) {
        return vec![format!("{}: cannot begin: {error}", script.name)];
    }
    for step in &script.steps {
        target.before_step();
        let Some(actual) = clients.step(step, target) else { continue };
        let expected = step.expected(mode == Mode::Resp3);
        if !matches(expected, &actual) {
            differences.push(difference(script, step, expected, &actual));
        }
    }
    differences
}

fn difference(script: &Script, step: &Step, expected: &[String], actual: &[String]) -> String {
    let block = |lines: &[String]| lines.join("\n    ");
    let (name, line, text) = (&script.name, step.line, &step.text);
    format!(
        "{name}:{line}: {text}\n  expected\n    {}\n  got\n    {}",
        block(expected),
        block(actual)
    )
}

/// Keeps what matches already; RESP3's reply is written only where it is another one.
fn record_script(script: &mut Script, target: &mut impl Target) {
    for mode in [Mode::Resp2, Mode::Resp3] {
        if reason_to_skip(script, target.flavor(), mode).is_some() {
            continue;
        }
        let mut clients = Clients::new(mode);
        clients.reset(target).unwrap();
        for step in &mut script.steps {
            let Some(actual) = clients.step(step, target) else { continue };
            let resp3 = mode == Mode::Resp3;
            if resp3 && matches(&step.reply, &actual) {
                step.resp3 = None;
            } else if !matches(step.expected(resp3), &actual) {
                match (resp3, script.headers.iter().any(|(name, _)| name == "resp")) {
                    (true, false) => step.resp3 = Some(actual),
                    _ => step.reply = actual,
                }
            }
        }
    }
}

/// The connections of one script, by name.
struct Clients {
    mode: Mode,
    open: BTreeMap<char, Client>,
    /// Names in order of appearance, which decides where a client connects.
    names: Vec<char>,
}

impl Clients {
    fn new(mode: Mode) -> Self {
        Self { mode, open: BTreeMap::new(), names: Vec::new() }
    }

    fn reset(&mut self, target: &impl Target) -> io::Result<()> {
        let reply = connect(target, 0, Protocol::Resp2)?.request(&["FLUSHALL"])?;
        if reply == Reply::OK { Ok(()) } else { Err(io::Error::other(format!("{reply:?}"))) }
    }

    /// Carries out a line. `None` if it has no reply.
    fn step(&mut self, step: &Step, target: &impl Target) -> Option<Vec<String>> {
        match &step.deed {
            Deed::Remark => None,
            Deed::Advance(time) => {
                thread::sleep(*time);
                None
            }
            Deed::Request { client, args, unordered } => {
                let wrapped = self.mode == Mode::Transaction;
                Some(self.answer(*client, target, |client| {
                    let reply =
                        if wrapped { in_transaction(client, args) } else { client.request(args) };
                    reply.map(|reply| if *unordered { ordered(reply) } else { reply })
                }))
            }
            Deed::Send { client, args } => {
                let sent = self.client(*client, target).and_then(|client| {
                    client.send(args)?;
                    client.flush()
                });
                sent.err().map(|error| vec![failure(&error)])
            }
            Deed::Raw { client, bytes } => Some(self.answer(*client, target, |client| {
                client.send_raw(bytes);
                client.flush()?;
                client.receive()
            })),
            Deed::Receive { client } => Some(self.answer(*client, target, |client| {
                client.take_push().map_or_else(|| client.receive(), Ok)
            })),
        }
    }

    /// A reply as lines. A connection that fails is dropped: the next line opens another one.
    fn answer(
        &mut self,
        name: char,
        target: &impl Target,
        ask: impl FnOnce(&mut Client) -> io::Result<Reply>,
    ) -> Vec<String> {
        match self.client(name, target).and_then(ask) {
            Ok(reply) => render(&reply),
            Err(error) => {
                self.open.remove(&name);
                vec![failure(&error)]
            }
        }
    }

    fn client(&mut self, name: char, target: &impl Target) -> io::Result<&mut Client> {
        let known = self.names.iter().position(|it| *it == name);
        let number = known.unwrap_or(self.names.len());
        if known.is_none() {
            self.names.push(name);
        }
        if !self.open.contains_key(&name) {
            let resp3 = self.mode == Mode::Resp3;
            let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            self.open.insert(name, connect(target, number, protocol)?);
        }
        Ok(self.open.get_mut(&name).expect("just inserted"))
    }
}

fn connect(target: &impl Target, number: usize, protocol: Protocol) -> io::Result<Client> {
    let timeouts = Timeouts { connect: REPLY_TIMEOUT, io: Some(REPLY_TIMEOUT) };
    let mut client = Client::connect_within(target.addr(number), timeouts)?;
    if protocol != Protocol::Resp2 {
        client.hello(protocol)?;
    }
    Ok(client)
}

/// The one reply of a transaction of one request, or the refusal to queue it.
fn in_transaction(client: &mut Client, args: &[Vec<u8>]) -> io::Result<Reply> {
    client.request(&["MULTI"])?;
    let queued = client.request(args)?;
    if queued.is_error() {
        client.request(&["DISCARD"])?;
        return Ok(queued);
    }
    match client.request(&["EXEC"])? {
        Reply::Array(mut replies) if replies.len() == 1 => Ok(replies.remove(0)),
        other => Ok(other),
    }
}

fn failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "(closed)".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "(no reply)".to_owned(),
        _ => format!("(failed) {error}"),
    }
}
