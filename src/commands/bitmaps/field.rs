//! BITFIELD and BITFIELD_RO.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

use super::field_type::{FieldType, Overflow};
use super::offsets::field_offset;
use crate::commands::{Args, Parse, Read, Result, Write};

/// One step of a BITFIELD.
struct Operation {
    deed: Deed,
    field: FieldType,
    /// In bits.
    offset: u64,
    overflow: Overflow,
}

#[derive(Clone, Copy)]
enum Deed {
    Get,
    Set(i64),
    Increment(i64),
}

/// BITFIELD key [GET type offset | [OVERFLOW rule] SET type offset value | INCRBY …]...
pub(super) struct BitField {
    key: Bytes,
    operations: Vec<Operation>,
}

impl Parse for BitField {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()?, operations: operations(args)? })
    }
}

impl Write for BitField {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        self.grow(txn)?;
        let mut replies = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            replies.push(operation.apply(txn, &self.key)?.map_or(Reply::Null, Reply::Integer));
        }
        Ok(Reply::Array(replies))
    }
}

impl BitField {
    /// Makes room for whatever may be written, whether it is in the end or not, as Redis does.
    fn grow(&self, txn: &mut Txn<'_>) -> Result<()> {
        let len = txn.string_len(&self.key)?;
        let writes = self.operations.iter().filter(|it| !matches!(it.deed, Deed::Get));
        let needed = writes.map(Operation::end_byte).max().unwrap_or_default();
        if needed > len {
            txn.write_at(&self.key, needed - 1, &[0])?;
        }
        Ok(())
    }
}

impl Operation {
    /// The byte after the last one that holds a bit of the field.
    fn end_byte(&self) -> u64 {
        (self.offset + u64::from(self.field.bits)).div_ceil(8)
    }

    fn window(&self) -> std::ops::Range<u64> {
        self.offset / 8..self.end_byte()
    }

    fn get(&self, bytes: &[u8]) -> i128 {
        self.field.get(bytes, self.offset % 8)
    }

    /// Null when the number does not fit and must not be made to.
    fn apply(&self, txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<i64>> {
        let window = self.window();
        let bytes = txn.string_range(key, window.clone())?;
        let old = self.get(&bytes);
        let target = match self.deed {
            Deed::Get => return Ok(Some(narrow(old))),
            Deed::Set(value) => self.field.widen(value),
            Deed::Increment(by) => old + i128::from(by),
        };
        let Some(new) = self.field.fit(target, self.overflow) else { return Ok(None) };
        if new != old {
            let mut bytes = bytes.to_vec();
            self.field.set(&mut bytes, self.offset % 8, new);
            txn.write_at(key, window.start, &bytes)?;
        }
        Ok(Some(narrow(if matches!(self.deed, Deed::Set(_)) { old } else { new })))
    }
}

/// BITFIELD_RO key [GET type offset ...]
pub(super) struct BitFieldReadOnly {
    key: Bytes,
    operations: Vec<Operation>,
}

impl Parse for BitFieldReadOnly {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let (key, operations) = (args.bytes()?, operations(args)?);
        if operations.iter().any(|it| !matches!(it.deed, Deed::Get)) {
            return Err(ReplyError::BitfieldReadOnly);
        }
        Ok(Self { key, operations })
    }
}

impl Read for BitFieldReadOnly {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let mut replies = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let bytes = view.string_range(&self.key, operation.window())?;
            replies.push(Reply::Integer(narrow(operation.get(&bytes))));
        }
        Ok(Reply::Array(replies))
    }
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).expect("every field type fits 64 bits with a sign")
}

fn operations(args: &mut Args<'_>) -> Result<Vec<Operation>, ReplyError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    while !args.is_empty() {
        if args.keyword_with_value("OVERFLOW") {
            overflow = overflow_rule(args)?;
        } else {
            operations.push(operation(args, overflow)?);
        }
    }
    Ok(operations)
}

fn overflow_rule(args: &mut Args<'_>) -> Result<Overflow, ReplyError> {
    let rules = [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)];
    let found = rules.into_iter().find(|(word, _)| args.keyword(word));
    found.map(|(_, rule)| rule).ok_or(ReplyError::BitfieldOverflow)
}

fn operation(args: &mut Args<'_>, overflow: Overflow) -> Result<Operation, ReplyError> {
    // All arguments have to be there before any of them is judged.
    let values = if args.len() > 2 && args.keyword("GET") {
        None
    } else if args.len() > 3 && args.keyword("SET") {
        Some(Deed::Set as fn(i64) -> Deed)
    } else if args.len() > 3 && args.keyword("INCRBY") {
        Some(Deed::Increment as fn(i64) -> Deed)
    } else {
        return Err(ReplyError::Syntax);
    };
    let field = FieldType::parse(args.next()?)?;
    let offset = field_offset(args.next()?, field.bits)?;
    let deed = match values {
        Some(deed) => deed(args.integer()?),
        None => Deed::Get,
    };
    Ok(Operation { deed, field, offset, overflow })
}
