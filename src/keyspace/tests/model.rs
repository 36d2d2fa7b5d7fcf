//! What the keyspace should answer, as simply as possible: whole values in maps, a copy of
//! everything for what may be taken back, and keys that are gone the moment their time has come.
//!
//! It is written after Redis's documentation. An error whose text is not at stake is
//! [`REFUSED`]: any refusal will do.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::Message;
use proto::log::v1::{Batch, Entry, Item};
use raft::Committed;
use resp::{Reply, ReplyError};
use storage::Store;

use super::replica::brief;
use super::requests::{DATABASES, keys};
use super::sessions::Sessions;
use super::words::{
    REFUSED, STRING_BYTES_MAX, bit_offset, database, integer, positive, shown, span, unit,
};
use crate::keyspace::{BatchOutcome, Outcome, encode_replies};

type Answer = Result<Reply, &'static str>;

const OVERFLOW: &str = "ERR increment or decrement would overflow";
const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
const NO_SUCH_KEY: &str = "ERR no such key";
const SAME_OBJECT: &str = "ERR source and destination objects are the same";

#[derive(Clone)]
struct Value {
    bytes: Bytes,
    encoding: &'static str,
    deadline: Option<u64>,
    /// Log index of the last change.
    version: u64,
}

impl Value {
    /// A value that is set as a whole.
    fn whole(bytes: impl Into<Bytes>, deadline: Option<u64>) -> Self {
        let bytes = bytes.into();
        let encoding = match bytes.len() {
            _ if integer(&bytes).is_ok() => "int",
            0..=44 => "embstr",
            _ => "raw",
        };
        Self { bytes, encoding, deadline, version: 0 }
    }
}

#[derive(Clone, Default)]
struct Data {
    index: u64,
    now: u64,
    db: u32,
    dbs: BTreeMap<u32, BTreeMap<Bytes, Value>>,
}

/// The keyspace as it should be.
#[derive(Default)]
pub struct Model {
    data: Data,
    sessions: Sessions,
}

impl Model {
    /// Applies an entry and compares what it was answered.
    pub fn check(&mut self, entry: &Committed, outcome: &Outcome) {
        self.data.index = entry.index;
        let command = entry.command.clone().unwrap_or_default();
        let entry = Entry::decode(command).unwrap();
        self.data.pass_time(entry.now_ms);
        assert_eq!(entry.batches.len(), outcome.len());
        for (batch, outcome) in entry.batches.iter().zip(outcome) {
            self.check_batch(batch, outcome);
        }
    }

    fn check_batch(&mut self, batch: &Batch, outcome: &BatchOutcome) {
        let expected = batch.origin.as_ref().and_then(|origin| self.sessions.admit(origin));
        if let Some(expected) = expected {
            let (expected, outcome) = (brief(&expected), brief(outcome));
            return assert_eq!(outcome, expected, "{:?}", batch.origin);
        }
        let BatchOutcome::Applied(replies) = outcome else {
            panic!("{outcome:?} for a batch to be applied: {:?}", batch.origin)
        };
        assert_eq!(replies.len(), batch.items.len());
        for (item, reply) in batch.items.iter().zip(replies) {
            let expected = self.data.item(item);
            let (item, shown, wanted) = (brief(item), brief(reply), brief(&expected));
            assert!(is_alike(reply, &expected), "{item} answers\n{shown}\ninstead of\n{wanted}");
        }
        if let Some(origin) = &batch.origin {
            self.sessions.remember(origin, encode_replies(replies));
        }
    }

    /// Compares every key with what a store holds.
    pub fn check_state(&self, store: &Store) {
        for db in DATABASES {
            let view = store.view(db, 0);
            for key in keys() {
                let expected = self.data.dbs.get(&db).and_then(|keys| keys.get(&key));
                let header = view.header(&key).unwrap();
                let found = header.map(|it| (it.version, it.deadline, it.encoding.name()));
                let wanted = expected.map(|it| (it.version, it.deadline, it.encoding));
                assert_eq!(found, wanted, "{key:?} in {db}");
                let value = view.string(&key).unwrap();
                assert!(value.as_ref() == expected.map(|it| &it.bytes), "value of {key:?} in {db}");
            }
        }
    }
}

