//! TALUS.SWEEP: the leader's request to remove keys whose time has come.
//!
//! Expired keys are invisible as soon as log time has passed their deadlines. What is removed, and
//! when, is part of the log all the same: every replica drops the same keys at the same index.

use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// TALUS.SWEEP count
pub(super) struct Sweep {
    limit: usize,
}

impl Parse for Sweep {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { limit: args.number_or(ReplyError::NotPositive)? })
    }
}

impl Write for Sweep {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        Ok(Reply::count(txn.sweep(self.limit)?))
    }
}
