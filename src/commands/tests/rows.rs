//! What holds for every row.

use bytes::Bytes;

use super::Keyspace;
use super::keyspace::{heard, refusal, words};
use crate::commands::introspection::syntax::{Argument, Kind, parse};
use crate::commands::{
    AdminVerb, Args, Arity, Command, Handler, Hints, all, by_id, lookup, lookup_path, names,
    resolve,
};

fn every_row() -> impl Iterator<Item = &'static Command> {
    names().enumerate().map(|(id, name)| {
        let row = by_id(id).unwrap();
        assert_eq!((row.id, row.name), (id, name));
        row
    })
}

#[test]
fn every_row_is_found_by_its_name_in_any_case() {
    for row in every_row() {
        let upper = row.name.to_ascii_uppercase();
        assert_eq!(lookup_path(upper.as_bytes()).unwrap().id, row.id, "{}", row.name);
        assert_eq!(row.name, row.name.to_ascii_lowercase());
    }
    assert!(lookup(b"").is_none());
    assert!(lookup(b"getx").is_none());
    assert!(lookup(&[b'x'; 100_000]).is_none());
}

#[test]
fn every_row_is_documented() {
    for row in every_row() {
        let docs = &row.docs;
        assert!(docs.summary.ends_with('.'), "{}", row.name);
        assert!(!docs.since.is_empty() && !docs.complexity.is_empty(), "{}", row.name);
    }
}

#[test]
fn the_documented_arguments_agree_with_the_arity() {
    for row in every_row().filter(|row| row.subcommands.is_empty()) {
        let arguments = parse(row.docs.syntax);
        let name_words = if row.name.contains('|') { 2 } else { 1 };
        let words: usize = name_words + arguments.iter().map(fewest_words).sum::<usize>();
        let open = arguments.iter().any(is_open);
        let told = if open { Arity::AtLeast(words as u8) } else { Arity::Exactly(words as u8) };
        // QUIT takes anything and asks for nothing.
        assert!(told == row.arity || row.name == "quit", "{}: {told:?} {:?}", row.name, row.arity);
    }
}

fn fewest_words(argument: &Argument) -> usize {
    if argument.optional {
        return 0;
    }
    let parts = argument.parts.iter().map(fewest_words);
    let token = usize::from(argument.token.is_some() && argument.kind != Kind::Token);
    token
        + match argument.kind {
            Kind::OneOf => parts.min().unwrap_or_default(),
            Kind::Block => parts.sum(),
            _ => 1,
        }
}

fn is_open(argument: &Argument) -> bool {
    let choices = argument.parts.iter().map(fewest_words);
    let uneven = argument.kind == Kind::OneOf && choices.clone().min() != choices.max();
    argument.optional || argument.multiple || uneven || argument.parts.iter().any(is_open)
}

#[test]
fn writes_have_keys_or_concern_whole_databases() {
    for row in every_row().filter(|row| row.is_write() && row.keys.is_empty()) {
        let whole = ["flushall", "flushdb", "swapdb", "talus.sweep"];
        assert!(whole.contains(&row.name), "{}", row.name);
    }
    for row in every_row().filter(|row| !row.is_write()) {
        assert!(row.keys.0.iter().all(|spec| spec.flags.is_read()), "{}", row.name);
    }
}

#[test]
fn the_internal_row_is_hidden() {
    let mut keyspace = Keyspace::new();
    let request = words("TALUS.SWEEP 10");
    let text = refusal(keyspace.request(&request)).to_string();
    assert!(text.starts_with("ERR unknown command 'TALUS.SWEEP'"), "{text}");
    assert!(all().all(|row| !row.is_internal()));
    assert_eq!(keyspace.ask("COMMAND INFO talus.sweep"), keyspace.ask("COMMAND INFO nosuch"));
    let (reply, _) = keyspace.touched("TALUS.SWEEP 10");
    assert_eq!(reply, resp::Reply::Integer(0));
}

#[test]
fn every_container_has_help() {
    let mut keyspace = Keyspace::new();
    for row in all().filter(|row| matches!(row.handler, Handler::Container)) {
        let resp::Reply::Array(lines) = keyspace.ask(&format!("{} HELP", row.name)) else {
            panic!("{} has no help", row.name);
        };
        assert_eq!(lines.len(), 1 + 2 * row.subcommands.len());
    }
}

#[test]
fn the_whole_table_is_printed_in_every_protocol() {
    let mut keyspace = Keyspace::new();
    for line in ["COMMAND", "COMMAND DOCS", "COMMAND INFO", "COMMAND LIST"] {
        let reply = keyspace.ask(line);
        for protocol in [resp::Protocol::Resp2, resp::Protocol::Resp3, resp::Protocol::Node] {
            heard(&reply, protocol);
        }
    }
}

#[test]
fn keys_are_where_redis_finds_them() {
    let keys = |line: &str| {
        let request = words(line);
        let row = resolve(&request).unwrap();
        let keys = row.keys_of(&request).map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        keys.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("MSET a 1 b 2"), "a b");
    assert_eq!(keys("DEL a b c"), "a b c");
    assert_eq!(keys("BITOP AND d a b"), "d a b");
    assert_eq!(keys("LCS a b LEN"), "a b");
    assert_eq!(keys("COPY a b DB 1"), "a b");
    assert_eq!(keys("OBJECT ENCODING a"), "a");
    assert_eq!(keys("WATCH a b"), "a b");
    assert_eq!(keys("PING a"), "");
}

#[test]
fn verbs_are_parsed_with_redis_errors() {
    let verb = |line: &str| {
        let request = words(line);
        let row = resolve(&request)?;
        let Handler::Admin(verb) = row.handler else { panic!("{line}") };
        verb.parse(&mut Args::new(row, &request))
    };
    assert_eq!(verb("REPLICAOF NO ONE"), Ok(AdminVerb::ReplicaOfNoOne));
    assert_eq!(
        verb("slaveof localhost 7000"),
        Ok(AdminVerb::ReplicaOf { host: "localhost".into(), port: 7000 })
    );
    assert_eq!(verb("WAIT 2 100"), Ok(AdminVerb::Wait { replicas: 2, timeout_ms: 100 }));
    for (line, text) in [
        ("REPLICAOF host 70000", "ERR Invalid master port"),
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("CLIENT KILL TYPE x", "ERR Unknown client type 'x'"),
        ("CLIENT PAUSE -1", "ERR timeout is negative"),
        ("CONFIG SET a", "ERR wrong number of arguments for 'config|set' command"),
        ("CLIENT NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        ("SHUTDOWN ABORT NOW", "ERR syntax error"),
        ("SLOWLOG GET -2", "ERR count should be greater than or equal to -1"),
        (
            "DEBUG NOSUCH",
            "ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
        ),
    ] {
        assert_eq!(verb(line).unwrap_err().to_string(), text, "{line}");
    }
}

#[test]
fn an_empty_request_is_refused() {
    let none: [Bytes; 0] = [];
    assert!(resolve(&none).is_err());
    assert!(Hints::default().contains(Hints::default()));
}
