//! HELLO and AUTH.

use bytes::Bytes;
use resp::ReplyError;

use crate::commands::{Args, SessionVerb};

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub(super) fn hello(args: &mut Args<'_>) -> Result<SessionVerb, ReplyError> {
    let version = if args.is_empty() { None } else { Some(version(args)?) };
    let (mut auth, mut name) = (None, None);
    while let Some(option) = args.peek() {
        if args.len() > 2 && args.keyword("AUTH") {
            auth = Some((args.bytes()?, args.bytes()?));
        } else if args.keyword_with_value("SETNAME") {
            name = Some(client_name(args)?);
        } else {
            return Err(ReplyError::HelloSyntax(String::from_utf8_lossy(option).into_owned()));
        }
    }
    Ok(SessionVerb::Hello { version, auth, name })
}

fn version(args: &mut Args<'_>) -> Result<u8, ReplyError> {
    match args.integer_or(ReplyError::ProtocolVersion)? {
        2 => Ok(2),
        3 => Ok(3),
        _ => Err(ReplyError::NoProto),
    }
}

/// AUTH [username] password
pub(super) fn auth(args: &mut Args<'_>) -> Result<SessionVerb, ReplyError> {
    match args.rest() {
        [password] => Ok(SessionVerb::Auth { user: None, password: password.clone() }),
        [user, password] => {
            Ok(SessionVerb::Auth { user: Some(user.clone()), password: password.clone() })
        }
        _ => Err(ReplyError::Syntax),
    }
}

/// A name that does not break the lines of CLIENT LIST.
pub(super) fn client_name(args: &mut Args<'_>) -> Result<Bytes, ReplyError> {
    let name = args.bytes()?;
    if is_printable(&name) { Ok(name) } else { Err(ReplyError::ClientName) }
}

pub(super) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}
