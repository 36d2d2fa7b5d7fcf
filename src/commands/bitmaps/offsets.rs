//! Positions within a bitmap, as the commands are given them.

use std::ops::Range;

use bytes::Bytes;
use resp::{ReplyError, number};
use storage::STRING_BYTES_MAX;

use crate::commands::Args;

/// A bit's offset, which must lie within the largest string.
pub(super) fn bit_offset(args: &mut Args<'_>) -> Result<u64, ReplyError> {
    checked(number::parse_i64(args.next()?))
}

/// As [`bit_offset`], or `#n`: the n-th of fields `width` bits wide.
pub(super) fn field_offset(text: &Bytes, width: u32) -> Result<u64, ReplyError> {
    match text.strip_prefix(b"#") {
        Some(index) => checked(number::parse_i64(index).and_then(|n| n.checked_mul(width.into()))),
        None => checked(number::parse_i64(text)),
    }
}

fn checked(offset: Option<i64>) -> Result<u64, ReplyError> {
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset >> 3 < STRING_BYTES_MAX).ok_or(ReplyError::BitOffset)
}

/// What `start` and `end` are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Bits,
}

impl Unit {
    /// `[BYTE | BIT]`, the last thing in a request.
    pub fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        match args.either("BIT", "BYTE") {
            Some(true) => Ok(Self::Bits),
            Some(false) => Ok(Self::Bytes),
            None if args.is_empty() => Ok(Self::Bytes),
            None => Err(ReplyError::Syntax),
        }
    }

    pub fn bits(self) -> u64 {
        match self {
            Self::Bytes => 8,
            Self::Bits => 1,
        }
    }
}

/// What a range in `unit` is in bits, given how it is found among that many units.
pub(super) fn bit_range(
    unit: Unit,
    bytes: u64,
    range: impl FnOnce(u64) -> Range<u64>,
) -> Range<u64> {
    let units = range(bytes * 8 / unit.bits());
    units.start * unit.bits()..units.end * unit.bits()
}

/// The bytes that hold these bits.
pub(super) fn bytes_of(bits: &Range<u64>) -> Range<u64> {
    bits.start / 8..bits.end.div_ceil(8)
}