/// Whether a reply is the one expected.
fn is_alike(reply: &Reply, expected: &Reply) -> bool {
    match (reply, expected) {
        (Reply::Error(_), Reply::Error(any)) if any.to_string() == REFUSED => true,
        (Reply::Array(replies), Reply::Array(expected)) => {
            replies.len() == expected.len()
                && replies.iter().zip(expected).all(|(reply, expected)| is_alike(reply, expected))
        }
        _ => reply == expected,
    }
}

impl Data {
    fn pass_time(&mut self, now: u64) {
        self.now = self.now.max(now);
        for keys in self.dbs.values_mut() {
            keys.retain(|_, value| value.deadline.is_none_or(|deadline| deadline > self.now));
        }
    }

    fn item(&mut self, item: &Item) -> Reply {
        let holds = |db: &u32, key: &Bytes| self.dbs.get(db).and_then(|keys| keys.get(key));
        let version = |db, key| holds(db, key).map_or(0, |value| value.version);
        if item.watches.iter().any(|watch| version(&watch.db, &watch.key) != watch.version) {
            return Reply::NullArray;
        }
        self.db = item.db;
        let replies = item.requests.iter().map(|request| self.request(&request.args));
        let mut replies: Vec<Reply> = replies.collect();
        if item.transaction {
            return Reply::Array(replies);
        }
        replies.pop().unwrap_or(Reply::OK)
    }

    fn request(&mut self, words: &[Bytes]) -> Reply {
        let before = self.clone();
        self.run(words).unwrap_or_else(|refusal| {
            *self = before;
            Reply::Error(ReplyError::Raw(refusal.into()))
        })
    }

    fn run(&mut self, words: &[Bytes]) -> Answer {
        let (name, args) = words.split_first().ok_or(REFUSED)?;
        None.or_else(|| self.read(name, args))
            .or_else(|| self.set_something(name, args))
            .or_else(|| self.change_in_place(name, args))
            .or_else(|| self.change_lifetime(name, args))
            .or_else(|| self.change_names(name, args))
            .or_else(|| self.change_databases(name, args))
            .unwrap_or(Err(REFUSED))
    }

    fn get(&self, key: &Bytes) -> Option<&Value> {
        self.dbs.get(&self.db)?.get(key)
    }

    /// The value of a key, empty if there is none.
    fn bytes(&self, key: &Bytes) -> Bytes {
        self.get(key).map(|value| value.bytes.clone()).unwrap_or_default()
    }

    fn bulk(&self, key: &Bytes) -> Reply {
        Reply::bulk_or_null(self.get(key).map(|value| value.bytes.clone()))
    }

    fn deadline(&self, key: &Bytes) -> Option<u64> {
        self.get(key)?.deadline
    }

    /// Every change of a key ends here.
    fn put(&mut self, db: u32, key: &Bytes, value: Value) {
        let value = Value { version: self.index, ..value };
        let is_over = value.deadline.is_some_and(|deadline| deadline <= self.now);
        let keys = self.dbs.entry(db).or_default();
        if is_over {
            keys.remove(key)
        } else {
            keys.insert(key.clone(), value)
        };
    }

    fn set(&mut self, key: &Bytes, bytes: impl Into<Bytes>, deadline: Option<u64>) {
        self.put(self.db, key, Value::whole(bytes, deadline));
    }

    /// A value that was written into keeps its deadline and becomes raw.
    fn edit(&mut self, key: &Bytes, bytes: Vec<u8>) {
        let (bytes, deadline) = (bytes.into(), self.deadline(key));
        self.put(self.db, key, Value { bytes, encoding: "raw", deadline, version: 0 });
    }

    fn remove(&mut self, key: &Bytes) -> bool {
        self.dbs.entry(self.db).or_default().remove(key).is_some()
    }

