//! Clusters of real nodes in both modes: a link that is cut is felt, and nothing of a cluster stays,
//! however its harness ends.
//!
//! The variable TALUS names the server's binary; without it these tests are skipped, and say so.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jepsen::check::{Finding, Verdict, crashes};
use jepsen::client::Client;
use jepsen::cluster::{Cluster, Disk, Mode, Options, Role, Target, disk, guard, lacks, wal};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const PATIENCE: Duration = Duration::from_secs(20);
/// Set for the process that is killed: the mode of its cluster.
const VICTIM: &str = "JEPSEN_TEST_VICTIM";

/// Options for three nodes; `None` if this machine cannot have them.
fn options(mode: Mode, dir: &Path) -> Option<Options> {
    let Some(talus) = std::env::var_os("TALUS") else {
        eprintln!("skipped: the variable TALUS does not name a server");
        return None;
    };
    let missing = lacks(mode);
    if !missing.is_empty() {
        eprintln!("skipped: this machine lacks {}", missing.join(", "));
        return None;
    }
    let has_disks = mode == Mode::Namespaces && disk::lacks().is_empty();
    Some(Options {
        nodes: 3,
        mode,
        target: Target::Talus(talus.into()),
        dir: dir.to_owned(),
        settings: Vec::new(),
        disk: if has_disks { Disk::Ext4 } else { Disk::Plain },
        clock: false,
        env: Vec::new(),
    })
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What carries the mark: names, and entries of the kernel's lists.
fn remains_of(mark: &str) -> Vec<String> {
    let mut remains = guard::remains();
    for list in ["/proc/mounts", "/proc/self/mountinfo"] {
        let text = std::fs::read_to_string(list).unwrap_or_default();
        remains.extend(text.lines().map(str::to_owned));
    }
    remains.retain(|name| name.contains(mark));
    remains
}

/// Loop devices whose files are below the directory.
fn loops(dir: &Path) -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let files = devices.map(|it| std::fs::read_to_string(it.path().join("loop/backing_file")));
    let dir = dir.canonicalize().unwrap().display().to_string();
    files.flatten().filter(|file| file.contains(&dir)).collect()
}

fn a_leader_whom_nobody_hears_is_replaced(mode: Mode) {
    let dir = tempfile::tempdir().unwrap();
    let Some(options) = options(mode, dir.path()) else { return };
    let begun = Instant::now();
    let cluster = Cluster::start(options).unwrap();
    let old = cluster.leader().unwrap();
    let links = (1..=3).filter(|node| *node != old).map(|node| (old, node)).collect();
    cluster.network().change(|conditions| conditions.cut = links).unwrap();
    eventually("nobody else leads", || cluster.leader().is_some_and(|leader| leader != old));
    cluster.heal();
    cluster.wait_ready(&[1, 2, 3], Instant::now()).unwrap();
    let follows = || {
        let roles = cluster.roles(begun);
        let last = roles.iter().rev().find(|sample| sample.node == old).unwrap();
        (last.role, last.leader) == (Role::Follower, cluster.leader())
    };
    eventually("the old leader does not follow", follows);
    let mark = cluster.mark().to_owned();
    assert!(!remains_of(&mark).is_empty());
    cluster.stop();
    assert_eq!(remains_of(&mark), Vec::<String>::new());
    assert_eq!(loops(dir.path()), Vec::<String>::new());
}

#[test]
fn a_leader_whom_nobody_hears_is_replaced_in_namespaces() {
    a_leader_whom_nobody_hears_is_replaced(Mode::Namespaces);
}

#[test]
fn a_leader_whom_nobody_hears_is_replaced_behind_proxies() {
    a_leader_whom_nobody_hears_is_replaced(Mode::Loopback);
}

/// What crashes are found in the logs after node 2 has begun anew, its log having been damaged with
/// or without a word of the harness.
fn of_a_damaged_log(said: bool) -> Option<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(options(Mode::Loopback, dir.path())?).unwrap();
    let mut client = Client::connect(cluster.redis(1)).unwrap();
    (0..20).for_each(|key| drop(client.write(&["SET", &format!("key:{key}"), "1"]).unwrap()));
    {
        let mut node = cluster.node(2).unwrap();
        node.kill();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        wal::newest(&node.data()).unwrap().flip(&mut rng).unwrap();
        if said {
            node.mark_damaged();
        }
    }
    cluster.settle(Instant::now() + PATIENCE).unwrap();
    Some(crashes::check(&cluster.logs(), &crashes::Excuses::default()))
}

