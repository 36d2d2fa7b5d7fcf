//! Damage to what was durable: the log does not open, and says where.

mod log_disk;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use log_disk::{C, Driven, MemoryDisk, Model, Step, open, small_options};
use openraft::storage::RaftLogStorage;
use raft::ShardId;
use raft::log::{Disk, LogError, Wal, WalOptions};
use raft::types::{Command, Entry, LeaderId, LogId, Payload, Vote};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Bytes of a file before its first record, and of those the ones that mean something.
const HEADER: usize = 64;
const HEADER_USED: usize = 28;

fn id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
}

fn entry(index: u64, length: usize) -> Entry {
    let payload = Payload::Normal(Command::from(Bytes::from(vec![index as u8; length])));
    Entry { log_id: id(index), payload }
}

/// A log of several segments: single appends, each durable before the next.
async fn filled(entries: u64) -> (MemoryDisk, Model) {
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, small_options(), 1).await.expect("opens");
    let (log, model) = logs.into_iter().next().expect("one shard");
    let mut shard = Driven::new(log, model);
    shard.step(Step::Vote(Vote::new(1, 1))).await.expect("saved");
    for index in 1..=entries {
        shard.step(Step::Append(vec![entry(index, 50)])).await.expect("appended");
        shard.settle().await;
    }
    wal.close();
    (disk, shard.model().seen())
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.list().expect("lists").into_iter().filter(|name| name.ends_with(".wal")).collect()
}

/// Where the records of a file are. Only their lengths are looked at.
fn records(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = vec![];
    let mut at = HEADER;
    while bytes.get(at + 14..at + 16) == Some(&[0x4c, 0x57]) {
        let field = bytes[at + 4..at + 8].try_into().expect("four bytes");
        let end = at + 16 + u32::from_le_bytes(field) as usize;
        found.push(at..end);
        at = end.next_multiple_of(8);
    }
    found
}

