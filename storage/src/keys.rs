//! What is done to keys of any kind, and to whole databases.

use crate::Millis;
use crate::error::Result;
use crate::header::{Body, Entry, Header};
use crate::layout::{CHUNK_BYTES, RowKey};
use crate::row::{Column, Row};
use crate::strings::inline_value;
use crate::txn::{Found, Txn};

impl Txn<'_> {
    /// Removes a key. `false` if there is none.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        if self.state.root.space(self.db()).is_none() {
            return Ok(false);
        }
        let mut found = self.find(self.db(), key)?;
        Ok(self.remove(&mut found))
    }

    /// Gives a key a deadline, or takes it away; a deadline that has passed removes the key.
    /// `false` if there is no such key.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<Millis>) -> Result<bool> {
        let mut found = self.find(self.db(), key)?;
        if deadline.is_some_and(|deadline| deadline <= self.now()) {
            return Ok(self.remove(&mut found));
        }
        Ok(self.rewrite(&found, |header| header.deadline = deadline))
    }

    /// Counts a key as changed, although its value is what it was.
    pub fn touch(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.find(self.db(), key)?;
        Ok(self.rewrite(&found, |_| ()))
    }

    /// Moves a value, with its deadline, to another key, in place of what that holds. `false` if
    /// there is no value to move.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<bool> {
        if from == to {
            return self.touch(from);
        }
        let is_there = self.copy(from, to, self.db())?;
        Ok(is_there && self.delete(from)?)
    }

    /// Moves a key to another database, in place of what that holds under it. `false` if there is
    /// no such key.
    pub fn move_to(&mut self, key: &[u8], db: u32) -> Result<bool> {
        if db == self.db() {
            return self.touch(key);
        }
        let is_there = self.copy(key, key, db)?;
        Ok(is_there && self.delete(key)?)
    }

    /// Copies a value, with its deadline, in place of what the other key holds. `false` if there
    /// is no value to copy.
    pub fn copy(&mut self, from: &[u8], to: &[u8], to_db: u32) -> Result<bool> {
        let source = self.find(self.db(), from)?;
        let Some(&entry) = source.entry() else { return Ok(false) };
        if (self.db(), from) == (to_db, to) {
            return Ok(true);
        }
        let target = self.find(to_db, to)?;
        let body = match entry.body {
            Body::Inline(_) => entry.body,
            Body::Chunked(generation) => {
                Body::Chunked(self.copy_chunks(&source, generation, entry.header.size, &target)?)
            }
        };
        let header = Header { version: self.log_index(), ..entry.header };
        self.put(&target, Entry { header, body }, |out| {
            out.extend_from_slice(inline_value(&source))
        });
        Ok(true)
    }

    fn copy_chunks(
        &mut self,
        source: &Found,
        generation: u64,
        size: u64,
        target: &Found,
    ) -> Result<u64> {
        let copy = self.new_generation();
        for number in 0..size.div_ceil(CHUNK_BYTES as u64) as u32 {
            let key = RowKey::chunk(source.meta.bytes(), generation, number);
            let row = self.view().row_once(Column::Sub, key.bytes())?;
            if let Some(row) = row {
                let key = RowKey::chunk(target.meta.bytes(), copy, number);
                self.put_row(Column::Sub, Row::of(key.bytes(), row.value()));
            }
        }
        Ok(copy)
    }

    /// Changes the header of a key and leaves its value as it is.
    fn rewrite(&mut self, found: &Found, change: impl FnOnce(&mut Header)) -> bool {
        let Some(&entry) = found.entry() else { return false };
        let mut header = Header { version: self.log_index(), ..entry.header };
        change(&mut header);
        let entry = Entry { header, ..entry };
        self.put(found, entry, |out| out.extend_from_slice(inline_value(found)));
        true
    }

    /// Removes all keys of a database. The work does not grow with their number.
    pub fn flush_db(&mut self, db: u32) {
        if let Some(space) = self.state.root.remove(db) {
            self.state.dead_keys += space.keys;
            self.state.emptied.push(db);
        }
    }

    /// Removes all keys of all databases.
    pub fn flush_all(&mut self) {
        let dbs: Vec<u32> = self.state.root.spaces.iter().map(|(db, _)| *db).collect();
        dbs.into_iter().for_each(|db| self.flush_db(db));
    }

    /// Lets two databases exchange their keys.
    pub fn swap_db(&mut self, a: u32, b: u32) {
        if a != b {
            self.state.root.swap(a, b);
            self.state.emptied.extend([a, b]);
        }
    }
}
