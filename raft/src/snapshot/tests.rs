use std::fs;

use proto::node::v1::{SnapshotChunk, SnapshotFile};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::receive::Receiver;
use super::*;
use crate::types::{LeaderId, LogId, Vote};

const RECORD: &str = "record";

fn checkpointer(index: u64) -> Checkpointer {
    let last = LogId { leader_id: LeaderId { term: 2, node_id: 1 }, index };
    let record = Applied { last, membership: StoredMembership::default() }.encode();
    Box::new(move |dir| {
        fs::create_dir(dir)?;
        fs::write(dir.join("1.sst"), vec![7; 3000])?;
        fs::write(dir.join("2.sst"), format!("data of {index}"))?;
        fs::write(dir.join("empty"), "")?;
        fs::write(dir.join(RECORD), record)
    })
}

fn applied_in(dir: &Path) -> io::Result<Option<Bytes>> {
    Ok(Some(fs::read(dir.join(RECORD))?.into()))
}

fn open() -> (TempDir, Snapshots) {
    let dir = tempfile::tempdir().expect("creates");
    let snapshots = Snapshots::open(dir.path()).expect("opens");
    (dir, snapshots)
}

fn index(dir: &SnapshotDir) -> u64 {
    dir.meta().last_log_id.expect("not empty").index
}

/// Everything a transfer ships for what is wanted, in pieces of `size`.
fn chunks(
    from: &SnapshotDir,
    transfer: u64,
    wants: &[(String, u64)],
    size: usize,
) -> Vec<SnapshotChunk> {
    let mut chunks = Vec::new();
    for (name, offset) in wants {
        let bytes = fs::read(from.data().join(name)).expect("reads");
        let rest = &bytes[*offset as usize..];
        let pieces: Vec<&[u8]> =
            if rest.is_empty() { vec![&[]] } else { rest.chunks(size).collect() };
        let mut offset = *offset;
        for piece in pieces {
            let (name, data) = (name.clone(), Bytes::copy_from_slice(piece));
            let crc32 = crc32fast::hash(piece);
            chunks.push(SnapshotChunk { route: None, transfer, name, offset, data, crc32 });
            offset += piece.len() as u64;
        }
    }
    chunks
}

fn ship(
    receiver: &Arc<Receiver>,
    transfer: u64,
    chunks: Vec<SnapshotChunk>,
) -> io::Result<SnapshotDir> {
    let (sender, queue) = mpsc::channel(chunks.len().max(1));
    for chunk in chunks {
        sender.try_send(chunk).expect("has room");
    }
    drop(sender);
    futures::executor::block_on(receiver.begin(transfer)?.take(queue))
}

fn offer(receiver: &Receiver, from: &SnapshotDir) -> (u64, Vec<(String, u64)>) {
    let (transfer, wants) =
        receiver.offer(Vote::new_committed(2, 1), from.manifest().clone()).expect("offered");
    (transfer, wants.into_iter().map(|want| (want.name, want.offset)).collect())
}

#[test]
fn the_newest_is_current_and_found_again() {
    let (dir, snapshots) = open();
    let first = snapshots.build(checkpointer(10), applied_in).expect("builds");
    let held = first.clone();
    snapshots.build(checkpointer(20), applied_in).expect("builds");
    drop(first);
    assert!(held.data().exists(), "kept while it is read");
    let old = held.data();
    drop(held);
    let gone = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        !old.exists()
    });
    assert!(gone, "removed afterwards");
    drop(snapshots);
    let again = Snapshots::open(dir.path()).expect("opens");
    assert_eq!(again.current().as_ref().map(index), Some(20));
}

#[test]
fn what_is_not_whole_does_not_count() {
    let (dir, snapshots) = open();
    snapshots.build(checkpointer(10), applied_in).expect("builds");
    let newer = snapshots.build(checkpointer(20), applied_in).expect("builds");
    fs::write(newer.data().join("1.sst"), "short").expect("damages");
    fs::create_dir_all(dir.path().join("snapshots/building/data")).expect("creates");
    drop((newer, snapshots));
    let again = Snapshots::open(dir.path()).expect("opens");
    assert!(again.current().is_none_or(|current| index(&current) == 10));
    assert!(!dir.path().join("snapshots/building").exists());
}

#[test]
fn the_same_state_twice_is_one_snapshot() {
    let (_dir, snapshots) = open();
    let first = snapshots.build(checkpointer(10), applied_in).expect("builds");
    let second = snapshots.build(checkpointer(10), applied_in).expect("builds");
    assert_eq!(first.data(), second.data());
    assert!(first.data().exists());
}

#[test]
fn a_broken_transfer_goes_on_where_it_ended() {
    let (_from_dir, sender) = open();
    let from = sender.build(checkpointer(30), applied_in).expect("builds");
    let (dir, snapshots) = open();
    let snapshots = Arc::new(snapshots);
    let receiver = Arc::new(Receiver::new(Arc::clone(&snapshots)));
    let (transfer, wants) = offer(&receiver, &from);
    assert_eq!(wants.len(), 4, "nothing is here yet");
    let mut half = chunks(&from, transfer, &wants, 1000);
    half.truncate(2);
    assert!(ship(&receiver, transfer, half).is_err(), "not whole");
    let (transfer, wants) = offer(&receiver, &from);
    assert!(wants.contains(&("1.sst".into(), 2000)), "{wants:?}");
    let rest = chunks(&from, transfer, &wants, 1000);
    let arrived = ship(&receiver, transfer, rest).expect("whole");
    let copy = snapshots.adopt(arrived).expect("adopted");
    assert_eq!(fs::read(copy.join("1.sst")).expect("reads"), vec![7; 3000]);
    assert_eq!(snapshots.current().as_ref().map(index), Some(30));
    drop(receiver);
    drop(snapshots);
    let again = Snapshots::open(dir.path()).expect("opens");
    assert_eq!(again.current().as_ref().map(index), Some(30));
}

#[test]
fn files_of_an_older_snapshot_are_not_sent_again() {
    let (_from_dir, sender) = open();
    let from = sender.build(checkpointer(30), applied_in).expect("builds");
    let (_dir, snapshots) = open();
    snapshots.build(checkpointer(5), applied_in).expect("builds");
    let receiver = Arc::new(Receiver::new(Arc::new(snapshots)));
    let (transfer, wants) = offer(&receiver, &from);
    let names: Vec<&str> = wants.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"1.sst") && names.contains(&"2.sst"), "{names:?}");
    ship(&receiver, transfer, chunks(&from, transfer, &wants, 1000)).expect("whole");
}

#[test]
fn damage_and_strangers_are_refused() {
    let (_from_dir, sender) = open();
    let from = sender.build(checkpointer(30), applied_in).expect("builds");
    let (_dir, snapshots) = open();
    let receiver = Arc::new(Receiver::new(Arc::new(snapshots)));
    let (transfer, wants) = offer(&receiver, &from);
    let mut damaged = chunks(&from, transfer, &wants, 1000);
    damaged[0].crc32 ^= 1;
    assert!(ship(&receiver, transfer, damaged).is_err());
    assert!(ship(&receiver, transfer + 1, Vec::new()).is_err(), "was not offered");
    let mut outside = from.manifest().to_wire();
    outside.files.push(SnapshotFile { name: "../escape".into(), size: 1, crc32: 0 });
    assert!(Manifest::from_wire(outside).is_err());
    let begun = receiver.begin(transfer).expect("offered");
    let manifest = from.manifest().clone();
    assert!(receiver.offer(Vote::new_committed(2, 1), manifest).is_err(), "one at a time");
    drop(begun);
    offer(&receiver, &from);
}
