//! COMMAND and the HELP of every container: the table, printed.

use resp::{Reply, ReplyError};

use super::command::{Command, Local, Parse, at_least, exactly};
use super::hints::{Category, Group};
use super::{Args, Result, lookup};

mod docs;
mod info;
mod keys;
mod list;
pub mod syntax;

use docs::Docs;
use info::{All, Info};
use keys::{GetKeys, GetKeysAndFlags};
use list::{Count, List};

const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const N_LOOKUPS: &str = "O(N) where N is the number of commands to look up";
const LIST_SYNTAX: &str =
    "[FILTERBY {MODULE module-name | ACLCAT category | PATTERN pattern:pattern}]";

static SUBCOMMANDS: &[Command] = &Command::family(
    Group::Server,
    [
        about::<Count>("command|count", exactly(2)).docs(
            "2.8.13",
            "O(1)",
            "Returns how many commands there are.",
            "",
        ),
        about::<Docs>("command|docs", at_least(2)).tips(UNORDERED).docs(
            "7.0.0",
            N_LOOKUPS,
            "Documents commands.",
            "[command-name...]",
        ),
        about::<GetKeys>("command|getkeys", at_least(3)).docs(
            "2.8.13",
            "O(N) where N is the number of arguments",
            "Returns the keys of a request.",
            "command [arg...]",
        ),
        about::<GetKeysAndFlags>("command|getkeysandflags", at_least(3)).docs(
            "7.0.0",
            "O(N) where N is the number of arguments",
            "Returns the keys of a request, and what happens to them.",
            "command [arg...]",
        ),
        about::<Help>("command|help", exactly(2)).docs("5.0.0", "O(1)", "Prints this help.", ""),
        about::<Info>("command|info", at_least(2)).tips(UNORDERED).docs(
            "2.8.13",
            N_LOOKUPS,
            "Describes commands.",
            "[command-name...]",
        ),
        about::<List>("command|list", at_least(2)).tips(UNORDERED).docs(
            "7.0.0",
            "O(N) where N is the number of commands",
            "Lists the names of commands.",
            LIST_SYNTAX,
        ),
    ],
);

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Server,
    [about::<All>("command", at_least(1)).with_subcommands(SUBCOMMANDS).tips(UNORDERED).docs(
        "2.8.13",
        "O(N) where N is the number of commands",
        "Describes every command.",
        "",
    )],
);

const fn about<C: Local>(name: &'static str, arity: super::Arity) -> Command {
    Command::local::<C>(name, arity).any_time().category(Category::Connection)
}

/// HELP of whatever container it is in.
pub(super) struct Help {
    container: &'static Command,
}

impl Parse for Help {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let name = args.command().name.split('|').next().unwrap_or_default();
        let container = lookup(name.as_bytes()).ok_or(ReplyError::InvalidCommand)?;
        Ok(Self { container })
    }
}

impl Local for Help {
    fn answer(&self) -> Result<Reply, ReplyError> {
        let name = self.container.name.to_ascii_uppercase();
        let head = format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        let rows = self.container.subcommands.iter();
        // HELP itself comes last.
        let (last, rows): (Vec<&Command>, Vec<&Command>) =
            rows.partition(|row| row.verb() == "help");
        let lines = rows.into_iter().chain(last).flat_map(|row| {
            let verb = row.verb().to_ascii_uppercase();
            let arguments = syntax::display(&syntax::parse(row.docs.syntax));
            [
                format!("{verb} {arguments}").trim_end().to_owned(),
                format!("    {}", row.docs.summary),
            ]
        });
        Ok(Reply::Array(std::iter::once(head).chain(lines).map(Reply::simple).collect()))
    }
}
