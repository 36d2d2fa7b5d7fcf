//! Expirations as SET and its relatives are given them.

use bytes::Bytes;
use resp::{ReplyError, number};
use storage::Millis;

use crate::commands::Args;

/// How a time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Unit {
    Seconds,
    Millis,
}

/// Where a time is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Origin {
    /// The moment the command is applied, by log time.
    Now,
    /// 1970.
    Epoch,
}

/// A time at which a key shall expire, not yet made absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) struct Expiry {
    /// What to call the command in a refusal.
    pub command: &'static str,
    pub amount: i64,
    pub unit: Unit,
    pub origin: Origin,
}

impl Expiry {
    /// A time that has to be positive, as all but EXPIRE's.
    pub fn positive(
        command: &'static str,
        amount: &[u8],
        unit: Unit,
        origin: Origin,
    ) -> Result<Self, ReplyError> {
        let amount = number::parse_i64(amount).ok_or(ReplyError::NotAnInteger)?;
        let expiry = Self { command, amount, unit, origin };
        if amount <= 0 || expiry.millis().is_none() { Err(expiry.refused()) } else { Ok(expiry) }
    }

    /// The deadline, given the present. Any time before 1970 is 1970: both have passed.
    pub fn deadline(&self, now: Millis) -> Result<Millis, ReplyError> {
        let base = match self.origin {
            Origin::Now => i64::try_from(now).expect("log time is a date"),
            Origin::Epoch => 0,
        };
        let deadline = self.millis().and_then(|millis| millis.checked_add(base));
        deadline.map(|at| Millis::try_from(at).unwrap_or(0)).ok_or_else(|| self.refused())
    }

    fn millis(&self) -> Option<i64> {
        match self.unit {
            Unit::Seconds => self.amount.checked_mul(1000),
            Unit::Millis => Some(self.amount),
        }
    }

    fn refused(&self) -> ReplyError {
        ReplyError::InvalidExpire(self.command.into())
    }
}

/// `EX seconds` or one of its likes, found among options but not judged yet: syntax errors come
/// before bad numbers.
#[derive(Debug, Clone)]
pub(in crate::commands) struct ExpiryOption {
    pub unit: Unit,
    pub origin: Origin,
    pub amount: Bytes,
}

/// The words that introduce a time.
const WORDS: [(&str, Unit, Origin); 4] = [
    ("EX", Unit::Seconds, Origin::Now),
    ("PX", Unit::Millis, Origin::Now),
    ("EXAT", Unit::Seconds, Origin::Epoch),
    ("PXAT", Unit::Millis, Origin::Epoch),
];

impl ExpiryOption {
    /// Reads one. The same word may come again, and the last one counts; two words exclude each
    /// other.
    pub fn read(before: Option<&Self>, args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let word = WORDS.into_iter().find(|(word, ..)| args.keyword_with_value(word));
        let (_, unit, origin) = word.ok_or(ReplyError::Syntax)?;
        if before.is_some_and(|before| (before.unit, before.origin) != (unit, origin)) {
            return Err(ReplyError::Syntax);
        }
        Ok(Self { unit, origin, amount: args.bytes()? })
    }

    /// The time, for the command of that name. It has to be positive.
    pub fn positive(&self, command: &'static str) -> Result<Expiry, ReplyError> {
        Expiry::positive(command, &self.amount, self.unit, self.origin)
    }
}
