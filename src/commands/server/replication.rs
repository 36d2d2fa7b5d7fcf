//! REPLICAOF, ROLE, FAILOVER, WAIT, WAITAOF.

use resp::{ReplyError, number};

use crate::commands::command::{Command, at_least, exactly};
use crate::commands::errors::refuse;
use crate::commands::hints::{Category, Group};
use crate::commands::verbs::Failover;
use crate::commands::{AdminVerb, Args, Result};

const REPLICAOF_SYNTAX: &str = "{host port:integer | NO ONE}";
const REPLICAOF_SUMMARY: &str = "Makes the node a replica of a cluster, or frees it.";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::admin("failover", at_least(1), failover).for_admins().no_script().stale().docs(
            "6.2.0",
            "O(1)",
            "Hands leadership over.",
            "[TO {host port:integer [FORCE]}] [ABORT] [TIMEOUT milliseconds:integer]",
        ),
        Command::admin("replicaof", exactly(3), replica_of)
            .for_admins()
            .no_script()
            .stale()
            .no_async_loading()
            .docs("5.0.0", "O(1)", REPLICAOF_SUMMARY, REPLICAOF_SYNTAX),
        Command::admin("role", exactly(1), |_| Ok(AdminVerb::Role))
            .category(Category::Admin)
            .dangerous()
            .no_script()
            .any_time()
            .fast()
            .docs("2.8.12", "O(1)", "Returns the node's place in replication.", ""),
        Command::admin("slaveof", exactly(3), replica_of)
            .for_admins()
            .no_script()
            .stale()
            .no_async_loading()
            .deprecated("5.0.0", "`REPLICAOF`")
            .docs("1.0.0", "O(1)", REPLICAOF_SUMMARY, REPLICAOF_SYNTAX),
    ],
);

/// REPLICAOF host port | NO ONE
fn replica_of(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let (host, port) = (args.text()?, args.next()?);
    if host.eq_ignore_ascii_case("NO") && port.eq_ignore_ascii_case(b"ONE") {
        return Ok(AdminVerb::ReplicaOfNoOne);
    }
    let port = number::parse_i64(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| refuse("ERR Invalid master port"))?;
    Ok(AdminVerb::ReplicaOf { host, port })
}

/// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
fn failover(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let mut failover =
        Failover { abort: args.len() == 1 && args.keyword("ABORT"), ..Failover::default() };
    while !args.is_empty() {
        if failover.timeout_ms == 0 && args.keyword_with_value("TIMEOUT") {
            let timeout = u64::try_from(args.integer()?).ok().filter(|&timeout| timeout > 0);
            failover.timeout_ms =
                timeout.ok_or_else(|| refuse("ERR FAILOVER timeout must be greater than 0"))?;
        } else if failover.to.is_none() && args.len() > 2 && args.keyword("TO") {
            failover.to = Some((args.text()?, args.integer()?));
        } else if !failover.force && args.keyword("FORCE") {
            failover.force = true;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    Ok(AdminVerb::Failover(failover))
}

/// WAIT numreplicas timeout
pub(super) fn wait(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let replicas = u64::try_from(args.integer()?).unwrap_or(0);
    Ok(AdminVerb::Wait { replicas, timeout_ms: timeout(args)? })
}

/// WAITAOF numlocal numreplicas timeout
pub(super) fn wait_aof(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let local = args.integer()?;
    let local = u64::try_from(local).ok().filter(|&local| local <= 1);
    let local = local.ok_or(ReplyError::NotBetween { min: 0, max: 1 })?;
    let replicas = args.number_or(ReplyError::NotPositive)?;
    Ok(AdminVerb::WaitAof { local, replicas, timeout_ms: timeout(args)? })
}

fn timeout(args: &mut Args<'_>) -> Result<u64, ReplyError> {
    let timeout = args.integer_or(ReplyError::TimeoutNotAnInteger)?;
    u64::try_from(timeout).map_err(|_| ReplyError::TimeoutNegative)
}
