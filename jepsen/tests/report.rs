//! Reports as files: what is in them, whatever the history was.
//!
//! The report of a small run is kept in `tests/golden/report`; `UPDATE_GOLDEN=1` writes it anew, for
//! a reader to look at the difference.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "report/invented.rs"]
mod invented;
#[path = "report/wellformed.rs"]
mod wellformed;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use invented::Size;
use jepsen::check::{Finding, Verdict};
use jepsen::cluster::server::Identity;
use jepsen::cluster::{Role, Sample};
use jepsen::history::{Event, History, Kind, Process, Value};
use jepsen::report::{Summary, text, write};
use serde_json::json;
use wellformed::elements;

const FILES: [&str; 5] = ["latency.svg", "rate.svg", "results.json", "roles.svg", "timeline.html"];
const SMALL: Size = Size { seed: 5, seconds: 24, nodes: 3, threads: 3, operations: 60 };
const LARGE: Size = Size { seed: 7, seconds: 60, nodes: 5, threads: 10, operations: 36_000 };

type Files = BTreeMap<String, String>;

fn report(history: &History, samples: &[Sample], summary: &Summary) -> Files {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("made/by/it"), history, samples, summary).unwrap();
    let mut files = Files::new();
    for entry in fs::read_dir(dir.path().join("made/by/it")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        files.insert(name, fs::read_to_string(entry.path()).unwrap());
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), FILES, "these files, and nothing half written");
    for (name, text) in &files {
        match name.ends_with(".json") {
            true => drop(serde_json::from_str::<serde_json::Value>(text).unwrap()),
            false => sane(name, text),
        }
    }
    files
}

/// Well formed, of finite numbers, and sufficient unto itself.
fn sane(name: &str, text: &str) {
    let elements = elements(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!elements.is_empty(), "{name} is empty");
    for element in &elements {
        assert!(!matches!(element.tag.as_str(), "script" | "link" | "img" | "image"), "{name}");
        for (key, value) in &element.attributes {
            let number = !matches!(key.as_str(), "data-t" | "class");
            assert!(
                !number || !(value.contains("NaN") || value.contains("inf")),
                "{name}: {value}"
            );
            assert!(key != "href" || value.starts_with('#'), "{name} leads elsewhere: {value}");
            assert!(!key.starts_with("on"), "{name} has a handler {key}");
        }
    }
    assert!(!text.contains("url(") && !text.contains("@import"), "{name} needs what is elsewhere");
}

fn with_class<'a>(
    elements: &'a [wellformed::Element],
    class: &str,
) -> Vec<&'a wellformed::Element> {
    elements.iter().filter(|it| it.classes().any(|other| other == class)).collect()
}

