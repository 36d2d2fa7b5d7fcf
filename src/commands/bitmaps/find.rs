//! BITPOS.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use super::count::{first_mask, last_mask};
use super::offsets::{Unit, bit_range, bytes_of};
use crate::commands::strings::clamped;
use crate::commands::{Args, Parse, Read, Result};

/// BITPOS key bit [start [end [BYTE | BIT]]]
pub(super) struct BitPos {
    key: Bytes,
    bit: bool,
    start: i64,
    /// Without an end, the string is followed by clear bits for ever.
    end: Option<i64>,
    unit: Unit,
}

impl Parse for BitPos {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let key = args.bytes()?;
        let bit = match args.integer()? {
            0 => false,
            1 => true,
            _ => return Err(ReplyError::BitArgument),
        };
        let start = if args.is_empty() { 0 } else { args.integer()? };
        let end = if args.is_empty() { None } else { Some(args.integer()?) };
        Ok(Self { key, bit, start, end, unit: Unit::parse(args)? })
    }
}

impl Read for BitPos {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        if !view.exists(&self.key)? {
            return Ok(Reply::Integer(if self.bit { -1 } else { 0 }));
        }
        let len = view.string_len(&self.key)?;
        let end = self.end.unwrap_or(-1);
        let bits = bit_range(self.unit, len, |units| clamped(self.start, end, units));
        if bits.is_empty() {
            return Ok(Reply::Integer(-1));
        }
        let range = bytes_of(&bits);
        let bytes = view.string_range(&self.key, range.clone())?;
        let inside = |at: usize, byte: u8| self.wanted(byte, at, &bytes, bits.start, bits.end);
        let found = bytes.iter().enumerate().find_map(|(at, byte)| {
            let wanted = inside(at, *byte);
            (wanted != 0).then(|| (range.start + at as u64) * 8 + u64::from(wanted.leading_zeros()))
        });
        Ok(match found {
            Some(position) => Reply::count(position),
            None if !self.bit && self.end.is_none() => Reply::count(len * 8),
            None => Reply::Integer(-1),
        })
    }
}

impl BitPos {
    /// The bits of the byte at `at` that are as wanted and inside the range, as set bits.
    fn wanted(&self, byte: u8, at: usize, bytes: &[u8], start: u64, end: u64) -> u8 {
        let mut wanted = if self.bit { byte } else { !byte };
        if at == 0 {
            wanted &= first_mask(start);
        }
        if at + 1 == bytes.len() {
            wanted &= last_mask(end);
        }
        wanted
    }
}
