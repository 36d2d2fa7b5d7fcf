//! INCR, DECR, INCRBY, DECRBY.

use bytes::Bytes;
use resp::{Reply, ReplyError, number};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// INCR key, DECR key
pub(super) struct Step<const BY: i64> {
    key: Bytes,
}

/// INCR key
pub(super) type Incr = Step<1>;
/// DECR key
pub(super) type Decr = Step<-1>;

impl<const BY: i64> Parse for Step<BY> {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl<const BY: i64> Write for Step<BY> {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        add(txn, &self.key, BY)
    }
}

/// INCRBY key increment
pub(super) struct IncrBy {
    key: Bytes,
    increment: i64,
}

impl Parse for IncrBy {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, increment: args.integer()? })
    }
}

impl Write for IncrBy {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        add(txn, &self.key, self.increment)
    }
}

/// DECRBY key decrement
pub(super) struct DecrBy {
    key: Bytes,
    increment: i64,
}

impl Parse for DecrBy {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, decrement) = (args.bytes()?, args.integer()?);
        let increment = decrement.checked_neg().ok_or(ReplyError::DecrementOverflow)?;
        Ok(Self { key, increment })
    }
}

impl Write for DecrBy {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        add(txn, &self.key, self.increment)
    }
}

fn add(txn: &mut Txn<'_>, key: &[u8], increment: i64) -> Result<Reply> {
    let old = match txn.string(key)? {
        Some(value) => number::parse_i64(&value).ok_or(ReplyError::NotAnInteger)?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(ReplyError::IncrementOverflow)?;
    txn.set_string_keep_deadline(key, number::format_i64(new).as_bytes())?;
    Ok(Reply::Integer(new))
}
