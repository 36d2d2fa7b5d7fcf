//! CONFIG.

use bytes::Bytes;
use resp::{Reply, ReplyError};

use crate::server::Server;

/// CONFIG GET.
pub fn get(server: &Server, patterns: &[Bytes]) -> Reply {
    let found = server.config.get(patterns);
    let pair = |(name, value): (String, String)| (Reply::bulk(name), Reply::bulk(value));
    Reply::Map(found.into_iter().map(pair).collect())
}

/// CONFIG SET: all pairs or none.
pub fn set(server: &Server, pairs: &[(Bytes, Bytes)]) -> Reply {
    set_all(server, pairs).map(|()| Reply::OK).into()
}

fn set_all(server: &Server, pairs: &[(Bytes, Bytes)]) -> Result<(), ReplyError> {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| readable(name, value)).collect::<Result<_, _>>()?;
    server.config.set(&pairs).map_err(|error| ReplyError::Raw(error.to_string()))?;
    server.slowlog.follow(&server.config);
    Ok(())
}

/// Settings are text; anything else is refused rather than bent into text.
fn readable(name: &Bytes, value: &Bytes) -> Result<(String, String), ReplyError> {
    let name = String::from_utf8_lossy(name).into_owned();
    match std::str::from_utf8(value) {
        Ok(value) => Ok((name, value.to_owned())),
        Err(_) => {
            Err(ReplyError::ConfigRefused { name, reason: "argument must be UTF-8 text".into() })
        }
    }
}

/// CONFIG REWRITE.
pub async fn rewrite(server: &Server) -> Reply {
    let config = server.config.clone();
    // It waits for the disk.
    match tokio::task::spawn_blocking(move || config.rewrite()).await {
        Ok(Ok(())) => Reply::OK,
        Ok(Err(error)) => Reply::Error(ReplyError::Raw(error.to_string())),
        Err(_) => Reply::Error(ReplyError::Raw("ERR Rewriting config file: interrupted".into())),
    }
}

/// CONFIG RESETSTAT.
pub fn reset_stat(server: &Server) -> Reply {
    server.telemetry.reset();
    Reply::OK
}
