//! APPEND and SETRANGE: values that grow in place.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// APPEND key value
pub(super) struct Append {
    key: Bytes,
    value: Bytes,
}

impl Parse for Append {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, value: args.bytes()? })
    }
}

impl Write for Append {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        Ok(Reply::count(txn.append(&self.key, &self.value)?))
    }
}

/// SETRANGE key offset value
pub(super) struct SetRange {
    key: Bytes,
    offset: u64,
    value: Bytes,
}

impl Parse for SetRange {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let key = args.bytes()?;
        let offset = u64::try_from(args.integer()?).map_err(|_| ReplyError::OffsetOutOfRange)?;
        Ok(Self { key, offset, value: args.bytes()? })
    }
}

impl Write for SetRange {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        // Nothing to write is no reason to create a key, or to fill one with zeros.
        let len = if self.value.is_empty() {
            txn.string_len(&self.key)?
        } else {
            txn.write_at(&self.key, self.offset, &self.value)?
        };
        Ok(Reply::count(len))
    }
}
