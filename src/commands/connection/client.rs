//! CLIENT: what a connection says of itself, and what an administrator does with all of them.

use resp::{ReplyError, number};

use super::hello::{client_name, is_printable};
use crate::commands::command::{Command, at_least, exactly};
use crate::commands::errors::refuse;
use crate::commands::hints::Group;
use crate::commands::introspection::Help;
use crate::commands::verbs::{
    AdminVerb, ClientFact, ClientKill, ClientType, KillFilters, ReplyMode, SessionVerb,
};
use crate::commands::{Args, Result};

const LIST_SYNTAX: &str = "[TYPE {NORMAL | MASTER | REPLICA | PUBSUB}] [ID {client-id:integer}...]";
const KILL_SYNTAX: &str = "{ip:port | {ID client-id:integer | \
     TYPE {NORMAL | MASTER | SLAVE | REPLICA | PUBSUB} | USER username | ADDR address | \
     LADDR address | SKIPME {YES | NO}}...}";
const N_CLIENTS: &str = "O(N) where N is the number of connections";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Connection,
    [
        own("client|getname", exactly(2), |_| Ok(SessionVerb::ClientGetName)).docs(
            "2.6.9",
            "O(1)",
            "Returns the name of the connection.",
            "",
        ),
        own("client|getredir", exactly(2), |_| Ok(SessionVerb::ClientGetRedir)).docs(
            "6.0.0",
            "O(1)",
            "Returns where invalidations are sent.",
            "",
        ),
        Command::local::<Help>("client|help", exactly(2)).any_time().docs(
            "5.0.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        own("client|id", exactly(2), |_| Ok(SessionVerb::ClientId)).docs(
            "5.0.0",
            "O(1)",
            "Returns the number of the connection.",
            "",
        ),
        own("client|info", exactly(2), |_| Ok(SessionVerb::ClientInfo))
            .tips(&["nondeterministic_output"])
            .docs("6.2.0", "O(1)", "Describes the connection.", ""),
        others("client|kill", at_least(3), kill).docs(
            "2.4.0",
            N_CLIENTS,
            "Closes connections.",
            KILL_SYNTAX,
        ),
        others("client|list", at_least(2), list).tips(&["nondeterministic_output"]).docs(
            "2.4.0",
            N_CLIENTS,
            "Lists connections.",
            LIST_SYNTAX,
        ),
        own("client|no-evict", exactly(3), |args| {
            Ok(SessionVerb::ClientNoEvict(args.either("ON", "OFF").ok_or(ReplyError::Syntax)?))
        })
        .for_admins()
        .docs("7.0.0", "O(1)", "Protects the connection from being closed.", "{ON | OFF}"),
        own("client|no-touch", exactly(3), |args| {
            Ok(SessionVerb::ClientNoTouch(args.either("ON", "OFF").ok_or(ReplyError::Syntax)?))
        })
        .docs("7.2.0", "O(1)", "Lets reads not count as uses of a key.", "{ON | OFF}"),
        others("client|pause", at_least(3), pause).docs(
            "2.9.50",
            "O(1)",
            "Holds back requests for a time.",
            "timeout:integer [WRITE | ALL]",
        ),
        own("client|reply", exactly(3), reply).docs(
            "3.2.0",
            "O(1)",
            "Chooses which replies are sent.",
            "{ON | OFF | SKIP}",
        ),
        own("client|setinfo", exactly(4), set_info).docs(
            "7.2.0",
            "O(1)",
            "Says which library the client uses.",
            "{LIB-NAME libname | LIB-VER libver}",
        ),
        own("client|setname", exactly(3), |args| {
            Ok(SessionVerb::ClientSetName(client_name(args)?))
        })
        .docs("2.6.9", "O(1)", "Names the connection.", "connection-name"),
        others("client|unblock", at_least(3), unblock).docs(
            "5.0.0",
            "O(log N) where N is the number of connections",
            "Answers a connection that waits.",
            "client-id:integer [TIMEOUT | ERROR]",
        ),
        others("client|unpause", exactly(2), |_| Ok(AdminVerb::ClientUnpause)).docs(
            "6.2.0",
            "O(N) where N is the number of connections held back",
            "Lets requests pass again.",
            "",
        ),
    ],
);

