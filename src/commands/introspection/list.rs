//! COMMAND COUNT and COMMAND LIST.

use bytes::Bytes;
use resp::{Reply, ReplyError, glob};

use crate::commands::command::{Command, Local, Parse};
use crate::commands::{Args, Result, all};

/// COMMAND COUNT
pub(super) struct Count;

impl Parse for Count {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }
}

impl Local for Count {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::count(all().count()))
    }
}

/// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
pub(super) struct List {
    filter: Filter,
}

enum Filter {
    None,
    Module,
    Category(Bytes),
    Pattern(Bytes),
}

impl Parse for List {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { filter: Filter::parse(args)? })
    }
}

impl Filter {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        if args.is_empty() {
            return Ok(Self::None);
        }
        if args.len() != 3 || !args.keyword("FILTERBY") {
            return Err(ReplyError::Syntax);
        }
        if args.keyword("MODULE") {
            args.next()?;
            Ok(Self::Module)
        } else if args.keyword("ACLCAT") {
            Ok(Self::Category(args.bytes()?))
        } else if args.keyword("PATTERN") {
            Ok(Self::Pattern(args.bytes()?))
        } else {
            Err(ReplyError::Syntax)
        }
    }

    fn takes(&self, command: &Command) -> bool {
        match self {
            Self::None => true,
            // No command comes from a module.
            Self::Module => false,
            Self::Category(name) => command
                .categories()
                .any(|category| category.name().as_bytes().eq_ignore_ascii_case(name)),
            Self::Pattern(pattern) => glob(pattern, command.name.as_bytes(), true),
        }
    }
}

impl Local for List {
    fn answer(&self) -> Result<Reply, ReplyError> {
        let rows = all().flat_map(|row| std::iter::once(row).chain(row.subcommands));
        // Without a filter only commands are listed, with one also their subcommands.
        let rows =
            rows.filter(|row| !matches!(self.filter, Filter::None) || !row.name.contains('|'));
        let names = rows.filter(|row| self.filter.takes(row)).map(|row| row.name);
        Ok(Reply::Array(names.map(Reply::bulk).collect()))
    }
}
