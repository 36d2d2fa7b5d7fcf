//! Strings: one row per command, and the files their deeds are in.
//!
//! A write that changes nothing must not touch its key: WATCH and notifications go by what was
//! touched, not by what was asked for.

use super::command::{Command, at_least, exactly};
use super::hints::Group;
use super::key_specs;

mod append;
mod expiry;
mod get;
mod incr;
mod incr_by_float;
mod lcs;
mod multiple;
mod range;
mod set;

use append::{Append, SetRange};
pub(super) use expiry::{Expiry, Origin, Unit};
use get::{Get, GetDel, GetEx, GetSet, StrLen};
use incr::{Decr, DecrBy, Incr, IncrBy};
use incr_by_float::IncrByFloat;
use lcs::Lcs;
use multiple::{MGet, MSet, MSetNx};
use range::GetRange;
pub(super) use range::{clamped, positions};
use set::{PSetEx, Set, SetEx, SetNx};

const EXPIRATION: &str = "key [EX seconds:integer | PX milliseconds:integer | \
     EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST]";
const SET_SYNTAX: &str = "key value [NX | XX] [GET] [EX seconds:integer | \
     PX milliseconds:integer | EXAT unix-time-seconds:unix-time | \
     PXAT unix-time-milliseconds:unix-time | KEEPTTL]";
const SET_SUMMARY: &str = "Sets the value of a key, whatever it held, and its expiration.";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::String,
    [
        Command::write::<Append>("append", exactly(3), key_specs::INSERT).denies_oom().fast().docs(
            "2.0.0",
            "O(1)",
            "Appends to the value of a key, creating it.",
            "key value",
        ),
        Command::write::<Decr>("decr", exactly(2), key_specs::EDIT).denies_oom().fast().docs(
            "1.0.0",
            "O(1)",
            "Decrements an integer by one, from 0 if there is none.",
            "key",
        ),
        Command::write::<DecrBy>("decrby", exactly(3), key_specs::EDIT).denies_oom().fast().docs(
            "1.0.0",
            "O(1)",
            "Decrements an integer by a number, from 0 if there is none.",
            "key decrement:integer",
        ),
        Command::read::<Get>("get", exactly(2), key_specs::READ).fast().docs(
            "1.0.0",
            "O(1)",
            "Returns the value of a key.",
            "key",
        ),
        Command::write::<GetDel>("getdel", exactly(2), key_specs::TAKE).fast().docs(
            "6.2.0",
            "O(1)",
            "Returns the value of a key and deletes it.",
            "key",
        ),
        Command::write::<GetEx>("getex", at_least(2), key_specs::EDIT).fast().docs(
            "6.2.0",
            "O(1)",
            "Returns the value of a key and changes its expiration.",
            EXPIRATION,
        ),
        Command::read::<GetRange>("getrange", exactly(4), key_specs::READ).docs(
            "2.4.0",
            "O(N) where N is the length of the part",
            "Returns a part of the value of a key.",
            "key start:integer end:integer",
        ),
        Command::write::<GetSet>("getset", exactly(3), key_specs::EDIT)
            .denies_oom()
            .fast()
            .deprecated("6.2.0", "`SET` with the `!GET` argument")
            .docs("1.0.0", "O(1)", "Returns the value of a key and sets another.", "key value"),
        Command::write::<Incr>("incr", exactly(2), key_specs::EDIT).denies_oom().fast().docs(
            "1.0.0",
            "O(1)",
            "Increments an integer by one, from 0 if there is none.",
            "key",
        ),
        Command::write::<IncrBy>("incrby", exactly(3), key_specs::EDIT).denies_oom().fast().docs(
            "1.0.0",
            "O(1)",
            "Increments an integer by a number, from 0 if there is none.",
            "key increment:integer",
        ),
        Command::write::<IncrByFloat>("incrbyfloat", exactly(3), key_specs::EDIT)
            .denies_oom()
            .fast()
            .docs(
                "2.6.0",
                "O(1)",
                "Increments a floating-point number, from 0 if there is none.",
                "key increment:double",
            ),
        Command::read::<Lcs>("lcs", at_least(3), key_specs::READ_TWO).docs(
            "7.0.0",
            "O(N*M) where N and M are the lengths of the two values",
            "Finds the longest common subsequence of two values.",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
        ),
        Command::read::<MGet>("mget", at_least(2), key_specs::READ_ALL)
            .fast()
            .tips(&["request_policy:multi_shard"])
            .docs(
                "1.0.0",
                "O(N) where N is the number of keys",
                "Returns several values.",
                "key...",
            ),
        Command::write::<MSet>("mset", at_least(3), key_specs::REPLACE_PAIRS)
            .denies_oom()
            .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
            .docs(
                "1.0.1",
                "O(N) where N is the number of keys",
                "Sets several values at once.",
                "{key value}...",
            ),
        Command::write::<MSetNx>("msetnx", at_least(3), key_specs::CREATE_PAIRS)
            .denies_oom()
            .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
            .docs(
                "1.0.1",
                "O(N) where N is the number of keys",
                "Sets several values at once, unless one of the keys exists.",
                "{key value}...",
            ),
        Command::write::<PSetEx>("psetex", exactly(4), key_specs::REPLACE)
            .denies_oom()
            .deprecated("2.6.12", "`SET` with the `PX` argument")
            .docs("2.6.0", "O(1)", SET_SUMMARY, "key milliseconds:integer value"),
        Command::write::<Set>("set", at_least(3), key_specs::SET).denies_oom().docs(
            "1.0.0",
            "O(1)",
            SET_SUMMARY,
            SET_SYNTAX,
        ),
        Command::write::<SetEx>("setex", exactly(4), key_specs::REPLACE)
            .denies_oom()
            .deprecated("2.6.12", "`SET` with the `EX` argument")
            .docs("2.0.0", "O(1)", SET_SUMMARY, "key seconds:integer value"),
        Command::write::<SetNx>("setnx", exactly(3), key_specs::CREATE)
            .denies_oom()
            .fast()
            .deprecated("2.6.12", "`SET` with the `NX` argument")
            .docs("1.0.0", "O(1)", "Sets the value of a key unless it exists.", "key value"),
        Command::write::<SetRange>("setrange", exactly(4), key_specs::CHANGE).denies_oom().docs(
            "2.2.0",
            "O(N) where N is the length of the part",
            "Overwrites a part of the value of a key, filling gaps with zero bytes.",
            "key offset:integer value",
        ),
        Command::read::<StrLen>("strlen", exactly(2), key_specs::LOOK).fast().docs(
            "2.2.0",
            "O(1)",
            "Returns the length of the value of a key.",
            "key",
        ),
        Command::read::<GetRange>("substr", exactly(4), key_specs::READ)
            .deprecated("2.0.0", "`GETRANGE`")
            .docs(
                "1.0.0",
                "O(N) where N is the length of the part",
                "Returns a part of the value of a key.",
                "key start:integer end:integer",
            ),
    ],
);
