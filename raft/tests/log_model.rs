//! The log against a model: any steps on any shards, with restarts in between.

mod log_disk;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use log_disk::{C, Driven, MemoryDisk, Step, open, small_options};
use openraft::storage::{RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use proptest::prelude::*;
use raft::ShardId;
use raft::log::{Wal, WalOptions};
use raft::types::{Command, Entry, LeaderId, LogId, Payload, Vote};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SHARDS: u32 = 3;

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn entry(term: u64, index: u64, length: usize) -> Entry {
    let payload = Payload::Normal(Command::from(Bytes::from(vec![index as u8; length])));
    Entry { log_id: id(term, index), payload }
}

fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Step {
    Step::Append(indexes.map(|index| entry(term, index, 40)).collect())
}

/// What happens to the log in a property test.
#[derive(Debug, Clone)]
enum Action {
    /// A step drawn from the seed, on a shard.
    Step(u32, u64),
    Settle(u32),
    Read(u32),
    /// Closed and opened again.
    Restart,
    /// The process dies: what was written stays, what was queued is lost.
    Kill,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        30 => (0..SHARDS, any::<u64>()).prop_map(|(shard, seed)| Action::Step(shard, seed)),
        3 => (0..SHARDS).prop_map(Action::Settle),
        5 => (0..SHARDS).prop_map(Action::Read),
        1 => Just(Action::Restart),
        1 => Just(Action::Kill),
    ]
}

async fn reopen(wal: Wal, disk: &mut MemoryDisk, shards: &mut Vec<Driven>, kill: bool) -> Wal {
    if kill {
        *disk = disk.snapshot();
    } else {
        wal.close();
        for shard in shards.iter_mut() {
            shard.settle().await;
        }
    }
    let (next, logs) = open(disk, small_options(), SHARDS).await.expect("opens");
    for (shard, (_, found)) in shards.iter().zip(&logs) {
        shard.accept(found, !kill, "opened again");
    }
    *shards = logs.into_iter().map(|(log, model)| Driven::new(log, model)).collect();
    wal.close();
    next
}

