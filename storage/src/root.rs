//! The root row: everything about a store that is not about one key.
//!
//! It is written with every drain, so that RocksDB holds it together with the rows it describes.

use bytes::Bytes;

use crate::Millis;
use crate::error::{Result, damaged};

const FORMAT_1: u8 = 1;

/// A logical database: where its rows are, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// The number its rows carry. Never used again once the database is flushed.
    pub id: u32,
    /// Keys, including those that have ended but are not yet removed.
    pub keys: u64,
    /// Keys with a deadline, counted in the same way.
    pub deadlines: u64,
}

/// Log time, spaces and counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Root {
    /// Greatest time an applied entry carried.
    pub log_time: Millis,
    /// The next database that gets its first key gets this space.
    pub next_space: u32,
    /// The next large value gets this generation.
    pub next_generation: u64,
    /// Logical databases that have a space, in order.
    pub spaces: Vec<(u32, Space)>,
}

impl Root {
    /// The space of a database.
    pub fn space(&self, db: u32) -> Option<&Space> {
        self.spaces.iter().find(|(other, _)| *other == db).map(|(_, space)| space)
    }

    /// The space of a database; a new one if it has none.
    pub fn space_or_new(&mut self, db: u32) -> &mut Space {
        let place = self.spaces.partition_point(|(other, _)| *other < db);
        if self.spaces.get(place).is_none_or(|(other, _)| *other != db) {
            let space = Space { id: self.next_space, keys: 0, deadlines: 0 };
            self.next_space += 1;
            self.spaces.insert(place, (db, space));
        }
        &mut self.spaces[place].1
    }

    /// The database that has a space, unless the space is dead.
    pub fn db_of(&self, space: u32) -> Option<u32> {
        self.spaces.iter().find(|(_, other)| other.id == space).map(|(db, _)| *db)
    }

    /// Takes the space from a database.
    pub fn remove(&mut self, db: u32) -> Option<Space> {
        let place = self.spaces.iter().position(|(other, _)| *other == db)?;
        Some(self.spaces.remove(place).1)
    }

    /// Lets two databases exchange their spaces.
    pub fn swap(&mut self, a: u32, b: u32) {
        for (db, _) in &mut self.spaces {
            *db = if *db == a {
                b
            } else if *db == b {
                a
            } else {
                *db
            };
        }
        self.spaces.sort_unstable_by_key(|(db, _)| *db);
    }

    /// Whether nothing can refer to the rows of a space any more.
    pub fn is_dead(&self, space: u32) -> bool {
        space < self.next_space && self.db_of(space).is_none()
    }

    /// The value of the root row.
    pub fn encode(&self, applied: Option<&Bytes>) -> Vec<u8> {
        let mut out = vec![FORMAT_1];
        out.extend_from_slice(&self.log_time.to_be_bytes());
        out.extend_from_slice(&self.next_space.to_be_bytes());
        out.extend_from_slice(&self.next_generation.to_be_bytes());
        out.extend_from_slice(&(self.spaces.len() as u32).to_be_bytes());
        for (db, space) in &self.spaces {
            out.extend_from_slice(&db.to_be_bytes());
            out.extend_from_slice(&space.id.to_be_bytes());
            out.extend_from_slice(&space.keys.to_be_bytes());
            out.extend_from_slice(&space.deadlines.to_be_bytes());
        }
        out.push(u8::from(applied.is_some()));
        out.extend_from_slice(applied.map_or(&[], |applied| applied.as_ref()));
        out
    }

    /// Reads the value of the root row: the root, and the applied record.
    pub fn decode(value: &[u8]) -> Result<(Self, Option<Bytes>)> {
        let mut reader = Reader(value);
        if reader.take::<1>()? != [FORMAT_1] {
            return Err(damaged("root row", format!("first byte {:#04x}", value[0])));
        }
        let mut root = Self {
            log_time: reader.u64()?,
            next_space: reader.u32()?,
            next_generation: reader.u64()?,
            spaces: Vec::new(),
        };
        for _ in 0..reader.u32()? {
            let db = reader.u32()?;
            let space = Space { id: reader.u32()?, keys: reader.u64()?, deadlines: reader.u64()? };
            root.spaces.push((db, space));
        }
        let applied = match reader.take::<1>()? {
            [0] => None,
            _ => Some(Bytes::copy_from_slice(reader.0)),
        };
        Ok((root, applied))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) =
            self.0.split_first_chunk().ok_or_else(|| damaged("root row", "cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_survive_their_bytes() {
        let mut root = Root { log_time: 5, next_generation: 9, ..Root::default() };
        root.space_or_new(3).keys = 7;
        root.space_or_new(0).deadlines = 2;
        let applied = Bytes::from_static(b"record");
        for applied in [None, Some(applied), Some(Bytes::new())] {
            let bytes = root.encode(applied.as_ref());
            assert_eq!(Root::decode(&bytes), Ok((root.clone(), applied.clone())));
            assert!(Root::decode(&bytes[..20]).is_err_and(|error| error.is_fault()));
        }
        assert!(Root::decode(&[2; 64]).is_err());
    }

    #[test]
    fn spaces_are_swapped_and_die() {
        let mut root = Root::default();
        let (zero, five) = (root.space_or_new(0).id, root.space_or_new(5).id);
        root.swap(0, 5);
        assert_eq!(
            (root.space(0).map(|s| s.id), root.space(5).map(|s| s.id)),
            (Some(five), Some(zero))
        );
        root.swap(5, 9);
        assert_eq!((root.db_of(zero), root.space(5)), (Some(9), None));
        root.remove(9);
        assert!(root.is_dead(zero) && !root.is_dead(five) && !root.is_dead(root.next_space));
        assert_ne!(root.space_or_new(9).id, zero);
    }
}
