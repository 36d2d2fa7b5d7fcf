//! DUMP.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use super::rdb::encode_string;
use crate::commands::{Args, Parse, Read, Result};

/// DUMP key
pub(super) struct Dump {
    key: Bytes,
}

impl Parse for Dump {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Read for Dump {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let value = view.string(&self.key)?;
        Ok(value.map_or(Reply::Null, |value| Reply::bulk(encode_string(&value))))
    }
}
