//! What commands touch: WATCH and notifications go by it, so a command that changes nothing must
//! not touch its key.

use std::time::Duration;

use resp::Reply;

use super::Keyspace;
use super::keyspace::refusal;

fn touches(keyspace: &mut Keyspace, line: &str) -> Vec<String> {
    let (_, touched) = keyspace.touched(line);
    touched.keys().map(|(_, key)| String::from_utf8_lossy(key).into_owned()).collect()
}

#[test]
fn what_changes_nothing_touches_nothing() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("MSET k value n 1");
    for line in [
        "SET k v NX",
        "SET nothing v XX",
        "SETNX k v",
        "MSETNX new 1 k 2",
        "GETDEL nothing",
        "GETEX k",
        "GETEX k PERSIST",
        "PERSIST k",
        "EXPIRE nothing 10",
        "EXPIRE k 10 XX",
        "DEL nothing",
        "RENAME k k",
        "RENAMENX k n",
        "COPY k n",
        "MOVE nothing 1",
        "SETRANGE k 0 \"\"",
        "SETRANGE nothing 10 \"\"",
        "SETBIT n 0 0",
        "BITFIELD n GET u8 0",
        "BITFIELD n OVERFLOW FAIL INCRBY u2 0 9",
        "INCR k",
        "INCRBYFLOAT k 1",
        "SWAPDB 1 1",
        "APPEND k",
    ] {
        assert_eq!(touches(&mut keyspace, line), [""; 0], "{line}");
    }
}

#[test]
fn what_changes_a_key_touches_it() {
    let mut keyspace = Keyspace::new();
    for (line, touched) in [
        ("SET a 1", "a"),
        ("INCR a", "a"),
        ("EXPIRE a 100", "a"),
        ("PERSIST a", "a"),
        ("SETBIT a 100 0", "a"),
        ("GETEX a EX 100", "a"),
        ("COPY a b", "b"),
        ("DEL b", "b"),
        ("GETDEL a", "a"),
    ] {
        assert_eq!(touches(&mut keyspace, line), [touched], "{line}");
    }
}

#[test]
fn a_deadline_in_the_past_deletes() {
    let mut keyspace = Keyspace::new();
    for line in ["EXPIRE k -1", "PEXPIREAT k 1", "SET k v EXAT 1", "GETEX k PXAT 1", "EXPIRE k 0"] {
        keyspace.ask("SET k v");
        assert!(!matches!(keyspace.ask(line), Reply::Error(_)), "{line}");
        assert_eq!(keyspace.ask("EXISTS k"), Reply::Integer(0), "{line}");
    }
}

#[test]
fn a_time_beyond_all_clocks_is_refused_whatever_the_condition() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("SET k v");
    for line in ["SET k w NX PX 9223372036854775807", "SET new w XX GET EX 9223372036854775"] {
        let text = refusal(keyspace.ask(line)).to_string();
        assert_eq!(text, "ERR invalid expire time in 'set' command", "{line}");
    }
}

#[test]
fn bits_are_looked_for_beyond_any_end() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("SET k v");
    for line in ["BITCOUNT k 9223372036854775807 -1", "BITCOUNT none 4611686018427387904 -1"] {
        assert_eq!(keyspace.ask(line), Reply::Integer(0), "{line}");
    }
    assert_eq!(keyspace.ask("BITPOS k 0 9223372036854775807 -1"), Reply::Integer(-1));
}

#[test]
fn time_is_the_logs() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("SET k v PX 1500");
    assert_eq!(keyspace.ask("PTTL k"), Reply::Integer(1500));
    keyspace.advance(Duration::from_millis(1000));
    assert_eq!(keyspace.ask("PTTL k"), Reply::Integer(500));
    assert_eq!(keyspace.ask("TTL k"), Reply::Integer(1));
    keyspace.advance(Duration::from_millis(500));
    assert_eq!(keyspace.ask("GET k"), Reply::Null);
    let (removed, _) = keyspace.touched("TALUS.SWEEP 10");
    assert_eq!(removed, Reply::Integer(1));
}

#[test]
fn what_was_dumped_is_restored() {
    let mut keyspace = Keyspace::new();
    for value in ["", "123", "-70000", "text", &"long ".repeat(5000)] {
        keyspace.request(&["SET", "k", value].map(|word| word.to_owned().into()));
        let Reply::Bulk(payload) = keyspace.ask("DUMP k") else { panic!("no payload") };
        let restore =
            |ttl: &'static str| ["RESTORE".into(), "copy".into(), ttl.into(), payload.clone()];
        keyspace.ask("DEL copy");
        assert_eq!(keyspace.request(&restore("5000")), Reply::OK);
        assert_eq!(keyspace.ask("GET copy"), Reply::bulk(value.to_owned()));
        assert_eq!(keyspace.ask("PTTL copy"), Reply::Integer(5000));
        let busy = refusal(keyspace.request(&restore("0"))).to_string();
        assert_eq!(busy, "BUSYKEY Target key name already exists.");
    }
}

#[test]
fn a_lifetime_beyond_all_clocks_can_be_told() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("SET k v");
    let Reply::Bulk(payload) = keyspace.ask("DUMP k") else { panic!("no payload") };
    let longest = i64::MAX.to_string().into();
    let restored = keyspace.request(&["RESTORE".into(), "far".into(), longest, payload]);
    assert_eq!(restored, Reply::OK);
    assert_eq!(keyspace.ask("PEXPIRETIME far"), Reply::Integer(i64::MAX));
}

#[test]
fn databases_are_apart() {
    let mut keyspace = Keyspace::new();
    keyspace.ask("SET k zero");
    assert_eq!(keyspace.ask("COPY k k DB 3"), Reply::Integer(1));
    assert_eq!(keyspace.ask("MOVE k 3"), Reply::Integer(0));
    assert_eq!(keyspace.ask("SELECT 3"), Reply::OK);
    assert_eq!(keyspace.ask("APPEND k !"), Reply::Integer(5));
    assert_eq!(keyspace.ask("SWAPDB 0 3"), Reply::OK);
    assert_eq!(keyspace.ask("GET k"), Reply::bulk("zero"));
    assert_eq!(keyspace.ask("FLUSHDB"), Reply::OK);
    assert_eq!(keyspace.ask("DBSIZE"), Reply::Integer(0));
    keyspace.db = 0;
    assert_eq!(keyspace.ask("GET k"), Reply::bulk("zero!"));
}

#[test]
fn a_random_key_is_some_key() {
    let mut keyspace = Keyspace::new();
    assert_eq!(keyspace.ask("RANDOMKEY"), Reply::Null);
    keyspace.ask("MSET a 1 b 2 c 3");
    for _ in 0..10 {
        let Reply::Bulk(key) = keyspace.ask("RANDOMKEY") else { panic!("no key") };
        assert!([&b"a"[..], b"b", b"c"].contains(&&*key));
    }
}
