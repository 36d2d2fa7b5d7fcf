//! OBJECT ENCODING, FREQ, IDLETIME, REFCOUNT; MEMORY USAGE.
//!
//! Nothing is evicted, so no use of a key is remembered: idle times are zero, and frequencies are
//! refused as Redis refuses them without an LFU policy.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Header, View};

use crate::commands::{Args, Parse, Read, Result};

/// What a key and its header take in memory besides their bytes.
const ENTRY_BYTES: u64 = 56;

/// A question about one key, answered with null if there is none.
pub(super) struct About<Q> {
    key: Bytes,
    question: Q,
}

/// What is asked, given the key's header.
pub(super) trait Question: Sized {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError>;
    fn answer(&self, key: &[u8], header: &Header) -> Result<Reply, ReplyError>;
}

impl<Q: Question> Parse for About<Q> {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, question: Q::parse(args)? })
    }
}

impl<Q: Question> Read for About<Q> {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let Some(header) = view.header(&self.key)? else { return Ok(Reply::Null) };
        Ok(self.question.answer(&self.key, &header)?)
    }
}

/// OBJECT ENCODING key
pub(super) type Encoding = About<EncodingQuestion>;
/// OBJECT FREQ key
pub(super) type Frequency = About<FrequencyQuestion>;
/// OBJECT IDLETIME key
pub(super) type IdleTime = About<IdleTimeQuestion>;
/// OBJECT REFCOUNT key
pub(super) type ReferenceCount = About<ReferenceCountQuestion>;
/// MEMORY USAGE key [SAMPLES count]
pub(super) type MemoryUsage = About<MemoryUsageQuestion>;

pub(super) struct EncodingQuestion;

impl Question for EncodingQuestion {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }

    fn answer(&self, _: &[u8], header: &Header) -> Result<Reply, ReplyError> {
        Ok(Reply::bulk(header.encoding.name()))
    }
}

pub(super) struct FrequencyQuestion;

impl Question for FrequencyQuestion {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }

    fn answer(&self, _: &[u8], _: &Header) -> Result<Reply, ReplyError> {
        Err(ReplyError::FrequencyNotTracked)
    }
}

pub(super) struct IdleTimeQuestion;

impl Question for IdleTimeQuestion {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }

    fn answer(&self, _: &[u8], _: &Header) -> Result<Reply, ReplyError> {
        Ok(Reply::Integer(0))
    }
}

pub(super) struct ReferenceCountQuestion;

impl Question for ReferenceCountQuestion {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }

    fn answer(&self, _: &[u8], _: &Header) -> Result<Reply, ReplyError> {
        Ok(Reply::Integer(1))
    }
}

pub(super) struct MemoryUsageQuestion;

impl Question for MemoryUsageQuestion {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        while args.keyword_with_value("SAMPLES") {
            if args.integer()? < 0 {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(Self)
    }

    fn answer(&self, key: &[u8], header: &Header) -> Result<Reply, ReplyError> {
        Ok(Reply::count(ENTRY_BYTES + key.len() as u64 + header.size))
    }
}
