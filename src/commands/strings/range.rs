//! GETRANGE, and SUBSTR, its first name.

use std::ops::Range;

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use crate::commands::{Args, Parse, Read, Result};

/// GETRANGE key start end
pub(super) struct GetRange {
    key: Bytes,
    start: i64,
    end: i64,
}

impl Parse for GetRange {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, start: args.integer()?, end: args.integer()? })
    }
}

impl Read for GetRange {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let len = view.string_len(&self.key)?;
        let range = positions(self.start, self.end, len);
        if range.is_empty() {
            return Ok(Reply::EMPTY_BULK);
        }
        Ok(Reply::Bulk(view.string_range(&self.key, range)?))
    }
}

/// The part of something `len` long that lies between `start` and `end`, both included, both
/// counted from the end when negative.
pub(in crate::commands) fn positions(start: i64, end: i64, len: u64) -> Range<u64> {
    if start < 0 && end < 0 && start > end { 0..0 } else { clamped(start, end, len) }
}

/// As [`positions`], but what lies before the start is cut to the first one before it is compared:
/// a range from -5 to -9 of something short is its first element.
pub(in crate::commands) fn clamped(start: i64, end: i64, len: u64) -> Range<u64> {
    let from_start = |at: i64| match u64::try_from(at) {
        Ok(at) => at,
        Err(_) => len.saturating_sub(at.unsigned_abs()),
    };
    from_start(start).min(len)..from_start(end).saturating_add(1).min(len)
}

#[cfg(test)]
mod tests {
    use super::{clamped, positions};

    #[test]
    fn positions_count_from_either_end() {
        assert_eq!(positions(0, -1, 5), 0..5);
        assert_eq!(positions(-3, -2, 5), 2..4);
        assert_eq!(positions(-100, 1, 5), 0..2);
        assert_eq!(positions(1, 100, 5), 1..5);
        assert_eq!(positions(-1, -100, 5), 0..0);
        assert!(positions(3, 1, 5).is_empty());
        // Nothing lies beyond the end, so positions can be turned into bits.
        assert_eq!(positions(i64::MAX, -1, 5), 5..5);
        assert!(positions(0, -1, 0).is_empty());
        // What lies before the start is cut to the first byte, as in Redis.
        assert_eq!(positions(-100, -99, 5), 0..1);
        assert_eq!((positions(-8, -9, 5), clamped(-8, -9, 5)), (0..0, 0..1));
    }
}
