//! The table of all commands, and how a request finds its row.
//!
//! The rows are constants of their families. Once per process they are copied into one table that
//! numbers them, subcommands included, so that counters can live in arrays, and an index that
//! finds a name without allocating and in a few nanoseconds.

use std::sync::LazyLock;

use bytes::Bytes;
use resp::ReplyError;

use super::Command;
use super::{bitmaps, cluster, connection, introspection, keys, server, strings, transactions};

/// Every family's rows, in the order `COMMAND` prints them.
static FAMILIES: [&[&[Command]]; 8] = [
    &[strings::TABLE],
    &[bitmaps::TABLE],
    &[keys::TABLE],
    &[transactions::TABLE],
    &[connection::TABLE],
    &[introspection::TABLE],
    &server::TABLES,
    &[cluster::TABLE],
];

/// A power of two several times the number of top-level rows, so that probes are short.
const BUCKETS: usize = 1024;

/// No top-level row has a longer name.
const NAME_BYTES: usize = 24;

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

struct Table {
    rows: &'static [Command],
    /// Of the row at the same position.
    names: Vec<Name>,
    /// All rows, subcommands included, at the position of their id.
    by_id: Vec<&'static Command>,
    /// Positions in `rows` plus one, by hash; 0 is free. Collisions move on to the next bucket.
    index: Box<[u16; BUCKETS]>,
}

impl Table {
    fn new() -> Self {
        let rows: Vec<Command> =
            FAMILIES.into_iter().flatten().copied().flatten().copied().collect();
        let rows = number(&rows, &mut 0);
        assert!(rows.len() * 2 < BUCKETS, "the index is kept at most half full");
        let by_id = rows.iter().flat_map(family_of).collect();
        let name = |row: &Command| Name::of(row.name.as_bytes()).expect("names are short");
        let names: Vec<Name> = rows.iter().map(name).collect();
        let mut index = Box::new([0; BUCKETS]);
        for (at, name) in (1..).zip(&names) {
            let mut bucket = name.bucket();
            while index[bucket] != 0 {
                bucket = (bucket + 1) % BUCKETS;
            }
            index[bucket] = at;
        }
        Self { rows, names, by_id, index }
    }

    fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let name = Name::of(name)?;
        let mut bucket = name.bucket();
        loop {
            let at = usize::from(self.index[bucket]).checked_sub(1)?;
            if self.names[at] == name {
                return Some(&self.rows[at]);
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }
}

/// A name in lower case, of a fixed size so that comparing it takes a few instructions.
#[derive(PartialEq, Eq)]
struct Name {
    len: usize,
    bytes: [u8; NAME_BYTES],
}

impl Name {
    /// `None` if no row has so long a name.
    fn of(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        bytes.make_ascii_lowercase();
        Some(Self { len: name.len(), bytes })
    }

    /// Multiplications that do not wait for one another.
    fn bucket(&self) -> usize {
        const FACTORS: [u64; NAME_BYTES / 8] =
            [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];
        let (words, _) = self.bytes.as_chunks::<8>();
        let hash = words.iter().zip(FACTORS).fold(0, |hash: u64, (word, factor)| {
            hash ^ u64::from_le_bytes(*word).wrapping_mul(factor)
        });
        (hash >> 40) as usize % BUCKETS
    }
}

/// Copies rows with their subcommands to where they stay, giving each the next number.
fn number(rows: &[Command], next: &mut usize) -> &'static [Command] {
    let mut numbered = Vec::with_capacity(rows.len());
    for &(mut row) in rows {
        row.id = *next;
        *next += 1;
        row.subcommands = number(row.subcommands, next);
        numbered.push(row);
    }
    Box::leak(numbered.into_boxed_slice())
}

/// A row, then its subcommands: the order they are numbered in.
fn family_of(row: &'static Command) -> impl Iterator<Item = &'static Command> {
    std::iter::once(row).chain(row.subcommands)
}

/// The top-level row of that name, in any case.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    TABLE.find(name)
}

/// The row of `name`, which may be `container|subcommand`, as `COMMAND INFO` takes it.
pub fn lookup_path(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        None => lookup(name),
        Some(at) => subcommand(lookup(&name[..at])?, &name[at + 1..]),
    }
}

fn subcommand(container: &Command, verb: &[u8]) -> Option<&'static Command> {
    container.subcommands.iter().find(|row| row.verb().as_bytes().eq_ignore_ascii_case(verb))
}

/// Every top-level row a client may call, in the order `COMMAND` prints them.
pub fn all() -> impl Iterator<Item = &'static Command> {
    TABLE.rows.iter().filter(|row| !row.is_internal())
}

/// The name of every row, subcommands and internal ones included, in the order of their ids.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.by_id.iter().map(|row| row.name)
}

/// The row with that id.
pub fn by_id(id: usize) -> Option<&'static Command> {
    TABLE.by_id.get(id).copied()
}

/// The row that carries out `request`, if it exists and has as many words as it should.
pub fn resolve(request: &[Bytes]) -> Result<&'static Command, ReplyError> {
    let command = find(request)?;
    command.check_arity(request).map(|()| command)
}

/// The command that a client's request names, whatever its arguments.
///
/// # Errors
/// There is none.
pub fn find(request: &[Bytes]) -> Result<&'static Command, ReplyError> {
    let command = find_any(request)?;
    if command.is_internal() { Err(ReplyError::unknown_command(request)) } else { Ok(command) }
}

/// As [`resolve`], for requests the server itself proposed.
pub(super) fn resolve_any(request: &[Bytes]) -> Result<&'static Command, ReplyError> {
    let command = find_any(request)?;
    command.check_arity(request).map(|()| command)
}

fn find_any(request: &[Bytes]) -> Result<&'static Command, ReplyError> {
    let name = request.first().map(Bytes::as_ref).unwrap_or_default();
    let mut command = lookup(name).ok_or_else(|| ReplyError::unknown_command(request))?;
    if let Some(verb) = request.get(1).filter(|_| !command.subcommands.is_empty()) {
        command = subcommand(command, verb)
            .ok_or_else(|| ReplyError::unknown_subcommand(command.name, verb))?;
    }
    Ok(command)
}
