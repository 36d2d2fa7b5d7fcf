//! The golden scripts that need no session, run without a server.

#[path = "../../../tests/golden/expect.rs"]
mod expect;
#[path = "../../../tests/golden/render.rs"]
mod render;
#[path = "../../../tests/golden/script.rs"]
#[expect(dead_code, reason = "the runner of servers needs more of it")]
mod script;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use resp::Protocol;

use super::keyspace::{Keyspace, Way, heard};
use crate::commands::{Handler, resolve};
use script::{Deed, Script, Step};

const FAMILIES: [&str; 5] = ["strings", "keys", "bitmaps", "server", "connection"];

#[test]
fn reads_outside_of_the_log() {
    run_all(Way::Session, Protocol::Resp2);
}

#[test]
fn reads_outside_of_the_log_in_resp3() {
    run_all(Way::Session, Protocol::Resp3);
}

#[test]
fn everything_in_the_log() {
    run_all(Way::Transaction, Protocol::Resp2);
}

fn run_all(way: Way, protocol: Protocol) {
    let root = Path::new("tests/scripts");
    let (mut ran, mut differences) = (0, Vec::new());
    for path in FAMILIES.iter().flat_map(|family| files(&root.join(family))) {
        let script = Script::load(&root, &path);
        if is_runnable(&script, way, protocol) {
            ran += 1;
            run_script(&script, way, protocol, &mut differences);
        }
    }
    assert!(ran > 50, "only {ran} scripts ran");
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n"));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Whether every line can be answered by commands alone.
fn is_runnable(script: &Script, way: Way, protocol: Protocol) -> bool {
    let resp3 = protocol == Protocol::Resp3;
    let fits = match (script.header("resp"), script.header("multi"), script.header("needs")) {
        (_, _, Some(_)) => false,
        (Some("2"), ..) if resp3 => false,
        (Some("3"), ..) if !resp3 => false,
        (_, Some("no"), _) if way == Way::Transaction => false,
        _ => true,
    };
    fits && script.steps.iter().all(|step| match &step.deed {
        Deed::Remark | Deed::Advance(_) => true,
        Deed::Request { client: '-', args, .. } => is_plain(args),
        _ => false,
    })
}

fn is_plain(args: &[Vec<u8>]) -> bool {
    let request: Vec<Bytes> = args.iter().cloned().map(Bytes::from).collect();
    match resolve(&request) {
        Ok(command) if command.name == "select" => true,
        Ok(command) => !matches!(command.handler, Handler::Session(_) | Handler::Admin(_)),
        Err(_) => true,
    }
}

fn run_script(script: &Script, way: Way, protocol: Protocol, differences: &mut Vec<String>) {
    let mut keyspace = Keyspace::with(way);
    for step in &script.steps {
        let Some(actual) = answer(&mut keyspace, step, protocol) else { continue };
        let expected = step.expected(protocol == Protocol::Resp3);
        if !expect::matches(expected, &actual) {
            let (name, line, text) = (&script.name, step.line, &step.text);
            differences.push(format!("{name}:{line}: {text}\n  {expected:?}\n  {actual:?}"));
        }
    }
}

fn answer(keyspace: &mut Keyspace, step: &Step, protocol: Protocol) -> Option<Vec<String>> {
    match &step.deed {
        Deed::Advance(time) => {
            keyspace.advance(*time);
            None
        }
        Deed::Request { args, unordered, .. } => {
            let request: Vec<Bytes> = args.iter().cloned().map(Bytes::from).collect();
            let reply = heard(&keyspace.request(&request), protocol);
            Some(render::render(&if *unordered { render::ordered(reply) } else { reply }))
        }
        _ => None,
    }
}
