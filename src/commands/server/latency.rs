//! LATENCY.

use resp::ReplyError;

use crate::commands::command::{Command, at_least, exactly};
use crate::commands::hints::Group;
use crate::commands::introspection::Help;
use crate::commands::{AdminVerb, Args, Arity, Result};

const OUTPUT: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

pub(super) static TABLE: &[Command] =
    &Command::family(
        Group::Server,
        [
            watch("latency|doctor", exactly(2), |_| Ok(AdminVerb::LatencyDoctor)).docs(
                "2.8.13",
                "O(1)",
                "Advises on latency.",
                "",
            ),
            watch("latency|graph", exactly(3), |args| Ok(AdminVerb::LatencyGraph(args.text()?)))
                .docs("2.8.13", "O(1)", "Draws the spikes of an event.", "event"),
            Command::local::<Help>("latency|help", exactly(2)).any_time().docs(
                "2.8.13",
                "O(1)",
                "Prints this help.",
                "",
            ),
            watch("latency|histogram", at_least(2), |args| {
                Ok(AdminVerb::LatencyHistogram(words(args)))
            })
            .docs(
                "7.0.0",
                "O(N) where N is the number of commands",
                "Returns how long commands took.",
                "[command...]",
            ),
            watch("latency|history", exactly(3), |args| {
                Ok(AdminVerb::LatencyHistory(args.text()?))
            })
            .docs("2.8.13", "O(1)", "Returns the spikes of an event.", "event"),
            watch("latency|latest", exactly(2), |_| Ok(AdminVerb::LatencyLatest)).docs(
                "2.8.13",
                "O(1)",
                "Returns the last spike of each event.",
                "",
            ),
            watch("latency|reset", at_least(2), |args| Ok(AdminVerb::LatencyReset(words(args))))
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs("2.8.13", "O(1)", "Forgets spikes.", "[event...]"),
        ],
    );

const fn watch(
    name: &'static str,
    arity: Arity,
    parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
) -> Command {
    Command::admin(name, arity, parse).for_admins().no_script().any_time().tips(OUTPUT)
}

fn words(args: &mut Args<'_>) -> Vec<String> {
    args.rest().iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