/// Every single byte of every segment: a flip is noticed and named, or it is where nothing is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_noticed_and_named() {
    let (disk, model) = filled(40).await;
    let used: Vec<_> = segments(&disk)
        .into_iter()
        .filter(|name| disk.content(name)[HEADER..].iter().any(|byte| *byte != 0))
        .collect();
    assert!(used.len() > 2, "several segments: {used:?}");
    for (file, name) in used.iter().enumerate() {
        let bytes = disk.content(name);
        let records = records(&bytes);
        // What was written last, when the log was closed: a marker and the close record.
        let tail =
            if file + 1 == used.len() { records[records.len() - 2].start } else { bytes.len() };
        for offset in 0..bytes.len() {
            let damaged = disk.snapshot();
            damaged.flip(name, offset, (offset % 8) as u8);
            let record = records.iter().find(|record| record.contains(&offset));
            let expected = match record {
                _ if offset < HEADER_USED => Some(0),
                Some(record) if record.start < tail => Some(record.start),
                _ => None,
            };
            match (open(&damaged, small_options(), 1).await, expected) {
                (Ok((_, logs)), None) => assert_eq!(logs[0].1, model, "{name} at {offset}"),
                (Err(LogError::Damaged { file, offset: at, .. }), Some(expected)) => {
                    assert_eq!((&file, at), (name, expected as u64), "flip at {offset}");
                }
                (found, expected) => {
                    let found = found.map(|(_, logs)| logs[0].1.clone());
                    panic!("{name} at {offset}: {found:?} instead of {expected:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_segment_is_noticed_and_named() {
    let (disk, _) = filled(60).await;
    let used: Vec<_> = segments(&disk)
        .into_iter()
        .filter(|name| !records(&disk.content(name)).is_empty())
        .collect();
    for name in &used[..used.len() - 1] {
        let without = disk.snapshot();
        without.remove(name).expect("removes");
        match open(&without, small_options(), 1).await {
            Err(LogError::Missing { .. }) => {}
            other => panic!("without {name}: {:?}", other.map(|(_, logs)| logs[0].1.clone())),
        }
    }
}

/// Of the last group anything may be lost: it is cut, and what was before it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut() {
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, small_options(), 1).await.expect("opens");
    let (log, model) = logs.into_iter().next().expect("one shard");
    let mut shard = Driven::new(log, model);
    for index in 1..=10 {
        shard.step(Step::Append(vec![entry(index, 50)])).await.expect("appended");
        shard.settle().await;
    }
    let image = disk.snapshot();
    wal.close();
    let name = segments(&image)[0].clone();
    let records = records(&image.content(&name));
    // The last entry is one record in a group of its own, behind a marker.
    for offset in records[records.len() - 2].start..records[records.len() - 1].end {
        let torn = image.snapshot();
        torn.flip(&name, offset, 3);
        let (_wal, logs) = open(&torn, small_options(), 1).await.expect("opens");
        assert_eq!(
            logs[0].1.entries.keys().copied().collect::<Vec<_>>(),
            (1..10).collect::<Vec<_>>()
        );
    }
}

/// Files are used again: what they held before must never come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_a_former_life_are_not_replayed() {
    let mut rng = StdRng::seed_from_u64(5);
    let disk = MemoryDisk::default();
    let (wal, logs) = open(&disk, small_options(), 1).await.expect("opens");
    let (log, model) = logs.into_iter().next().expect("one shard");
    let mut shard = Driven::new(log, model);
    for index in 1..=400 {
        // Records of equal length: those of the former life begin where the new ones end.
        shard.step(Step::Append(vec![entry(index, 50)])).await.expect("appended");
        shard.settle().await;
        if index % 20 == 0 {
            shard.step(Step::Purge(id(index - 5))).await.expect("purged");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if index % 7 == 0 {
            let after = disk.after_crash(&mut rng, 1.0);
            let (_wal, logs) = open(&after, small_options(), 1).await.expect("opens");
            // A purge just noted may not be on disk yet.
            shard.accept(&logs[0].1, false, "a crash");
        }
    }
    let files = segments(&disk).len();
    assert!(files < 12, "files are used again, yet there are {files}");
    wal.close();
}

/// The cause is told, not only that there is one: it may be a node's last word.
fn assert_sync_failed(result: &Result<(), LogError>) {
    let Err(LogError::Failed(cause)) = result else { panic!("{result:?}") };
    assert!(matches!(**cause, LogError::Io { action: "sync", .. }), "{cause}");
}

/// After an error of the disk nothing works any more, and the node is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_fatal() {
    let disk = MemoryDisk::default();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let on_fatal = Arc::new(move |_: &LogError| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let options = WalOptions { on_fatal, segment_bytes_first: 64 << 10, ..WalOptions::default() };
    let (wal, _) = Wal::open_on(Arc::new(disk.clone()), options).expect("opens");
    let mut shard = Driven::new(wal.shard(ShardId(0), None), Model::default());
    shard.step(Step::Append(vec![entry(1, 10)])).await.expect("appended");
    shard.settle().await;
    let flushed = shard.log.flushed();
    flushed.reached(1).await.expect("flushed");
    assert_eq!(flushed.index(), Some(1));

    disk.fail_syncs();
    shard.step(Step::Append(vec![entry(2, 10)])).await.expect("queued");
    assert_sync_failed(&flushed.reached(2).await);
    shard.settle().await;
    assert_eq!(flushed.index(), Some(1), "a failed sync flushes nothing");
    assert!(shard.step(Step::Append(vec![entry(3, 10)])).await.is_err());
    assert!(RaftLogStorage::<C>::save_vote(&mut shard.log, &Vote::new(2, 1)).await.is_err());
    // Whoever waits for the sync may hear of its failure before the node is told.
    for _ in 0..500 {
        if told.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(told.load(Ordering::SeqCst), 1);
    wal.close();
}

/// Whoever waits for room is told the cause too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_room_ends_with_the_cause() {
    let disk = MemoryDisk::default();
    let options = WalOptions { pending_bytes: 0, ..small_options() };
    let (wal, _) = Wal::open_on(Arc::new(disk.clone()), options).expect("opens");
    let mut shard = Driven::new(wal.shard(ShardId(0), None), Model::default());
    shard.step(Step::Append(vec![entry(1, 10)])).await.expect("appended");
    shard.settle().await;

    disk.fail_syncs();
    let error = shard.step(Step::Append(vec![entry(2, 10)])).await.expect_err("no room comes");
    assert!(error.to_string().contains("the device has failed"), "{error}");
    wal.close();
}

/// A log that cannot write does not open. Nobody relies on it yet, so that is no fault of the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_does_not_open() {
    let disk = MemoryDisk::default();
    disk.fail_syncs();
    let on_fatal = Arc::new(|error: &LogError| panic!("{error}"));
    let options = WalOptions { on_fatal, ..small_options() };
    let error = Wal::open_on(Arc::new(disk), options).expect_err("there is no segment to write");
    assert!(matches!(&error, LogError::Io { action: "prepare", .. }), "{error:?}");
}
