//! The options of `talus serve` and `talus config show` that are settings: read off the table.

use super::failure::Failure;
use crate::config::{Flag, Loaded, SETTINGS, Setting, Sources};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::path::PathBuf;

/// Settings given as options, and the file with the others.
#[derive(Args)]
pub struct Settings {
    /// File with settings: TOML, or `name value` lines if it ends in .conf
    #[arg(long, value_name = "FILE", env = "TALUS_CONFIG")]
    config: Option<PathBuf>,
    /// Any setting, as section.key=value; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

impl Settings {
    /// Merges file, environment and options, or says everything that is wrong.
    pub fn load(self) -> Result<Loaded, Failure> {
        let mut options = self.flags.0;
        for text in self.set {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Failure::new(format!("--set {text}: no '='")).help("as in --set server.port=6379")
            })?;
            let option = format!("--set {name}");
            options.push((name.trim().into(), value.trim().into(), option));
        }
        Ok(Sources::of_process(self.config, options).load()?)
    }
}

/// Options with a name of their own: path, value, option.
struct Flags(Vec<(String, String, String)>);

fn rows() -> impl Iterator<Item = (&'static Setting, Flag)> {
    SETTINGS.iter().filter_map(|row| Some((row, row.flag?)))
}

fn arg(row: &'static Setting, flag: Flag) -> Arg {
    let doc = row.doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let default = if row.default.is_empty() { "none" } else { row.default };
    let arg = Arg::new(flag.name).long(flag.name).help(format!("{doc} [default: {default}]"));
    match row.default {
        "true" | "false" => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg.action(ArgAction::Append),
    }
    .value_name(flag.value)
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(rows().map(|(row, flag)| arg(row, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |(row, flag): (&Setting, Flag)| {
            let values = matches.get_many::<String>(flag.name)?;
            let text = values.map(String::as_str).collect::<Vec<_>>().join(" ");
            Some((row.path(), text, format!("--{}", flag.name)))
        };
        Ok(Flags(rows().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