#[test]
fn a_small_run_is_reported_as_it_was() {
    let (history, samples, summary) = invented::run(SMALL);
    let mut files = report(&history, &samples, &summary);
    files.insert("terminal.txt".to_string(), text(&summary, &history));
    // Tests run in the directory of their package, wherever they were compiled.
    let golden = Path::new("tests/golden/report");
    for (name, text) in files {
        let path = golden.join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(golden).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(text == expected, "{name} is not as in {}: UPDATE_GOLDEN=1", path.display());
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (history, samples, summary) = invented::run(SMALL);
    assert_eq!(report(&history, &samples, &summary), report(&history, &samples, &summary));
}

#[test]
fn a_timeline_has_a_box_for_each_operation_in_the_column_of_its_thread() {
    let (history, samples, summary) = invented::run(SMALL);
    let files = report(&history, &samples, &summary);
    let elements = elements(&files["timeline.html"]).unwrap();
    let operations = history.operations();
    let boxes = with_class(&elements, "op");
    assert_eq!(boxes.len(), operations.len());
    let retired = operations.iter().filter(|it| it.invoked.process >= Process::Client(3)).count();
    assert!(retired > 0, "the run has a process that follows another");
    for (operation, element) in operations.iter().zip(boxes) {
        let Process::Client(process) = operation.invoked.process else { panic!("a nemesis") };
        assert!(element.attribute("style").starts_with(&format!("--c:{};", process % 3)));
        assert_eq!(element.attribute("id"), format!("op-{}", operation.invoked.index));
        let outcome = format!("{:?}", operation.outcome()).to_lowercase();
        assert!(element.classes().any(|class| class == outcome), "{element:?}");
        let told = element.attribute("data-t");
        let node = format!("node {}", operation.invoked.node.unwrap());
        assert!(told.contains(&node) && told.contains(&operation.value().to_string()), "{told}");
    }
    assert!(files["timeline.html"].contains("operations are drawn"));
}

#[test]
fn boxes_of_a_process_never_overlap() {
    let (history, samples, summary) = invented::run(LARGE);
    let files = report(&history, &samples, &summary);
    let elements = elements(&files["timeline.html"]).unwrap();
    let mut free: BTreeMap<String, f64> = BTreeMap::new();
    for element in with_class(&elements, "op") {
        let [column, top, height] = element.style();
        let (top, height): (f64, f64) = (top.parse().unwrap(), height.parse().unwrap());
        assert!(height >= 13.0, "too low to be read: {element:?}");
        let free = free.entry(column).or_default();
        assert!(top + 0.2 >= *free, "{element:?} begins above {free}");
        *free = top + height;
    }
}

#[test]
fn a_timeline_has_a_lane_for_each_node_that_tells_its_role_and_term() {
    let (history, samples, summary) = invented::run(LARGE);
    let files = report(&history, &samples, &summary);
    let elements = elements(&files["timeline.html"]).unwrap();
    let mut lanes: BTreeMap<String, (f64, &str)> = BTreeMap::new();
    for element in with_class(&elements, "role") {
        let [left, top, height] = element.style();
        let (top, height): (f64, f64) = (top.parse().unwrap(), height.parse().unwrap());
        let (told, role) = (element.attribute("data-t"), element.classes().nth(1).unwrap());
        let (node, rest) = told.split_once(": ").unwrap();
        let (free, of) = lanes.entry(left).or_insert((0.0, node));
        assert!(*of == node && top + 0.2 >= *free, "{element:?} begins above {free} of {of}");
        *free = top + height;
        assert!(rest.starts_with(role) && rest.contains(" s to "), "{told}");
        assert_eq!(rest.contains(", term "), role != "down", "{told}");
    }
    let nodes: Vec<&str> = lanes.values().map(|(_, node)| *node).collect();
    assert_eq!(nodes, ["node 1", "node 2", "node 3", "node 4", "node 5"]);
    for role in ["leader", "follower", "learner", "candidate", "down"] {
        assert!(with_class(&elements, role).len() > 1, "{role} beside its legend");
    }
}

#[test]
fn of_a_large_run_what_lies_about_faults_and_anomalies_is_drawn() {
    let (history, samples, summary) = invented::run(LARGE);
    let files = report(&history, &samples, &summary);
    let timeline = &files["timeline.html"];
    let elements = elements(timeline).unwrap();
    assert!(history.operations().len() > 15_000);
    assert_eq!(with_class(&elements, "op").len(), 5_000);
    assert!(timeline.contains("operations 5,000 are drawn"), "and it says so");
    assert!(!with_class(&elements, "gap").is_empty());
    assert!(!with_class(&elements, "accused").is_empty());
    for index in summary.findings[2].details["anomalies"][0]["events"].as_array().unwrap() {
        assert!(timeline.contains(&format!("id=\"op-{index}\"")), "#{index} is accused");
    }
    let kill = history.faults().find(|event| event.f == "start-kill").unwrap();
    let next = history.operations().into_iter().find(|it| it.invoked.index > kill.index).unwrap();
    assert!(timeline.contains(&format!("id=\"op-{}\"", next.invoked.index)), "after a kill");
}

#[test]
fn pictures_show_every_fault_and_outcome() {
    let (history, samples, summary) = invented::run(LARGE);
    let files = report(&history, &samples, &summary);
    let installed = files["results.json"].parse::<serde_json::Value>().unwrap();
    let installed = installed["faults_installed"].as_u64().unwrap() as usize;
    for (name, panels) in [("latency.svg", 2), ("rate.svg", 3), ("roles.svg", 1)] {
        let elements = elements(&files[name]).unwrap();
        assert_eq!(with_class(&elements, "panel").len(), panels, "{name}");
        assert_eq!(with_class(&elements, "shade").len(), panels * installed, "{name}");
        for fault in ["partition", "kill", "pause", "clock", "transfer"] {
            assert!(files[name].contains(&format!("{fault} ×")), "{name} names {fault}");
        }
    }
    let latency = elements(&files["latency.svg"]).unwrap();
    for outcome in ["ok", "fail", "info"] {
        let dots = with_class(&latency, "dots");
        let paths = dots.iter().filter(|it| it.classes().any(|class| class == outcome)).count();
        assert_eq!(paths, 3, "a path for each f that ended {outcome}");
    }
    for role in ["leader", "follower", "learner", "candidate", "down"] {
        let roles = elements(&files["roles.svg"]).unwrap();
        assert!(with_class(&roles, role).len() > 1, "{role} beside its legend");
    }
}

#[test]
fn results_hold_what_was_counted() {
    let (history, samples, summary) = invented::run(LARGE);
    let files = report(&history, &samples, &summary);
    let results: serde_json::Value = serde_json::from_str(&files["results.json"]).unwrap();
    assert_eq!(results["verdict"], "invalid");
    assert_eq!(results["seed"], 7);
    assert_eq!(results["command"], summary.command);
    assert_eq!(results["findings"].as_array().unwrap().len(), 3);
    let counts = |f: &str| -> u64 {
        ["ok", "fail", "info"].iter().map(|it| results["operations"][f][it].as_u64().unwrap()).sum()
    };
    assert_eq!(
        ["cas", "read", "write"].map(counts).iter().sum::<u64>() as usize,
        history.operations().len()
    );
    let faults = results["faults"].as_array().unwrap();
    let refused: Vec<_> = faults.iter().filter(|it| it["name"] == "clock").collect();
    assert!(!refused.is_empty() && refused.iter().all(|it| it["error"].is_string()));
    assert_eq!(results["faults_installed"], faults.len() - refused.len());
    assert!(results["leader_changes"].as_u64().unwrap() > 0);
    let p = |q: &str| results["latency_ms"]["read"][q].as_f64().unwrap();
    assert!(0.0 < p("p50") && p("p50") < p("p95") && p("p95") < p("p99") && p("p99") < p("max"));
}

fn event(time: u64, kind: Kind, process: Process, value: Value) -> Event {
    let (f, node) = ("read".to_string(), Some(1));
    Event { index: 0, kind, process, time, f, value, error: None, node }
}

fn history(events: Vec<Event>) -> History {
    let mut history = History { events };
    history.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index);
    history
}

