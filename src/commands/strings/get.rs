//! GET and its relatives that also change the key: GETDEL, GETEX, GETSET. STRLEN.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

use super::expiry::ExpiryOption;
use crate::commands::{Args, Parse, Read, Result, Write};

/// GET key
pub(super) struct Get {
    key: Bytes,
}

impl Parse for Get {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Read for Get {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        Ok(Reply::bulk_or_null(view.string(&self.key)?))
    }
}

/// STRLEN key
pub(super) struct StrLen {
    key: Bytes,
}

impl Parse for StrLen {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Read for StrLen {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        Ok(Reply::count(view.string_len(&self.key)?))
    }
}

/// GETDEL key
pub(super) struct GetDel {
    key: Bytes,
}

impl Parse for GetDel {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Write for GetDel {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let old = txn.string(&self.key)?;
        if old.is_some() {
            txn.delete(&self.key)?;
        }
        Ok(Reply::bulk_or_null(old))
    }
}

/// GETSET key value
pub(super) struct GetSet {
    key: Bytes,
    value: Bytes,
}

impl Parse for GetSet {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, value: args.bytes()? })
    }
}

impl Write for GetSet {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let old = txn.string(&self.key)?;
        txn.set_string(&self.key, &self.value, None)?;
        Ok(Reply::bulk_or_null(old))
    }
}

/// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
pub(super) struct GetEx {
    key: Bytes,
    change: Change,
}

enum Change {
    None,
    Persist,
    /// Judged where it is applied: without a key Redis does not look at the time.
    Expire(ExpiryOption),
}

impl Parse for GetEx {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, mut persists, mut expiry) = (args.bytes()?, false, None::<ExpiryOption>);
        while !args.is_empty() {
            if expiry.is_none() && args.keyword("PERSIST") {
                persists = true;
            } else if !persists {
                expiry = Some(ExpiryOption::read(expiry.as_ref(), args)?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        let change = match expiry {
            Some(expiry) => Change::Expire(expiry),
            None if persists => Change::Persist,
            None => Change::None,
        };
        Ok(Self { key, change })
    }
}

impl Write for GetEx {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let Some(value) = txn.string(&self.key)? else { return Ok(Reply::Null) };
        match &self.change {
            Change::None => {}
            Change::Persist => self.persist(txn)?,
            Change::Expire(expiry) => {
                let deadline = expiry.positive("getex")?.deadline(txn.now())?;
                txn.set_deadline(&self.key, Some(deadline))?;
            }
        }
        Ok(Reply::Bulk(value))
    }
}

impl GetEx {
    /// Removes the deadline if there is one: a key that has none is not touched.
    fn persist(&self, txn: &mut Txn<'_>) -> Result<()> {
        if txn.header(&self.key)?.is_some_and(|header| header.deadline.is_some()) {
            txn.set_deadline(&self.key, None)?;
        }
        Ok(())
    }
}
