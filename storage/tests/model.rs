//! Random operations against a model in memory, with drains, restarts, rollbacks and crashes in
//! between; and one log applied to several stores in different batchings.

mod model {
    pub mod log;
    pub mod state;
}

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use model::log::{Entry, Op, entries};
use model::state::{Model, Value};
use proptest::prelude::*;
use storage::{Options, Shared, Store, Txn};

fn small() -> Options {
    Options {
        inline_bytes_max: 100,
        dirty_bytes_max: Some(8 << 10),
        background: false,
        memtable_bytes: 64 << 10,
        ..Options::default()
    }
}

fn open(dir: &Path, options: &Options) -> Arc<Store> {
    Store::open(dir, options, &Shared::new(4 << 20)).expect("opens")
}

/// Applies one operation as the apply thread would.
fn apply(txn: &mut Txn<'_>, op: &Op) {
    match op {
        Op::Select(db) => txn.select(*db),
        Op::Set(key, value, deadline) => {
            let deadline = deadline.map(|after| txn.now() + after);
            txn.set_string(key, value, deadline).expect("sets");
        }
        Op::SetKeep(key, value) => txn.set_string_keep_deadline(key, value).expect("sets"),
        Op::Append(key, value) => drop(txn.append(key, value).expect("appends")),
        Op::WriteAt(key, at, value) => drop(txn.write_at(key, *at, value).expect("writes")),
        Op::Delete(key) => drop(txn.delete(key).expect("deletes")),
        Op::Deadline(key, after) => {
            let deadline = after.map(|after| txn.now() + after);
            txn.set_deadline(key, deadline).expect("expires");
        }
        Op::Rename(from, to) => drop(txn.rename(from, to).expect("renames")),
        Op::Copy(from, to, db) => drop(txn.copy(from, to, *db).expect("copies")),
        Op::Flush(db) => txn.flush_db(*db),
        Op::FlushAll => txn.flush_all(),
        Op::Swap(a, b) => txn.swap_db(*a, *b),
        Op::Sweep(limit) => drop(txn.sweep(*limit).expect("sweeps")),
        Op::System(name, value) => match value {
            Some(value) => txn.put_system(name, value),
            None => txn.delete_system(name),
        },
        Op::RolledBack(ops) => {
            let savepoint = txn.savepoint();
            ops.iter().for_each(|op| apply(txn, op));
            txn.rollback(savepoint);
        }
    }
}

/// Applies entries `from` up to `to` as one transaction.
fn commit(store: &Store, entries: &[Entry], (from, to): (usize, usize)) {
    let mut txn = store.begin();
    for (index, entry) in entries.iter().enumerate().take(to).skip(from) {
        txn.set_entry(index as u64 + 1, entry.now, 7);
        txn.select(0);
        entry.ops.iter().for_each(|op| apply(&mut txn, op));
    }
    store.commit(txn, Bytes::from(to.to_string())).expect("commits");
}

/// How many entries a store has applied.
fn applied(store: &Store) -> usize {
    let applied = store.applied().unwrap_or_else(|| Bytes::from_static(b"0"));
    String::from_utf8_lossy(&applied).parse().expect("a number")
}

fn check(store: &Store, model: &Model) {
    for db in 0..3 {
        let view = store.view(db, 0);
        let mut seen = Vec::new();
        view.for_each_key(|key, header| {
            seen.push((Bytes::copy_from_slice(key), header.version, header.deadline));
            std::ops::ControlFlow::Continue(())
        })
        .expect("iterates");
        seen.sort();
        let expected: Vec<_> = model.keys(db).collect();
        let names: Vec<_> = expected
            .iter()
            .map(|(key, value)| (key.clone(), value.version, value.deadline))
            .collect();
        assert_eq!(seen, names, "keys of db {db}");
        assert_eq!(view.key_count(), model.key_count(db), "count of db {db}");
        assert_eq!(view.deadline_count(), model.deadline_count(db), "deadlines of db {db}");
        for (key, Value { bytes, encoding, .. }) in expected {
            let found = view.string(&key).expect("reads").expect("is there");
            assert_eq!(found, *bytes, "value of {key:?}");
            assert_eq!(view.string_len(&key), Ok(bytes.len() as u64));
            let middle = 1..bytes.len() as u64 / 2;
            let part = view.string_range(&key, middle.clone()).expect("reads");
            let expected = bytes.get(1..middle.end as usize).unwrap_or_default();
            assert_eq!(part, *expected, "part of {key:?}");
            let header = view.header(&key).expect("reads").expect("is there");
            assert_eq!(header.encoding.name(), *encoding, "encoding of {key:?}");
        }
    }
    let mut system = Vec::new();
    let view = store.view(0, 0);
    view.for_each_system(b"", |name, value| {
        system.push((name.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    })
    .expect("iterates");
    assert_eq!(system, model.system());
    assert_eq!(view.now(), model.now());
}

/// The files of a database with their lengths.
fn files(dir: &Path) -> BTreeMap<OsString, u64> {
    let files = std::fs::read_dir(dir).expect("lists").filter_map(|file| {
        let file = file.expect("lists");
        Some((file.file_name(), file.metadata().ok()?.len()))
    });
    files.filter(|(name, _)| name != "LOCK").collect()
}

/// What a crash would leave: the files at one moment, in which no compaction changed them.
fn crash_image(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        std::fs::create_dir_all(to).expect("creates");
        let is_copied =
            before.keys().all(|name| std::fs::copy(from.join(name), to.join(name)).is_ok());
        if is_copied && files(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).expect("removes");
    }
}

fn model_after(entries: &[Entry], count: usize) -> Model {
    let mut model = Model::default();
    for (index, entry) in entries.iter().enumerate().take(count) {
        model.apply(index as u64 + 1, entry);
    }
    model
}

/// What happens to the store between two transactions.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    Drain,
    Flush,
    Compact,
    Reopen,
    Crash,
}

fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let event = prop_oneof![
        8 => Just(Event::Nothing),
        3 => Just(Event::Drain),
        2 => Just(Event::Flush),
        1 => Just(Event::Compact),
        1 => Just(Event::Reopen),
        2 => Just(Event::Crash),
    ];
    prop::collection::vec((1..6_usize, event), 1..30)
}

/// Each case opens several databases: fewer cases than usual, unless `PROPTEST_CASES` says more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 40 };
    ProptestConfig { cases, max_shrink_iters: 500, failure_persistence: None, ..default }
}

/// An image between two flushes of the store's own thread, and what is persisted in it.
fn quiet_crash_image(store: &Store, at: &Path, next: &Path) -> Option<Bytes> {
    loop {
        let promised = store.persisted().expect("reads");
        crash_image(at, next);
        if store.persisted().expect("reads") == promised {
            return promised;
        }
        std::fs::remove_dir_all(next).expect("removed");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_store_is_its_model((log, events) in (entries(60), events())) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut at = dir.path().join("0");
        let mut store = open(&at, &small());
        let mut steps = events.iter().cycle();
        for life in 1.. {
            let from = applied(&store);
            if from >= log.len() {
                break;
            }
            let (count, event) = *steps.next().expect("endless");
            let to = (from + count).min(log.len());
            commit(&store, &log, (from, to));
            check(&store, &model_after(&log, to));
            match event {
                Event::Nothing => {}
                Event::Drain => store.drain().expect("drains"),
                Event::Flush => store.flush().expect("flushes"),
                Event::Compact => store.compact().expect("compacts"),
                Event::Reopen if life < 20 => {
                    drop(store);
                    store = open(&at, &small());
                }
                Event::Crash if life < 20 => {
                    let next = dir.path().join(life.to_string());
                    let promised = quiet_crash_image(&store, &at, &next);
                    drop(store);
                    at = next;
                    store = open(&at, &small());
                    assert_eq!(store.applied(), promised);
                }
                Event::Reopen | Event::Crash => {}
            }
            check(&store, &model_after(&log, applied(&store)));
        }
    }

    #[test]
    fn batches_and_drains_do_not_show_in_the_digest((log, events) in (entries(60), events())) {
        let dir = tempfile::tempdir().expect("a directory");
        let one = open(&dir.path().join("one"), &small());
        for index in 0..log.len() {
            commit(&one, &log, (index, index + 1));
        }
        let options = Options { inline_bytes_max: 20_000, dirty_bytes_max: Some(1 << 20), ..small() };
        let two = open(&dir.path().join("two"), &options);
        let mut steps = events.iter().cycle();
        while applied(&two) < log.len() {
            let (count, event) = *steps.next().expect("endless");
            let from = applied(&two);
            commit(&two, &log, (from, (from + count).min(log.len())));
            match event {
                Event::Drain | Event::Crash => two.drain().expect("drains"),
                Event::Compact => two.compact().expect("compacts"),
                _ => {}
            }
        }
        let digest = one.digest().expect("digests");
        assert_eq!(digest, two.digest().expect("digests"));
        let copy = dir.path().join("copy");
        two.checkpoint(&copy).expect("copies");
        assert_eq!(Store::applied_in(&copy).expect("reads"), two.applied());
        assert_eq!(digest, open(&copy, &small()).digest().expect("digests"));
    }
}
