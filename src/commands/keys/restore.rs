//! RESTORE, and RESTORE-ASKING, which migrations between nodes send.

use bytes::Bytes;
use resp::{Reply, ReplyError, number};
use storage::{Millis, Txn};

use super::rdb::decode_string;
use crate::commands::errors::refuse;
use crate::commands::{Args, Parse, Result, Write};

/// No deadline is later: PEXPIRETIME has to be able to say it.
const DEADLINE_MAX: Millis = i64::MAX.cast_unsigned();

/// RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
///
/// Time and payload are judged by the one who applies it: a key that is in the way comes first, in
/// Redis as here.
pub(super) struct Restore {
    key: Bytes,
    lifetime: Bytes,
    absolute: bool,
    payload: Bytes,
    replaces: bool,
}

impl Parse for Restore {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, lifetime, payload) = (args.bytes()?, args.bytes()?, args.bytes()?);
        let (replaces, absolute) = options(args)?;
        Ok(Self { key, lifetime, absolute, payload, replaces })
    }
}

impl Write for Restore {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        if !self.replaces && txn.exists(&self.key)? {
            return Err(refuse("BUSYKEY Target key name already exists.").into());
        }
        let deadline = self.deadline(txn.now())?;
        let value = decode_string(&self.payload)?;
        txn.set_string(&self.key, &value, deadline)?;
        Ok(Reply::OK)
    }
}

impl Restore {
    /// When it shall expire; never after 0 milliseconds.
    fn deadline(&self, now: Millis) -> Result<Option<Millis>, ReplyError> {
        let lifetime = number::parse_i64(&self.lifetime).ok_or(ReplyError::NotAnInteger)?;
        let lifetime =
            u64::try_from(lifetime).map_err(|_| refuse("ERR Invalid TTL value, must be >= 0"))?;
        let base = if self.absolute { 0 } else { now };
        let deadline = base.saturating_add(lifetime).min(DEADLINE_MAX);
        Ok((lifetime > 0).then_some(deadline))
    }
}

/// Whether it replaces, and whether its time is absolute. How a key was used is checked, and
/// forgotten.
fn options(args: &mut Args<'_>) -> Result<(bool, bool), ReplyError> {
    let (mut replaces, mut absolute, mut idle, mut frequency) = (false, false, false, false);
    while !args.is_empty() {
        if args.keyword("REPLACE") {
            replaces = true;
        } else if args.keyword("ABSTTL") {
            absolute = true;
        } else if !frequency && args.keyword_with_value("IDLETIME") {
            if args.integer()? < 0 {
                return Err(refuse("ERR Invalid IDLETIME value, must be >= 0"));
            }
            idle = true;
        } else if !idle && args.keyword_with_value("FREQ") {
            if !(0..=255).contains(&args.integer()?) {
                return Err(refuse("ERR Invalid FREQ value, must be >= 0 and <= 255"));
            }
            frequency = true;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    Ok((replaces, absolute))
}
