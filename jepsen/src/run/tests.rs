//! Workloads against real servers: one Redis, which is linearizable while it does not fail and loses
//! what it has when it does; and one Talus, if `TALUS` names its binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::clients::Load;
use super::{PATIENCE, finals};
use crate::check::{Finding, Verdict};
use crate::client::Client;
use crate::client::seat::{Addresses, Service};
use crate::history::{History, Kind, Recorder};
use crate::workload::{ROWS, Row, Workload};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A process that is gone when its test is.
struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    /// `None`, and why, if there is no such program.
    fn start(program: &Path, port: u16, args: &dyn Fn(&Path) -> Vec<String>) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(args(dir.path())).current_dir(dir.path());
        // What asks to stop when its standard input ends must have one.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("skipped: {} cannot be started", program.display());
            return None;
        };
        let server = Self { child, port, _dir: dir };
        finals::converge(&server.addresses(), false).unwrap();
        Some(server)
    }

    /// It keeps nothing on disk.
    fn redis(port: u16) -> Option<Self> {
        let args = |_: &Path| {
            let args = format!("--port {port} --appendonly no --bind 127.0.0.1 --save");
            args.split(' ').map(str::to_owned).chain([String::new()]).collect()
        };
        Self::start(Path::new("redis-server"), port, &args)
    }

    fn talus() -> Option<Self> {
        let Some(program) = std::env::var_os("TALUS") else {
            eprintln!("skipped: TALUS does not name a binary");
            return None;
        };
        let port = free_port();
        let args = |dir: &Path| {
            let args = format!("serve --until-stdin-closes --port {port} --data-dir");
            let dir = dir.join("data").display().to_string();
            args.split(' ').map(str::to_owned).chain([dir]).collect()
        };
        Self::start(Path::new(&program), port, &args)
    }

    /// Twice the same, so that there is somewhere to hop to.
    fn addresses(&self) -> Addresses {
        let at = |port| vec![SocketAddr::from(([127, 0, 0, 1], port)); 2];
        Addresses { service: Service::Redis, clients: at(self.port), side: at(self.port + 1) }
    }

    fn forget_everything(&self) {
        Client::connect(self.addresses().clients[0]).unwrap().write(&["FLUSHALL"]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port whose neighbours for HTTP and between nodes are free too.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = 10_000 + port % 20_000;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) && free(port + 10_000) {
            return port;
        }
    }
}

/// A load on `addresses` for a while, during which `meanwhile` happens; and what was seen.
fn seen(
    workload: &dyn Workload,
    addresses: &Addresses,
    digests: bool,
    meanwhile: impl FnOnce(),
) -> History {
    let recorder = Recorder::new(std::io::sink());
    let load = Load { addresses, workload, recorder: &recorder, seed: 7, rate: 100.0, lanes: 6 };
    finals::prepare(&load).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        load.start(scope, || Ok(()), &over);
        meanwhile();
        over.store(true, Ordering::SeqCst);
    });
    finals::ask(&load, digests, false).unwrap();
    finals::ask(&load, digests, true).unwrap();
    recorder.finish()
}

fn a_while() {
    std::thread::sleep(Duration::from_millis(1200));
}

/// But for digests, which need a second replica to be compared with.
fn verdict(findings: &[Finding]) -> Verdict {
    let judged = findings.iter().filter(|finding| finding.checker != "digests");
    judged.map(|finding| finding.verdict).max().unwrap()
}

fn errors(history: &History) -> Vec<String> {
    let wrong = history.events.iter().filter(|event| event.error.is_some());
    wrong.map(crate::history::Event::to_json).collect()
}

/// Each of them is valid, and nothing goes wrong, on a server that does not fail.
fn are_valid_on(server: &Server, rows: &[&Row], digests: bool) {
    for row in rows {
        server.forget_everything();
        let history = seen(&*(row.make)(), &server.addresses(), digests, a_while);
        let ok = history.operations().iter().filter(|o| o.outcome() == Kind::Ok).count();
        assert!(ok > 100, "{}: only {ok} operations succeeded", row.name);
        assert_eq!(errors(&history), [""; 0], "{}", row.name);
        let findings = row.check(&history, PATIENCE);
        assert_eq!(verdict(&findings), Verdict::Valid, "{}: {findings:#?}", row.name);
        assert_eq!(Row::inferred(&history).unwrap().name, row.name.replace("single", "append"));
    }
}

#[test]
fn every_workload_is_valid_on_a_redis_that_does_not_fail() {
    let Some(server) = Server::redis(free_port()) else { return };
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.name != "verify").collect();
    are_valid_on(&server, &rows, false);
}

#[test]
fn every_workload_is_valid_on_a_talus_that_does_not_fail() {
    let Some(server) = Server::talus() else { return };
    let rows: Vec<&Row> = ROWS.iter().collect();
    are_valid_on(&server, &rows, true);
}

#[test]
fn a_redis_that_forgets_is_caught() {
    for name in ["set", "append", "register", "counter"] {
        let Some(server) = Server::redis(free_port()) else { return };
        let (row, addresses, port) = (Row::named(name).unwrap(), server.addresses(), server.port);
        let mut servers = vec![server];
        let history = seen(&*(row.make)(), &addresses, false, || {
            a_while();
            servers.clear();
            servers.extend(Server::redis(port));
            a_while();
        });
        let findings = row.check(&history, PATIENCE);
        assert_eq!(verdict(&findings), Verdict::Invalid, "{name}: {findings:#?}");
    }
}

#[test]
fn a_process_whose_outcome_is_unknown_never_comes_back() {
    let Some(server) = Server::redis(free_port()) else { return };
    let (row, addresses, port) = (Row::named("set").unwrap(), server.addresses(), server.port);
    let mut servers = vec![server];
    let history = seen(&*(row.make)(), &addresses, false, || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            servers.clear();
            servers.extend(Server::redis(port));
        }
    });
    let mut gone = std::collections::BTreeSet::new();
    for event in &history.events {
        assert!(!gone.contains(&event.process), "{}", event.to_json());
        if event.kind == Kind::Info {
            gone.insert(event.process);
        }
    }
    assert!(!gone.is_empty(), "no outcome was unknown");
}

#[test]
fn a_node_that_does_not_serve_is_told_after_a_while() {
    let nobody = free_port();
    let at = vec![SocketAddr::from(([127, 0, 0, 1], nobody))];
    let addresses = Addresses { service: Service::Redis, clients: at.clone(), side: at };
    let begun = Instant::now();
    let problem = finals::converge_within(&addresses, false, Duration::from_millis(300));
    assert!(problem.unwrap_err().starts_with("node 1 does not serve: connect:"));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn suites_and_mutants_ask_for_what_exists() {
    let mutants = super::mutants::MUTANTS.iter().map(|mutant| &mutant.job);
    let controls = super::suite::CONTROLS.iter().map(|(_, job, _)| job);
    let suites = super::suite::SMOKE.iter().chain(super::suite::FULL);
    for job in suites.chain(mutants).chain(controls) {
        assert!(Row::named(job.workload).is_some(), "{}", job.workload);
        for nemesis in job.nemeses {
            assert!(crate::nemesis::names().contains(nemesis), "{nemesis}");
        }
    }
}
