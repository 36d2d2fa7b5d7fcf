//! What a store should hold, as simply as possible.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::log::{Entry, Op};

#[derive(Debug, Clone)]
pub struct Value {
    pub bytes: Vec<u8>,
    pub encoding: &'static str,
    pub version: u64,
    pub deadline: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    dbs: BTreeMap<u32, BTreeMap<Bytes, Value>>,
    system: BTreeMap<Vec<u8>, Vec<u8>>,
    now: u64,
    db: u32,
    index: u64,
}

impl Model {
    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn system(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.system.clone().into_iter().collect()
    }

    /// Keys that have not expired.
    pub fn keys(&self, db: u32) -> impl Iterator<Item = (Bytes, &Value)> {
        let keys = self.dbs.get(&db).into_iter().flatten();
        keys.filter(|(_, value)| !self.has_expired(value)).map(|(key, value)| (key.clone(), value))
    }

    pub fn key_count(&self, db: u32) -> u64 {
        self.dbs.get(&db).map_or(0, |keys| keys.len() as u64)
    }

    pub fn deadline_count(&self, db: u32) -> u64 {
        let keys = self.dbs.get(&db).into_iter().flatten();
        keys.filter(|(_, value)| value.deadline.is_some()).count() as u64
    }

    pub fn apply(&mut self, index: u64, entry: &Entry) {
        self.now = self.now.max(entry.now);
        self.index = index;
        self.db = 0;
        entry.ops.iter().for_each(|op| self.apply_op(op));
    }

    fn has_expired(&self, value: &Value) -> bool {
        value.deadline.is_some_and(|deadline| deadline <= self.now)
    }

    /// The keys of a database, without `key` if it has expired: a write removes it first.
    fn keys_for(&mut self, db: u32, key: &Bytes) -> &mut BTreeMap<Bytes, Value> {
        let now = self.now;
        let keys = self.dbs.entry(db).or_default();
        if keys.get(key).is_some_and(|v| v.deadline.is_some_and(|deadline| deadline <= now)) {
            keys.remove(key);
        }
        keys
    }

    fn set(&mut self, db: u32, key: &Bytes, bytes: Vec<u8>, deadline: Option<u64>) {
        let encoding = if String::from_utf8_lossy(&bytes)
            .parse::<i64>()
            .is_ok_and(|number| number.to_string().as_bytes() == bytes)
        {
            "int"
        } else if bytes.len() <= 44 {
            "embstr"
        } else {
            "raw"
        };
        let value = Value { bytes, encoding, version: self.index, deadline };
        self.keys_for(db, key).insert(key.clone(), value);
    }

    fn write(&mut self, key: &Bytes, offset: Option<u64>, bytes: &[u8]) {
        let (db, version) = (self.db, self.index);
        let old = self.keys_for(db, key).get(key).cloned();
        if old.is_none() && offset.is_none() {
            return self.set(db, key, bytes.to_vec(), None);
        }
        if offset.is_some() && bytes.is_empty() {
            return;
        }
        let mut value =
            old.unwrap_or(Value { bytes: Vec::new(), encoding: "raw", version, deadline: None });
        let offset = offset.map_or(value.bytes.len(), |offset| offset as usize);
        let end = offset + bytes.len();
        value.bytes.resize(value.bytes.len().max(end), 0);
        value.bytes[offset..end].copy_from_slice(bytes);
        (value.encoding, value.version) = ("raw", version);
        self.keys_for(db, key).insert(key.clone(), value);
    }

    fn copy(&mut self, from: &Bytes, to: &Bytes, to_db: u32) -> bool {
        let (db, version) = (self.db, self.index);
        let Some(value) = self.keys_for(db, from).get(from).cloned() else { return false };
        if (db, from) != (to_db, to) {
            self.keys_for(to_db, to).insert(to.clone(), Value { version, ..value });
        }
        true
    }

    fn sweep(&mut self) {
        let now = self.now;
        for keys in self.dbs.values_mut() {
            keys.retain(|_, value| value.deadline.is_none_or(|deadline| deadline > now));
        }
    }

    fn apply_op(&mut self, op: &Op) {
        let (db, now, version) = (self.db, self.now, self.index);
        match op {
            Op::Select(db) => self.db = *db,
            Op::Set(key, value, None) => self.set(db, key, value.to_vec(), None),
            Op::Set(key, _, Some(0)) => drop(self.keys_for(db, key).remove(key)),
            Op::Set(key, value, Some(after)) => {
                self.set(db, key, value.to_vec(), Some(now + after))
            }
            Op::SetKeep(key, value) => {
                let deadline = self.keys_for(db, key).get(key).and_then(|value| value.deadline);
                self.set(db, key, value.to_vec(), deadline);
            }
            Op::Append(key, value) => self.write(key, None, value),
            Op::WriteAt(key, offset, value) => self.write(key, Some(*offset), value),
            Op::Delete(key) | Op::Deadline(key, Some(0)) => {
                self.keys_for(db, key).remove(key);
            }
            Op::Deadline(key, after) => {
                if let Some(value) = self.keys_for(db, key).get_mut(key) {
                    value.deadline = after.map(|after| now + after);
                    value.version = version;
                }
            }
            Op::Rename(from, to) if from == to => {
                if let Some(value) = self.keys_for(db, from).get_mut(from) {
                    value.version = version;
                }
            }
            Op::Rename(from, to) => {
                if self.copy(from, to, db) {
                    self.keys_for(db, from).remove(from);
                }
            }
            Op::Copy(from, to, to_db) => drop(self.copy(from, to, *to_db)),
            Op::Flush(db) => drop(self.dbs.remove(db)),
            Op::FlushAll => self.dbs.clear(),
            Op::Swap(a, b) => {
                let (first, second) = (self.dbs.remove(a), self.dbs.remove(b));
                if a == b {
                    self.dbs.extend(first.map(|keys| (*a, keys)));
                } else {
                    self.dbs.extend(first.map(|keys| (*b, keys)));
                    self.dbs.extend(second.map(|keys| (*a, keys)));
                }
            }
            Op::Sweep(_) => self.sweep(),
            Op::System(name, Some(value)) => {
                self.system.insert(name.to_vec(), value.to_vec());
            }
            Op::System(name, None) => drop(self.system.remove(&name[..])),
            Op::RolledBack(_) => {}
        }
    }
}
