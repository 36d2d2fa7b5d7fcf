//! What a store promises, each promise by itself.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use storage::{Error, Kind, Options, Shared, Store, Txn};

fn open(dir: &Path) -> Arc<Store> {
    open_with(dir, &Options { background: false, ..Options::default() })
}

fn open_with(dir: &Path, options: &Options) -> Arc<Store> {
    Store::open(dir, options, &Shared::new(64 << 20)).expect("opens")
}

/// Commits what `change` does as the entry with this index, at this time.
fn commit(
    store: &Store,
    index: u64,
    now: u64,
    change: impl FnOnce(&mut Txn<'_>),
) -> storage::Touched {
    let mut txn = store.begin();
    txn.set_entry(index, now, 42);
    change(&mut txn);
    store.commit(txn, Bytes::from(index.to_string())).expect("commits")
}

fn set(txn: &mut Txn<'_>, key: &str, value: &str, deadline: Option<u64>) {
    txn.set_string(key.as_bytes(), value.as_bytes(), deadline).expect("sets");
}

fn get(store: &Store, db: u32, key: &str) -> Option<String> {
    let value = store.view(db, 0).string(key.as_bytes()).expect("reads")?;
    Some(String::from_utf8_lossy(&value).into())
}

fn keys(store: &Store, db: u32) -> Vec<String> {
    let mut keys = Vec::new();
    let view = store.view(db, 0);
    view.for_each_key(|key, _| {
        keys.push(String::from_utf8_lossy(key).into());
        ControlFlow::Continue(())
    })
    .expect("iterates");
    keys.sort();
    keys
}

#[test]
fn the_clock_may_ask_for_time_but_does_not_expire() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| set(txn, "k", "v", Some(2000)));
    let view = store.view(0, 1999);
    assert!(view.exists(b"k").expect("reads") && !view.needs_time());
    drop(view);
    let view = store.view(0, 2000);
    assert!(view.exists(b"k").expect("reads") && view.needs_time());
    drop(view);
    commit(&store, 2, 2000, |_| ());
    let view = store.view(0, 2000);
    assert!(!view.exists(b"k").expect("reads") && !view.needs_time());
    assert_eq!((view.version(b"k"), view.key_count()), (Ok(0), 1));
    drop(view);
    // Log time does not run back, whatever an entry says.
    commit(&store, 3, 1500, |txn| assert_eq!(txn.now(), 2000));
    assert_eq!(store.log_time(), 2000);
}

#[test]
fn a_write_removes_what_has_expired_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| set(txn, "k", "old", Some(2000)));
    let touched = commit(&store, 2, 2000, |txn| {
        assert_eq!(txn.append(b"k", b"new"), Ok(3));
        assert_eq!(txn.delete(b"other"), Ok(false));
    });
    assert_eq!(touched.expired, [(0, Bytes::from_static(b"k"))]);
    assert_eq!(touched.keys().collect::<Vec<_>>(), [(0, &b"k"[..])]);
    assert_eq!(get(&store, 0, "k").as_deref(), Some("new"));
    assert_eq!(store.view(0, 0).header(b"k").expect("reads").expect("is there").deadline, None);
    assert_eq!(store.next_deadline(), Ok(None));
}

#[test]
fn sweeps_remove_the_oldest_deadlines_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| {
        for number in 0..100 {
            set(txn, &format!("k{number}"), "v", Some(2000 + number));
        }
        set(txn, "stays", "v", None);
    });
    for (index, drained) in [(2, false), (3, true), (4, false), (5, true)] {
        if drained {
            store.drain().expect("drains");
        }
        assert_eq!(store.next_deadline(), Ok(Some(2000 + (index - 2) * 10)));
        let touched = commit(&store, index, 2049, |txn| assert_eq!(txn.sweep(10), Ok(10)));
        let first = format!("k{}", (index - 2) * 10);
        assert_eq!(touched.expired.len(), 10);
        assert_eq!(touched.expired[0], (0, Bytes::from(first)));
    }
    commit(&store, 6, 2049, |txn| assert_eq!(txn.sweep(1000), Ok(10)));
    commit(&store, 7, 2049, |txn| assert_eq!(txn.sweep(1000), Ok(0)));
    assert_eq!((keys(&store, 0).len(), store.view(0, 0).key_count()), (51, 51));
    assert_eq!(store.next_deadline(), Ok(Some(2050)));
    commit(&store, 8, 9000, |txn| assert_eq!(txn.sweep(1000), Ok(50)));
    assert_eq!((keys(&store, 0), store.next_deadline()), (vec!["stays".into()], Ok(None)));
    assert_eq!(store.stats().expired, 100);
}

