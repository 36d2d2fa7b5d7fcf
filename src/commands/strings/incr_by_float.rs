//! INCRBYFLOAT, in the 80-bit numbers Redis computes it in on x86: the same digits everywhere.

use bytes::Bytes;
use resp::number::LongDouble;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// INCRBYFLOAT key increment
pub(super) struct IncrByFloat {
    key: Bytes,
    increment: LongDouble,
}

impl Parse for IncrByFloat {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let key = args.bytes()?;
        Ok(Self { key, increment: long_double(args.next()?)? })
    }
}

impl Write for IncrByFloat {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let old = txn.string(&self.key)?;
        let old = long_double(old.as_deref().unwrap_or(b"0"))?;
        let new = old.checked_add(self.increment).ok_or(ReplyError::IncrementNotFinite)?;
        let text = Bytes::from(new.to_string());
        txn.set_string_keep_deadline(&self.key, &text)?;
        Ok(Reply::Bulk(text))
    }
}

fn long_double(text: &[u8]) -> Result<LongDouble, ReplyError> {
    LongDouble::parse(text).ok_or(ReplyError::NotAFloat)
}
