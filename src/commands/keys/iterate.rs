//! KEYS, SCAN, RANDOMKEY.

use std::ops::ControlFlow;

use bytes::Bytes;
use resp::{Reply, ReplyError, glob, number};
use storage::{Header, View};

use crate::commands::{Args, Parse, Read, Result, Sample};

/// KEYS pattern
pub(super) struct Keys {
    pattern: Bytes,
}

impl Parse for Keys {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { pattern: args.bytes()? })
    }
}

impl Read for Keys {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let mut keys = Vec::new();
        view.for_each_key(|key, _| {
            if glob(&self.pattern, key, false) {
                keys.push(Reply::Bulk(Bytes::copy_from_slice(key)));
            }
            ControlFlow::Continue(())
        })?;
        Ok(Reply::Array(keys))
    }
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) struct Scan {
    cursor: u64,
    pattern: Option<Bytes>,
    count: usize,
    kind: Option<Bytes>,
}

/// How many keys a call looks at unless told otherwise.
const COUNT: usize = 10;

impl Parse for Scan {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let cursor = cursor(args.next()?).ok_or(ReplyError::InvalidCursor)?;
        let mut scan = Self { cursor, pattern: None, count: COUNT, kind: None };
        while !args.is_empty() {
            if args.keyword_with_value("MATCH") {
                scan.pattern = Some(args.bytes()?);
            } else if args.keyword_with_value("COUNT") {
                let count = usize::try_from(args.integer()?).ok().filter(|&count| count > 0);
                scan.count = count.ok_or(ReplyError::Syntax)?;
            } else if args.keyword_with_value("TYPE") {
                scan.kind = Some(args.bytes()?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(scan)
    }
}

impl Read for Scan {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let mut keys = Vec::new();
        let next = view.scan(self.cursor, self.count, |key, header| {
            if self.takes(key, header) {
                keys.push(Reply::Bulk(Bytes::copy_from_slice(key)));
            }
        })?;
        Ok(Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(keys)]))
    }
}

impl Scan {
    fn takes(&self, key: &[u8], header: &Header) -> bool {
        let kind = self.kind.as_ref();
        kind.is_none_or(|kind| kind.eq_ignore_ascii_case(header.kind.name().as_bytes()))
            && self.pattern.as_ref().is_none_or(|pattern| glob(pattern, key, false))
    }
}

/// As C reads an unsigned number: with a sign, if one is there.
fn cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[zeros.min(digits.len().saturating_sub(1))..];
    let cursor = number::parse_u64(digits)?;
    Some(if negative { cursor.wrapping_neg() } else { cursor })
}

/// RANDOMKEY
pub(super) struct RandomKey;

impl Parse for RandomKey {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }
}

impl Sample for RandomKey {
    fn sample(&self, view: &View<'_>, seed: u64) -> Result<Reply> {
        Ok(Reply::bulk_or_null(view.random_key(seed)?))
    }
}
