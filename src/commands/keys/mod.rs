//! Keys, whatever they hold: their lives, their names, and walks over them.

use super::command::{Command, at_least, exactly};
use super::hints::{Category, Group};
use super::introspection::Help;
use super::key_specs;

mod copy;
mod delete;
mod dump;
mod exists;
mod expire;
mod flush;
mod iterate;
mod object;
mod rdb;
mod rename;
mod restore;
mod sweep;
mod ttl;

use copy::{Copy, Move};
use delete::Del;
use dump::Dump;
use exists::{DbSize, Exists, Type};
use expire::{Expire, ExpireAt, PExpire, PExpireAt, Persist};
use flush::{FlushAll, FlushDb, SwapDb};
use iterate::{Keys, RandomKey, Scan};
use object::{Encoding, Frequency, IdleTime, MemoryUsage, ReferenceCount};
use rename::{Rename, RenameNx};
use restore::Restore;
use sweep::Sweep;
use ttl::{ExpireTime, PExpireTime, PTtl, Ttl};

const N_KEYS: &str = "O(N) where N is the number of keys";
const SUMS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const CHANGES: &[&str] = &["nondeterministic_output"];
const WALKS: &[&str] = &["request_policy:all_shards", "nondeterministic_output_order"];
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const RESTORE_SYNTAX: &str = "key ttl:integer serialized-value [REPLACE] [ABSTTL] \
     [IDLETIME seconds:integer] [FREQ frequency:integer]";
const RESTORE_SUMMARY: &str = "Creates a key from what DUMP returned.";