#[test]
fn flushed_and_swapped_databases_keep_their_distance() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| {
        set(txn, "a", "0", Some(5000));
        txn.select(1);
        set(txn, "a", "1", None);
        set(txn, "b", "1", None);
    });
    store.drain().expect("drains");
    let touched = commit(&store, 2, 1000, |txn| txn.swap_db(0, 1));
    assert_eq!(touched.emptied, [0, 1]);
    assert_eq!((keys(&store, 0).len(), keys(&store, 1).len()), (2, 1));
    assert_eq!(get(&store, 1, "a").as_deref(), Some("0"));
    commit(&store, 3, 1000, |txn| {
        txn.flush_db(0);
        set(txn, "c", "new", None);
    });
    assert_eq!(keys(&store, 0), ["c"]);
    assert_eq!(store.view(1, 0).deadline_count(), 1);
    commit(&store, 4, 1000, |txn| txn.flush_all());
    assert!(keys(&store, 0).is_empty() && keys(&store, 1).is_empty());
    // The index still lists the key of the dead space; it is gone all the same.
    let touched = commit(&store, 5, 6000, |txn| assert_eq!(txn.sweep(10), Ok(1)));
    assert!(touched.expired.is_empty() && store.stats().dbs.is_empty());
}

#[test]
fn files_shrink_after_a_flush() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut rng = storage_rng();
    commit(&store, 1, 1000, |txn| {
        let mut value = vec![0; 50_000];
        for number in 0..400 {
            rng.fill_bytes(&mut value);
            txn.set_string(format!("k{number}").as_bytes(), &value, None).expect("sets");
        }
        txn.select(1);
        set(txn, "k", "v", None);
    });
    store.flush().expect("flushes");
    assert!(store.stats().file_bytes > 10 << 20);
    commit(&store, 2, 1000, |txn| txn.flush_db(0));
    store.compact().expect("compacts");
    assert!(store.stats().file_bytes < 1 << 20, "{:?}", store.stats());
    assert_eq!(get(&store, 1, "k").as_deref(), Some("v"));
}

fn storage_rng() -> impl Rng {
    use rand::SeedableRng;
    storage::TxnRng::seed_from_u64(1)
}

#[test]
fn rows_of_a_flush_that_may_be_lost_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| set(txn, "k", "v", None));
    store.flush().expect("flushes");
    // Drained but not on disk: after a crash the copy is still to be made.
    commit(&store, 2, 1000, |txn| {
        txn.copy(b"k", b"k", 1).expect("copies");
        txn.flush_db(0);
    });
    store.drain().expect("drains");
    assert_eq!(store.persisted(), Ok(Some(Bytes::from_static(b"1"))));
    let image = dir.path().join("image");
    std::fs::create_dir(&image).expect("creates");
    for file in std::fs::read_dir(dir.path()).expect("lists") {
        let path = file.expect("lists").path();
        if path.is_file() && !path.ends_with("LOCK") {
            std::fs::copy(&path, image.join(path.file_name().expect("a name"))).expect("copies");
        }
    }
    let crashed = open(&image);
    assert_eq!(crashed.applied(), Some(Bytes::from_static(b"1")));
    assert_eq!(get(&crashed, 0, "k").as_deref(), Some("v"));
}

