//! Random requests: every command the log may carry, over few keys, right and wrong.
//!
//! A request is grown from a template. Words in capitals stand for themselves, the others for what
//! [`word`] says. Values stay small enough to be compared often, and large enough to be cut into
//! chunks.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::log::Request;

/// Log time before the first entry, in milliseconds.
pub const EPOCH: u64 = 1_700_000_000_000;
/// The databases that are used.
pub const DATABASES: [u32; 4] = [0, 1, 2, 15];
/// Stands for the cursor that SCAN returned last.
pub const CURSOR: &[u8] = b"<cursor>";

type Words = BoxedStrategy<Vec<Bytes>>;

/// What the model answers as well, and how often it is tried.
const MODELLED: &[(u32, &str)] = &[
    (10, "SET key value"),
    (10, "SET key value set-options"),
    (3, "SETNX key value"),
    (2, "SETEX key seconds value"),
    (2, "PSETEX key millis value"),
    (3, "GETSET key value"),
    (3, "GETDEL key"),
    (5, "GETEX key getex-options"),
    (3, "MSET key value key value"),
    (3, "MSETNX key value key value"),
    (7, "APPEND key value"),
    (6, "SETRANGE key offset value"),
    (3, "INCR key"),
    (2, "DECR key"),
    (3, "INCRBY key integer"),
    (2, "DECRBY key integer"),
    (4, "SETBIT key bit bool"),
    (4, "BITOP operation key key key"),
    (5, "EXPIRE key seconds conditions"),
    (5, "PEXPIRE key millis conditions"),
    (2, "EXPIREAT key unix-seconds conditions"),
    (3, "PEXPIREAT key unix-millis conditions"),
    (4, "PERSIST key"),
    (4, "RENAME key key"),
    (3, "RENAMENX key key"),
    (6, "COPY key key copy-options"),
    (4, "MOVE key db"),
    (4, "DEL key key"),
    (2, "UNLINK key"),
    (2, "SWAPDB db db"),
    (1, "FLUSHDB mode"),
    (1, "FLUSHALL mode"),
    (3, "SELECT db"),
    (6, "GET key"),
    (2, "MGET key key"),
    (1, "STRLEN key"),
    (2, "GETRANGE key index index"),
    (1, "SUBSTR key index index"),
    (1, "GETBIT key bit"),
    (1, "BITCOUNT key"),
    (1, "EXISTS key key"),
    (1, "TOUCH key key"),
    (1, "TYPE key"),
    (2, "OBJECT ENCODING key"),
    (1, "TTL key"),
    (2, "PTTL key"),
    (1, "EXPIRETIME key"),
    (2, "PEXPIRETIME key"),
];

/// The rest: compared between replicas only.
const OTHERS: &[(u32, &str)] = &[
    (4, "INCRBYFLOAT key float"),
    (5, "BITFIELD key field field"),
    (1, "BITFIELD_RO key field"),
    (3, "BITCOUNT key index index unit"),
    (3, "BITPOS key bool index index unit"),
    (3, "RESTORE key lifetime payload restore-options"),
    (1, "RESTORE-ASKING key lifetime payload restore-options"),
    (2, "DUMP key"),
    (3, "SET short text"),
    (2, "APPEND short text"),
    (3, "LCS short short lcs-options"),
    (4, "TALUS.SWEEP count"),
    (8, "SCAN cursor COUNT count"),
    (1, "KEYS pattern"),
    (2, "RANDOMKEY"),
    (2, "DBSIZE"),
    (1, "OBJECT FREQ key"),
    (1, "OBJECT IDLETIME key"),
    (1, "OBJECT REFCOUNT key"),
    (1, "MEMORY USAGE key"),
    (1, "PING"),
    (1, "INFO"),
    (1, "MULTI"),
    (1, "NOSUCH key"),
];

/// Requests the model answers.
pub fn modelled() -> BoxedStrategy<Request> {
    requests(MODELLED)
}

/// Requests of every kind.
pub fn any_kind() -> BoxedStrategy<Request> {
    requests(&[MODELLED, OTHERS].concat())
}

