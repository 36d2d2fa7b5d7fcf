//! Damage to a node's log: what a write that the power cut leaves, and what a disk that lies leaves.
//!
//! This is all the harness knows of Talus's files: the log's directory, the header of a segment and
//! that of a record, as `raft/src/log` describes them. Two kinds of damage, with opposite promises:
//!
//! * A *torn* tail is what follows the last whole record, and was never fsynced. A node must start.
//! * A *flipped* bit lies before a marker, and whatever lies before a marker was durable. A node that
//!   starts in spite of it may have lost what it acknowledged: it must refuse.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

const SEGMENT_HEADER_BYTES: usize = 64;
const RECORD_HEADER_BYTES: usize = 16;
const SECTOR_BYTES: usize = 512;
const MAGIC: &[u8; 8] = b"TALUSLOG";
const RECORD_FORMAT_AND_MAGIC: [u8; 3] = [1, 0x4c, 0x57];
const MARKER: u8 = 1;
const START: u8 = 3;

/// A segment and what of it is in use.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The file.
    pub path: PathBuf,
    bytes: Vec<u8>,
    /// Where each of its records begins, and where the last one ends.
    records: Vec<usize>,
    end: usize,
}

/// The newest segment below a node's data directory.
pub fn newest(data: &Path) -> io::Result<Tail> {
    let mut newest = None;
    for path in segments(data) {
        let bytes = fs::read(&path)?;
        let Some((sequence, seal)) = header(&bytes) else { continue };
        let (records, end) = walk(&bytes, seal);
        let is_used = records.first().is_some_and(|at| bytes[at + 12] == START);
        if is_used && newest.as_ref().is_none_or(|(newest, _)| *newest < sequence) {
            newest = Some((sequence, Tail { path, bytes, records, end }));
        }
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, "no segment of the log is in use");
    newest.map(|(_, tail)| tail).ok_or_else(none)
}

/// The files of the log of the life in use, which is the last.
fn segments(data: &Path) -> Vec<PathBuf> {
    let life = fs::read_to_string(data.join("CURRENT")).unwrap_or_default();
    let log = data.join(format!("life-{}/log", life.trim()));
    let paths = fs::read_dir(log).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "wal")).collect()
}

/// A segment's sequence and seal.
fn header(bytes: &[u8]) -> Option<(u64, u32)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let salt = u32_at(rest, 4)?;
    let sequence = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
    Some((sequence, (sequence as u32).wrapping_mul(0x9e37_79b1) ^ salt))
}

/// Every whole record from the first one on, and where the last one ends.
fn walk(bytes: &[u8], seal: u32) -> (Vec<usize>, usize) {
    let (mut records, mut at) = (Vec::new(), SEGMENT_HEADER_BYTES);
    while let Some(length) = whole(&bytes[at.min(bytes.len())..], seal) {
        records.push(at);
        at += length;
    }
    (records, at)
}

/// The length of the record here, with its padding, if it is whole.
fn whole(bytes: &[u8], seal: u32) -> Option<usize> {
    let length = RECORD_HEADER_BYTES.checked_add(u32_at(bytes, 4)? as usize)?;
    let is_record = bytes.get(13..16)? == RECORD_FORMAT_AND_MAGIC;
    let sum = crc32(bytes.get(4..length)?) ^ seal;
    (is_record && u32_at(bytes, 0)? == sum).then(|| length.next_multiple_of(8))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The CRC-32 of zip and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum >> 8) ^ CRC[(sum as u8 ^ byte) as usize];
    !bytes.iter().fold(!0, step)
}

/// What each byte adds to the sum.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let (mut sum, mut bit) = (at as u32, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

impl Tail {
    /// Writes the first part of a record behind the last one, as a write does that was cut short.
    pub fn tear(&self, rng: &mut impl Rng) -> io::Result<String> {
        let last = self.records.last().map_or(&[][..], |at| &self.bytes[*at..self.end]);
        let room = self.bytes.len().saturating_sub(self.end);
        let length = rng.random_range(1..last.len().max(2)).min(room);
        let mut part = last[..length.min(last.len())].to_vec();
        // Not that of the last record again: its first bytes are its checksum.
        part.iter_mut().take(4).for_each(|byte| *byte = !*byte);
        self.write(&part, self.end)?;
        Ok(format!("{} bytes of a record after {}", part.len(), self.place(self.end)))
    }

    /// Turns over one bit that is certain to have been durable.
    pub fn flip(&self, rng: &mut impl Rng) -> io::Result<String> {
        let last_marker = self.records.iter().rev().find(|at| self.bytes[**at + 12] == MARKER);
        let durable = SEGMENT_HEADER_BYTES..last_marker.copied().unwrap_or_default();
        let before = self.records.iter().filter(|at| **at < durable.end);
        if before.count() < 2 {
            let short = "nothing in the newest segment is certain to have been durable";
            return Err(io::Error::other(short));
        }
        // Within a record, not in the zeros after it.
        let records: Vec<usize> =
            self.records.iter().copied().filter(|at| *at < durable.end).collect();
        let record = records[rng.random_range(0..records.len())];
        let body = u32_at(&self.bytes, record + 4).unwrap_or_default() as usize;
        let at = record + rng.random_range(0..RECORD_HEADER_BYTES + body);
        let bit = rng.random_range(0..8);
        self.write(&[self.bytes[at] ^ (1 << bit)], at)?;
        Ok(format!("bit {bit} of {}", self.place(at)))
    }

    /// Of what was written and not yet durable, `self` has all and the disk has nothing, as the power
    /// was cut. Writes half of its sectors, as the disk may have done.
    pub fn scatter(&self, rng: &mut impl Rng) -> io::Result<usize> {
        let durable = fs::read(&self.path).unwrap_or_default();
        let (mut written, sectors) = (0, self.bytes.chunks(SECTOR_BYTES).enumerate());
        for (number, sector) in sectors {
            let at = number * SECTOR_BYTES;
            let old = durable.get(at..at + sector.len());
            // Space the file does not have yet is none that the disk could have written.
            if old.is_some_and(|old| old != sector) && rng.random() {
                self.write(sector, at)?;
                written += 1;
            }
        }
        Ok(written)
    }

    fn write(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(&self.path)?;
        file.write_all_at(bytes, at as u64)?;
        file.sync_all()
    }

    fn place(&self, at: usize) -> String {
        let name = self.path.file_name().unwrap_or_default();
        format!("{} at {at}", name.to_string_lossy())
    }
}

#[cfg(test)]
mod tests;
