//! FLUSHDB, FLUSHALL, SWAPDB.

use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, DATABASES, Parse, Result, Write};

/// FLUSHDB [ASYNC | SYNC]
pub(super) struct FlushDb;

impl Parse for FlushDb {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        mode(args)?;
        Ok(Self)
    }
}

impl Write for FlushDb {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        txn.flush_db(txn.db());
        Ok(Reply::OK)
    }
}

/// FLUSHALL [ASYNC | SYNC]
pub(super) struct FlushAll;

impl Parse for FlushAll {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        mode(args)?;
        Ok(Self)
    }
}

impl Write for FlushAll {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        txn.flush_all();
        Ok(Reply::OK)
    }
}

/// Reclaiming space is always left for later, so the word makes no difference.
fn mode(args: &mut Args<'_>) -> Result<(), ReplyError> {
    if args.is_empty() || args.either("ASYNC", "SYNC").is_some() {
        Ok(())
    } else {
        Err(ReplyError::Syntax)
    }
}

/// SWAPDB index1 index2
pub(super) struct SwapDb {
    databases: [u32; 2],
}

impl Parse for SwapDb {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let first = args.integer_or(ReplyError::InvalidFirstDbIndex)?;
        let second = args.integer_or(ReplyError::InvalidSecondDbIndex)?;
        let in_range = |db: i64| u32::try_from(db).ok().filter(|&db| db < DATABASES);
        match (in_range(first), in_range(second)) {
            (Some(first), Some(second)) => Ok(Self { databases: [first, second] }),
            _ => Err(ReplyError::DbIndexOutOfRange),
        }
    }
}

impl Write for SwapDb {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let [first, second] = self.databases;
        if first != second {
            txn.swap_db(first, second);
        }
        Ok(Reply::OK)
    }
}
