//! The node: what it is asked about itself, and what it is told to do.

use resp::{Reply, ReplyError};

use super::command::{Command, Local, Parse, at_least, exactly};
use super::hints::{Category, Group};
use super::introspection::Help;
use super::keys::MEMORY_USAGE;
use super::verbs::AdminVerb;
use super::{Args, Arity, Result};

mod config;
mod debug;
mod latency;
mod persistence;
mod replication;
mod slowlog;

const CHANGES: &[&str] = &["nondeterministic_output"];
const OWN_OUTPUT: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
const EVERY_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

static MEMORY: &[Command] = &Command::family(
    Group::Server,
    [
        Command::admin("memory|doctor", exactly(2), |_| Ok(AdminVerb::MemoryDoctor))
            .tips(OWN_OUTPUT)
            .docs("4.0.0", "O(1)", "Advises on memory.", ""),
        Command::local::<Help>("memory|help", exactly(2)).any_time().docs(
            "4.0.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        Command::admin("memory|malloc-stats", exactly(2), |_| Ok(AdminVerb::MemoryMallocStats))
            .tips(OWN_OUTPUT)
            .docs("4.0.0", "Depends on the allocator", "Prints what the allocator says.", ""),
        Command::admin("memory|purge", exactly(2), |_| Ok(AdminVerb::MemoryPurge))
            .tips(EVERY_SHARD)
            .docs("4.0.0", "Depends on the allocator", "Gives free memory back.", ""),
        Command::admin("memory|stats", exactly(2), |_| Ok(AdminVerb::MemoryStats))
            .tips(OWN_OUTPUT)
            .docs("4.0.0", "O(1)", "Tells where memory is.", ""),
        MEMORY_USAGE,
    ],
);

static MODULE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::local::<Help>("module|help", exactly(2)).any_time().docs(
            "5.0.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        Command::local::<ModuleList>("module|list", exactly(2))
            .for_admins()
            .no_script()
            .tips(&["nondeterministic_output_order"])
            .docs("4.0.0", "O(1)", "Lists the modules: there are none.", ""),
    ],
);

static TALUS: &[Command] = &Command::family(
    Group::Server,
    [
        Command::local::<Help>("talus|help", exactly(2)).any_time().docs(
            "7.2.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        Command::admin("talus|members", exactly(2), |_| Ok(AdminVerb::TalusMembers))
            .any_time()
            .tips(CHANGES)
            .docs("7.2.0", "O(N) where N is the number of nodes", "Lists the members as JSON.", ""),
    ],
);

static NODE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::container("config", config::TABLE).docs(
            "2.0.0",
            "Depends on subcommand.",
            "Shows and changes settings.",
            "",
        ),
        Command::admin("debug", at_least(2), debug::debug)
            .for_admins()
            .no_script()
            .any_time()
            .docs("1.0.0", "Depends on subcommand.", "For tests.", "subcommand [arg...]"),
        Command::admin("info", at_least(1), info).any_time().dangerous().tips(OWN_OUTPUT).docs(
            "1.0.0",
            "O(1)",
            "Describes the node.",
            "[section...]",
        ),
        Command::container("latency", latency::TABLE).docs(
            "2.8.13",
            "Depends on subcommand.",
            "Tells what took long, and when.",
            "",
        ),
        Command::container("memory", MEMORY).docs(
            "4.0.0",
            "Depends on subcommand.",
            "Tells where memory is.",
            "",
        ),
        Command::container("module", MODULE).docs(
            "4.0.0",
            "Depends on subcommand.",
            "Lists modules.",
            "",
        ),
        Command::container("slowlog", slowlog::TABLE).docs(
            "2.2.12",
            "Depends on subcommand.",
            "Shows slow requests.",
            "",
        ),
        Command::container("talus", TALUS).docs(
            "7.2.0",
            "Depends on subcommand.",
            "What nodes ask each other.",
            "",
        ),
        Command::admin("time", exactly(1), |_| Ok(AdminVerb::Time))
            .any_time()
            .fast()
            .tips(CHANGES)
            .docs("2.6.0", "O(1)", "Returns the time of the node.", ""),
    ],
);

/// Rows of Redis's chapter "generic" that only the server can answer.
static WAITS: &[Command] = &Command::family(
    Group::Generic,
    [
        waits("wait", exactly(3), replication::wait).docs(
            "3.0.0",
            "O(1)",
            "Waits until replicas have the connection's writes.",
            "numreplicas:integer timeout:integer",
        ),
        waits("waitaof", exactly(4), replication::wait_aof).docs(
            "7.2.0",
            "O(1)",
            "Waits until the connection's writes are on disks.",
            "numlocal:integer numreplicas:integer timeout:integer",
        ),
    ],
);

/// The tables of this family.
pub(super) static TABLES: [&[Command]; 5] =
    [NODE, WAITS, super::keys::SERVER_TABLE, persistence::TABLE, replication::TABLE];

const fn waits(
    name: &'static str,
    arity: Arity,
    parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
) -> Command {
    Command::admin(name, arity, parse)
        .blocking()
        .category(Category::Connection)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
}

/// INFO [section ...]
fn info(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let sections = args.rest().iter();
    let sections = sections.map(|section| String::from_utf8_lossy(section).to_ascii_lowercase());
    Ok(AdminVerb::Info { sections: sections.collect() })
}

/// MODULE LIST
struct ModuleList;

impl Parse for ModuleList {
    fn parse(_: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self)
    }
}

impl Local for ModuleList {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::EMPTY_ARRAY)
    }
}
