#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{Event, Format, History, Kind, Malformed, Process, Recorder, Value};

const BOTH: [Format; 2] = [Format::Edn, Format::Jsonl];

fn written(history: &History, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    match format {
        Format::Edn => history.write_edn(&mut bytes).unwrap(),
        Format::Jsonl => history.write_jsonl(&mut bytes).unwrap(),
    }
    bytes
}

fn edn(text: &str) -> Result<History, Malformed> {
    History::parse(text.as_bytes(), Format::Edn)
}

fn refused(text: &str) -> String {
    edn(text).unwrap_err().to_string()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<String>().prop_map(Value::Text),
        ":.*".prop_map(Value::Text),
        "[a-z][a-z0-9/.*+!?-]{0,8}".prop_map(Value::Keyword),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        proptest::collection::vec(inner, 0..6).prop_map(Value::List)
    })
}

/// An operation of a client, or an event of the nemesis, without index and time.
type Piece = (u8, Value, Value, Option<String>, Option<u32>, u64);

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let node = proptest::option::of(1..9_u32);
    let error = proptest::option::of(any::<String>());
    proptest::collection::vec((0..5_u8, values(), values(), error, node, 0..1000_u64), 0..12)
}

fn history(pieces: Vec<Piece>) -> History {
    let mut events = Vec::new();
    let mut time = 0;
    for (process, (kind, with, result, error, node, wait)) in pieces.into_iter().enumerate() {
        let client = Process::Client(process as u64);
        let kinds: &[(Process, Kind)] = match kind {
            0 => &[(client, Kind::Invoke), (client, Kind::Ok)],
            1 => &[(client, Kind::Invoke), (client, Kind::Fail)],
            2 => &[(client, Kind::Invoke), (client, Kind::Info)],
            3 => &[(client, Kind::Invoke)],
            _ => &[(Process::Nemesis, Kind::Info)],
        };
        for ((process, kind), value) in kinds.iter().zip([with, result]) {
            time += wait;
            let (index, f) = (events.len(), "cas".to_owned());
            let error = error.clone();
            let (kind, process) = (*kind, *process);
            events.push(Event { index, kind, process, time, f, value, error, node });
        }
    }
    History { events }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(pieces in pieces()) {
        let history = history(pieces);
        for format in BOTH {
            prop_assert_eq!(History::parse(&*written(&history, format), format), Ok(history.clone()));
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_a_prefix_or_names_its_last_line(pieces in pieces(), cut: usize) {
        let history = history(pieces);
        for format in BOTH {
            let bytes = written(&history, format);
            let bytes = &bytes[..cut % (bytes.len() + 1)];
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
            match History::parse(bytes, format) {
                Ok(read) => prop_assert!(history.events.starts_with(&read.events)),
                Err(malformed) => prop_assert_eq!(malformed.line, lines),
            }
        }
    }

    #[test]
    fn anything_is_read_without_a_panic(text in any::<String>(), tail in "[ :{}\\[\\]#\"\\\\a-z0-9,-]*") {
        for format in BOTH {
            let _ = History::parse(text.as_bytes(), format);
            let _ = History::parse(tail.as_bytes(), format);
        }
    }
}

const OPEN: &str = "{:type :invoke, :process 0, :time 5, :f :read, :value nil}\n";

#[test]
fn what_other_programs_write_is_read() {
    let text = "; a comment\n\n#jepsen.history.Op{:index 0 :type :invoke, :process 0, :time 5, \
        :f :read, :value (1 #{2} {:a 0.5}), :extra #inst \"x\", :map {:deep [{}]}}\n\
        {:index 1, :type :fail, :process 0, :time 6, :f :read, :error [:timed \"out\"]}";
    let events = edn(text).unwrap().events;
    assert_eq!(events[0].value.to_string(), "[1 [2] [[:a \"0.5\"]]]");
    assert_eq!(events[1].error.as_deref(), Some("[:timed \"out\"]"));
    let json = r#"{"index":0,"type":"info","process":"nemesis","time":5,"f":"start-loss","value":{"n1":0.5},"x":{"y":[]}}"#;
    let events = History::parse(json.as_bytes(), Format::Jsonl).unwrap().events;
    assert_eq!(events[0].value.to_string(), "[[\"n1\" \"0.5\"]]");
}

#[test]
fn the_readmes_lines_are_read() {
    let readme = include_str!("../../README.md");
    let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with("{:index")).collect();
    let history = edn(&lines.join("\n")).unwrap();
    let again: Vec<String> = history.events.iter().map(Event::to_edn).collect();
    assert_eq!(again, lines);
}

#[test]
fn a_wrong_line_is_named() {
    let second = |line: &str| refused(&format!("{OPEN}{line}\n"));
    assert_eq!(second("{:type :ok, :process 0}"), "line 2: time is missing");
    assert_eq!(second("{:type 7, :process 0}"), "line 2: type 7 is no name");
    assert_eq!(
        second("{:type :odd, :process 0}"),
        "line 2: type odd is none of invoke, ok, fail, info"
    );
    assert_eq!(second("[1 2]"), "line 2: an event is a map, {…}");
    assert_eq!(second("{:type :ok"), "line 2: column 11: '}' is missing");
    assert_eq!(second("{:value x}"), "line 2: column 9: \"x\" is no form that a history can hold");
    assert_eq!(second("{:index 5}"), "line 2: index 5, where 1 follows: events are missing");
    assert_eq!(
        second("{:type :ok :process x}"),
        "line 2: column 21: \"x\" is no form that a history can hold"
    );
    assert_eq!(
        second("{:type :ok :process -1 :time 5}"),
        "line 2: process -1 is neither a natural number nor nemesis"
    );
    assert_eq!(
        second("{:type :ok :process 0 :time 5 :f :read :node 0}"),
        "line 2: node is counted from 1"
    );
    let deep = "[".repeat(100_000);
    assert!(second(&format!("{{:value {deep}")).ends_with("nested too deeply"));
    let json = History::parse(&b"{\"index\":0,\"type\":}\n"[..], Format::Jsonl).unwrap_err();
    assert_eq!(json.to_string(), "line 1: column 19: expected value");
}

#[test]
fn a_cut_last_line_says_so() {
    let cut = refused(&format!("{OPEN}{{:type :ok, :proc"));
    assert_eq!(cut, "line 2: cut off: column 18: a form is missing");
}

#[test]
fn the_invariants_of_a_history_are_demanded() {
    let second = |line: &str| refused(&format!("{OPEN}{line}\n"));
    assert_eq!(
        second("{:type :ok :process 1 :time 5 :f :read}"),
        "line 2: process 1 completes what it never invoked"
    );
    assert_eq!(
        second("{:type :ok :process 0 :time 5 :f :write}"),
        "line 2: process 0 completes write, but event 0 invoked read"
    );
    assert_eq!(
        second("{:type :ok :process 0 :time 4 :f :read}"),
        "line 2: time goes back from 5 to 4"
    );
    assert_eq!(
        second("{:type :invoke :process 0 :time 5 :f :read}"),
        "line 2: process 0 has still the operation of event 0 open"
    );
    assert_eq!(
        second("{:type :ok :process :nemesis :time 5 :f :heal}"),
        "line 2: an event of the nemesis is of type info, not ok"
    );
    let again = format!("{{:type :info :process 0 :time 5 :f :read}}\n{OPEN}");
    assert_eq!(
        refused(&format!("{OPEN}{again}")),
        "line 3: process 0 is used after an operation of unknown outcome"
    );
}

#[test]
fn a_file_is_told_by_its_extension() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.edn");
    std::fs::write(&path, OPEN).unwrap();
    assert_eq!(History::read(&path).unwrap().events.len(), 1);
    let other = History::read(&dir.path().join("history.txt")).unwrap_err();
    assert!(other.to_string().ends_with("a history ends in .edn or .jsonl"), "{other}");
    assert_eq!(History::read(&dir.path().join("none.jsonl")).unwrap_err().line, 0);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn threads_record_one_history_that_is_in_the_file_at_once() {
    let file = Shared::default();
    let recorder = Recorder::new(io::BufWriter::new(file.clone()));
    std::thread::scope(|scope| {
        for process in 0..4 {
            let recorder = &recorder;
            scope.spawn(move || {
                for value in 0..200 {
                    let process = Process::Client(process);
                    recorder.record(Kind::Invoke, process, "add", Value::Int(value), None, Some(1));
                    recorder.record(Kind::Ok, process, "add", Value::Int(value), None, Some(1));
                }
            });
        }
    });
    let seen = History::parse(file.0.lock().unwrap().as_slice(), Format::Jsonl).unwrap();
    let kept = recorder.finish();
    assert_eq!(kept.events.len(), 1600);
    assert_eq!(seen, kept);
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("disk full"))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recorder_whose_file_fails_keeps_the_events_and_says_so() {
    let recorder = Recorder::new(Full);
    recorder.record(Kind::Info, Process::Nemesis, "heal", Value::Nil, None, None);
    assert_eq!(recorder.failure().as_deref(), Some("disk full"));
    assert_eq!(recorder.finish().events.len(), 1);
}
