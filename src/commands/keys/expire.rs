//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST.
//!
//! Whatever way a time was given, the key gets an absolute deadline, computed from log time. A
//! deadline that has passed deletes the key.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Millis, Txn};

use crate::commands::strings::{Expiry, Origin, Unit};
use crate::commands::{Args, Parse, Result, Write};

/// EXPIRE key time [NX | XX | GT | LT], and its three relatives.
pub(super) struct SetDeadline<const MILLIS: bool, const ABSOLUTE: bool> {
    key: Bytes,
    expiry: Expiry,
    conditions: Conditions,
}

/// EXPIRE key seconds
pub(super) type Expire = SetDeadline<false, false>;
/// PEXPIRE key milliseconds
pub(super) type PExpire = SetDeadline<true, false>;
/// EXPIREAT key unix-time-seconds
pub(super) type ExpireAt = SetDeadline<false, true>;
/// PEXPIREAT key unix-time-milliseconds
pub(super) type PExpireAt = SetDeadline<true, true>;

/// When to leave the deadline as it is. XX goes with GT or LT, nothing else goes together.
#[derive(Default)]
struct Conditions {
    /// Only if the key has no deadline.
    nx: bool,
    /// Only if it has one.
    xx: bool,
    /// Only if the new one is later. No deadline is later than any.
    gt: bool,
    /// Only if the new one is earlier.
    lt: bool,
}

impl<const MILLIS: bool, const ABSOLUTE: bool> Parse for SetDeadline<MILLIS, ABSOLUTE> {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, amount) = (args.bytes()?, args.next()?);
        let conditions = Conditions::parse(args)?;
        let expiry = Expiry {
            command: args.command().name,
            amount: resp::number::parse_i64(amount).ok_or(ReplyError::NotAnInteger)?,
            unit: if MILLIS { Unit::Millis } else { Unit::Seconds },
            origin: if ABSOLUTE { Origin::Epoch } else { Origin::Now },
        };
        Ok(Self { key, expiry, conditions })
    }
}

impl<const MILLIS: bool, const ABSOLUTE: bool> Write for SetDeadline<MILLIS, ABSOLUTE> {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let deadline = self.expiry.deadline(txn.now())?;
        let Some(header) = txn.header(&self.key)? else { return Ok(Reply::Integer(0)) };
        if !self.conditions.allow(header.deadline, deadline) {
            return Ok(Reply::Integer(0));
        }
        txn.set_deadline(&self.key, Some(deadline))?;
        Ok(Reply::Integer(1))
    }
}

impl Conditions {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let mut given = Self::default();
        while !args.is_empty() {
            if args.keyword("NX") {
                given.nx = true;
            } else if args.keyword("XX") {
                given.xx = true;
            } else if args.keyword("GT") {
                given.gt = true;
            } else if args.keyword("LT") {
                given.lt = true;
            } else {
                return Err(ReplyError::UnsupportedOption(args.text()?));
            }
        }
        given.checked()
    }

    fn checked(self) -> Result<Self, ReplyError> {
        if self.nx && (self.xx || self.gt || self.lt) {
            return Err(ReplyError::ExpireNxWithOthers);
        }
        if self.gt && self.lt { Err(ReplyError::ExpireGtAndLt) } else { Ok(self) }
    }

    fn allow(&self, old: Option<Millis>, new: Millis) -> bool {
        match old {
            Some(old) => !self.nx && (!self.gt || new > old) && (!self.lt || new < old),
            None => !self.xx && !self.gt,
        }
    }
}

/// PERSIST key
pub(super) struct Persist {
    key: Bytes,
}

impl Parse for Persist {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Write for Persist {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let header = txn.header(&self.key)?;
        let expires = header.is_some_and(|header| header.deadline.is_some());
        if expires {
            txn.set_deadline(&self.key, None)?;
        }
        Ok(Reply::Integer(expires.into()))
    }
}