async fn run(actions: Vec<Action>) {
    let mut disk = MemoryDisk::default();
    let (mut wal, logs) = open(&disk, small_options(), SHARDS).await.expect("opens");
    let mut shards: Vec<_> = logs.into_iter().map(|(log, model)| Driven::new(log, model)).collect();
    for (term, action) in (1..).zip(actions) {
        match action {
            Action::Step(shard, seed) => {
                let shard = &mut shards[shard as usize];
                let step = shard.model().random_step(&mut StdRng::seed_from_u64(seed), term);
                shard.step(step).await.expect("the disk is fine");
            }
            Action::Settle(shard) => shards[shard as usize].settle().await,
            Action::Read(shard) => shards[shard as usize].check().await,
            Action::Restart => wal = reopen(wal, &mut disk, &mut shards, false).await,
            Action::Kill => wal = reopen(wal, &mut disk, &mut shards, true).await,
        }
    }
    for shard in &mut shards {
        shard.check().await;
    }
    reopen(wal, &mut disk, &mut shards, false).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_log_agrees_with_the_model(actions in prop::collection::vec(action(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        runtime.expect("starts").block_on(run(actions));
    }
}

async fn one_shard(options: WalOptions) -> (MemoryDisk, Wal, Driven) {
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, options, 1).await.expect("opens");
    let (log, model) = logs.into_iter().next().expect("one shard");
    (disk, wal, Driven::new(log, model))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_entries_are_replaced_for_good() {
    let (disk, wal, mut shard) = one_shard(small_options()).await;
    for step in [entries(1, 1..=20), Step::Truncate(Some(id(1, 5))), entries(2, 6..=9)] {
        shard.step(step).await.expect("done");
        shard.check().await;
    }
    let flushed = shard.log.flushed();
    flushed.reached(9).await.expect("flushed");
    shard.settle().await;
    wal.close();
    let (_wal, logs) = open(&disk, small_options(), 1).await.expect("opens");
    assert_eq!(logs[0].1, shard.model().seen());
}

/// An entry that replaces a durable one is not taken for durable itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_must_be_flushed_itself() {
    let (disk, wal, mut shard) = one_shard(small_options()).await;
    shard.step(entries(1, 1..=3)).await.expect("done");
    shard.settle().await;
    shard.step(Step::Truncate(Some(id(1, 1)))).await.expect("done");
    disk.fail_syncs();
    shard.step(entries(2, 2..=3)).await.expect("done");
    let flushed = shard.log.flushed();
    flushed.reached(1).await.expect("that one stayed");
    assert!(flushed.reached(3).await.is_err());
    assert_eq!(flushed.index(), Some(1));
    wal.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_bounded_and_streams_are_whole() {
    let (_disk, _wal, mut shard) = one_shard(small_options()).await;
    shard.step(entries(1, 1..=50)).await.expect("done");
    shard.settle().await;
    shard.step(entries(1, 51..=60)).await.expect("done");
    let mut reader = RaftLogStorage::<C>::get_log_reader(&mut shard.log).await;
    for start in 1..60 {
        let some = RaftLogReader::<C>::limited_get_log_entries(&mut reader, start, 61);
        let some = some.await.expect("reads");
        assert!((1..10).contains(&some.len()), "{} from {start}", some.len());
        assert!(some.iter().zip(start..).all(|(entry, index)| entry.log_id == id(1, index)));
    }
    let stream = RaftLogReader::<C>::entries_stream(&mut reader, 0..100).await;
    let all: Vec<_> = stream.try_collect().await.expect("reads");
    let indexes: Vec<_> = all.iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(indexes, (1..=60).collect::<Vec<_>>());
    let missing = RaftLogReader::<C>::limited_get_log_entries(&mut reader, 61, 70).await;
    assert!(missing.expect("it asks for what is not there yet").is_empty());
}

/// A shard that is never written any more does not keep the log of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_shard_pins_nothing() {
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, small_options(), 2).await.expect("opens");
    let mut shards: Vec<_> = logs.into_iter().map(|(log, model)| Driven::new(log, model)).collect();
    shards[1].step(Step::Vote(Vote::new(1, 2))).await.expect("done");
    shards[1].step(entries(1, 1..=3)).await.expect("done");
    shards[1].step(Step::Committed(Some(id(1, 2)))).await.expect("done");
    for index in 1..=600 {
        shards[0].step(entries(1, index..=index)).await.expect("done");
        if index % 10 == 0 {
            shards[0].settle().await;
            shards[0].step(Step::Purge(id(1, index - 5))).await.expect("done");
        }
    }
    let mut stats = wal.stats();
    for _ in 0..200 {
        if stats.segments <= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        stats = wal.stats();
    }
    assert!(stats.segments <= 5 && stats.copied_bytes > 0, "{stats:?}");
    shards[1].check().await;
    wal.close();
    let (_wal, logs) = open(&disk, small_options(), 2).await.expect("opens");
    for (shard, (_, found)) in shards.iter().zip(&logs) {
        assert_eq!(shard.model().seen(), *found);
    }
}

/// Records queue up faster than files are made: they must fill the files that come, not waste them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_wastes_no_files() {
    let options = WalOptions { segment_bytes: 64 << 10, ..small_options() };
    let options = WalOptions { segment_bytes_first: 1 << 10, ..options };
    let (_disk, wal, mut shard) = one_shard(options).await;
    for index in 1..=3000 {
        shard.step(entries(1, index..=index)).await.expect("queued");
    }
    shard.settle().await;
    let stats = wal.stats();
    assert!(stats.bytes > 4 * (64 << 10), "{stats:?}");
    // Of 1, 4, 16 KiB, then of 64 KiB.
    assert!(stats.segments as u64 <= 4 + stats.bytes / (60 << 10), "{stats:?}");
}

