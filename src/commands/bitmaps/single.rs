//! SETBIT and GETBIT.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

use super::offsets::bit_offset;
use crate::commands::{Args, Parse, Read, Result, Write};

/// SETBIT key offset value
pub(super) struct SetBit {
    key: Bytes,
    offset: u64,
    value: bool,
}

impl Parse for SetBit {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, offset) = (args.bytes()?, bit_offset(args)?);
        let value = match args.integer_or(ReplyError::BitValue)? {
            0 => false,
            1 => true,
            _ => return Err(ReplyError::BitValue),
        };
        Ok(Self { key, offset, value })
    }
}

impl Write for SetBit {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let at = self.offset / 8;
        let old = txn.string_range(&self.key, at..at + 1)?.first().copied();
        let mask = mask(self.offset);
        let byte = old.unwrap_or_default();
        let new = if self.value { byte | mask } else { byte & !mask };
        // A bit beyond the end makes the string longer, even if the bit is clear.
        if old != Some(new) {
            txn.write_at(&self.key, at, &[new])?;
        }
        Ok(Reply::Integer((byte & mask != 0).into()))
    }
}

/// GETBIT key offset
pub(super) struct GetBit {
    key: Bytes,
    offset: u64,
}

impl Parse for GetBit {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, offset: bit_offset(args)? })
    }
}

impl Read for GetBit {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let at = self.offset / 8;
        let byte = view.string_range(&self.key, at..at + 1)?.first().copied().unwrap_or_default();
        Ok(Reply::Integer((byte & mask(self.offset) != 0).into()))
    }
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}
