//! Strings: inline up to a length, in chunks above it.
//!
//! A chunk is a row of `sub` under the value's generation. Only chunks that were written exist: a
//! missing row, like the missing end of a short one, reads as zeros. So writing a byte at the end
//! of 512 MiB writes one chunk, and changing a bit in the middle rewrites one chunk.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::header::{Body, Encoding, Entry, Header, Kind};
use crate::layout::{CHUNK_BYTES, RowKey};
use crate::row::{Column, Row};
use crate::txn::{Found, Txn};
use crate::view::View;
use crate::{Millis, STRING_BYTES_MAX};

const CHUNK: u64 = CHUNK_BYTES as u64;
/// A read of more chunks than this does not push other rows out of the cache.
const CACHED_CHUNKS_MAX: u64 = 4;

impl View<'_> {
    /// A whole string.
    pub fn string(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let Some((row, entry)) = self.string_entry(key)? else { return Ok(None) };
        match entry.body {
            Body::Inline(offset) => Ok(Some(row.value_from(offset))),
            Body::Chunked(generation) => {
                self.chunks(row.key(), generation, 0..entry.header.size).map(Some)
            }
        }
    }

    /// Length of a string; 0 if there is no such key.
    pub fn string_len(&self, key: &[u8]) -> Result<u64> {
        Ok(self.string_entry(key)?.map_or(0, |(_, entry)| entry.header.size))
    }

    /// Part of a string, as far as it reaches.
    pub fn string_range(&self, key: &[u8], range: Range<u64>) -> Result<Bytes> {
        let Some((row, entry)) = self.string_entry(key)? else { return Ok(Bytes::new()) };
        let end = range.end.min(entry.header.size);
        let range = range.start.min(end)..end;
        match entry.body {
            Body::Inline(offset) => {
                let (start, end) = (range.start as usize, range.end as usize);
                Ok(Bytes::copy_from_slice(&row.value()[offset + start..offset + end]))
            }
            Body::Chunked(generation) => self.chunks(row.key(), generation, range),
        }
    }

    fn string_entry(&self, key: &[u8]) -> Result<Option<(Row, Entry)>> {
        match self.entry(key)? {
            Some((_, entry)) if entry.header.kind != Kind::String => Err(Error::WrongType),
            other => Ok(other),
        }
    }

    fn chunks(&self, meta: &[u8], generation: u64, range: Range<u64>) -> Result<Bytes> {
        let mut out = vec![0; (range.end - range.start) as usize];
        let chunks = chunks_of(&range);
        let is_cached = chunks.end - chunks.start <= CACHED_CHUNKS_MAX;
        for number in chunks {
            let key = RowKey::chunk(meta, generation, number as u32);
            let row = if is_cached {
                self.row(Column::Sub, key.bytes())?
            } else {
                self.row_once(Column::Sub, key.bytes())?
            };
            if let Some(row) = row {
                let start = number * CHUNK;
                let end = range.end.min(start + row.value().len() as u64);
                let from = range.start.max(start);
                if from >= end {
                    // The chunk ends before the range begins: zeros, as of a sparse one.
                    continue;
                }
                let to = (from - range.start) as usize..(end - range.start) as usize;
                out[to]
                    .copy_from_slice(&row.value()[(from - start) as usize..(end - start) as usize]);
            }
        }
        Ok(out.into())
    }
}

/// The numbers of the chunks a range of bytes lies in.
fn chunks_of(range: &Range<u64>) -> Range<u64> {
    range.start / CHUNK..range.end.div_ceil(CHUNK)
}