/// Segments may be shorter than a first file usually is, and than the files of a former life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_may_be_of_any_length() {
    let disk = MemoryDisk::default();
    let mut shards = vec![];
    for (life, segment_bytes) in [1, 4096, 1000, 2048].into_iter().enumerate() {
        let options = WalOptions { segment_bytes, segment_bytes_first: 2048, ..small_options() };
        let (wal, logs) = open(&disk, options, 1).await.expect("opens");
        let (log, model) = logs.into_iter().next().expect("one shard");
        let mut shard = Driven::new(log, shards.pop().unwrap_or(model));
        shard.check().await;
        let first = life as u64 * 100;
        shard.step(entries(1, first..=first + 99)).await.expect("done");
        shard.settle().await;
        shard.check().await;
        shards.push(shard.model().seen());
        wal.close();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_shard_stays_forgotten() {
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, small_options(), 2).await.expect("opens");
    let mut shards: Vec<_> = logs.into_iter().map(|(log, model)| Driven::new(log, model)).collect();
    for shard in &mut shards {
        shard.step(entries(1, 1..=3)).await.expect("done");
        shard.settle().await;
    }
    wal.forget(ShardId(0)).expect("forgets");
    wal.close();
    let (wal, found) = Wal::open_on(Arc::new(disk), small_options()).expect("opens");
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [ShardId(1)]);
    let (state, _) = (wal.stats(), wal.shard(ShardId(0), None));
    assert!(state.segments > 0);
}

/// Whoever watches entries sees each of them before it can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_seen_before_they_are_appended() {
    let (_disk, wal, _) = one_shard(small_options()).await;
    let seen = Arc::new(Mutex::new(vec![]));
    let watch = seen.clone();
    let log = wal.shard(
        ShardId(7),
        Some(Arc::new(move |entry: &Entry| watch.lock().push(entry.log_id.index))),
    );
    let mut shard = Driven::new(log, <_>::default());
    shard.step(entries(1, 4..=6)).await.expect("done");
    assert_eq!(*seen.lock(), [4, 5, 6]);
    assert!(shard.step(entries(1, 9..=9)).await.is_err(), "a gap is refused");
}

/// A stream that outlives its leadership may ask for what a snapshot has replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_purged_or_cut_off_is_nothing_to_send() {
    let (_disk, _wal, mut shard) = one_shard(small_options()).await;
    shard.step(entries(1, 1..=9)).await.expect("done");
    shard.step(Step::Purge(id(1, 5))).await.expect("done");
    let mut reader = shard.log.reader();
    for (start, found) in [(3, vec![]), (5, vec![]), (6, vec![6, 7, 8])] {
        let read = RaftLogReader::<C>::limited_get_log_entries(&mut reader, start, 9).await;
        let read = read.expect("reads").iter().map(|entry| entry.log_id.index).collect::<Vec<_>>();
        assert!(
            found.starts_with(&read) && read.is_empty() == found.is_empty(),
            "{start}: {read:?}"
        );
    }
    shard.step(Step::Truncate(Some(id(1, 7)))).await.expect("done");
    let read = RaftLogReader::<C>::limited_get_log_entries(&mut reader, 8, 10).await;
    assert!(read.expect("nothing is wrong").is_empty());
}

/// The default options on a real directory: open, append, open again; and only once at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_serves_as_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("log");
    let (wal, _) = Wal::open(&path, WalOptions::default()).expect("opens");
    let mut shard = Driven::new(wal.shard(ShardId(0), None), <_>::default());
    shard.step(entries(1, 1..=1000)).await.expect("done");
    shard.settle().await;
    assert!(Wal::open(&path, WalOptions::default()).is_err(), "it is in use");
    wal.close();
    let model = shard.model().seen();
    drop((wal, shard));
    let (wal, found) = Wal::open(&path, WalOptions::default()).expect("opens");
    assert_eq!(found[&ShardId(0)].last, Some(id(1, 1000)));
    assert_eq!(log_disk::read(&mut wal.shard(ShardId(0), None)).await, model);
}