#[test]
fn a_cursor_finds_every_key_that_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let stays = |number: u32| number.is_multiple_of(3);
    commit(&store, 1, 1000, |txn| {
        for number in 0..3000 {
            set(txn, &format!("{{{}}}k{number}", number % 7), "v", None);
        }
        txn.select(1);
        for number in 0..10 {
            set(txn, &format!("other{number}"), "v", None);
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    let (mut cursor, mut calls, mut index) = (0, 0, 2);
    loop {
        let view = store.view(0, 0);
        let mut found = 0;
        cursor = view
            .scan(cursor, 10, |key, header| {
                assert_eq!(header.kind, Kind::String);
                seen.insert(key.to_vec());
                found += 1;
            })
            .expect("scans");
        drop(view);
        assert!(found <= 10);
        if cursor == 0 {
            break;
        }
        // Delete others, the key of the cursor perhaps among them, and now and then forget all
        // that is not on disk about cursors and order.
        commit(&store, index, 1000, |txn| {
            for number in (calls * 9..(calls + 1) * 9).filter(|&number| !stays(number)) {
                txn.delete(format!("{{{}}}k{number}", number % 7).as_bytes()).expect("deletes");
            }
        });
        if calls % 10 == 0 {
            store.drain().expect("drains");
        }
        (calls, index) = (calls + 1, index + 1);
        assert!(calls < 1000, "the scan does not end");
    }
    for number in (0..3000).filter(|&number| stays(number)) {
        assert!(seen.contains(format!("{{{}}}k{number}", number % 7).as_bytes()), "{number}");
    }
    assert!(!seen.iter().any(|key| key.starts_with(b"other")));
}

#[test]
fn a_cursor_outlives_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| {
        for number in 0..100 {
            set(txn, &format!("{{tag}}{number}"), "v", None);
        }
    });
    store.flush().expect("flushes");
    let mut seen = Vec::new();
    let cursor = store.view(0, 0).scan(0, 40, |key, _| seen.push(key.to_vec())).expect("scans");
    drop(store);
    let store = open(dir.path());
    let end = store.view(0, 0).scan(cursor, 100, |key, _| seen.push(key.to_vec())).expect("scans");
    assert_eq!(end, 0);
    assert_eq!(seen.len(), 100);
    seen.dedup();
    assert_eq!(seen.len(), 100);
    // A cursor whose key is gone begins its slot again.
    commit(&store, 2, 1000, |txn| assert_eq!(txn.delete(&seen[39]), Ok(true)));
    let mut again = 0;
    store.view(0, 0).scan(cursor, 1000, |_, _| again += 1).expect("scans");
    assert_eq!(again, 99);
}

#[test]
fn random_keys_are_live_and_the_same_everywhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    assert_eq!(store.view(0, 0).random_key(1), Ok(None));
    commit(&store, 1, 1000, |txn| {
        for number in 0..1000 {
            set(txn, &format!("k{number}"), "v", (number % 2 == 0).then_some(1500));
        }
    });
    commit(&store, 2, 2000, |_| ());
    let pick = |seed: u64| {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        store.view(0, 0).random_key(seed).expect("reads").expect("there is one")
    };
    let before: Vec<_> = (0..500).map(pick).collect();
    assert!(before.iter().all(|key| store.view(0, 0).exists(key) == Ok(true)));
    let distinct = before.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(distinct > 200, "{distinct} distinct keys");
    store.drain().expect("drains");
    assert_eq!((0..500).map(pick).collect::<Vec<_>>(), before);
}

#[test]
fn a_bit_of_100_mb_costs_a_chunk() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let size = 100 << 20;
    commit(&store, 1, 1000, |txn| {
        assert_eq!(txn.write_at(b"bits", size - 1, b"\x01"), Ok(size));
    });
    store.drain().expect("drains");
    assert!(store.stats().file_bytes + store.stats().memtable_bytes < 4 << 20);
    let begin = Instant::now();
    for index in 0..1000 {
        commit(&store, index + 2, 1000, |txn| {
            let at = index * 99_991;
            assert_eq!(txn.write_at(b"bits", at, b"\x80"), Ok(size));
            assert_eq!(txn.string_range(b"bits", at..at + 2).expect("reads").as_ref(), b"\x80\0");
        });
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let whole = store.view(0, 0).string(b"bits").expect("reads").expect("is there");
    assert_eq!(whole.len() as u64, size);
    assert_eq!(whole.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1001);
    let begin = Instant::now();
    commit(&store, 2000, 1000, |txn| assert_eq!(txn.delete(b"bits"), Ok(true)));
    assert!(begin.elapsed() < Duration::from_millis(500));
    commit(&store, 2001, 1000, |txn| {
        assert_eq!(txn.write_at(b"bits", 200_000, b"x"), Ok(200_001));
    });
    store.drain().expect("drains");
    let whole = store.view(0, 0).string(b"bits").expect("reads").expect("is there");
    assert_eq!(whole.iter().filter(|&&byte| byte != 0).count(), 1, "the old chunks are gone");
    let too_long =
        commit_error(&store, |txn| txn.write_at(b"bits", storage::STRING_BYTES_MAX, b"x"));
    assert_eq!(too_long, Error::TooLong);
}

