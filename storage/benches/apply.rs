//! How fast are transactions published, drained and read?
//!
//! The load is that of the state machine: 1 M random keys of 21 bytes, values of 128 bytes, 64
//! commands in a transaction. Run with `cargo bench -p talus-storage`; `KEYS=…` changes the
//! number of keys, `MEMORY_MIB=…` the budget.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use storage::{Options, Shared, Store};

const BATCH: u64 = 64;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn key(number: u64) -> [u8; 21] {
    let mut key = *b"key:00000000000000000";
    let digits = number.to_string();
    key[21 - digits.len()..].copy_from_slice(digits.as_bytes());
    key
}

/// Runs a step for `count` commands and prints how long each took.
fn measure(name: &str, count: u64, step: impl FnOnce()) -> f64 {
    let (begin, cpu) = (Instant::now(), cpu_ms());
    step();
    let seconds = begin.elapsed().as_secs_f64();
    let each = seconds * 1e6 / count as f64;
    let cpu = (cpu_ms() - cpu) as f64 * 1e3 / count as f64;
    let rate = count as f64 / seconds / 1e3;
    println!("{name:40} {rate:8.0} k/s {each:8.3} µs each {cpu:8.3} µs of CPU");
    seconds
}

/// CPU time of all threads.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(") ").next().expect("a name in brackets").split(' ');
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks") * 10).sum()
}

fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0) / 1024
}

/// SETs of random keys; returns the longest time a transaction took.
fn set(store: &Store, keys: u64, count: u64, rng: &mut SmallRng) -> f64 {
    let value = [b'v'; 128];
    let mut slowest: f64 = 0.0;
    for index in 0..count / BATCH {
        let begin = Instant::now();
        let mut txn = store.begin();
        txn.set_entry(index, index, index);
        for _ in 0..BATCH {
            txn.set_string(&key(rng.random_range(0..keys)), &value, None).expect("sets");
        }
        let touched = store.commit(txn, Bytes::from_static(b"applied")).expect("commits");
        black_box(touched);
        slowest = slowest.max(begin.elapsed().as_secs_f64());
    }
    slowest * 1e3
}

/// Sets every key once.
fn fill(store: &Store, keys: u64) {
    for number in 0..keys {
        let mut txn = store.begin();
        txn.set_string(&key(number), &[b'v'; 128], None).expect("sets");
        store.commit(txn, Bytes::from_static(b"applied")).expect("commits");
    }
    store.drain().expect("drains");
}

fn get(store: &Store, keys: u64, count: u64, offset: u64, rng: &mut SmallRng) -> u64 {
    let mut hits = 0;
    for _ in 0..count / BATCH {
        let view = store.view(0, 0);
        for _ in 0..BATCH {
            let key = key(offset + rng.random_range(0..keys));
            hits += u64::from(view.string(&key).expect("reads").is_some());
        }
    }
    hits
}

fn main() {
    let keys = number("KEYS", 1_000_000);
    let memory = number("MEMORY_MIB", 1024) as usize;
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = SmallRng::seed_from_u64(1);
    let shared = Shared::new(memory << 20);

    let only = std::env::var("ONLY").unwrap_or_default();
    if only == "get" {
        let store = Store::open(dir.path(), &Options::default(), &shared).expect("opens");
        fill(&store, keys);
        for round in 0..10 {
            measure(&format!("GET, round {round}"), 1_000_000, || {
                get(&store, keys, 1_000_000, 0, &mut rng);
            });
        }
        return;
    }
    if only == "set" {
        let store = Store::open(dir.path(), &Options::default(), &shared).expect("opens");
        fill(&store, keys);
        for round in 0..10 {
            measure(&format!("SET, round {round}"), 1_000_000, || {
                set(&store, keys, 1_000_000, &mut rng);
            });
        }
        return;
    }
    let options =
        Options { background: false, dirty_bytes_max: Some(usize::MAX), ..Options::default() };
    let store = Store::open(&dir.path().join("manual"), &options, &shared).expect("opens");
    println!("idle: {} MiB", rss_mib());
    measure("publish, new keys, no drain", 500_000, || {
        set(&store, u64::MAX >> 1, 500_000, &mut rng);
    });
    let rows = store.stats().dirty_rows;
    measure("drain of all of them", rows, || store.drain().expect("drains"));
    for round in 0..3 {
        measure(&format!("publish, 100 k hot keys, round {round}"), 500_000, || {
            set(&store, 100_000, 500_000, &mut rng);
        });
    }
    let rows = store.stats().dirty_rows;
    measure("drain of 100 k", rows, || store.drain().expect("drains"));
    drop(store);

    if only == "publish" {
        return;
    }
    let store = Store::open(&dir.path().join("auto"), &Options::default(), &shared).expect("opens");
    for round in 0..3 {
        let mut slowest = 0.0;
        measure(&format!("SET with drains, round {round}"), 1_000_000, || {
            slowest = set(&store, keys, 1_000_000, &mut rng);
        });
        println!("    slowest transaction {slowest:.1} ms, {} MiB", rss_mib());
    }
    measure("drain and flush", 1, || store.flush().expect("flushes"));
    let mut hits = 0;
    for _ in 0..2 {
        measure("GET, 64 to a view", 1_000_000, || {
            hits = get(&store, keys, 1_000_000, 0, &mut rng);
        });
    }
    println!("    {hits} hits, {:?}", store.stats().cache);
    measure("GET, 10 k hot keys", 1_000_000, || {
        get(&store, 10_000, 1_000_000, 0, &mut rng);
    });
    measure("GET of absent keys", 1_000_000, || {
        get(&store, keys, 1_000_000, 1 << 40, &mut rng);
    });
    let count = 20_000;
    measure("SCAN of everything, COUNT 10", count, || {
        let (mut cursor, mut calls) = (0, 0);
        while calls < count {
            cursor = store
                .view(0, 0)
                .scan(cursor, 10, |key, _| {
                    black_box(key.len());
                })
                .expect("scans");
            calls += 1;
        }
    });
    measure("digest", keys, || {
        black_box(store.digest().expect("digests"));
    });
    drop(store);

    let shared = Shared::new(memory << 20);
    let mut store = None;
    measure("open", 1, || {
        store = Some(
            Store::open(&dir.path().join("auto"), &Options::default(), &shared).expect("opens"),
        );
    });
    let store = store.expect("opened");
    for name in ["GET, cold", "GET, warm"] {
        measure(name, 1_000_000, || {
            get(&store, keys, 1_000_000, 0, &mut rng);
        });
    }
    println!("    {:#?}", store.stats());
}