static OBJECT: &[Command] = &Command::family(
    Group::Generic,
    [
        Command::read::<Encoding>("object|encoding", exactly(3), key_specs::LOOK_SECOND)
            .tips(CHANGES)
            .docs("2.2.3", "O(1)", "Returns how a value is represented.", "key"),
        Command::read::<Frequency>("object|freq", exactly(3), key_specs::LOOK_SECOND)
            .tips(CHANGES)
            .docs("4.0.0", "O(1)", "Returns how often a key is used, if that is counted.", "key"),
        Command::local::<Help>("object|help", exactly(2)).any_time().docs(
            "6.2.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        Command::read::<IdleTime>("object|idletime", exactly(3), key_specs::LOOK_SECOND)
            .tips(CHANGES)
            .docs("2.2.3", "O(1)", "Returns for how long a key was not used.", "key"),
        Command::read::<ReferenceCount>("object|refcount", exactly(3), key_specs::LOOK_SECOND)
            .tips(CHANGES)
            .docs("2.2.3", "O(1)", "Returns how many references a value has.", "key"),
    ],
);

/// Rows of Redis's chapter "generic".
pub(super) static TABLE: &[Command] = &Command::family(
    Group::Generic,
    [
        Command::write::<Copy>("copy", at_least(3), key_specs::COPY).denies_oom().docs(
            "6.2.0",
            "O(N) where N is the size of the value",
            "Copies the value of a key to another key.",
            "source:key destination:key [DB destination-db:integer] [REPLACE]",
        ),
        Command::write::<Del>("del", at_least(2), key_specs::REMOVE_ALL).tips(SUMS).docs(
            "1.0.0",
            N_KEYS,
            "Deletes keys.",
            "key...",
        ),
        Command::read::<Dump>("dump", exactly(2), key_specs::READ).tips(CHANGES).docs(
            "2.6.0",
            "O(N) where N is the size of the value",
            "Returns the value of a key in a form RESTORE understands.",
            "key",
        ),
        Command::read::<Exists>("exists", at_least(2), key_specs::LOOK_ALL).fast().tips(SUMS).docs(
            "1.0.0",
            N_KEYS,
            "Counts which of the keys exist.",
            "key...",
        ),
        Command::write::<Expire>("expire", at_least(3), key_specs::CHANGE).fast().docs(
            "1.0.0",
            "O(1)",
            "Lets a key expire after some seconds.",
            "key seconds:integer [NX | XX | GT | LT]",
        ),
        Command::write::<ExpireAt>("expireat", at_least(3), key_specs::CHANGE).fast().docs(
            "1.2.0",
            "O(1)",
            "Lets a key expire at a time in seconds.",
            "key unix-time-seconds:unix-time [NX | XX | GT | LT]",
        ),
        Command::read::<ExpireTime>("expiretime", exactly(2), key_specs::READ).fast().docs(
            "7.0.0",
            "O(1)",
            "Returns when a key expires, in seconds.",
            "key",
        ),
        Command::read::<Keys>("keys", exactly(2), key_specs::NO_KEYS).dangerous().tips(WALKS).docs(
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            "Returns every key that matches a pattern.",
            "pattern:pattern",
        ),
        Command::write::<Move>("move", exactly(3), key_specs::EDIT).fast().docs(
            "1.0.0",
            "O(1)",
            "Moves a key to another database.",
            "key db:integer",
        ),
        Command::container("object", OBJECT).docs(
            "2.2.3",
            "Depends on subcommand.",
            "Tells what is known about a value besides its contents.",
            "",
        ),
        Command::write::<Persist>("persist", exactly(2), key_specs::CHANGE).fast().docs(
            "2.2.0",
            "O(1)",
            "Lets a key live for ever.",
            "key",
        ),
        Command::write::<PExpire>("pexpire", at_least(3), key_specs::CHANGE).fast().docs(
            "2.6.0",
            "O(1)",
            "Lets a key expire after some milliseconds.",
            "key milliseconds:integer [NX | XX | GT | LT]",
        ),
        Command::write::<PExpireAt>("pexpireat", at_least(3), key_specs::CHANGE).fast().docs(
            "2.6.0",
            "O(1)",
            "Lets a key expire at a time in milliseconds.",
            "key unix-time-milliseconds:unix-time [NX | XX | GT | LT]",
        ),
        Command::read::<PExpireTime>("pexpiretime", exactly(2), key_specs::READ).fast().docs(
            "7.0.0",
            "O(1)",
            "Returns when a key expires, in milliseconds.",
            "key",
        ),
        Command::read::<PTtl>("pttl", exactly(2), key_specs::READ).fast().tips(CHANGES).docs(
            "2.6.0",
            "O(1)",
            "Returns how many milliseconds a key has to live.",
            "key",
        ),
        Command::sample::<RandomKey>("randomkey", exactly(1), key_specs::NO_KEYS)
            .tips(&["request_policy:all_shards", "nondeterministic_output"])
            .docs("1.0.0", "O(1)", "Returns some key.", ""),
        Command::write::<Rename>("rename", exactly(3), key_specs::RENAME).docs(
            "1.0.0",
            "O(1)",
            "Renames a key, replacing what had the new name.",
            "key newkey:key",
        ),
        Command::write::<RenameNx>("renamenx", exactly(3), key_specs::RENAME_NEW).fast().docs(
            "1.0.0",
            "O(1)",
            "Renames a key unless the new name is taken.",
            "key newkey:key",
        ),
        Command::write::<Restore>("restore", at_least(4), key_specs::REPLACE)
            .denies_oom()
            .dangerous()
            .docs(
                "2.6.0",
                "O(N) where N is the size of the value",
                RESTORE_SUMMARY,
                RESTORE_SYNTAX,
            ),
        Command::read::<Scan>("scan", at_least(2), key_specs::NO_KEYS)
            .tips(&["nondeterministic_output", "request_policy:special"])
            .docs(
                "2.8.0",
                "O(1) for every call, O(N) for a whole iteration",
                "Walks over the keys, some at a time.",
                "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type]",
            ),
        Command::read::<Exists>("touch", at_least(2), key_specs::LOOK_ALL).fast().tips(SUMS).docs(
            "3.2.1",
            N_KEYS,
            "Counts which of the keys exist, as if they were used.",
            "key...",
        ),
        Command::read::<Ttl>("ttl", exactly(2), key_specs::READ).fast().tips(CHANGES).docs(
            "1.0.0",
            "O(1)",
            "Returns how many seconds a key has to live.",
            "key",
        ),
        Command::read::<Type>("type", exactly(2), key_specs::LOOK).fast().docs(
            "1.0.0",
            "O(1)",
            "Returns what kind of value a key holds.",
            "key",
        ),
        Command::write::<Del>("unlink", at_least(2), key_specs::REMOVE_ALL).fast().tips(SUMS).docs(
            "4.0.0",
            N_KEYS,
            "Deletes keys; what they held is reclaimed later.",
            "key...",
        ),
    ],
);

/// Rows of Redis's chapter "server" that are about keys.
pub(super) static SERVER_TABLE: &[Command] = &Command::family(
    Group::Server,
    [
        Command::read::<DbSize>("dbsize", exactly(1), key_specs::NO_KEYS)
            .fast()
            .category(Category::Keyspace)
            .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
            .docs("1.0.0", "O(1)", "Returns how many keys the database has.", ""),
        Command::write::<FlushAll>("flushall", at_least(1), key_specs::NO_KEYS)
            .category(Category::Keyspace)
            .dangerous()
            .tips(EVERYWHERE)
            .docs("1.0.0", "O(1)", "Deletes every key of every database.", "[ASYNC | SYNC]"),
        Command::write::<FlushDb>("flushdb", at_least(1), key_specs::NO_KEYS)
            .category(Category::Keyspace)
            .dangerous()
            .tips(EVERYWHERE)
            .docs("1.0.0", "O(1)", "Deletes every key of the database.", "[ASYNC | SYNC]"),
        Command::write::<Restore>("restore-asking", at_least(4), key_specs::REPLACE)
            .denies_oom()
            .asking()
            .category(Category::Keyspace)
            .dangerous()
            .docs(
                "3.0.0",
                "O(N) where N is the size of the value",
                RESTORE_SUMMARY,
                RESTORE_SYNTAX,
            ),
        Command::write::<SwapDb>("swapdb", exactly(3), key_specs::NO_KEYS)
            .fast()
            .category(Category::Keyspace)
            .dangerous()
            .docs("4.0.0", "O(1)", "Swaps two databases.", "index1:integer index2:integer"),
        Command::write::<Sweep>("talus.sweep", exactly(2), key_specs::NO_KEYS).internal().docs(
            "7.2.0",
            "O(N) where N is the number of keys removed",
            "Removes keys that have expired.",
            "count:integer",
        ),
    ],
);

/// `MEMORY USAGE`, whose container is the server's.
pub(super) const MEMORY_USAGE: Command =
    Command::read::<MemoryUsage>("memory|usage", at_least(3), key_specs::LOOK_SECOND).docs(
        "4.0.0",
        "O(1)",
        "Estimates how much memory a key and its value take.",
        "key [SAMPLES count:integer]",
    );
