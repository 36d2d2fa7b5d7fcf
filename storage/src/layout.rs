//! Row keys, byte by byte. README.md is the reference; this is the only code that spells them.
//!
//! Invariants
//! * Numbers are big-endian, so that the order of bytes is the order of numbers.
//! * Rows of users start with the slot: a range of slots is a range of rows.
//! * The first byte of a row key decides its part of a dirty table ([`crate::table`]) and must
//!   keep its order there: slots start with 0x00–0x3f, tags of system rows are within 0x40–0x7f.

use crate::error::{Result, damaged};
use crate::slot::slot_of;

/// Version of everything this crate writes to disk.
pub(crate) const FORMAT: u32 = 1;

/// Bytes of a string kept in one row of `sub`.
pub(crate) const CHUNK_BYTES: usize = 8192;

/// Slot and space before a user's key.
pub(crate) const PREFIX_BYTES: usize = 6;

/// System row: the format version.
pub(crate) const FORMAT_KEY: &[u8] = b"f";

/// System row: log time, spaces, counters and the applied record.
pub(crate) const ROOT_KEY: &[u8] = b"r";

/// Tag of the rows that list keys by deadline.
pub(crate) const EXPIRY_TAG: u8 = b'e';

/// Tag of the rows the keyspace keeps for itself.
pub(crate) const KEYSPACE_TAG: u8 = b'k';

/// Bytes of a row key that fit without an allocation.
const SHORT: usize = 119;

/// A row key, built without an allocation if it is short.
pub(crate) struct RowKey {
    short: [u8; SHORT],
    len: u8,
    long: Vec<u8>,
}

impl RowKey {
    /// The row of a key in `meta`.
    pub fn meta(space: u32, key: &[u8]) -> Self {
        Self::from_parts([&slot_of(key).to_be_bytes(), &space.to_be_bytes(), key])
    }

    /// The first row key a slot can have in a space.
    pub fn slot(slot: u16, space: u32) -> Self {
        Self::from_parts([&slot.to_be_bytes(), &space.to_be_bytes(), b""])
    }

    /// The rows of one generation of a large value: they start with this.
    pub fn generation(meta: &[u8], generation: u64) -> Self {
        let (prefix, key) = meta.split_at(PREFIX_BYTES);
        let mut tail = [0; 4];
        tail.copy_from_slice(&(key.len() as u32).to_be_bytes());
        Self::from_parts([prefix, &tail, key, &generation.to_be_bytes(), b""])
    }

    /// One chunk of a large string.
    pub fn chunk(meta: &[u8], generation: u64, chunk: u32) -> Self {
        let (prefix, key) = meta.split_at(PREFIX_BYTES);
        let len = (key.len() as u32).to_be_bytes();
        Self::from_parts([prefix, &len, key, &generation.to_be_bytes(), &chunk.to_be_bytes()])
    }

    /// The row that lists a key under its deadline.
    pub fn expiry(deadline: u64, meta: &[u8]) -> Self {
        Self::from_parts([&[EXPIRY_TAG], &deadline.to_be_bytes(), meta])
    }

    /// A row of the keyspace's own.
    pub fn keyspace(name: &[u8]) -> Self {
        Self::from_parts([&[KEYSPACE_TAG], name])
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..usize::from(self.len)] } else { &self.long }
    }

    fn from_parts<const N: usize>(parts: [&[u8]; N]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut key = Self { short: [0; SHORT], len: 0, long: Vec::new() };
        if len > SHORT {
            key.long = parts.concat();
            return key;
        }
        let mut at = 0;
        for part in parts {
            key.short[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        key.len = len as u8;
        key
    }
}

/// The smallest row key that does not start with `prefix`; `None` if there is none.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The slot a row of `meta` or `sub` belongs to.
pub(crate) fn slot_in(row_key: &[u8]) -> u16 {
    u16::from_be_bytes([row_key[0], row_key[1]])
}

/// The space a row of `meta` or `sub` belongs to.
pub(crate) fn space_in(row_key: &[u8]) -> u32 {
    u32::from_be_bytes([row_key[2], row_key[3], row_key[4], row_key[5]])
}

/// The user's key in a row key of `meta`.
pub(crate) fn key_in(row_key: &[u8]) -> &[u8] {
    &row_key[PREFIX_BYTES..]
}

/// Deadline and `meta` row key in a row of the expiry index.
pub(crate) fn parse_expiry(row_key: &[u8]) -> Result<(u64, &[u8])> {
    match row_key.split_first_chunk::<9>() {
        Some((&[EXPIRY_TAG, a, b, c, d, e, f, g, h], meta)) if meta.len() >= PREFIX_BYTES => {
            Ok((u64::from_be_bytes([a, b, c, d, e, f, g, h]), meta))
        }
        _ => Err(damaged("expiry row", format!("key of {} bytes", row_key.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_follows_all_its_rows() {
        assert_eq!(end_of(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(end_of(&[1, 255]), Some(vec![2]));
        assert_eq!(end_of(&[255]), None);
    }

    #[test]
    fn long_keys_are_spelled_like_short_ones() {
        for len in [0, 1, SHORT - PREFIX_BYTES, SHORT, 1000] {
            let key = vec![b'x'; len];
            let row = RowKey::meta(7, &key);
            assert_eq!(key_in(row.bytes()), key);
            assert_eq!((slot_in(row.bytes()), space_in(row.bytes())), (slot_of(&key), 7));
        }
    }
}
