//! DEL and UNLINK, which are the same here: reclaiming a value is always left for later.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// DEL key [key ...]
pub(super) struct Del {
    keys: Vec<Bytes>,
}

impl Parse for Del {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { keys: args.rest().to_vec() })
    }
}

impl Write for Del {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let mut deleted = 0;
        for key in &self.keys {
            deleted += i64::from(txn.delete(key)?);
        }
        Ok(Reply::Integer(deleted))
    }
}
