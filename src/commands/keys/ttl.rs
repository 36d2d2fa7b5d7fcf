//! TTL, PTTL, EXPIRETIME, PEXPIRETIME.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::View;

use crate::commands::{Args, Parse, Read, Result};

/// TTL key and its three relatives: -2 if there is no such key, -1 if it does not expire.
pub(super) struct Deadline<const MILLIS: bool, const ABSOLUTE: bool> {
    key: Bytes,
}

/// TTL key
pub(super) type Ttl = Deadline<false, false>;
/// PTTL key
pub(super) type PTtl = Deadline<true, false>;
/// EXPIRETIME key
pub(super) type ExpireTime = Deadline<false, true>;
/// PEXPIRETIME key
pub(super) type PExpireTime = Deadline<true, true>;

impl<const MILLIS: bool, const ABSOLUTE: bool> Parse for Deadline<MILLIS, ABSOLUTE> {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl<const MILLIS: bool, const ABSOLUTE: bool> Read for Deadline<MILLIS, ABSOLUTE> {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let Some(header) = view.header(&self.key)? else { return Ok(Reply::Integer(-2)) };
        let Some(deadline) = header.deadline else { return Ok(Reply::Integer(-1)) };
        let millis = if ABSOLUTE { deadline } else { deadline.saturating_sub(view.now()) };
        Ok(Reply::count(if MILLIS { millis } else { millis.saturating_add(500) / 1000 }))
    }
}