impl Txn<'_> {
    /// Sets a key to a string, whatever it held before.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Option<Millis>) -> Result<()> {
        check_len(value.len() as u64)?;
        let mut found = self.find(self.db(), key)?;
        if deadline.is_some_and(|deadline| deadline <= self.now()) {
            self.remove(&mut found);
            return Ok(());
        }
        self.replace(&found, value, deadline);
        Ok(())
    }

    /// Sets a key to a string and leaves its deadline as it is.
    pub fn set_string_keep_deadline(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_len(value.len() as u64)?;
        let found = self.find(self.db(), key)?;
        let deadline = found.entry().and_then(|entry| entry.header.deadline);
        self.replace(&found, value, deadline);
        Ok(())
    }

    /// Adds to the end of a string, or sets it if there is none. Returns the new length.
    pub fn append(&mut self, key: &[u8], bytes: &[u8]) -> Result<u64> {
        let found = self.find_string(key)?;
        match found.entry() {
            None => {
                check_len(bytes.len() as u64)?;
                self.replace(&found, bytes, None);
                Ok(bytes.len() as u64)
            }
            Some(entry) => {
                let offset = entry.header.size;
                self.write(&found, offset, bytes)
            }
        }
    }

    /// Writes into a string from an offset on; what lies between its end and the offset becomes
    /// zeros. Returns the new length. Without bytes, nothing changes.
    pub fn write_at(&mut self, key: &[u8], offset: u64, bytes: &[u8]) -> Result<u64> {
        let found = self.find_string(key)?;
        if bytes.is_empty() {
            return Ok(found.entry().map_or(0, |entry| entry.header.size));
        }
        self.write(&found, offset, bytes)
    }

    fn find_string(&mut self, key: &[u8]) -> Result<Found> {
        let found = self.find(self.db(), key)?;
        match found.entry() {
            Some(entry) if entry.header.kind != Kind::String => Err(Error::WrongType),
            _ => Ok(found),
        }
    }

    fn string_header(&self, encoding: Encoding, deadline: Option<Millis>, size: u64) -> Header {
        Header { kind: Kind::String, encoding, version: self.log_index(), deadline, size }
    }

    /// Writes a whole string.
    fn replace(&mut self, found: &Found, value: &[u8], deadline: Option<Millis>) {
        let encoding = Encoding::of_string(value);
        let header = self.string_header(encoding, deadline, value.len() as u64);
        if value.len() <= self.core.options.inline_bytes_max {
            let entry = Entry { header, body: Body::Inline(0) };
            self.put(found, entry, |out| out.extend_from_slice(value));
            return;
        }
        let generation = self.new_generation();
        for (number, chunk) in value.chunks(CHUNK_BYTES).enumerate() {
            let key = RowKey::chunk(found.meta.bytes(), generation, number as u32);
            self.put_row(Column::Sub, Row::of(key.bytes(), chunk));
        }
        self.put(found, Entry { header, body: Body::Chunked(generation) }, |_| ());
    }

    /// Writes part of a string.
    fn write(&mut self, found: &Found, offset: u64, bytes: &[u8]) -> Result<u64> {
        let end = offset.saturating_add(bytes.len() as u64);
        check_len(end)?;
        let old = found.entry().copied();
        let size = old.map_or(0, |entry| entry.header.size).max(end);
        let deadline = old.and_then(|entry| entry.header.deadline);
        let header = self.string_header(Encoding::Raw, deadline, size);
        let body = old.map_or(Body::Inline(0), |entry| entry.body);
        match body {
            Body::Inline(_) if size <= self.core.options.inline_bytes_max as u64 => {
                self.put(found, Entry { header, body }, |out| {
                    let start = out.len();
                    out.extend_from_slice(inline_value(found));
                    out.resize(start + size as usize, 0);
                    let at = start + offset as usize;
                    out[at..at + bytes.len()].copy_from_slice(bytes);
                });
            }
            Body::Inline(_) => {
                let generation = self.new_generation();
                self.write_chunks(found, generation, 0, inline_value(found))?;
                self.write_chunks(found, generation, offset, bytes)?;
                self.put(found, Entry { header, body: Body::Chunked(generation) }, |_| ());
            }
            Body::Chunked(generation) => {
                self.write_chunks(found, generation, offset, bytes)?;
                self.put(found, Entry { header, body }, |_| ());
            }
        }
        Ok(size)
    }

    fn write_chunks(
        &mut self,
        found: &Found,
        generation: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let end = offset + bytes.len() as u64;
        for number in chunks_of(&(offset..end)) {
            let start = number * CHUNK;
            let (from, to) = (offset.max(start), end.min(start + CHUNK));
            let part = &bytes[(from - offset) as usize..(to - offset) as usize];
            let key = RowKey::chunk(found.meta.bytes(), generation, number as u32);
            if part.len() == CHUNK_BYTES {
                self.put_row(Column::Sub, Row::of(key.bytes(), part));
                continue;
            }
            let old = self.view().row(Column::Sub, key.bytes())?;
            let mut chunk = old.map_or_else(Vec::new, |row| row.value().to_vec());
            let (from, to) = ((from - start) as usize, (to - start) as usize);
            chunk.resize(chunk.len().max(to), 0);
            chunk[from..to].copy_from_slice(part);
            self.put_row(Column::Sub, Row::of(key.bytes(), &chunk));
        }
        Ok(())
    }

    /// A number no large value of this store has had.
    pub(crate) fn new_generation(&mut self) -> u64 {
        let generation = self.state.root.next_generation;
        self.state.root.next_generation += 1;
        generation
    }
}

/// The value behind the header that was found; empty if there is none.
pub(crate) fn inline_value(found: &Found) -> &[u8] {
    match &found.old {
        Some((row, Entry { body: Body::Inline(offset), .. })) => &row.value()[*offset..],
        _ => &[],
    }
}

fn check_len(len: u64) -> Result<()> {
    if len > STRING_BYTES_MAX { Err(Error::TooLong) } else { Ok(()) }
}
