//! MGET, MSET, MSETNX: several keys at once.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

use crate::commands::{Args, Parse, Read, Result, Write};

/// MGET key [key ...]
pub(super) struct MGet {
    keys: Vec<Bytes>,
}

impl Parse for MGet {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { keys: args.rest().to_vec() })
    }
}

impl Read for MGet {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let mut values = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            // A key of another type is a missing value here, not an error.
            let value = match view.string(key) {
                Err(storage::Error::WrongType) => None,
                value => value?,
            };
            values.push(Reply::bulk_or_null(value));
        }
        Ok(Reply::Array(values))
    }
}

/// MSET key value [key value ...]
pub(super) struct MSet {
    pairs: Vec<(Bytes, Bytes)>,
}

impl Parse for MSet {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { pairs: pairs(args)? })
    }
}

impl Write for MSet {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        set_all(txn, &self.pairs)?;
        Ok(Reply::OK)
    }
}

/// MSETNX key value [key value ...]
pub(super) struct MSetNx {
    pairs: Vec<(Bytes, Bytes)>,
}

impl Parse for MSetNx {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { pairs: pairs(args)? })
    }
}

impl Write for MSetNx {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        for (key, _) in &self.pairs {
            if txn.exists(key)? {
                return Ok(Reply::Integer(0));
            }
        }
        set_all(txn, &self.pairs)?;
        Ok(Reply::Integer(1))
    }
}

fn pairs(args: &mut Args<'_>) -> Result<Vec<(Bytes, Bytes)>, ReplyError> {
    if !args.len().is_multiple_of(2) {
        return Err(ReplyError::arity(args.command().name));
    }
    Ok(args.rest().chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

/// In order: of a key given twice, the last value stays.
fn set_all(txn: &mut Txn<'_>, pairs: &[(Bytes, Bytes)]) -> Result<()> {
    for (key, value) in pairs {
        txn.set_string(key, value, None)?;
    }
    Ok(())
}