    fn read(&self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        let exists = |key: &&Bytes| self.get(key).is_some();
        Some(Ok(match (name, args) {
            (b"GET", [key]) => self.bulk(key),
            (b"MGET", [_, ..]) => Reply::Array(args.iter().map(|key| self.bulk(key)).collect()),
            (b"STRLEN", [key]) => count(self.bytes(key).len()),
            (b"EXISTS" | b"TOUCH", [_, ..]) => count(args.iter().filter(exists).count()),
            (b"TYPE", [key]) => Reply::simple(if exists(&key) { "string" } else { "none" }),
            (b"OBJECT", [verb, key]) if verb == "ENCODING" => {
                self.get(key).map_or(Reply::Null, |value| Reply::bulk(value.encoding))
            }
            (b"BITCOUNT", [key]) => {
                count(self.bytes(key).iter().map(|byte| byte.count_ones() as usize).sum::<usize>())
            }
            (b"GETBIT", [key, at]) => return Some(self.bit(key, at).map(|bit| count(bit.into()))),
            (b"GETRANGE" | b"SUBSTR", [key, from, to]) => return Some(self.part(key, from, to)),
            (b"TTL" | b"PTTL" | b"EXPIRETIME" | b"PEXPIRETIME", [key]) => self.ttl(name, key),
            _ => return None,
        }))
    }

    fn part(&self, key: &Bytes, from: &Bytes, to: &Bytes) -> Answer {
        let (from, to) = (integer(from)?, integer(to)?);
        let bytes = self.bytes(key);
        let len = bytes.len() as i64;
        if from < 0 && to < 0 && from > to {
            return Ok(Reply::EMPTY_BULK);
        }
        let position = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
        let (from, to) = (position(from), position(to).min(len - 1));
        if from > to {
            return Ok(Reply::EMPTY_BULK);
        }
        Ok(Reply::bulk(bytes.slice(from as usize..=to as usize)))
    }

    fn ttl(&self, name: &[u8], key: &Bytes) -> Reply {
        let Some(value) = self.get(key) else { return Reply::Integer(-2) };
        let Some(deadline) = value.deadline else { return Reply::Integer(-1) };
        let millis = if name.ends_with(b"TTL") { deadline - self.now } else { deadline };
        let rounded = || (u128::from(millis) + 500) / 1000;
        Reply::count(if name.starts_with(b"P") { millis.into() } else { rounded() })
    }

