//! DEBUG, as far as tests need it.

use resp::{Reply, ReplyError, number};

use crate::commands::errors::refuse;
use crate::commands::verbs::DebugVerb;
use crate::commands::{AdminVerb, Args, Result};

const HELP: [&str; 17] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DIGEST",
    "    Output a digest of the whole state.",
    "ERROR <string>",
    "    Return an error with that text.",
    "LOG <message>",
    "    Write a message to the log.",
    "OBJECT <key>",
    "    Show what is known about a key.",
    "PROTOCOL <type>",
    "    Reply with a value of that type.",
    "RELOAD",
    "    Write everything to disk and read it again.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether expired keys are swept.",
    "SLEEP <seconds>",
    "    Do nothing for that time.",
];

/// The longest a node may be told to sleep.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// DEBUG subcommand [argument ...]
pub(super) fn debug(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let name = args.next()?;
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let verb = match args.rest() {
        [] if is("HELP") => DebugVerb::Answer(help()),
        [] if is("DIGEST") => DebugVerb::Digest,
        [] if is("RELOAD") => DebugVerb::Reload,
        [key] if is("OBJECT") => DebugVerb::Object(key.clone()),
        [text] if is("ERROR") => DebugVerb::Answer(Reply::Error(refuse(lossy(text)))),
        [text] if is("LOG") => DebugVerb::Log(lossy(text)),
        [seconds] if is("SLEEP") => DebugVerb::Sleep { micros: micros(seconds) },
        [on] if is("SET-ACTIVE-EXPIRE") => DebugVerb::SetActiveExpire(**on != *b"0"),
        [kind] if is("PROTOCOL") => DebugVerb::Answer(protocol(kind)?),
        _ => return Err(ReplyError::subcommand_syntax("DEBUG", name)),
    };
    Ok(AdminVerb::Debug(verb))
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn help() -> Reply {
    Reply::Array(HELP.into_iter().map(Reply::simple).collect())
}

/// What is no number is no time.
fn micros(seconds: &[u8]) -> u64 {
    let seconds = number::parse_f64(seconds).unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX);
    (seconds * 1e6) as u64
}

/// A value of each type, as Redis has them.
#[expect(clippy::approx_constant, reason = "Redis's example is not meant to be pi")]
fn protocol(kind: &[u8]) -> Result<Reply, ReplyError> {
    let numbers = || (0..3).map(Reply::Integer);
    Ok(match &*kind.to_ascii_lowercase() {
        b"string" => Reply::bulk("Hello World"),
        b"integer" => Reply::Integer(12345),
        b"double" => Reply::Double(3.141),
        b"null" => Reply::Null,
        b"array" => Reply::Array(numbers().collect()),
        b"set" => Reply::Set(numbers().collect()),
        b"map" => Reply::Map((0..3).map(|n| (Reply::Integer(n), Reply::Bool(n == 1))).collect()),
        b"attrib" => Reply::Attribute {
            attributes: vec![(
                Reply::bulk("key-popularity"),
                Reply::Array(vec![Reply::bulk("key:123"), Reply::Integer(90)]),
            )],
            reply: Box::new(Reply::bulk("Some real reply following the attribute")),
        },
        b"push" => Reply::Push(vec![Reply::bulk("server-cpu-usage"), Reply::Integer(42)]),
        b"true" => Reply::Bool(true),
        b"false" => Reply::Bool(false),
        b"verbatim" => Reply::text("This is a verbatim\nstring"),
        b"bignum" => Reply::BigNumber("1234567999999999999999999999999999999".into()),
        _ => {
            return Err(refuse(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    })
}
