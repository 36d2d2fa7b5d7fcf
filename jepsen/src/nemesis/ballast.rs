//! Writes beside those of the clients: of large values, to keys of no workload.
//!
//! A log that is to be purged or a disk that is to be full needs more than clients of a short run
//! write.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::effect::Outcome;
use crate::cluster::{Cluster, Problem};

const KEYS: usize = 32;
const VALUE_BYTES: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes two megabytes through the node.
pub fn write(cluster: &Cluster, node: u32) -> Outcome {
    let at = cluster.redis(node);
    let written = cluster.network().among_clients(|| write_all(at))?;
    written.map_err(|error| Problem::new("ballast", error))
}

fn write_all(at: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut value, mut reply) = (vec![0; VALUE_BYTES], [0; 5]);
    for key in 0..KEYS {
        // Random, so that nothing makes it smaller on its way.
        rand::fill(&mut value[..]);
        let key = format!("ballast:{key}");
        let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE_BYTES}\r\n", key.len());
        stream.write_all(&[head.as_bytes(), &value, b"\r\n"].concat())?;
        stream.read_exact(&mut reply)?;
        if reply != *b"+OK\r\n" {
            return Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned()));
        }
    }
    Ok(())
}
