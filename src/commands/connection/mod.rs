//! The connection: who it is, which database it uses, what it is told.

use resp::{Reply, ReplyError};

use super::command::{Command, Local, Parse, at_least, exactly};
use super::hints::Group;
use super::verbs::SessionVerb;
use super::{Args, Result};

mod client;
mod hello;

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Connection,
    [
        Command::session("auth", at_least(2), hello::auth)
            .no_script()
            .any_time()
            .fast()
            .no_auth()
            .allow_busy()
            .docs(
                "1.0.0",
                "O(N) where N is the number of passwords of the user",
                "Says who the client is.",
                "[username] password",
            ),
        Command::container("client", client::TABLE).docs(
            "2.4.0",
            "Depends on subcommand.",
            "Shows and changes connections.",
            "",
        ),
        Command::local::<Echo>("echo", exactly(2)).any_time().fast().docs(
            "1.0.0",
            "O(1)",
            "Returns the message.",
            "message",
        ),
        Command::session("hello", at_least(1), hello::hello)
            .no_script()
            .any_time()
            .fast()
            .no_auth()
            .allow_busy()
            .docs(
                "6.0.0",
                "O(1)",
                "Chooses the protocol, and says who the client is.",
                "[protover:integer [AUTH username password] [SETNAME clientname]]",
            ),
        Command::local::<Ping>("ping", at_least(1))
            .fast()
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
            .docs("1.0.0", "O(1)", "Answers PONG, or the message.", "[message]"),
        Command::session("quit", at_least(1), quit)
            .immediate()
            .no_script()
            .any_time()
            .fast()
            .no_auth()
            .allow_busy()
            .deprecated("7.2.0", "just closing the connection")
            .docs("1.0.0", "O(1)", "Closes the connection.", ""),
        Command::session("reset", exactly(1), |_| Ok(SessionVerb::Reset))
            .immediate()
            .no_script()
            .any_time()
            .fast()
            .no_auth()
            .allow_busy()
            .docs("6.2.0", "O(1)", "Makes the connection as it was when it opened.", ""),
        Command::session("select", exactly(2), |args| Ok(SessionVerb::Select(args.database()?)))
            .any_time()
            .fast()
            .docs("1.0.0", "O(1)", "Chooses the database.", "index:integer"),
    ],
);

/// PING [message]
struct Ping {
    message: Option<bytes::Bytes>,
}

impl Parse for Ping {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        if args.len() > 1 {
            return Err(ReplyError::arity(args.command().name));
        }
        Ok(Self { message: args.peek().is_some().then(|| args.bytes()).transpose()? })
    }
}

impl Local for Ping {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(self.message.clone().map_or(Reply::simple("PONG"), Reply::Bulk))
    }
}

/// ECHO message
struct Echo {
    message: bytes::Bytes,
}

impl Parse for Echo {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { message: args.bytes()? })
    }
}

impl Local for Echo {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::Bulk(self.message.clone()))
    }
}

/// Whatever else is said, the client wants to go.
fn quit(args: &mut Args<'_>) -> Result<SessionVerb, ReplyError> {
    args.rest();
    Ok(SessionVerb::Quit)
}
