//! BITCOUNT.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use super::offsets::{Unit, bit_range, bytes_of};
use crate::commands::strings::positions;
use crate::commands::{Args, Parse, Read, Result};

/// BITCOUNT key [start end [BYTE | BIT]]
pub(super) struct BitCount {
    key: Bytes,
    start: i64,
    end: i64,
    unit: Unit,
}

impl Parse for BitCount {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let key = args.bytes()?;
        if args.is_empty() {
            return Ok(Self { key, start: 0, end: -1, unit: Unit::Bytes });
        }
        // A start without an end is not a range.
        if args.len() == 1 {
            return Err(ReplyError::Syntax);
        }
        let (start, end) = (args.integer()?, args.integer()?);
        Ok(Self { key, start, end, unit: Unit::parse(args)? })
    }
}

impl Read for BitCount {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let len = view.string_len(&self.key)?;
        let bits = bit_range(self.unit, len, |units| positions(self.start, self.end, units));
        if bits.is_empty() {
            return Ok(Reply::Integer(0));
        }
        let bytes = view.string_range(&self.key, bytes_of(&bits))?;
        let outside = clipped(bytes.first(), !first_mask(bits.start))
            + clipped(bytes.last(), !last_mask(bits.end));
        Ok(Reply::count(count_ones(&bytes) - u64::from(outside)))
    }
}

/// The bits of the first byte that a range beginning at `start` takes.
pub(super) fn first_mask(start: u64) -> u8 {
    0xff >> (start % 8)
}

/// The bits of the last byte that a range ending before `end` takes.
pub(super) fn last_mask(end: u64) -> u8 {
    !(0x7f_u8 >> ((end + 7) % 8))
}

fn clipped(byte: Option<&u8>, outside: u8) -> u32 {
    byte.map_or(0, |byte| (byte & outside).count_ones())
}

/// Eight bytes at a time.
fn count_ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let whole: u64 =
        words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    whole + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::{count_ones, first_mask, last_mask};

    #[test]
    fn masks_take_the_bits_inside() {
        assert_eq!((first_mask(0), first_mask(3), first_mask(15)), (0xff, 0x1f, 0x01));
        assert_eq!((last_mask(8), last_mask(1), last_mask(7)), (0xff, 0x80, 0xfe));
    }

    #[test]
    fn counting_takes_every_byte() {
        assert_eq!(count_ones(&[0xff; 19]), 19 * 8);
        assert_eq!(count_ones(b"foobar"), 26);
    }
}
