//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: what they ask of the session that queues.
//!
//! The log never holds a MULTI: an EXEC becomes one item with the queued requests and the versions
//! of the watched keys.

use super::command::{Command, at_least, exactly};
use super::hints::Group;
use super::key_specs;
use super::verbs::SessionVerb;

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Transactions,
    [
        Command::session("discard", exactly(1), |_| Ok(SessionVerb::Discard))
            .immediate()
            .no_script()
            .any_time()
            .fast()
            .allow_busy()
            .docs(
                "2.0.0",
                "O(N) where N is the number of queued commands",
                "Forgets a transaction.",
                "",
            ),
        Command::session("exec", exactly(1), |_| Ok(SessionVerb::Exec))
            .immediate()
            .no_script()
            .any_time()
            .skips_slowlog()
            .docs("1.2.0", "Depends on commands in the transaction", "Runs a transaction.", ""),
        Command::session("multi", exactly(1), |_| Ok(SessionVerb::Multi))
            .immediate()
            .no_script()
            .any_time()
            .fast()
            .allow_busy()
            .docs("1.2.0", "O(1)", "Begins a transaction.", ""),
        Command::session("unwatch", exactly(1), |_| Ok(SessionVerb::Unwatch))
            .no_script()
            .any_time()
            .fast()
            .allow_busy()
            .docs("2.2.0", "O(1)", "Forgets the watched keys.", ""),
        Command::session("watch", at_least(2), |args| {
            Ok(SessionVerb::Watch { keys: args.rest().to_vec() })
        })
        .with_keys(key_specs::LOOK_ALL)
        .immediate()
        .no_script()
        .any_time()
        .fast()
        .allow_busy()
        .docs(
            "2.2.0",
            "O(1) for each key",
            "Lets the next transaction run only if these keys have not changed.",
            "key...",
        ),
    ],
);
