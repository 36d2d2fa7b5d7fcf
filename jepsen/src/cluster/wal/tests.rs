#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const SALT: u32 = 77;

fn record(kind: u8, body: &[u8], seal: u32) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend((body.len() as u32).to_le_bytes());
    out.extend([0, 0, 0, 0, kind]);
    out.extend(RECORD_FORMAT_AND_MAGIC);
    out.extend(body);
    let sum = crc32(&out[4..]) ^ seal;
    out[..4].copy_from_slice(&sum.to_le_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn segment(sequence: u64, kinds: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(1_u32.to_le_bytes());
    out.extend(SALT.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.resize(SEGMENT_HEADER_BYTES, 0);
    let seal = (sequence as u32).wrapping_mul(0x9e37_79b1) ^ SALT;
    for kind in kinds {
        out.extend(record(*kind, b"some body", seal));
    }
    out.resize(1 << 16, 0);
    out
}

/// A log of two segments and one that waits to be used, with remains of its former life.
fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("life-1/log");
    fs::create_dir_all(&log).unwrap();
    fs::write(dir.path().join("CURRENT"), "1").unwrap();
    fs::write(log.join("00000001.wal"), segment(5, &[START, 5, 5])).unwrap();
    fs::write(log.join("00000002.wal"), segment(6, &[START, MARKER, 5, MARKER, 5])).unwrap();
    let mut spare = segment(4, &[START, MARKER, 5, MARKER]);
    spare[..SEGMENT_HEADER_BYTES].copy_from_slice(&segment(7, &[])[..SEGMENT_HEADER_BYTES]);
    fs::write(log.join("00000003.wal"), spare).unwrap();
    dir
}

fn differing(before: &Tail, dir: &Path) -> Vec<usize> {
    let now = fs::read(dir.join("life-1/log/00000002.wal")).unwrap();
    (0..now.len()).filter(|at| now[*at] != before.bytes[*at]).collect()
}

#[test]
fn the_newest_segment_is_the_last_with_records_of_its_own() {
    let dir = log();
    let tail = newest(dir.path()).unwrap();
    assert!(tail.path.ends_with("00000002.wal"));
    assert_eq!((tail.records.len(), tail.end), (5, 64 + 5 * 32));
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_tear_changes_only_what_follows_the_last_record() {
    for seed in 0..50 {
        let dir = log();
        let tail = newest(dir.path()).unwrap();
        tail.tear(&mut SmallRng::seed_from_u64(seed)).unwrap();
        let changed = differing(&tail, dir.path());
        assert!(!changed.is_empty() && changed.iter().all(|at| *at >= tail.end), "{changed:?}");
        assert_eq!(newest(dir.path()).unwrap().records, tail.records);
    }
}

#[test]
fn a_flip_damages_what_lies_before_the_last_marker() {
    for seed in 0..50 {
        let dir = log();
        let tail = newest(dir.path()).unwrap();
        tail.flip(&mut SmallRng::seed_from_u64(seed)).unwrap();
        let changed = differing(&tail, dir.path());
        assert_eq!(changed.len(), 1);
        assert!((64..64 + 3 * 32).contains(&changed[0]), "{changed:?}");
    }
}

#[test]
fn sectors_of_what_was_lost_are_scattered() {
    let dir = log();
    let tail = newest(dir.path()).unwrap();
    let mut durable = tail.bytes.clone();
    durable[4096..8192].fill(9);
    fs::write(&tail.path, &durable).unwrap();
    let written = tail.scatter(&mut SmallRng::seed_from_u64(1)).unwrap();
    assert!((1..8).contains(&written), "{written}");
    assert_eq!(differing(&tail, dir.path()).len(), (8 - written) * SECTOR_BYTES);
}
