//! SLOWLOG.

use resp::ReplyError;

use crate::commands::command::{Command, at_least, exactly};
use crate::commands::hints::Group;
use crate::commands::introspection::Help;
use crate::commands::{AdminVerb, Args, Result};

/// How many requests are shown unless told otherwise.
const COUNT: u64 = 10;

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::admin("slowlog|get", at_least(2), get)
            .for_admins()
            .any_time()
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .docs("2.2.12", "O(N)", "Returns the last slow requests.", "[count:integer]"),
        Command::local::<Help>("slowlog|help", exactly(2)).any_time().docs(
            "6.2.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        Command::admin("slowlog|len", exactly(2), |_| Ok(AdminVerb::SlowlogLen))
            .for_admins()
            .any_time()
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ])
            .docs("2.2.12", "O(1)", "Returns how many slow requests are kept.", ""),
        Command::admin("slowlog|reset", exactly(2), |_| Ok(AdminVerb::SlowlogReset))
            .for_admins()
            .any_time()
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .docs("2.2.12", "O(N)", "Forgets the slow requests.", ""),
    ],
);

/// SLOWLOG GET [count]
fn get(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    args.at_most(1)?;
    if args.is_empty() {
        return Ok(AdminVerb::SlowlogGet { count: Some(COUNT) });
    }
    match args.integer_or(ReplyError::SlowlogCount)? {
        -1 => Ok(AdminVerb::SlowlogGet { count: None }),
        count => {
            let count = u64::try_from(count).map_err(|_| ReplyError::SlowlogCount)?;
            Ok(AdminVerb::SlowlogGet { count: Some(count) })
        }
    }
}
