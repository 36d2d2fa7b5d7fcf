//! Power failures: at every point, with any part of what was not synced lost or kept.

mod log_disk;

use std::time::Duration;

use bytes::Bytes;
use log_disk::{Driven, MemoryDisk, Model, Step, open, small_options};
use raft::log::WalOptions;
use raft::types::{Command, Entry, LeaderId, LogId, Payload};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SHARDS: u32 = 3;

/// Rounds of work, each ended by a crash or a clean end, on one disk. Every round begins by
/// reading what the one before left.
async fn lives(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut disk = MemoryDisk::default();
    let mut before: Vec<Driven> = vec![];
    let mut closed = true;
    for round in 0..6 {
        let what = format!("seed {seed}, round {round}");
        let opened = open(&disk, small_options(), SHARDS).await;
        let (wal, logs) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
        for (driven, (_, found)) in before.iter().zip(&logs) {
            driven.accept(found, closed, &what);
        }
        let mut shards: Vec<_> =
            logs.into_iter().map(|(log, model)| Driven::new(log, model)).collect();
        // Sometimes before anything was written, sometimes not at all.
        disk.fail_after(rng.random_range(1..150));
        let finished = work(&mut shards, &mut rng, round).await;
        for shard in &mut shards {
            shard.settle().await;
        }
        wal.close();
        closed = finished && disk.is_powered();
        disk = disk.after_crash(&mut rng, *pick(&[0.0, 0.5, 0.5, 0.9, 1.0], round, seed));
        before = shards;
    }
}

fn pick<T>(from: &[T], round: u64, seed: u64) -> &T {
    &from[((round * 7 + seed) % from.len() as u64) as usize]
}

/// Random steps until the power fails or it is enough. True if it was enough.
async fn work(shards: &mut [Driven], rng: &mut StdRng, round: u64) -> bool {
    for _ in 0..rng.random_range(0..120) {
        let at = rng.random_range(0..shards.len());
        let shard = &mut shards[at];
        let step = shard.model().random_step(rng, round + 1);
        if shard.step(step).await.is_err() {
            return false;
        }
        if rng.random_bool(0.2) {
            shard.settle().await;
        }
        if rng.random_bool(0.02) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_survives_any_crash() {
    let seeds =
        std::env::var("LOG_CRASH_SEEDS").map_or(300, |seeds| seeds.parse().expect("a number"));
    let first = std::env::var("LOG_CRASH_FIRST").map_or(0, |seed| seed.parse().expect("a number"));
    for seed in first..first + seeds {
        lives(seed).await;
    }
}

/// How the life of a log ends.
#[derive(PartialEq)]
enum End {
    Closed,
    Killed,
    /// The last group was not synced, and its first sector is lost.
    Torn,
}

/// Appends entries of equal length in one group. Returns the disk as it is found afterwards.
async fn life(
    disk: &MemoryDisk,
    (indexes, length): (std::ops::RangeInclusive<u64>, usize),
    end: End,
) -> MemoryDisk {
    let unsynced_wait = Duration::from_secs(3600);
    let options = WalOptions { unsynced_wait, segment_bytes_first: 64 << 10, ..small_options() };
    let options = WalOptions { segment_bytes: 64 << 10, ..options };
    let (wal, logs) = open(disk, options, 1).await.expect("opens");
    let (log, model) = logs.into_iter().next().expect("one shard");
    let mut shard = Driven::new(log, model);
    if end == End::Torn {
        // Until the files that were made at the start are synced.
        tokio::time::sleep(Duration::from_millis(50)).await;
        disk.fail_syncs();
    }
    let entries = indexes.map(|index| Entry {
        log_id: LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index },
        payload: Payload::Normal(Command::from(Bytes::from(vec![7; length]))),
    });
    shard.step(Step::Append(entries.collect())).await.expect("queued");
    shard.settle().await;
    if end == End::Closed {
        wal.close();
    }
    let found = if end == End::Torn { disk.after_losing_first_sectors() } else { disk.snapshot() };
    wal.close();
    found
}

/// A group is lost, but for records at its end that are whole. What is written next ends where one
/// of them begins, and must not be followed by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remains_of_a_lost_group_never_follow_new_records() {
    let closed = life(&MemoryDisk::default(), (1..=3, 600), End::Closed).await;
    let torn = life(&closed, (4..=24, 600), End::Torn).await;
    for length in (520..680).step_by(8) {
        let killed = life(&torn.snapshot(), (4..=4, length), End::Killed).await;
        let (_wal, logs) = open(&killed, small_options(), 1).await.expect("opens");
        let found: Vec<_> = logs[0].1.entries.keys().copied().collect();
        assert_eq!(found, [1, 2, 3, 4], "after an entry of {length} bytes");
    }
}

/// A crash during the very first start, at every point of it, leaves a log that opens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_may_crash_anywhere() {
    let (mut rng, mut opened) = (StdRng::seed_from_u64(1), 0);
    for changes in 1..40 {
        let disk = MemoryDisk::default();
        disk.fail_after(changes);
        let begun = begin(&disk, &mut rng).await;
        opened += u32::from(begun.is_some());
        let disk = disk.after_crash(&mut rng, 0.5);
        let (_wal, logs) = open(&disk, small_options(), 1).await.expect("opens again");
        match begun {
            Some(shard) => shard.accept(&logs[0].1, false, &format!("change {changes}")),
            None => assert_eq!(logs[0].1, Model::default(), "change {changes}"),
        }
    }
    assert!((10..39).contains(&opened), "{opened} starts came through");
}

/// A first start and some steps, until the power fails; `None` if it fails before the log is open.
async fn begin(disk: &MemoryDisk, rng: &mut StdRng) -> Option<Driven> {
    let (wal, logs) = open(disk, small_options(), 1).await.ok()?;
    let (log, _) = logs.into_iter().next().expect("one shard");
    let mut shard = Driven::new(log, Model::default());
    for _ in 0..10 {
        let step = shard.model().random_step(rng, 1);
        if shard.step(step).await.is_err() {
            break;
        }
    }
    shard.settle().await;
    wal.close();
    Some(shard)
}
