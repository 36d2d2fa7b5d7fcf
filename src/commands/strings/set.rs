//! SET, SETNX, SETEX, PSETEX.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use super::expiry::{Expiry, ExpiryOption, Origin, Unit};
use crate::commands::{Args, Parse, Result, Write};

/// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
pub(super) struct Set {
    key: Bytes,
    value: Bytes,
    condition: Option<Condition>,
    returns_old: bool,
    lifetime: Lifetime,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

/// How long the value lives.
enum Lifetime {
    /// Without limit.
    Forever,
    /// As long as the value it replaces.
    Kept,
    /// Until then.
    Until(Expiry),
}

impl Parse for Set {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, value) = (args.bytes()?, args.bytes()?);
        let mut options = Options::default();
        while !args.is_empty() {
            options.read(args)?;
        }
        Ok(Self {
            key,
            value,
            condition: options.condition,
            returns_old: options.returns_old,
            lifetime: options.lifetime(args.command().name)?,
        })
    }
}

#[derive(Default)]
struct Options {
    condition: Option<Condition>,
    returns_old: bool,
    keeps_deadline: bool,
    expiry: Option<ExpiryOption>,
}

impl Options {
    fn read(&mut self, args: &mut Args<'_>) -> Result<(), ReplyError> {
        if self.condition != Some(Condition::Present) && args.keyword("NX") {
            self.condition = Some(Condition::Absent);
        } else if self.condition != Some(Condition::Absent) && args.keyword("XX") {
            self.condition = Some(Condition::Present);
        } else if args.keyword("GET") {
            self.returns_old = true;
        } else if self.expiry.is_none() && args.keyword("KEEPTTL") {
            self.keeps_deadline = true;
        } else if !self.keeps_deadline {
            self.expiry = Some(ExpiryOption::read(self.expiry.as_ref(), args)?);
        } else {
            return Err(ReplyError::Syntax);
        }
        Ok(())
    }

    fn lifetime(&self, command: &'static str) -> Result<Lifetime, ReplyError> {
        Ok(match &self.expiry {
            Some(expiry) => Lifetime::Until(expiry.positive(command)?),
            None if self.keeps_deadline => Lifetime::Kept,
            None => Lifetime::Forever,
        })
    }
}

impl Write for Set {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        // A time beyond all clocks is refused even if nothing would be stored.
        if let Lifetime::Until(expiry) = &self.lifetime {
            expiry.deadline(txn.now())?;
        }
        let old = if self.returns_old { txn.string(&self.key)? } else { None };
        let allowed = match self.condition {
            None => true,
            Some(Condition::Absent) => !txn.exists(&self.key)?,
            Some(Condition::Present) => txn.exists(&self.key)?,
        };
        if allowed {
            self.store(txn)?;
        }
        Ok(match (self.returns_old, allowed) {
            (true, _) => Reply::bulk_or_null(old),
            (false, true) => Reply::OK,
            (false, false) => Reply::Null,
        })
    }
}

impl Set {
    fn store(&self, txn: &mut Txn<'_>) -> Result<()> {
        match &self.lifetime {
            Lifetime::Forever => txn.set_string(&self.key, &self.value, None)?,
            Lifetime::Kept => txn.set_string_keep_deadline(&self.key, &self.value)?,
            Lifetime::Until(expiry) => store_until(txn, &self.key, &self.value, expiry)?,
        }
        Ok(())
    }
}

/// Stores a value that expires. One that has expired already leaves no key behind.
fn store_until(txn: &mut Txn<'_>, key: &[u8], value: &[u8], expiry: &Expiry) -> Result<()> {
    let deadline = expiry.deadline(txn.now())?;
    Ok(txn.set_string(key, value, Some(deadline))?)
}

/// SETNX key value
pub(super) struct SetNx {
    key: Bytes,
    value: Bytes,
}

impl Parse for SetNx {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, value: args.bytes()? })
    }
}

impl Write for SetNx {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let absent = !txn.exists(&self.key)?;
        if absent {
            txn.set_string(&self.key, &self.value, None)?;
        }
        Ok(Reply::Integer(absent.into()))
    }
}

/// SETEX key seconds value, PSETEX key milliseconds value
pub(super) struct SetFor<const MILLIS: bool> {
    key: Bytes,
    expiry: Expiry,
    value: Bytes,
}

/// SETEX key seconds value
pub(super) type SetEx = SetFor<false>;
/// PSETEX key milliseconds value
pub(super) type PSetEx = SetFor<true>;

impl<const MILLIS: bool> Parse for SetFor<MILLIS> {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let unit = if MILLIS { Unit::Millis } else { Unit::Seconds };
        let key = args.bytes()?;
        let expiry = Expiry::positive(args.command().name, args.next()?, unit, Origin::Now)?;
        Ok(Self { key, expiry, value: args.bytes()? })
    }
}

impl<const MILLIS: bool> Write for SetFor<MILLIS> {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        store_until(txn, &self.key, &self.value, &self.expiry)?;
        Ok(Reply::OK)
    }
}
