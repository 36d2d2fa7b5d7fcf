//! LCS: the longest common subsequence of two values.
//!
//! The usual table of lengths, filled row by row and walked back from its end. It takes four bytes
//! for each pair of positions, so its size has a limit, which is that of a string.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{STRING_BYTES_MAX, View};

use crate::commands::{Args, Parse, Read, Result};

/// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]
pub(super) struct Lcs {
    keys: [Bytes; 2],
    wants: Wants,
    length_min: u64,
    with_lengths: bool,
}

enum Wants {
    Text,
    Length,
    Matches,
}

impl Parse for Lcs {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let keys = [args.bytes()?, args.bytes()?];
        let (mut length, mut matches, mut with_lengths, mut length_min) = (false, false, false, 0);
        while !args.is_empty() {
            if args.keyword("IDX") {
                matches = true;
            } else if args.keyword("LEN") {
                length = true;
            } else if args.keyword("WITHMATCHLEN") {
                with_lengths = true;
            } else if args.keyword_with_value("MINMATCHLEN") {
                length_min = u64::try_from(args.integer()?).unwrap_or(0);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        let wants = match (length, matches) {
            (true, true) => return Err(ReplyError::LcsLengthAndIndexes),
            (true, false) => Wants::Length,
            (false, true) => Wants::Matches,
            (false, false) => Wants::Text,
        };
        Ok(Self { keys, wants, length_min, with_lengths })
    }
}

impl Read for Lcs {
    fn read(&self, view: &View<'_>) -> Result<Reply> {
        let (a, b) = (text(view, &self.keys[0])?, text(view, &self.keys[1])?);
        let table = Table::fill(&a, &b)?;
        Ok(match self.wants {
            Wants::Length => Reply::count(table.length()),
            Wants::Text => Reply::bulk(table.subsequence()),
            Wants::Matches => self.matches(&table),
        })
    }
}

impl Lcs {
    fn matches(&self, table: &Table<'_>) -> Reply {
        let matches = table.matches().into_iter().filter(|it| it.length as u64 >= self.length_min);
        let matches = matches.map(|it| it.reply(self.with_lengths)).collect();
        Reply::Map(vec![
            (Reply::bulk("matches"), Reply::Array(matches)),
            (Reply::bulk("len"), Reply::count(table.length())),
        ])
    }
}

fn text(view: &View<'_>, key: &[u8]) -> Result<Bytes> {
    match view.string(key) {
        Err(storage::Error::WrongType) => Err(ReplyError::LcsNotStrings.into()),
        value => Ok(value?.unwrap_or_default()),
    }
}

/// The lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    lengths: Vec<u32>,
}

/// A stretch both values have, in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    length: usize,
}

impl Match {
    fn reply(self, with_length: bool) -> Reply {
        let stretch = |from: usize| {
            Reply::Array(vec![Reply::count(from), Reply::count(from + self.length - 1)])
        };
        let mut parts = vec![stretch(self.a), stretch(self.b)];
        if with_length {
            parts.push(Reply::count(self.length));
        }
        Reply::Array(parts)
    }
}

impl<'a> Table<'a> {
    fn fill(a: &'a [u8], b: &'a [u8]) -> Result<Self, ReplyError> {
        let cells = (a.len() + 1).checked_mul(b.len() + 1).ok_or(ReplyError::LcsTooLarge)?;
        if cells as u64 > STRING_BYTES_MAX / 4 {
            return Err(ReplyError::LcsTooLarge);
        }
        let mut table = Self { a, b, lengths: vec![0; cells] };
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                let length = if a[i - 1] == b[j - 1] {
                    table.at(i - 1, j - 1) + 1
                } else {
                    table.at(i - 1, j).max(table.at(i, j - 1))
                };
                table.lengths[i * (b.len() + 1) + j] = length;
            }
        }
        Ok(table)
    }

    /// The length for the first `i` bytes of `a` and the first `j` of `b`.
    fn at(&self, i: usize, j: usize) -> u32 {
        self.lengths[i * (self.b.len() + 1) + j]
    }

    fn length(&self) -> u32 {
        self.at(self.a.len(), self.b.len())
    }

    /// The positions of the bytes in common, from the last to the first. Of two ways that are as
    /// long, the one that goes on in `a` is taken, as in Redis.
    fn common(&self) -> Vec<(usize, usize)> {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        let mut common = Vec::new();
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                (i, j) = (i - 1, j - 1);
                common.push((i, j));
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common
    }

    fn subsequence(&self) -> Vec<u8> {
        self.common().into_iter().rev().map(|(i, _)| self.a[i]).collect()
    }

    /// The bytes in common as stretches without gaps, the last first.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        for (a, b) in self.common() {
            match matches.last_mut() {
                Some(last) if last.a == a + 1 && last.b == b + 1 => {
                    *last = Match { a, b, length: last.length + 1 };
                }
                _ => matches.push(Match { a, b, length: 1 }),
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::{Match, Table};

    #[test]
    fn the_example_of_redis() {
        let table = Table::fill(b"ohmytext", b"mynewtext").unwrap();
        assert_eq!(table.subsequence(), b"mytext");
        assert_eq!(table.length(), 6);
        assert_eq!(
            table.matches(),
            [Match { a: 4, b: 5, length: 4 }, Match { a: 2, b: 0, length: 2 }]
        );
    }

    #[test]
    fn a_table_too_large_is_refused() {
        let long = vec![0; 1 << 16];
        assert!(Table::fill(&long, &long).is_err());
    }
}