    fn bit(&self, key: &Bytes, at: &Bytes) -> Result<bool, &'static str> {
        let at = bit_offset(at)?;
        let byte = self.bytes(key).get(at / 8).copied().unwrap_or_default();
        Ok(byte >> (7 - at % 8) & 1 == 1)
    }

    fn set_something(&mut self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        Some(match (name, args) {
            (b"SET", [key, value, options @ ..]) => self.set_with(key, value, options),
            (b"SETNX", [key, value]) => self.set_all_new(&[key.clone(), value.clone()]),
            (b"SETEX", [key, time, value]) => self.set_until(key, b"EX", time, value),
            (b"PSETEX", [key, time, value]) => self.set_until(key, b"PX", time, value),
            (b"GETSET", [key, value]) => self.set_with(key, value, &["GET".into()]),
            (b"GETDEL", [key]) => {
                let old = self.bulk(key);
                self.remove(key);
                Ok(old)
            }
            (b"MSET", [_, _, ..]) if args.len().is_multiple_of(2) => Ok(self.set_all(args)),
            (b"MSETNX", [_, _, ..]) if args.len().is_multiple_of(2) => self.set_all_new(args),
            (b"BITOP", [operation, to, from @ ..]) => self.combine(operation, to, from),
            _ => return None,
        })
    }

    fn set_with(&mut self, key: &Bytes, value: &Bytes, options: &[Bytes]) -> Answer {
        let has = |word: &str| options.iter().any(|option| option == word);
        let wanted = ["NX", "XX", "GET", "KEEPTTL"];
        let rest: Vec<&Bytes> =
            options.iter().filter(|option| wanted.iter().all(|word| option != word)).collect();
        let deadline = match rest[..] {
            _ if has("NX") && has("XX") => return Err(REFUSED),
            [] if has("KEEPTTL") => self.deadline(key),
            [] => None,
            [word, time] if !has("KEEPTTL") => Some(self.future(word, time)?),
            _ => return Err(REFUSED),
        };
        let (old, exists) = (self.bulk(key), self.get(key).is_some());
        let is_allowed = !(has("NX") && exists || has("XX") && !exists);
        if is_allowed {
            self.set(key, value.clone(), deadline);
        }
        Ok(if has("GET") {
            old
        } else if is_allowed {
            Reply::OK
        } else {
            Reply::Null
        })
    }

    fn set_until(&mut self, key: &Bytes, word: &[u8], time: &Bytes, value: &Bytes) -> Answer {
        let deadline = self.future(word, time)?;
        self.set(key, value.clone(), Some(deadline));
        Ok(Reply::OK)
    }

    fn set_all(&mut self, pairs: &[Bytes]) -> Reply {
        for pair in pairs.chunks(2) {
            self.set(&pair[0], pair[1].clone(), None);
        }
        Reply::OK
    }

    fn set_all_new(&mut self, pairs: &[Bytes]) -> Answer {
        let is_new = pairs.chunks(2).all(|pair| self.get(&pair[0]).is_none());
        if is_new {
            self.set_all(pairs);
        }
        Ok(count(is_new.into()))
    }

    fn combine(&mut self, operation: &Bytes, to: &Bytes, from: &[Bytes]) -> Answer {
        let values: Vec<Bytes> = from.iter().map(|key| self.bytes(key)).collect();
        let (flip, fold): (u8, fn(u8, u8) -> u8) = match (&operation[..], from.len()) {
            (b"AND", 1..) => (0, |a, b| a & b),
            (b"OR", 1..) => (0, |a, b| a | b),
            (b"XOR", 1..) => (0, |a, b| a ^ b),
            (b"NOT", 1) => (u8::MAX, |a, _| a),
            _ => return Err(REFUSED),
        };
        let len = values.iter().map(Bytes::len).max().unwrap_or_default();
        let byte = |at: usize| {
            let bytes = values.iter().map(|value| value.get(at).copied().unwrap_or_default());
            bytes.map(|byte| byte ^ flip).reduce(fold).unwrap_or_default()
        };
        let result: Vec<u8> = (0..len).map(byte).collect();
        if result.is_empty() {
            self.remove(to);
        } else {
            self.set(to, result, None);
        }
        Ok(count(len))
    }

    fn change_in_place(&mut self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        let one = Bytes::from_static(b"1");
        Some(match (name, args) {
            (b"APPEND", [key, value]) => Ok(self.append(key, value)),
            (b"SETRANGE", [key, offset, value]) => self.set_range(key, offset, value),
            (b"SETBIT", [key, offset, bit]) => self.set_bit(key, offset, bit),
            (b"INCR", [key]) => self.add(key, &one, 1),
            (b"DECR", [key]) => self.add(key, &one, -1),
            (b"INCRBY", [key, by]) => self.add(key, by, 1),
            (b"DECRBY", [key, by]) => self.add(key, by, -1),
            _ => return None,
        })
    }

    fn append(&mut self, key: &Bytes, value: &Bytes) -> Reply {
        if self.get(key).is_none() {
            self.set(key, value.clone(), None);
        } else {
            self.edit(key, [&self.bytes(key)[..], value].concat());
        }
        count(self.bytes(key).len())
    }

    fn set_range(&mut self, key: &Bytes, offset: &Bytes, value: &Bytes) -> Answer {
        let offset = u64::try_from(integer(offset)?).map_err(|_| REFUSED)?;
        let mut bytes = self.bytes(key).to_vec();
        if !value.is_empty() {
            let end = offset + value.len() as u64;
            if end > STRING_BYTES_MAX {
                return Err(TOO_LONG);
            }
            bytes.resize(bytes.len().max(end as usize), 0);
            bytes[offset as usize..end as usize].copy_from_slice(value);
            self.edit(key, bytes);
        }
        Ok(count(self.bytes(key).len()))
    }

    fn set_bit(&mut self, key: &Bytes, offset: &Bytes, bit: &Bytes) -> Answer {
        let (old, at) = (self.bit(key, offset)?, bit_offset(offset)?);
        let new = match &bit[..] {
            b"0" => false,
            b"1" => true,
            _ => return Err(REFUSED),
        };
        let mut bytes = self.bytes(key).to_vec();
        if old != new || bytes.len() <= at / 8 {
            bytes.resize(bytes.len().max(at / 8 + 1), 0);
            bytes[at / 8] ^= u8::from(old != new) << (7 - at % 8);
            self.edit(key, bytes);
        }
        Ok(count(old.into()))
    }

    fn add(&mut self, key: &Bytes, by: &Bytes, sign: i128) -> Answer {
        let by = i128::from(integer(by)?) * sign;
        // DECRBY of the least integer has an error of its own.
        i64::try_from(by).map_err(|_| REFUSED)?;
        let old = self.get(key).map_or(Ok(0), |value| integer(&value.bytes))?;
        let new = i64::try_from(i128::from(old) + by).map_err(|_| OVERFLOW)?;
        self.set(key, new.to_string(), self.deadline(key));
        Ok(Reply::Integer(new))
    }

    fn change_lifetime(&mut self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        Some(match (name, args) {
            (b"EXPIRE", [key, time, conditions @ ..]) => self.expire(key, b"EX", time, conditions),
            (b"PEXPIRE", [key, time, conditions @ ..]) => self.expire(key, b"PX", time, conditions),
            (b"EXPIREAT", [key, time, rest @ ..]) => self.expire(key, b"EXAT", time, rest),
            (b"PEXPIREAT", [key, time, rest @ ..]) => self.expire(key, b"PXAT", time, rest),
            (b"PERSIST", [key]) => Ok(count(self.persist(key).into())),
            (b"GETEX", [key, options @ ..]) => self.get_and_expire(key, options),
            _ => return None,
        })
    }

    /// The moment that `EX 10` or its like names.
    fn moment(&self, word: &[u8], time: &Bytes) -> Result<u64, &'static str> {
        let base = if word.ends_with(b"AT") { 0 } else { self.now as i64 };
        let moment = span(word, time)?.checked_add(base).ok_or(REFUSED)?;
        Ok(moment.max(0) as u64)
    }

    /// The same, of a positive number.
    fn future(&self, word: &[u8], time: &Bytes) -> Result<u64, &'static str> {
        positive(span(word, time)?)?;
        self.moment(word, time)
    }

    fn expire(&mut self, key: &Bytes, word: &[u8], time: &Bytes, conditions: &[Bytes]) -> Answer {
        let is_given = |word: &str| conditions.iter().any(|condition| condition == word);
        let [nx, xx, gt, lt] = ["NX", "XX", "GT", "LT"].map(is_given);
        let are_known = conditions.iter().all(|it| ["NX", "XX", "GT", "LT"].contains(&shown(it)));
        if !are_known || nx && (xx || gt || lt) || gt && lt {
            return Err(REFUSED);
        }
        let moment = self.moment(word, time)?;
        let Some(value) = self.get(key).cloned() else { return Ok(count(0)) };
        let is_allowed = match value.deadline {
            Some(old) => !(nx || (gt && moment <= old) || (lt && moment >= old)),
            None => !xx && !gt,
        };
        if is_allowed {
            self.put(self.db, key, Value { deadline: Some(moment), ..value });
        }
        Ok(count(is_allowed.into()))
    }

    fn persist(&mut self, key: &Bytes) -> bool {
        let value = self.get(key).filter(|value| value.deadline.is_some()).cloned();
        value.map(|value| self.put(self.db, key, Value { deadline: None, ..value })).is_some()
    }

    fn get_and_expire(&mut self, key: &Bytes, options: &[Bytes]) -> Answer {
        let expiration = match options {
            _ if options.iter().all(|option| option == "PERSIST") => None,
            [word, time] if unit(word).is_some() => Some((word, time)),
            _ => return Err(REFUSED),
        };
        let Some(value) = self.get(key).cloned() else { return Ok(Reply::Null) };
        let reply = Reply::Bulk(value.bytes.clone());
        if let Some((word, time)) = expiration {
            positive(span(word, time)?)?;
            let deadline = Some(self.moment(word, time)?);
            self.put(self.db, key, Value { deadline, ..value });
        } else if !options.is_empty() {
            self.persist(key);
        }
        Ok(reply)
    }

    fn change_names(&mut self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        Some(match (name, args) {
            (b"DEL" | b"UNLINK", [_, ..]) => {
                Ok(count(args.iter().filter(|key| self.remove(key)).count()))
            }
            (b"RENAME", [from, to]) => self.rename(from, to).map(|()| Reply::OK),
            (b"RENAMENX", [from, to]) => self.rename_new(from, to),
            (b"COPY", [from, to, options @ ..]) => self.copy(from, to, options),
            (b"MOVE", [key, db]) => self.move_to(key, db),
            _ => return None,
        })
    }

    fn rename(&mut self, from: &Bytes, to: &Bytes) -> Result<(), &'static str> {
        let value = self.get(from).cloned().ok_or(NO_SUCH_KEY)?;
        if from != to {
            self.remove(from);
            self.put(self.db, to, value);
        }
        Ok(())
    }

    fn rename_new(&mut self, from: &Bytes, to: &Bytes) -> Answer {
        self.get(from).ok_or(NO_SUCH_KEY)?;
        let is_free = self.get(to).is_none();
        if is_free {
            self.rename(from, to)?;
        }
        Ok(count(is_free.into()))
    }

    fn copy(&mut self, from: &Bytes, to: &Bytes, options: &[Bytes]) -> Answer {
        let (mut db, mut replaces, mut rest) = (self.db, false, options.iter());
        while let Some(option) = rest.next() {
            match shown(option) {
                "DB" => db = database(rest.next().ok_or(REFUSED)?)?,
                "REPLACE" => replaces = true,
                _ => return Err(REFUSED),
            }
        }
        if (db, to) == (self.db, from) {
            return Err(SAME_OBJECT);
        }
        let is_taken = self.dbs.get(&db).is_some_and(|keys| keys.contains_key(to));
        let value = self.get(from).filter(|_| replaces || !is_taken).cloned();
        Ok(count(value.map(|value| self.put(db, to, value)).is_some().into()))
    }

    fn move_to(&mut self, key: &Bytes, db: &Bytes) -> Answer {
        let copied = self.copy(key, key, &["DB".into(), db.clone()])?;
        if copied == count(1) {
            self.remove(key);
        }
        Ok(copied)
    }

    fn change_databases(&mut self, name: &[u8], args: &[Bytes]) -> Option<Answer> {
        let is_mode = args.iter().all(|mode| ["ASYNC", "SYNC"].contains(&shown(mode)));
        match (name, args) {
            (b"FLUSHDB", [] | [_]) if is_mode => drop(self.dbs.remove(&self.db)),
            (b"FLUSHALL", [] | [_]) if is_mode => self.dbs.clear(),
            (b"SWAPDB", [a, b]) => match (database(a), database(b)) {
                (Ok(a), Ok(b)) => self.swap(a, b),
                _ => return Some(Err(REFUSED)),
            },
            (b"SELECT", [db]) => match database(db) {
                Ok(db) => self.db = db,
                Err(refusal) => return Some(Err(refusal)),
            },
            _ => return None,
        }
        Some(Ok(Reply::OK))
    }

    fn swap(&mut self, a: u32, b: u32) {
        let first = self.dbs.remove(&a).unwrap_or_default();
        if let Some(second) = self.dbs.insert(b, first) {
            self.dbs.insert(a, second);
        }
    }
}

fn count(count: usize) -> Reply {
    Reply::count(count)
}
