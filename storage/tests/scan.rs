//! SCAN's promise, for random keys, deadlines and interruptions: a key that is there from the first
//! call to the last is returned, a key that is not there is not, and the iteration ends. Within an
//! entry the answer follows from the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use storage::{Options, SLOTS, Shared, Store, Txn, View};

/// Iterations that go on side by side.
const SCANNERS: usize = 2;
/// No iteration over so few keys takes more calls.
const CALLS_MAX: usize = 500;
/// Clients in JavaScript and Lua keep numbers in doubles.
const CURSOR_MAX: u64 = (1 << 53) - 1;

/// What an entry may do.
#[derive(Debug, Clone)]
enum Op {
    Set(usize, Option<Deadline>),
    Delete(usize),
    SetDeadline(usize, Option<Deadline>),
    Sweep,
    /// A key in another database, which is flushed now and then.
    SetElsewhere(usize),
    FlushElsewhere,
    Scan(usize, usize),
    RolledBack(Vec<Op>),
}

#[derive(Debug, Clone, Copy)]
enum Deadline {
    After(u64),
    BeforeTheEnd(u64),
}

/// What happens between entries.
#[derive(Debug, Clone)]
enum Step {
    /// An entry, so many milliseconds after the last one.
    Commit(u64, Vec<Op>),
    Scan(usize, usize),
    Drain,
    /// Goes on with a copy, which knows nothing of earlier calls.
    Copy,
}

/// Crowded slots, the first and the last slot, keys without a tag.
fn keys() -> Vec<Bytes> {
    let last = (0..).map(|n: u32| format!("last{n}"));
    let last = last.into_iter().find(|key| storage::slot_of(key.as_bytes()) == SLOTS - 1);
    let crowded = (0..50).map(|n| format!("{{{}}}{n}", ["a", "", "b"][n % 3]));
    let few = ["", "x", "yy", "zzz"].map(String::from);
    last.into_iter().chain(crowded).chain(few).map(Bytes::from).collect()
}

fn deadline() -> impl Strategy<Value = Option<Deadline>> {
    prop_oneof![
        4 => Just(None),
        2 => (0..30_u64).prop_map(|after| Some(Deadline::After(after))),
        1 => (0..3_u64).prop_map(|before| Some(Deadline::BeforeTheEnd(before))),
    ]
}