#[test]
fn a_run_in_which_nothing_happened_has_its_report_too() {
    let files = report(&History::default(), &[], &Summary::new("talus-jepsen run"));
    for name in ["latency.svg", "rate.svg"] {
        assert!(files[name].contains("no operation"), "{name}");
    }
    assert!(files["roles.svg"].contains("no node was ever sampled"));
    assert!(files["timeline.html"].contains("All 0 operations are drawn."));
    assert!(with_class(&elements(&files["timeline.html"]).unwrap(), "role").is_empty());
    let told = text(&Summary::new("talus-jepsen run"), &History::default());
    assert!(told.starts_with("UNKNOWN") && told.contains("nothing was checked"), "{told}");
}

#[test]
fn one_operation_is_enough() {
    let process = Process::Client(u64::MAX);
    let begun = event(0, Kind::Invoke, process, Value::Nil);
    let ended = event(0, Kind::Ok, process, Value::Int(1));
    for events in [vec![begun.clone()], vec![begun, ended]] {
        let files = report(&history(events), &[], &Summary::new("run"));
        let elements = elements(&files["timeline.html"]).unwrap();
        assert_eq!(with_class(&elements, "op").len(), 1);
    }
}

#[test]
fn nodes_that_were_never_reachable_are_down() {
    let sample = |(time, node)| Sample { time, node, role: Role::Down, term: 0, leader: None };
    let samples: Vec<Sample> = (0..51)
        .flat_map(|at| (1..4).map(move |node| (at * 100_000_000, node)))
        .map(sample)
        .collect();
    let summary = Summary { nodes: 3, ..Summary::new("run") };
    let files = report(&History::default(), &samples, &summary);
    let elements = elements(&files["roles.svg"]).unwrap();
    assert_eq!(with_class(&elements, "down").len(), 1 + 3, "a stretch for each, and the legend");
    assert_eq!(with_class(&elements, "none").len(), 1 + 1, "nobody leads");
    assert!(files["roles.svg"].contains(">5 s</text>"), "as long as it was sampled");
}

#[test]
fn nothing_that_a_server_or_a_person_wrote_becomes_markup() {
    let hostile = "</title></script><script>\"'&\u{0}\u{1b}\u{fffe}]]>\n";
    let text = || Value::Text(hostile.to_string());
    let process = Process::Client(0);
    let mut failed = event(9, Kind::Fail, process, text());
    failed.error = Some(hostile.to_string());
    let mut begun = event(1, Kind::Invoke, process, text());
    (begun.f, failed.f) = (hostile.to_string(), hostile.to_string());
    let mut fault = event(2, Kind::Info, Process::Nemesis, text());
    fault.f = format!("start-{hostile}");
    let samples =
        [Sample { time: 5, node: u32::MAX, role: Role::Leader, term: u64::MAX, leader: Some(0) }];
    let summary = Summary {
        verdict: Verdict::Invalid,
        workload: hostile.to_string(),
        nemeses: vec![hostile.to_string()],
        server: Identity { version: hostile.to_string(), binary: hostile.to_string() },
        skipped: vec![hostile.to_string()],
        findings: vec![Finding {
            checker: "elle",
            verdict: Verdict::Invalid,
            summary: hostile.to_string(),
            details: json!({ "events": [0, 1, 2, u64::MAX, -1], "index": "0" }),
        }],
        ..Summary::new(hostile)
    };
    let history = history(vec![begun, fault, failed]);
    for (name, text) in report(&history, &samples, &summary) {
        assert!(name.ends_with(".json") || !text.contains("<script"), "{name}");
    }
    let told = jepsen::report::text(&summary, &history);
    assert!(told.chars().all(|it| it == '\n' || !it.is_control()), "{told:?}");
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(write(&file, &History::default(), &[], &Summary::new("run")).is_err());
    fs::create_dir(dir.path().join("rate.svg")).unwrap();
    assert!(write(dir.path(), &History::default(), &[], &Summary::new("run")).is_err());
    assert!(!dir.path().join("rate.svg.partial").exists(), "nothing half written stays");
}
