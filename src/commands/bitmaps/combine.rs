//! BITOP.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Txn;

use crate::commands::{Args, Parse, Result, Write};

/// BITOP AND | OR | XOR | NOT destkey key [key ...]
pub(super) struct BitOp {
    operation: Operation,
    destination: Bytes,
    sources: Vec<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Parse for BitOp {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let operation = Operation::parse(args)?;
        let destination = args.bytes()?;
        let sources = args.rest().to_vec();
        if operation == Operation::Not && sources.len() != 1 {
            return Err(ReplyError::BitopNot);
        }
        Ok(Self { operation, destination, sources })
    }
}

impl Write for BitOp {
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply> {
        let mut sources = Vec::with_capacity(self.sources.len());
        for key in &self.sources {
            sources.push(txn.string(key)?.unwrap_or_default());
        }
        let result = self.operation.combine(&sources);
        if result.is_empty() {
            txn.delete(&self.destination)?;
        } else {
            txn.set_string(&self.destination, &result, None)?;
        }
        Ok(Reply::count(result.len()))
    }
}

impl Operation {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let words = [("AND", Self::And), ("OR", Self::Or), ("XOR", Self::Xor), ("NOT", Self::Not)];
        let found = words.into_iter().find(|(word, _)| args.keyword(word));
        found.map(|(_, operation)| operation).ok_or(ReplyError::Syntax)
    }

    /// As long as the longest source; the others are followed by clear bits.
    fn combine(self, sources: &[Bytes]) -> Vec<u8> {
        let (first, others) = sources.split_first().expect("arity asks for a source");
        let len = sources.iter().map(Bytes::len).max().unwrap_or_default();
        let mut result = first.to_vec();
        result.resize(len, 0);
        if self == Self::Not {
            result.iter_mut().for_each(|byte| *byte = !*byte);
        }
        for other in others {
            self.fold(&mut result, other);
        }
        result
    }

    fn fold(self, result: &mut [u8], other: &[u8]) {
        let (head, tail) = result.split_at_mut(other.len());
        let pairs = head.iter_mut().zip(other);
        match self {
            Self::And => {
                pairs.for_each(|(to, from)| *to &= from);
                tail.fill(0);
            }
            Self::Or => pairs.for_each(|(to, from)| *to |= from),
            Self::Xor => pairs.for_each(|(to, from)| *to ^= from),
            Self::Not => {}
        }
    }
}