#[test]
fn a_node_that_refuses_a_log_which_nobody_damaged_is_found_out() {
    let Some(finding) = of_a_damaged_log(false) else { return };
    assert_eq!(finding.verdict, Verdict::Invalid, "{}", finding.summary);
    assert!(finding.summary.contains("refused: node 2"), "{}", finding.summary);
    let finding = of_a_damaged_log(true).unwrap();
    assert_eq!(finding.verdict, Verdict::Valid, "{}", finding.summary);
}

#[test]
fn all_run_when_a_cluster_is_restored_and_who_began_anew_is_told_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let Some(options) = options(Mode::Loopback, dir.path()) else { return };
    let cluster = Cluster::start(options).unwrap();
    cluster.remove(3, None).unwrap();
    cluster.node(2).unwrap().kill();
    cluster.restore();
    assert!(cluster.node(2).unwrap().runs());
    assert_eq!(cluster.regroup(), [3], "the removed one begins anew, the killed one does not");
    cluster.wait_ready(&[1, 2, 3], Instant::now()).unwrap();
    assert_eq!(cluster.regroup(), [0; 0], "nobody had to");
}

/// What the tests below start and kill: a harness with a cluster, one node of which is stopped and
/// cannot end by itself. Alone it does nothing.
#[test]
fn victim() {
    let Ok(mode) = std::env::var(VICTIM) else { return };
    let mode = if mode == "loopback" { Mode::Loopback } else { Mode::Namespaces };
    let dir = std::env::var("JEPSEN_TEST_DIR").unwrap();
    let cluster = Cluster::start(options(mode, Path::new(&dir)).unwrap()).unwrap();
    cluster.node(2).unwrap().pause(true).unwrap();
    // Not through `println!`, which the test's harness may keep.
    writeln!(std::io::stderr(), "the cluster is up").unwrap();
    std::thread::sleep(3 * PATIENCE);
}

fn start_victim(mode: Mode, dir: &Path) -> Child {
    let mode = if mode == Mode::Loopback { "loopback" } else { "namespaces" };
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["victim", "--exact", "--nocapture"]).env(VICTIM, mode).env("JEPSEN_TEST_DIR", dir);
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "the cluster is up"), "the cluster does not start");
    victim
}

/// Its only cluster's.
fn mark_of(victim: &Child) -> String {
    format!("jp-{}-1", victim.id())
}

fn nothing_stays_of_a_harness_that_is_killed(mode: Mode) {
    let dir = tempfile::tempdir().unwrap();
    if options(mode, dir.path()).is_none() {
        return;
    }
    let mut victim = start_victim(mode, dir.path());
    assert!(!remains_of(&mark_of(&victim)).is_empty());
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("something stays", || {
        remains_of(&mark_of(&victim)).is_empty() && loops(dir.path()).is_empty()
    });
}

#[test]
fn nothing_stays_of_a_harness_that_is_killed_in_namespaces() {
    nothing_stays_of_a_harness_that_is_killed(Mode::Namespaces);
}

#[test]
fn nothing_stays_of_a_harness_that_is_killed_behind_proxies() {
    nothing_stays_of_a_harness_that_is_killed(Mode::Loopback);
}

#[test]
fn what_stays_when_the_guard_is_killed_too_is_removed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    if options(Mode::Namespaces, dir.path()).is_none() {
        return;
    }
    let mut victim = start_victim(Mode::Namespaces, dir.path());
    guards(victim.id()).for_each(|pid| {
        let kill = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(kill.unwrap().success());
    });
    victim.kill().unwrap();
    victim.wait().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(!remains_of(&mark_of(&victim)).is_empty(), "the guard was not killed");
    guard::sweep();
    assert_eq!(remains_of(&mark_of(&victim)), Vec::<String>::new());
    eventually("a loop device stays", || loops(dir.path()).is_empty());
}

/// Shells that the process has started.
fn guards(parent: u32) -> impl Iterator<Item = u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|it| it.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(move |pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.starts_with(&format!("{pid} (sh) ")) && stat.contains(&format!(") S {parent} "))
    })
}
