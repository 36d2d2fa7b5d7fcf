//! SAVE, BGSAVE, LASTSAVE, SHUTDOWN.

use resp::ReplyError;

use crate::commands::command::{Command, at_least, exactly};
use crate::commands::hints::{Category, Group};
use crate::commands::verbs::Shutdown;
use crate::commands::{AdminVerb, Args, Result};

const N_KEYS: &str = "O(N) where N is the size of what changed";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::admin("bgsave", at_least(1), background_save)
            .for_admins()
            .no_script()
            .no_async_loading()
            .docs("1.0.0", "O(1)", "Begins a snapshot.", "[SCHEDULE]"),
        Command::admin("lastsave", exactly(1), |_| Ok(AdminVerb::LastSave))
            .category(Category::Admin)
            .dangerous()
            .any_time()
            .fast()
            .tips(&["nondeterministic_output"])
            .docs("1.0.0", "O(1)", "Returns when the last snapshot was taken.", ""),
        Command::admin("save", exactly(1), |_| Ok(AdminVerb::Save))
            .for_admins()
            .no_script()
            .no_async_loading()
            .no_multi()
            .docs("1.0.0", N_KEYS, "Takes a snapshot.", ""),
        Command::admin("shutdown", at_least(1), shutdown)
            .for_admins()
            .no_script()
            .any_time()
            .no_multi()
            .allow_busy()
            .docs("1.0.0", N_KEYS, "Stops the node.", "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"),
    ],
);

/// BGSAVE [SCHEDULE]
fn background_save(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    args.keyword("SCHEDULE");
    args.finish()?;
    Ok(AdminVerb::BgSave)
}

/// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]
fn shutdown(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let mut shutdown = Shutdown::default();
    while !args.is_empty() {
        if args.keyword("NOW") {
            shutdown.now = true;
        } else if args.keyword("FORCE") {
            shutdown.force = true;
        } else if args.keyword("ABORT") {
            shutdown.abort = true;
        } else if shutdown.save != Some(false) && args.keyword("SAVE") {
            shutdown.save = Some(true);
        } else if shutdown.save != Some(true) && args.keyword("NOSAVE") {
            shutdown.save = Some(false);
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    let alone = Shutdown { abort: true, ..Shutdown::default() };
    if shutdown.abort && shutdown != alone {
        return Err(ReplyError::Syntax);
    }
    Ok(AdminVerb::Shutdown(shutdown))
}
