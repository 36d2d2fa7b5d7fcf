//! EXISTS, TOUCH, TYPE, DBSIZE.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use crate::commands::{Args, Parse, Read, Result};

/// EXISTS key [key ...]. TOUCH counts alike: nothing is evicted, so no use is remembered.
pub(super) struct Exists {
    keys: Vec<Bytes>,
}

impl Parse for Exists {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { keys: args.rest().to_vec() })
    }
}

impl Read for Exists {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let mut existing = 0;
        for key in &self.keys {
            existing += i64::from(view.exists(key)?);
        }
        Ok(Reply::Integer(existing))
    }
}

/// TYPE key
pub(super) struct Type {
    key: Bytes,
}

impl Parse for Type {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Read for Type {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let header = view.header(&self.key)?;
        Ok(Reply::simple(header.map_or("none", |header| header.kind.name())))
    }
}

/// DBSIZE
pub(super) struct DbSize;

impl Parse for DbSize {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }
}

impl Read for DbSize {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        Ok(Reply::count(view.key_count()))
    }
}