fn commit_error<T>(store: &Store, change: impl FnOnce(&mut Txn<'_>) -> Result<T, Error>) -> Error {
    match change(&mut store.begin()) {
        Ok(_) => panic!("no error"),
        Err(error) => error,
    }
}

#[test]
fn one_seed_gives_one_sequence() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut txn = store.begin();
    txn.set_entry(7, 1000, 42);
    txn.item(1);
    let first = txn.rng().next_u64();
    txn.item(2);
    let second = txn.rng().next_u64();
    txn.item(1);
    assert_eq!(txn.rng().next_u64(), first);
    assert_ne!(first, second);
    assert_eq!(
        first, 7_539_917_078_144_382_605,
        "a change would let versions of this program differ"
    );
}

#[test]
fn a_transaction_that_is_dropped_has_never_been() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| set(txn, "k", "one", None));
    let mut txn = store.begin();
    txn.set_entry(2, 5000, 1);
    set(&mut txn, "k", "two", None);
    txn.flush_all();
    drop(txn);
    assert_eq!(get(&store, 0, "k").as_deref(), Some("one"));
    assert_eq!((store.log_time(), store.applied()), (1000, Some(Bytes::from_static(b"1"))));
}

#[test]
fn all_families_are_of_one_entry_after_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        memtable_bytes: 256 << 10,
        dirty_bytes_max: Some(128 << 10),
        idle_after: Duration::from_millis(1),
        ..Options::default()
    };
    let store = open_with(&dir.path().join("live"), &options);
    for index in 1..=2000_u64 {
        commit(&store, index, 1000 + index, |txn| {
            let text = index.to_string();
            set(txn, "small", &text, Some(1_000_000 + index));
            txn.write_at(b"large", 70_000 + index, text.as_bytes()).expect("writes");
            set(txn, &format!("k{}", index % 500), &text.repeat(100), None);
            txn.put_system(b"session", text.as_bytes());
        });
        if index % 400 == 0 {
            let image = dir.path().join(index.to_string());
            // A checkpoint is what a crash would leave; files copied one by one are not.
            store.checkpointer().expect("drains").run(&image).expect("copies");
            let copy = open(&image);
            let applied = copy.applied().expect("something was applied");
            let number: u64 = String::from_utf8_lossy(&applied).parse().expect("a number");
            assert!(number >= index);
            let view = copy.view(0, 0);
            assert_eq!(view.string(b"small").expect("reads").expect("is there"), applied);
            assert_eq!(view.system(b"session").expect("reads").expect("is there"), applied);
            let end = 70_000 + number;
            let part = view.string_range(b"large", end..end + 100).expect("reads");
            assert_eq!(part, applied);
            assert_eq!(view.now(), 1000 + number);
            drop(view);
            assert_eq!(copy.next_deadline(), Ok(Some(1_000_000 + number)));
        }
    }
}

#[test]
fn readers_see_whole_entries_while_drains_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        dirty_bytes_max: Some(32 << 10),
        memtable_bytes: 512 << 10,
        inline_bytes_max: 64,
        idle_after: Duration::from_millis(1),
        ..Options::default()
    };
    // Too little memory for all rows, so that readers fall through to RocksDB.
    let store = Store::open(dir.path(), &options, &Shared::new(1 << 20)).expect("opens");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut rounds = 0_u64;
                while !is_done.load(Ordering::Relaxed) {
                    let view = store.view(0, 0);
                    let pair = rounds % 200;
                    let [one, two] = ["one", "two"].map(|side| {
                        view.string(format!("{side}{pair}").as_bytes()).expect("reads")
                    });
                    assert_eq!(one, two);
                    if rounds.is_multiple_of(64) {
                        let mut count = 0;
                        view.for_each_key(|_, _| {
                            count += 1;
                            ControlFlow::Continue(())
                        })
                        .expect("iterates");
                        assert_eq!(count, view.key_count());
                    }
                    rounds += 1;
                }
            });
        }
        for index in 1..=5000_u64 {
            commit(&store, index, 1000, |txn| {
                let pair = index * 7 % 200;
                let value = index.to_string().repeat(1 + index as usize % 40);
                for side in ["one", "two"] {
                    let key = format!("{side}{pair}");
                    match index % 5 {
                        0 => drop(txn.delete(key.as_bytes()).expect("deletes")),
                        1 => drop(txn.append(key.as_bytes(), value.as_bytes()).expect("appends")),
                        _ => set(txn, &key, &value, None),
                    }
                }
            });
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(store.stats().drains > 5, "{:?}", store.stats());
}

