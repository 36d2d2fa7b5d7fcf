//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS.

use bytes::Bytes;
use resp::{Reply, ReplyError};

use super::info::words;
use crate::commands::command::{Local, Parse};
use crate::commands::{Args, KeyFlags, Result, resolve};

/// COMMAND GETKEYS command [arg ...]
pub(super) struct GetKeys {
    keys: Vec<(Bytes, KeyFlags)>,
}

impl Parse for GetKeys {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { keys: keys_of(args.rest())? })
    }
}

impl Local for GetKeys {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::Array(self.keys.iter().map(|(key, _)| Reply::Bulk(key.clone())).collect()))
    }
}

/// COMMAND GETKEYSANDFLAGS command [arg ...]
pub(super) struct GetKeysAndFlags {
    keys: Vec<(Bytes, KeyFlags)>,
}

impl Parse for GetKeysAndFlags {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { keys: keys_of(args.rest())? })
    }
}

impl Local for GetKeysAndFlags {
    fn answer(&self) -> Result<Reply, ReplyError> {
        let pairs = self
            .keys
            .iter()
            .map(|(key, flags)| Reply::Array(vec![Reply::Bulk(key.clone()), words(flags.names())]));
        Ok(Reply::Array(pairs.collect()))
    }
}

fn keys_of(request: &[Bytes]) -> Result<Vec<(Bytes, KeyFlags)>, ReplyError> {
    let command = resolve(request).map_err(|error| match error {
        ReplyError::Arity(_) => ReplyError::InvalidCommandArity,
        _ => ReplyError::InvalidCommand,
    })?;
    if command.keys.is_empty() {
        return Err(ReplyError::NoKeyArguments);
    }
    Ok(command.keys_of(request).map(|(key, flags)| (key.clone(), flags)).collect())
}
