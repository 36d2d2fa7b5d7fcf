//! Redis Sentinel: the known-bad system. Whoever a sentinel takes for the master is asked.

use super::{Client, Reply, Trouble};
use std::net::SocketAddr;

/// The name under which sentinels watch the master.
pub const MASTER: &str = "jepsen";

/// Where a sentinel serves, at the address of its node.
pub const PORT: u16 = 26379;

/// The address of the master, as the sentinel at `address` sees it.
pub fn master(address: SocketAddr) -> Result<SocketAddr, Trouble> {
    let mut client = Client::connect(address)?;
    let reply = client.read(&["SENTINEL", "get-master-addr-by-name", MASTER])?;
    let words = match &reply {
        Reply::Nil => return Err(Trouble::Refused("the sentinel knows no master".to_owned())),
        reply => reply.clone().elements(2)?,
    };
    let words: Vec<Option<String>> =
        words.into_iter().map(Reply::text).collect::<Result<_, _>>()?;
    match words.as_slice() {
        [Some(host), Some(port)] => format!("{host}:{port}").parse().ok(),
        _ => None,
    }
    .ok_or_else(|| Trouble::Impossible(format!("{reply:?} is no address")))
}