#[test]
fn a_digest_is_of_the_state_in_which_it_was_begun() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, 1000, |txn| set(txn, "k", "one", None));
    let one = store.digest().expect("digests");
    let digester = store.digester().expect("begins");
    commit(&store, 2, 1000, |txn| {
        set(txn, "k", "two", None);
        txn.flush_db(0);
        set(txn, "k", "two", None);
    });
    store.compact().expect("compacts");
    let digest = digester.wait().expect("digests");
    assert_eq!((digest.hash, digest.applied), (one, Some(Bytes::from_static(b"1"))));
    assert_ne!(store.digest().expect("digests"), one);
}

#[test]
fn a_directory_can_change_hands() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, copy) = (dir.path().join("first"), dir.path().join("copy"));
    let store = open(&first);
    commit(&store, 1, 1000, |txn| set(txn, "k", "v", None));
    store.checkpoint(&copy).expect("copies");
    let digest = store.digest().expect("digests");
    drop(store);
    assert_eq!(Store::applied_in(&copy), Ok(Some(Bytes::from_static(b"1"))));
    Store::rewrite_applied(&copy, b"another log").expect("rewrites");
    assert_eq!(Store::applied_in(&copy), Ok(Some(Bytes::from_static(b"another log"))));
    let store = open(&copy);
    assert_eq!(get(&store, 0, "k").as_deref(), Some("v"));
    assert_eq!(store.digest(), Ok(digest));
}

#[test]
fn another_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(dir.path()));
    {
        let families = ["default", "meta", "sub", "score", "system"];
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), families)
            .expect("opens");
        let system = db.cf_handle("system").expect("is there");
        db.put_cf(system, b"f", 2_u32.to_be_bytes()).expect("puts");
    }
    let error = Store::open(dir.path(), &Options::default(), &Shared::new(1 << 20)).err();
    assert_eq!(error, Some(Error::Format { found: 2, known: 1 }));
    assert!(Store::applied_in(dir.path()).is_err_and(|error| error.is_fault()));
}

#[test]
fn damaged_files_are_faults_and_never_other_values() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let value = |number: u32| number.to_string().repeat(30);
    commit(&store, 1, 1000, |txn| {
        for number in 0..5000 {
            set(txn, &format!("k{number}"), &value(number), None);
        }
    });
    store.flush().expect("flushes");
    drop(store);
    for file in std::fs::read_dir(dir.path()).expect("lists") {
        let path = file.expect("lists").path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let mut bytes = std::fs::read(&path).expect("reads");
            let at = bytes.len() / 3;
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).expect("writes");
        }
    }
    let options = Options { background: false, ..Options::default() };
    let store = match Store::open(dir.path(), &options, &Shared::new(64 << 20)) {
        Ok(store) => store,
        Err(error) => return assert!(error.is_fault()),
    };
    let view = store.view(0, 0);
    let mut faults = 0;
    for number in 0..5000 {
        match view.string(format!("k{number}").as_bytes()) {
            Ok(found) => assert_eq!(found.as_deref(), Some(value(number).as_bytes())),
            Err(error) => {
                assert!(error.is_fault());
                faults += 1;
            }
        }
    }
    assert!(faults > 0 && view.for_each_key(|_, _| ControlFlow::Continue(())).is_err());
    drop(view);
    assert!(store.digest().is_err_and(|error| error.is_fault()));
}

#[test]
fn files_of_a_discarded_store_stay_until_its_last_holder_lets_go() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("store");
    let store = open(&dir);
    commit(&store, 1, 1000, |txn| set(txn, "k", "v", None));
    store.drain().expect("drains");
    let reader = store.clone();
    store.discard();
    drop(store);
    assert_eq!(get(&reader, 0, "k").as_deref(), Some("v"));
    assert!(dir.join("CURRENT").exists());
    drop(reader);
    assert!(!dir.exists());
    drop(open(&dir));
    assert!(dir.exists(), "a store that is wanted stays");
}
