//! The rows on disk are, byte by byte, those of `tests/golden/rows.txt`, which README.md explains.
//!
//! `UPDATE_GOLDEN=1` writes the file. A difference is a new format: raise its version, and keep
//! reading the old one.

use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use storage::{Options, Shared, Store};

const FAMILIES: [&str; 5] = ["default", "meta", "sub", "score", "system"];

/// Every kind of row there is.
fn write_rows(dir: &Path) {
    let options = Options { background: false, ..Options::default() };
    let store = Store::open(dir, &options, &Shared::new(8 << 20)).expect("opens");
    let mut txn = store.begin();
    txn.set_entry(0x0102, 0x1122_3344, 9);
    txn.set_string(b"text", b"value", None).expect("sets");
    txn.set_string(b"int", b"-12", None).expect("sets");
    txn.set_string(b"{tag}deadline", b"v", Some(0x5566_7788)).expect("sets");
    txn.append(b"text", b"!").expect("appends");
    txn.write_at(b"large", 65_540, b"end").expect("writes");
    txn.write_at(b"large", 0, b"start").expect("writes");
    txn.select(3);
    txn.set_string(b"", b"", None).expect("sets");
    txn.put_system(b"session:1", b"answer");
    txn.swap_db(3, 4);
    store.commit(txn, Bytes::from_static(b"applied")).expect("commits");
    store.flush().expect("flushes");
}

/// Bytes as they are if they are letters, else in hexadecimal.
fn show(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'!'..=b'~' => out.push(byte.into()),
            _ => write!(out, "\\{byte:02x}").expect("a string"),
        }
    }
    out
}

fn dump(dir: &Path) -> String {
    let db = rocksdb::DB::open_cf_for_read_only(&rocksdb::Options::default(), dir, FAMILIES, false)
        .expect("opens");
    let mut out = String::new();
    for name in FAMILIES {
        let family = db.cf_handle(name).expect("is there");
        for row in db.iterator_cf(family, rocksdb::IteratorMode::Start) {
            let (key, value) = row.expect("reads");
            writeln!(out, "{name} {}\n    {}", show(&key), show(&value)).expect("a string");
        }
    }
    out
}

#[test]
fn rows_are_as_documented() {
    let dir = tempfile::tempdir().expect("a directory");
    write_rows(dir.path());
    let rows = dump(dir.path());
    let golden = Path::new("tests/golden/rows.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().expect("a parent")).expect("creates");
        std::fs::write(golden, &rows).expect("writes");
    }
    let expected = std::fs::read_to_string(golden).expect("the golden file");
    assert_eq!(rows, expected);
}
