//! Random log entries.

use bytes::Bytes;
use proptest::prelude::*;

/// What an entry may do. Times are relative to log time.
#[derive(Debug, Clone)]
pub enum Op {
    Select(u32),
    Set(Bytes, Bytes, Option<u64>),
    SetKeep(Bytes, Bytes),
    Append(Bytes, Bytes),
    WriteAt(Bytes, u64, Bytes),
    Delete(Bytes),
    Deadline(Bytes, Option<u64>),
    Rename(Bytes, Bytes),
    Copy(Bytes, Bytes, u32),
    Flush(u32),
    FlushAll,
    Swap(u32, u32),
    Sweep(usize),
    System(Bytes, Option<Bytes>),
    RolledBack(Vec<Op>),
}

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub now: u64,
    pub ops: Vec<Op>,
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..12_u32).prop_map(|number| match number {
        0 => Bytes::new(),
        1 => Bytes::from(vec![b'x'; 200]),
        2 => Bytes::from_static(b"{tag}2"),
        3 => Bytes::from_static(b"{tag}3"),
        _ => Bytes::from(format!("key:{number}")),
    })
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0..1000_i64).prop_map(|number| Bytes::from(number.to_string())),
        4 => (0..60_usize, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len])),
        2 => (90..110_usize, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len])),
        1 => (8000..20_000_usize, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len])),
    ]
}

fn deadline() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..30_u64).prop_map(Some)]
}

fn simple() -> impl Strategy<Value = Op> {
    let db = 0..3_u32;
    let offset = prop_oneof![4 => 0..120_u64, 1 => 0..30_000_u64];
    prop_oneof![
        3 => db.clone().prop_map(Op::Select),
        8 => (key(), value(), deadline()).prop_map(|(k, v, d)| Op::Set(k, v, d)),
        2 => (key(), value()).prop_map(|(k, v)| Op::SetKeep(k, v)),
        4 => (key(), value()).prop_map(|(k, v)| Op::Append(k, v)),
        4 => (key(), offset, value()).prop_map(|(k, o, v)| Op::WriteAt(k, o, v)),
        3 => key().prop_map(Op::Delete),
        3 => (key(), deadline()).prop_map(|(k, d)| Op::Deadline(k, d)),
        2 => (key(), key()).prop_map(|(a, b)| Op::Rename(a, b)),
        2 => (key(), key(), db.clone()).prop_map(|(a, b, d)| Op::Copy(a, b, d)),
        1 => db.clone().prop_map(Op::Flush),
        1 => Just(Op::FlushAll),
        1 => (db.clone(), db).prop_map(|(a, b)| Op::Swap(a, b)),
        2 => Just(Op::Sweep(1000)),
        2 => (key(), prop::option::of(value())).prop_map(|(k, v)| Op::System(k, v)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => simple(),
        1 => prop::collection::vec(simple(), 1..6).prop_map(Op::RolledBack),
    ]
}

/// A log of up to `max` entries. Time may stand still and may seem to run backwards.
pub fn entries(max: usize) -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..12_u64, prop::collection::vec(op(), 0..8));
    prop::collection::vec(entry, 1..max).prop_map(|entries| {
        let mut now = 1000;
        let entry = |(step, ops)| {
            now = now + step - 2;
            Entry { now, ops }
        };
        entries.into_iter().map(entry).collect()
    })
}
