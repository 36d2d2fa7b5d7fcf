//! COMMAND DOCS: a row as people read it, and as redis-cli prints its hints from.

use resp::{Reply, ReplyError};

use super::info::{map, visible, words};
use super::syntax::{Argument, Kind, parse};
use crate::commands::command::{Command, Local, Parse};
use crate::commands::{Args, Result, all};

/// COMMAND DOCS [command-name ...]
pub(super) struct Docs {
    commands: Vec<&'static Command>,
}

impl Parse for Docs {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        let commands = match args.rest() {
            [] => all().collect(),
            names => names.iter().filter_map(|name| visible(name)).collect(),
        };
        Ok(Self { commands })
    }
}

impl Local for Docs {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(documents(self.commands.iter().copied()))
    }
}

fn documents<'c>(commands: impl Iterator<Item = &'c Command>) -> Reply {
    map(commands.map(|command| (command.name, document(command))))
}

fn document(command: &Command) -> Reply {
    let docs = &command.docs;
    let mut facts = vec![
        ("summary", Reply::bulk(docs.summary)),
        ("since", Reply::bulk(docs.since)),
        ("group", Reply::bulk(command.group.name())),
        ("complexity", Reply::bulk(docs.complexity)),
    ];
    if let Some((since, instead)) = docs.deprecated {
        facts.push(("doc_flags", words(["deprecated"].into_iter())));
        facts.push(("deprecated_since", Reply::bulk(since)));
        facts.push(("replaced_by", Reply::bulk(instead)));
    }
    let arguments = parse(docs.syntax);
    if !arguments.is_empty() {
        let mut keys = KeyCount { specs: command.keys.0.len(), seen: 0 };
        facts.push(("arguments", argument_list(&arguments, &mut keys)));
    }
    if !command.subcommands.is_empty() {
        facts.push(("subcommands", documents(command.subcommands.iter())));
    }
    map(facts)
}

/// Which key specification the next key argument is found by.
struct KeyCount {
    specs: usize,
    seen: usize,
}

impl KeyCount {
    fn next(&mut self) -> Option<usize> {
        let last = self.specs.checked_sub(1)?;
        self.seen += 1;
        Some(last.min(self.seen - 1))
    }
}

fn argument_list(arguments: &[Argument], keys: &mut KeyCount) -> Reply {
    Reply::Array(arguments.iter().map(|argument| describe(argument, keys)).collect())
}

fn describe(argument: &Argument, keys: &mut KeyCount) -> Reply {
    let mut facts = vec![
        ("name", Reply::bulk(argument.name.clone())),
        ("type", Reply::bulk(argument.kind.name())),
    ];
    if argument.parts.is_empty() {
        facts.push(("display_text", Reply::bulk(argument.name.clone())));
    }
    if let Some(spec) = (argument.kind == Kind::Key).then(|| keys.next()).flatten() {
        facts.push(("key_spec_index", Reply::count(spec)));
    }
    if let Some(token) = argument.token {
        facts.push(("token", Reply::bulk(token)));
    }
    let flags = [(argument.optional, "optional"), (argument.multiple, "multiple")];
    let mut flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).peekable();
    if flags.peek().is_some() {
        facts.push(("flags", words(flags)));
    }
    if !argument.parts.is_empty() {
        facts.push(("arguments", argument_list(&argument.parts, keys)));
    }
    map(facts)
}