/// The name of every command that is tried, `container|subcommand` if it has both.
pub fn names() -> Vec<String> {
    let name = |template: &str| {
        let mut words = template.split(' ').take_while(|word| *word == word.to_ascii_uppercase());
        let first = words.next().unwrap().to_ascii_lowercase();
        match (&first[..], words.next()) {
            ("object" | "memory", Some(verb)) => format!("{first}|{}", verb.to_ascii_lowercase()),
            _ => first,
        }
    };
    [MODELLED, OTHERS].concat().iter().map(|(_, template)| name(template)).collect()
}

/// A key that commands of all kinds use.
pub fn key() -> impl Strategy<Value = Bytes> {
    (0..9_usize).prop_map(|number| keys().swap_remove(number))
}

/// Those keys: some in one slot, one empty, one long.
pub fn keys() -> Vec<Bytes> {
    let mut keys = ["a", "b", "c", "d", "{t}1", "{t}2", "{t}3", ""].map(Bytes::from).to_vec();
    keys.push(Bytes::from(vec![b'k'; 200]));
    keys
}

/// A database.
pub fn db() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(2), 1 => Just(15)]
}

fn requests(templates: &[(u32, &'static str)]) -> BoxedStrategy<Request> {
    let grown = templates.iter().map(|(weight, template)| {
        let words: Vec<_> = template.split(' ').map(word).collect();
        (*weight, words.prop_map(|words| words.concat()).boxed())
    });
    (Union::new_weighted(grown.collect()), spoiling())
        .prop_map(|(words, spoiling)| Request(spoiling.spoil(words)))
        .boxed()
}

/// What is wrong with the number of words.
#[derive(Debug, Clone, Copy)]
enum Spoiling {
    Nothing,
    OneLess,
    OneMore(&'static str),
}

fn spoiling() -> impl Strategy<Value = Spoiling> {
    prop_oneof![
        40 => Just(Spoiling::Nothing),
        1 => Just(Spoiling::OneLess),
        1 => select(&["x", "NX", "KEEPTTL", "1"]).prop_map(Spoiling::OneMore),
    ]
}

impl Spoiling {
    fn spoil(self, mut words: Vec<Bytes>) -> Vec<Bytes> {
        match self {
            Self::Nothing => {}
            Self::OneLess => drop(words.pop()),
            Self::OneMore(word) => words.push(word.into()),
        }
        words
    }
}

/// What a word of a template may become: no word, one, or several.
fn word(name: &'static str) -> Words {
    match name {
        "key" => key().prop_map(|key| vec![key]).boxed(),
        "value" => value().prop_map(|value| vec![value]).boxed(),
        "short" => some(&["short:1", "short:2"]),
        "text" => some(&["a", "abcab", "babacbabc", "ccab", "abba"]),
        "float" => some(&["1.5", "-0.1", "1e3", "3", "-7.25e-3", "1e4900", "inf", "1.x"]),
        "bool" => prop_oneof![20 => some(&["0", "1"]), 1 => some(&["2", "x"])].boxed(),
        "integer" => number(-20..100),
        "index" => number(-30..30),
        "offset" => prop_oneof![6 => number(0..300), 1 => number(65_000..70_000)].boxed(),
        "bit" => prop_oneof![6 => number(0..900), 1 => number(500_000..600_000)].boxed(),
        "count" => number(1..6),
        "db" => prop_oneof![
            20 => select(&DATABASES[..]).prop_map(|db| one(db.into())),
            1 => some(&["16", "-1", "x", "4294967296"]),
        ]
        .boxed(),
        "operation" => some(&["AND", "OR", "XOR", "NOT"]),
        "mode" => some(&["", "ASYNC", "SYNC"]),
        "unit" => some(&["", "BYTE", "BIT"]),
        "pattern" => some(&["*", "{t}*", "[a-c]", "?"]),
        "cursor" => prop_oneof![Just(vec![Bytes::from_static(CURSOR)]), some(&["0"])].boxed(),
        "payload" => {
            prop_oneof![5 => Just(vec![Bytes::from_static(DUMPED)]), 1 => some(&["x"])].boxed()
        }
        _ => options(name),
    }
}

/// What follows the words every request of a command has.
fn options(name: &'static str) -> Words {
    match name {
        "seconds" => number(1..4),
        "millis" => number(1..300),
        "unix-seconds" => number(EPOCH as i64 / 1000 - 1..EPOCH as i64 / 1000 + 5),
        "unix-millis" => number(EPOCH as i64 - 10..EPOCH as i64 + 3000),
        "lifetime" => number(0..300),
        "conditions" => some(&["", "", "", "NX", "XX", "GT", "LT", "XX GT", "NX XX", "GT LT"]),
        "copy-options" => some(&["", "REPLACE", "DB 1", "DB 1 REPLACE", "REPLACE DB 0", "DB 16"]),
        "restore-options" => some(&["", "REPLACE", "REPLACE", "REPLACE ABSTTL", "ABSTTL"]),
        "lcs-options" => some(&["", "LEN", "IDX", "IDX WITHMATCHLEN MINMATCHLEN 2", "LEN IDX"]),
        "set-options" => {
            [some(&["", "", "NX", "XX"]), some(&["", "", "GET"]), expiration("KEEPTTL")]
                .to_vec()
                .prop_map(|words| words.concat())
                .boxed()
        }
        "getex-options" => expiration("PERSIST"),
        "field" => [word("deed"), word("field-type"), word("field-offset"), word("field-value")]
            .to_vec()
            .prop_map(field)
            .boxed(),
        "deed" => some(&["GET", "SET", "INCRBY", "OVERFLOW SAT INCRBY", "OVERFLOW FAIL INCRBY"]),
        "field-type" => prop_oneof![
            20 => some(&["u1", "u2", "i5", "u8", "u63", "i64"]),
            1 => some(&["u64", "i0", "x8"]),
        ]
        .boxed(),
        "field-offset" => prop_oneof![
            6 => number(0..300),
            3 => some(&["#0", "#3", "#20"]),
            1 => number(500_000..600_000),
        ]
        .boxed(),
        "field-value" => number(-20..300),
        literal => {
            assert_eq!(literal, literal.to_ascii_uppercase(), "a word nobody knows");
            Just(vec![Bytes::from_static(literal.as_bytes())]).boxed()
        }
    }
}

/// Only GET has no value.
fn field(mut words: Vec<Vec<Bytes>>) -> Vec<Bytes> {
    if words[0] == ["GET"] {
        words.pop();
    }
    words.concat()
}

fn expiration(other: &'static str) -> Words {
    let with = |word: &'static str, amount| {
        options(amount)
            .prop_map(move |time| [vec![Bytes::from_static(word.as_bytes())], time].concat())
    };
    prop_oneof![
        2 => Just(Vec::new()),
        2 => Just(vec![Bytes::from_static(other.as_bytes())]),
        2 => with("EX", "seconds"),
        4 => with("PX", "millis"),
        1 => with("EXAT", "unix-seconds"),
        2 => with("PXAT", "unix-millis"),
    ]
    .boxed()
}

/// One of these, which may be several words or none.
fn some(choices: &'static [&'static str]) -> Words {
    select(choices).prop_map(|words| words.split_whitespace().map(Bytes::from).collect()).boxed()
}

fn one(number: i64) -> Vec<Bytes> {
    vec![Bytes::from(number.to_string())]
}

/// A number of that range; seldom one at the end of all numbers, or none at all.
fn number(range: std::ops::Range<i64>) -> Words {
    let strange = &[
        "0",
        "-1",
        "x",
        "1.5",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775",
        "4294967296",
    ];
    prop_oneof![20 => range.prop_map(one), 1 => some(strange)].boxed()
}

/// Integers, floats, text; lengths around the limits of encodings, of inline values of either
/// replica, of chunks.
fn value() -> impl Strategy<Value = Bytes> {
    let filled = |len: std::ops::Range<usize>| {
        (len, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len]))
    };
    prop_oneof![
        10 => (-50..1000_i64).prop_map(|number| Bytes::from(number.to_string())),
        2 => select(&["9223372036854775807", "1.5", "-0", "", "007"]).prop_map(Bytes::from),
        8 => filled(0..60),
        6 => filled(90..110),
        1 => filled(8_100..8_300),
        1 => filled(65_400..65_700),
        1 => filled(70_000..90_000),
    ]
}

/// What DUMP of Redis 7 answers for 10, from its documentation.
const DUMPED: &[u8] = b"\x00\xc0\x0a\x0a\x00n\x9fWE\x0e\xaec\xbb";