/// A subcommand about this connection.
const fn own(
    name: &'static str,
    arity: crate::commands::Arity,
    parse: fn(&mut Args<'_>) -> Result<SessionVerb, ReplyError>,
) -> Command {
    Command::session(name, arity, parse).no_script().any_time()
}

/// A subcommand about other connections.
const fn others(
    name: &'static str,
    arity: crate::commands::Arity,
    parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
) -> Command {
    Command::admin(name, arity, parse).for_admins().no_script().any_time()
}

/// CLIENT REPLY ON | OFF | SKIP
fn reply(args: &mut Args<'_>) -> Result<SessionVerb, ReplyError> {
    let modes = [("ON", ReplyMode::On), ("OFF", ReplyMode::Off), ("SKIP", ReplyMode::Skip)];
    let found = modes.into_iter().find(|(word, _)| args.keyword(word));
    found.map(|(_, mode)| SessionVerb::ClientReply(mode)).ok_or(ReplyError::Syntax)
}

/// CLIENT SETINFO LIB-NAME name | LIB-VER version
fn set_info(args: &mut Args<'_>) -> Result<SessionVerb, ReplyError> {
    let name = args.text()?;
    let fact = if name.eq_ignore_ascii_case("LIB-NAME") {
        ClientFact::LibraryName
    } else if name.eq_ignore_ascii_case("LIB-VER") {
        ClientFact::LibraryVersion
    } else {
        return Err(ReplyError::UnrecognizedOption(name));
    };
    let value = args.bytes()?;
    if !is_printable(&value) {
        return Err(ReplyError::ClientInfoValue(name));
    }
    Ok(SessionVerb::ClientSetInfo { fact, value })
}

/// CLIENT LIST [TYPE type] [ID id ...]
fn list(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    let (mut kind, mut ids) = (None, Vec::new());
    if args.len() == 2 && args.keyword("TYPE") {
        kind = Some(client_type(args)?);
    } else if args.keyword_with_value("ID") {
        while !args.is_empty() {
            ids.push(args.number_or(ReplyError::InvalidClientId)?);
        }
    } else if !args.is_empty() {
        return Err(ReplyError::Syntax);
    }
    Ok(AdminVerb::ClientList { kind, ids })
}

fn client_type(args: &mut Args<'_>) -> Result<ClientType, ReplyError> {
    let types = [
        ("NORMAL", ClientType::Normal),
        ("MASTER", ClientType::Master),
        ("SLAVE", ClientType::Replica),
        ("REPLICA", ClientType::Replica),
        ("PUBSUB", ClientType::PubSub),
    ];
    let found = types.into_iter().find(|(word, _)| args.keyword(word));
    match found {
        Some((_, kind)) => Ok(kind),
        None => Err(ReplyError::UnknownClientType(args.text()?)),
    }
}

/// CLIENT KILL ip:port, or any number of filters.
fn kill(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    if args.len() == 1 {
        return Ok(AdminVerb::ClientKill(ClientKill::Address(args.text()?)));
    }
    let mut filters = KillFilters::default();
    while !args.is_empty() {
        kill_filter(args, &mut filters)?;
    }
    Ok(AdminVerb::ClientKill(ClientKill::Filters(filters)))
}

fn kill_filter(args: &mut Args<'_>, filters: &mut KillFilters) -> Result<(), ReplyError> {
    if args.keyword_with_value("ID") {
        let id = args.number_or(ReplyError::ClientId)?;
        filters.id = Some(Some(id).filter(|&id| id > 0).ok_or(ReplyError::ClientId)?);
    } else if args.keyword_with_value("TYPE") {
        filters.kind = Some(client_type(args)?);
    } else if args.keyword_with_value("ADDR") {
        filters.address = Some(args.text()?);
    } else if args.keyword_with_value("LADDR") {
        filters.local_address = Some(args.text()?);
    } else if args.keyword_with_value("USER") {
        filters.user = Some(args.text()?);
    } else if args.keyword_with_value("SKIPME") {
        filters.me_too = !args.either("YES", "NO").ok_or(ReplyError::Syntax)?;
    } else {
        return Err(ReplyError::Syntax);
    }
    Ok(())
}

/// CLIENT PAUSE timeout [WRITE | ALL]
fn pause(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    args.at_most(2)?;
    let timeout = args.next()?;
    let all = match args.either("ALL", "WRITE") {
        Some(all) => all,
        None if args.is_empty() => true,
        None => return Err(refuse("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = number::parse_i64(timeout).ok_or(ReplyError::TimeoutNotAnInteger)?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| ReplyError::TimeoutNegative)?;
    Ok(AdminVerb::ClientPause { timeout_ms, all })
}

/// CLIENT UNBLOCK client-id [TIMEOUT | ERROR]
fn unblock(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    args.at_most(2)?;
    let id = args.next()?;
    let error = match args.either("ERROR", "TIMEOUT") {
        Some(error) => error,
        None if args.is_empty() => false,
        None => return Err(refuse("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = number::parse_i64(id).ok_or(ReplyError::NotAnInteger)?;
    // No connection has a negative number, and none is found under the largest.
    let id = u64::try_from(id).unwrap_or(u64::MAX);
    Ok(AdminVerb::ClientUnblock { id, error })
}
