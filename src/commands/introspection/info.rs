//! COMMAND and COMMAND INFO: a row as cluster clients read it.

use resp::{Reply, ReplyError};

use crate::commands::command::{Command, Local, Parse};
use crate::commands::key_specs::KeySpec;
use crate::commands::{Args, Result, all, lookup_path};

/// COMMAND
pub(super) struct All;

impl Parse for All {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }
}

impl Local for All {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::Array(all().map(describe).collect()))
    }
}

/// COMMAND INFO [command-name ...]
pub(super) struct Info {
    /// `None` for a name that is no command.
    commands: Vec<Option<&'static Command>>,
}

impl Parse for Info {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let commands = match args.rest() {
            [] => all().map(Some).collect(),
            names => names.iter().map(|name| visible(name)).collect(),
        };
        Ok(Self { commands })
    }
}

impl Local for Info {
    fn answer(&self) -> Result<Reply, ReplyError> {
        let commands = self.commands.iter();
        Ok(Reply::Array(commands.map(|row| row.map_or(Reply::Null, describe)).collect()))
    }
}

/// The command of that name or path, unless clients must not know of it.
pub(super) fn visible(name: &[u8]) -> Option<&'static Command> {
    lookup_path(name).filter(|command| !command.is_internal())
}

fn describe(command: &Command) -> Reply {
    let (first, last, step) = command.keys.range();
    let categories = command.categories().map(|category| format!("@{}", category.name()));
    let subcommands: Vec<Reply> = command.subcommands.iter().map(describe).collect();
    Reply::Array(vec![
        Reply::bulk(command.name),
        Reply::Integer(command.arity.signed()),
        words(command.flags()),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        Reply::Set(categories.map(Reply::simple).collect()),
        Reply::Set(command.tips.iter().copied().map(Reply::bulk).collect()),
        Reply::Set(command.keys.0.iter().map(key_spec).collect()),
        if subcommands.is_empty() { Reply::Set(subcommands) } else { Reply::Array(subcommands) },
    ])
}

pub(super) fn words(words: impl Iterator<Item = &'static str>) -> Reply {
    Reply::Set(words.map(Reply::simple).collect())
}

fn key_spec(spec: &KeySpec) -> Reply {
    let count = |n: usize| Reply::count(n);
    let begin = map([("index", count(spec.begin))]);
    let find = map([
        ("lastkey", Reply::Integer(spec.last as i64)),
        ("keystep", count(spec.step)),
        ("limit", Reply::Integer(0)),
    ]);
    map([
        ("flags", words(spec.flags.names())),
        ("begin_search", map([("type", Reply::bulk("index")), ("spec", begin)])),
        ("find_keys", map([("type", Reply::bulk("range")), ("spec", find)])),
    ])
}

/// A map whose keys are words.
pub(super) fn map(pairs: impl IntoIterator<Item = (&'static str, Reply)>) -> Reply {
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}
