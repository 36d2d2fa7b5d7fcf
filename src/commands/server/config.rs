//! CONFIG.

use resp::ReplyError;

use crate::commands::command::{Command, at_least, exactly};
use crate::commands::hints::Group;
use crate::commands::introspection::Help;
use crate::commands::{AdminVerb, Args, Arity, Result};

const N_SETTINGS: &str = "O(N) where N is the number of settings given";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Server,
    [
        setting("config|get", at_least(3), |args| Ok(AdminVerb::ConfigGet(args.rest().to_vec())))
            .docs("2.0.0", N_SETTINGS, "Returns settings.", "parameter..."),
        Command::local::<Help>("config|help", exactly(2)).any_time().docs(
            "5.0.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        setting("config|resetstat", exactly(2), |_| Ok(AdminVerb::ConfigResetStat)).docs(
            "2.0.0",
            "O(1)",
            "Forgets counters.",
            "",
        ),
        setting("config|rewrite", exactly(2), |_| Ok(AdminVerb::ConfigRewrite)).docs(
            "2.8.0",
            "O(1)",
            "Writes the settings to their file.",
            "",
        ),
        setting("config|set", at_least(4), set)
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .docs("2.0.0", N_SETTINGS, "Changes settings, all or none.", "{parameter value}..."),
    ],
);

const fn setting(
    name: &'static str,
    arity: Arity,
    parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
) -> Command {
    Command::admin(name, arity, parse).for_admins().no_script().any_time()
}

/// CONFIG SET parameter value [parameter value ...]
fn set(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let (pairs, rest) = args.rest().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ReplyError::Syntax);
    }
    let pairs = pairs.iter().map(|[name, value]| (name.clone(), value.clone()));
    Ok(AdminVerb::ConfigSet(pairs.collect()))
}
