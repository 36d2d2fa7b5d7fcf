//! A keyspace in a directory, what may happen to it, and the history it has to agree with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use raft::{Committed, StateMachine};
use storage::{Options, Shared, Store};
use tempfile::TempDir;

use super::log::{Author, Draft};
use super::requests::DATABASES;
use crate::commands;
use crate::keyspace::{Home, Keyspace, Outcome};

/// What happens to a replica between two applies.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    Nothing,
    Drain,
    Flush,
    Compact,
    /// Clients read.
    Reads,
    /// Its digest is compared.
    Digest,
    /// The process ends and starts again.
    Reopen,
    /// The process is killed: what it comes back with is what its files held.
    Crash,
    /// Its place is taken by another replica, which installs its checkpoint.
    Install,
}

/// Events, and how many entries are applied before each.
pub fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let event = prop_oneof![
        2 => Just(Event::Nothing),
        2 => Just(Event::Drain),
        2 => Just(Event::Flush),
        1 => Just(Event::Compact),
        3 => Just(Event::Reads),
        2 => Just(Event::Digest),
        1 => Just(Event::Reopen),
        2 => Just(Event::Crash),
        1 => Just(Event::Install),
    ];
    prop::collection::vec((0..8_usize, event), 0..10)
}

/// How large values are kept in the rows of their keys: replicas may differ.
const INLINE_BYTES_MAX: [usize; 2] = [64 << 10, 100];

/// Free space from which on a file system in memory is used.
const MEMORY_BYTES_MIN: u64 = 1 << 30;

fn home(at: &Path, number: usize) -> Home {
    let options = Options {
        inline_bytes_max: INLINE_BYTES_MAX[number % 2],
        dirty_bytes_max: Some(100 << 10),
        background: false,
        memtable_bytes: 64 << 10,
        ..Options::default()
    };
    Home::new(at.to_owned(), options, Shared::new(8 << 20))
}

/// One replica of the shard.
pub struct Replica {
    /// None only between two lives. Dropped before its directory is.
    keyspace: Option<Keyspace>,
    /// Where in `dir` its files are.
    at: PathBuf,
    /// Grows with each start, and decides its options.
    number: usize,
    dir: TempDir,
}

impl Replica {
    /// An empty one. Those with odd numbers cut values into chunks sooner.
    pub fn new(number: usize) -> Self {
        let dir = directory();
        let at = dir.path().join("first");
        let mut replica = Self { keyspace: None, at, number, dir };
        replica.open();
        replica
    }

    /// The state it is in.
    pub fn store(&self) -> Arc<Store> {
        self.keyspace.as_ref().unwrap().current().load_full()
    }

    /// How many entries it has applied.
    pub fn applied(&mut self) -> usize {
        decode_applied(self.keyspace().applied().unwrap())
    }

    /// Applies entries in one go.
    pub fn apply(&mut self, entries: &[Committed]) -> Vec<Outcome> {
        let Some(last) = entries.last() else { return Vec::new() };
        let applied = Bytes::from(last.index.to_string());
        self.keyspace().apply(entries.to_vec(), applied).unwrap()
    }

    /// Applies the rest of a history, with events in between, and compares all there is.
    pub fn follow(&mut self, history: &History, events: &[(usize, Event)]) {
        for (count, event) in events {
            self.catch_up(history, *count);
            self.meet(*event, history);
        }
        self.catch_up(history, usize::MAX);
        self.check_digest(history);
    }

    /// Applies up to `count` entries of a history that have not been applied yet.
    pub fn catch_up(&mut self, history: &History, count: usize) {
        let from = self.applied();
        let to = from.saturating_add(count).min(history.entries.len());
        let outcomes = self.apply(&history.entries[from..to]);
        for (outcome, at) in outcomes.iter().zip(from..) {
            let expected = &history.outcomes[at];
            let entry = at + 1;
            assert!(
                outcome == expected,
                "entry {entry} is answered\n{}\ninstead of\n{}",
                brief(outcome),
                brief(expected)
            );
        }
        assert_eq!(self.applied(), to);
    }

    /// Compares the digest with that of the history after as many entries.
    pub fn check_digest(&mut self, history: &History) {
        let applied = self.applied();
        let digest = self.store().digest().unwrap();
        assert_eq!(digest, history.digests[applied], "digest after {applied} entries");
    }

    /// Replaces its state by that of a checkpoint.
    pub fn install(&mut self, checkpoint: &Path) {
        let applied = Keyspace::applied_in(checkpoint).unwrap();
        let before = self.store();
        self.keyspace().install(checkpoint).unwrap();
        assert_eq!(self.keyspace().applied().unwrap(), applied);
        // A reader that is not done yet; RocksDB writes to its files when it is.
        assert_eq!(self.stores(), 2);
        drop(before);
        assert_eq!(self.stores(), 1);
    }

