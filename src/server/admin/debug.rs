//! DEBUG, as far as tests and the curious need it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::Header;

use super::store::with_store;
use crate::commands::verbs::DebugVerb;
use crate::server::{Client, Server, reads};

/// DEBUG.
pub async fn debug(server: &Server, client: &Client, verb: DebugVerb) -> Reply {
    match verb {
        DebugVerb::Answer(reply) => reply,
        DebugVerb::Sleep { micros } => {
            tokio::time::sleep(Duration::from_micros(micros).min(SLEEP_MAX)).await;
            Reply::OK
        }
        DebugVerb::Digest => digest(server).await.into(),
        DebugVerb::SetActiveExpire(on) => {
            server.sweeps.store(on, Ordering::Relaxed);
            Reply::OK
        }
        DebugVerb::Reload => reload(server).await,
        DebugVerb::Object(key) => object(server, client, &key).await.into(),
        DebugVerb::Log(text) => {
            tracing::info!(client = client.id(), text, "DEBUG LOG");
            Reply::OK
        }
    }
}

/// Only the connection that asked sleeps; an hour is enough for every test.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// A digest of everything that was acknowledged before it was asked for. It is the same on every
/// node, and another one than Redis's, which depends on Redis's ways to encode values.
async fn digest(server: &Server) -> Result<Reply, ReplyError> {
    let replica = server.replica.load_full();
    reads::barrier(&replica).await?;
    let digest = with_store(replica.current.load_full(), |store| store.digest()).await;
    Ok(Reply::simple(forty_digits(&digest)))
}

fn forty_digits(digest: &[u8]) -> String {
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<40}")
}

/// Brings everything to disk. What is read afterwards comes from there or from rows that equal it,
/// so there is nothing to load.
async fn reload(server: &Server) -> Reply {
    let store = server.replica.load().current.load_full();
    with_store(store, |store| store.flush()).await;
    Reply::OK
}

async fn object(server: &Server, client: &Client, key: &Bytes) -> Result<Reply, ReplyError> {
    let replica = server.replica.load_full();
    reads::barrier(&replica).await?;
    let store = replica.current.load();
    let view = store.view(client.db(), 0);
    let header = view.header(key).unwrap_or_else(|fault| crate::node::fatal(&fault));
    header.map(|header| Reply::simple(describe(&header))).ok_or(ReplyError::NoSuchKey)
}

/// In the words of Redis, of which some have no meaning here: values live at no fixed address.
fn describe(header: &Header) -> String {
    format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{} lru:0 lru_seconds_idle:0 \
         version:{}",
        header.encoding.name(),
        header.size,
        header.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_look_like_those_of_redis() {
        let digits = forty_digits(&[0xab; 16]);
        assert_eq!((digits.len(), &digits[30..34]), (40, "ab00"));
    }
}
