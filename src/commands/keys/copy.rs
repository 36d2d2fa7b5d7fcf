//! COPY and MOVE: the two ways from one database into another.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// COPY source destination [DB destination-db] [REPLACE]
pub(super) struct Copy {
    from: Bytes,
    to: Bytes,
    /// The database of the transaction unless given.
    db: Option<u32>,
    replaces: bool,
}

impl Parse for Copy {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let mut copy = Self { from: args.bytes()?, to: args.bytes()?, db: None, replaces: false };
        while !args.is_empty() {
            if args.keyword("REPLACE") {
                copy.replaces = true;
            } else if args.keyword_with_value("DB") {
                copy.db = Some(args.database()?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(copy)
    }
}

impl Write for Copy {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let db = self.db.unwrap_or(txn.db());
        if db == txn.db() && self.from == self.to {
            return Err(ReplyError::SameObject.into());
        }
        if !txn.exists(&self.from)? || (!self.replaces && exists_in(txn, db, &self.to)?) {
            return Ok(Reply::Integer(0));
        }
        Ok(Reply::Integer(txn.copy(&self.from, &self.to, db)?.into()))
    }
}

/// MOVE key db
pub(super) struct Move {
    key: Bytes,
    db: u32,
}

impl Parse for Move {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, db: args.database()? })
    }
}

impl Write for Move {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        if self.db == txn.db() {
            return Err(ReplyError::SameObject.into());
        }
        if exists_in(txn, self.db, &self.key)? {
            return Ok(Reply::Integer(0));
        }
        Ok(Reply::Integer(txn.move_to(&self.key, self.db)?.into()))
    }
}

fn exists_in(txn: &Txn<'_>, db: u32, key: &[u8]) -> Result<bool> {
    let mut view = txn.view();
    view.select(db);
    Ok(view.exists(key)?)
}