    /// How many stores have files.
    fn stores(&self) -> usize {
        let names = std::fs::read_dir(&self.at).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("store-")).count()
    }

    /// What makes a checkpoint of it.
    pub fn checkpointer(&mut self) -> raft::Checkpointer {
        self.keyspace().checkpointer().unwrap()
    }

    /// The process ends and starts again.
    pub fn reopen(&mut self) {
        self.keyspace = None;
        self.number += 1;
        self.open();
    }

    fn keyspace(&mut self) -> &mut Keyspace {
        self.keyspace.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.keyspace = Some(Keyspace::open(home(&self.at, self.number)).unwrap());
    }

    fn meet(&mut self, event: Event, history: &History) {
        match event {
            Event::Nothing => {}
            Event::Drain => self.store().drain().unwrap(),
            Event::Flush => self.store().flush().unwrap(),
            Event::Compact => self.store().compact().unwrap(),
            Event::Reads => self.read(),
            Event::Digest => self.check_digest(history),
            Event::Reopen => self.reopen(),
            Event::Crash => self.crash(),
            Event::Install => self.be_replaced(),
        }
        if matches!(event, Event::Reopen | Event::Crash | Event::Install) {
            self.check_digest(history);
        }
    }

    /// What readers ask must not show in what the log does.
    fn read(&self) {
        let store = self.store();
        for line in ["SCAN 0 COUNT 2", "KEYS *", "RANDOMKEY", "GET a", "STRLEN b"] {
            let request: Vec<Bytes> = line.split(' ').map(Bytes::from).collect();
            for db in DATABASES {
                commands::read(&store.view(db, 0), &request, 1).unwrap();
            }
        }
    }

    fn crash(&mut self) {
        let image = self.dir.path().join(format!("after-{}", self.number));
        copy_quietly(&self.at, &image);
        let old = std::mem::replace(&mut self.at, image);
        self.reopen();
        std::fs::remove_dir_all(old).unwrap();
    }

    fn be_replaced(&mut self) {
        let mut other = Self::new(self.number + 1);
        let checkpoint = other.dir.path().join("checkpoint");
        self.checkpointer()(&checkpoint).unwrap();
        other.install(&checkpoint);
        *self = other;
    }
}

/// A directory for a short time. What is tried here is not the disk: its syncs are saved where
/// that is possible.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|it| it.f_bavail.saturating_mul(it.f_frsize) > MEMORY_BYTES_MIN);
    if has_room { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// How many entries an applied record stands for.
pub fn decode_applied(applied: Option<Bytes>) -> usize {
    applied.map_or(0, |applied| String::from_utf8_lossy(&applied).parse().unwrap())
}

/// The files below a directory at one moment, in which no compaction changed them.
fn copy_quietly(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        if copy(from, to).is_ok() && files(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
}

/// The files below a directory with their lengths.
fn files(dir: &Path) -> BTreeMap<OsString, u64> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            files.append(&mut self::files(&entry.path()));
        } else if let Ok(metadata) = entry.metadata() {
            files.insert(entry.path().into(), metadata.len());
        }
    }
    files
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy(&entry, &target)?;
        } else {
            std::fs::copy(entry, target)?;
        }
    }
    Ok(())
}

/// A log, and what a replica made of it that applied one entry after the other.
pub struct History {
    pub entries: Vec<Committed>,
    /// What each entry was answered.
    pub outcomes: Vec<Outcome>,
    /// The digest after that many entries.
    pub digests: Vec<[u8; 16]>,
}

impl History {
    /// Makes a log of drafts and applies it. `judge` sees each entry with its outcome.
    pub fn write(drafts: &[Draft], mut judge: impl FnMut(&Committed, &Outcome)) -> Self {
        let (mut author, mut replica) = (Author::new(), Replica::new(0));
        let mut history = Self {
            entries: Vec::new(),
            outcomes: Vec::new(),
            digests: vec![replica.store().digest().unwrap()],
        };
        for draft in drafts {
            let entry = author.write(draft, &replica.store());
            let outcome = replica.apply(std::slice::from_ref(&entry)).pop().unwrap();
            author.hear(&outcome);
            judge(&entry, &outcome);
            history.entries.push(entry);
            history.outcomes.push(outcome);
            history.digests.push(replica.store().digest().unwrap());
        }
        history
    }
}

/// As much of something as a person reads.
pub fn brief(thing: &impl Debug) -> String {
    format!("{:.2000}", format!("{thing:?}"))
}
