//! RENAME and RENAMENX.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// RENAME key newkey
pub(super) struct Rename {
    from: Bytes,
    to: Bytes,
}

impl Parse for Rename {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { from: args.bytes()?, to: args.bytes()? })
    }
}

impl Write for Rename {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        check_exists(txn, &self.from)?;
        if self.from != self.to {
            txn.rename(&self.from, &self.to)?;
        }
        Ok(Reply::OK)
    }
}

/// RENAMENX key newkey
pub(super) struct RenameNx {
    from: Bytes,
    to: Bytes,
}

impl Parse for RenameNx {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { from: args.bytes()?, to: args.bytes()? })
    }
}

impl Write for RenameNx {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        check_exists(txn, &self.from)?;
        // The new name is taken also if it is the old one.
        let free = !txn.exists(&self.to)?;
        if free {
            txn.rename(&self.from, &self.to)?;
        }
        Ok(Reply::Integer(free.into()))
    }
}

fn check_exists(txn: &Txn<'_>, key: &[u8]) -> Result<()> {
    if txn.exists(key)? { Ok(()) } else { Err(ReplyError::NoSuchKey.into()) }
}