fn simple() -> impl Strategy<Value = Op> {
    let key = 0..keys().len();
    prop_oneof![
        6 => (key.clone(), deadline()).prop_map(|(key, deadline)| Op::Set(key, deadline)),
        5 => key.clone().prop_map(Op::Delete),
        2 => (key.clone(), deadline()).prop_map(|(key, deadline)| Op::SetDeadline(key, deadline)),
        1 => Just(Op::Sweep),
        1 => key.prop_map(Op::SetElsewhere),
        1 => Just(Op::FlushElsewhere),
        4 => (0..SCANNERS, 1..15_usize).prop_map(|(scanner, count)| Op::Scan(scanner, count)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let rolled_back = prop::collection::vec(simple(), 1..5).prop_map(Op::RolledBack);
    prop::collection::vec(prop_oneof![12 => simple(), 1 => rolled_back], 1..8)
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![60 => 0..4_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        20 => (pause, ops()).prop_map(|(pause, ops)| Step::Commit(pause, ops)),
        20 => (0..SCANNERS, 1..15_usize).prop_map(|(scanner, count)| Step::Scan(scanner, count)),
        5 => Just(Step::Drain),
        1 => Just(Step::Copy),
    ]
}

/// One client's iteration.
#[derive(Clone, Default)]
struct Scanner {
    cursor: u64,
    calls: usize,
    /// There ever since it began.
    due: BTreeSet<Bytes>,
    seen: BTreeSet<Bytes>,
}

/// Keys with their deadlines, and who goes through them.
#[derive(Clone, Default)]
struct Model {
    now: u64,
    keys: BTreeMap<Bytes, Option<u64>>,
    scanners: [Scanner; SCANNERS],
}

impl Model {
    fn set(&mut self, key: Bytes, deadline: Option<u64>) {
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return self.delete(&key);
        }
        self.keys.insert(key, deadline);
    }

    fn delete(&mut self, key: &Bytes) {
        self.keys.remove(key);
        for scanner in &mut self.scanners {
            scanner.due.remove(key);
        }
    }

    fn set_now(&mut self, now: u64) {
        self.now = now;
        let expired = |(key, deadline): (&Bytes, &Option<u64>)| {
            deadline.is_some_and(|deadline| deadline <= now).then(|| key.clone())
        };
        let expired: Vec<_> = self.keys.iter().filter_map(expired).collect();
        expired.iter().for_each(|key| self.delete(key));
    }

    /// One call of an iteration. Returns what it answered.
    fn scan(&mut self, view: &View<'_>, scanner: usize, count: usize) -> (u64, Vec<Bytes>) {
        let scanner = &mut self.scanners[scanner];
        if scanner.cursor == 0 {
            *scanner = Scanner { due: self.keys.keys().cloned().collect(), ..Scanner::default() };
        }
        let mut found = vec![];
        let take = |key: &[u8], _: &_| found.push(Bytes::copy_from_slice(key));
        scanner.cursor = view.scan(scanner.cursor, count, take).expect("scans");
        scanner.calls += 1;
        assert!(scanner.calls <= CALLS_MAX, "it does not end");
        assert!(scanner.cursor <= CURSOR_MAX, "{} does not fit a double", scanner.cursor);
        assert!(found.len() <= count, "{} keys, not {count}", found.len());
        for key in &found {
            assert!(self.keys.contains_key(key), "{key:?} is not there");
        }
        scanner.seen.extend(found.iter().cloned());
        if scanner.cursor == 0 {
            let missed: Vec<_> = scanner.due.difference(&scanner.seen).collect();
            assert!(missed.is_empty(), "missed {missed:?}");
        }
        (scanner.cursor, found)
    }
}

/// A store that clients read, a replica that they do not, and what both should hold.
struct Test {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    replica: Arc<Store>,
    model: Model,
    names: Vec<Bytes>,
    index: u64,
}

fn open(dir: &Path) -> Arc<Store> {
    let options = Options { background: false, ..Options::default() };
    Store::open(dir, &options, &Shared::new(4 << 20)).expect("opens")
}

impl Test {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, replica) = (open(&dir.path().join("0")), open(&dir.path().join("replica")));
        let model = Model { now: 1000, ..Model::default() };
        let mut test = Self { dir, store, replica, model, names: keys(), index: 0 };
        let every = (0..test.names.len()).map(|key| Op::Set(key, None));
        test.commit(0, &every.collect::<Vec<_>>());
        test
    }

    fn step(&mut self, number: usize, step: &Step) {
        match step {
            Step::Commit(pause, ops) => self.commit(*pause, ops),
            Step::Scan(scanner, count) => {
                self.model.scan(&self.store.view(0, 0), *scanner, *count);
            }
            Step::Drain => self.store.drain().expect("drains"),
            Step::Copy => {
                let copy = self.dir.path().join(format!("copy-{number}"));
                self.store.checkpoint(&copy).expect("copies");
                self.store = open(&copy);
            }
        }
    }

    fn commit(&mut self, pause: u64, ops: &[Op]) {
        self.index += 1;
        self.model.set_now(self.model.now.saturating_add(pause));
        let (store, replica) = (Arc::clone(&self.store), Arc::clone(&self.replica));
        let mut txns = [store.begin(), replica.begin()];
        txns.iter_mut().for_each(|txn| txn.set_entry(self.index, self.model.now, 7));
        self.apply_all(&mut txns, ops);
        let [txn, other] = txns;
        let applied = Bytes::from(self.index.to_string());
        store.commit(txn, applied.clone()).expect("commits");
        replica.commit(other, applied).expect("commits");
    }

    fn apply_all(&mut self, txns: &mut [Txn<'_>; 2], ops: &[Op]) {
        for op in ops {
            match op {
                Op::Scan(scanner, count) => self.scan_within(txns, *scanner, *count),
                Op::RolledBack(ops) => {
                    let before = self.model.clone();
                    let savepoints = txns.each_mut().map(Txn::savepoint);
                    self.apply_all(txns, ops);
                    for (txn, savepoint) in txns.iter_mut().zip(savepoints) {
                        txn.rollback(savepoint);
                    }
                    self.model = before;
                }
                op => txns.iter_mut().for_each(|txn| self.apply(txn, op)),
            }
        }
    }

    fn scan_within(&mut self, txns: &[Txn<'_>; 2], scanner: usize, count: usize) {
        let cursor = self.model.scanners[scanner].cursor;
        let answer = self.model.scan(&txns[0].view(), scanner, count);
        let mut found = vec![];
        let take = |key: &[u8], _: &_| found.push(Bytes::copy_from_slice(key));
        let next = txns[1].view().scan(cursor, count, take).expect("scans");
        assert_eq!((next, found), answer, "replicas differ");
    }

    fn apply(&mut self, txn: &mut Txn<'_>, op: &Op) {
        let now = self.model.now;
        let moment = |deadline: &Deadline| match deadline {
            Deadline::After(after) => now.saturating_add(*after),
            Deadline::BeforeTheEnd(before) => u64::MAX - before,
        };
        match op {
            Op::Set(key, deadline) => {
                let (key, deadline) = (self.names[*key].clone(), deadline.as_ref().map(moment));
                txn.set_string(&key, b"v", deadline).expect("sets");
                self.model.set(key, deadline);
            }
            Op::Delete(key) => {
                txn.delete(&self.names[*key]).expect("deletes");
                self.model.delete(&self.names[*key].clone());
            }
            Op::SetDeadline(key, deadline) => {
                let (key, deadline) = (self.names[*key].clone(), deadline.as_ref().map(moment));
                if txn.set_deadline(&key, deadline).expect("sets") {
                    self.model.set(key, deadline);
                }
            }
            Op::Sweep => {
                txn.sweep(1000).expect("sweeps");
                assert_eq!(txn.view().key_count(), self.model.keys.len() as u64, "after a sweep");
            }
            Op::SetElsewhere(key) => {
                txn.select(1);
                txn.set_string(&self.names[*key], b"v", None).expect("sets");
                txn.select(0);
            }
            Op::FlushElsewhere => txn.flush_db(1),
            Op::Scan(..) | Op::RolledBack(_) => unreachable!("not a change"),
        }
    }

    /// Ends every iteration, and looks at all keys at once.
    fn end(mut self) {
        for scanner in 0..SCANNERS {
            while self.model.scanners[scanner].cursor != 0 {
                self.model.scan(&self.store.view(0, 0), scanner, 1);
            }
        }
        let mut all = BTreeSet::new();
        let note = |key: &[u8], _: &_| {
            all.insert(Bytes::copy_from_slice(key));
            ControlFlow::Continue(())
        };
        self.store.view(0, 0).for_each_key(note).expect("reads");
        assert!(all.iter().eq(self.model.keys.keys()));
        let digests = [&self.store, &self.replica].map(|store| store.digest().expect("digests"));
        assert_eq!(digests[0], digests[1]);
    }
}

/// Each case opens databases: fewer cases than usual, unless `PROPTEST_CASES` says more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 16 };
    ProptestConfig { cases, max_shrink_iters: 100, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_iteration_returns_every_key_that_stays(steps in prop::collection::vec(step(), 1..120)) {
        let mut test = Test::new();
        for (number, step) in steps.iter().enumerate() {
            test.step(number, step);
        }
        test.end();
    }
}
