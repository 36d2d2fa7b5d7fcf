//! Which process a connection belongs to, from what the kernel lists under `/proc`.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The process of `among` that has the socket which is bound to `local` and connected to `remote`.
pub fn owner(
    local: SocketAddrV4,
    remote: SocketAddrV4,
    mut among: impl Iterator<Item = u32>,
) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = table.lines().skip(1).find_map(|line| inode_of(line, local, remote))?;
    let name = format!("socket:[{inode}]");
    among.find(|pid| has_open(*pid, &name))
}

/// The inode in a line such as `1: 0100007F:1F90 0200007F:A2C4 01 0:0 0:0 0 0 0 4711 …`.
fn inode_of(line: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let mut words = line.split_whitespace().skip(1);
    let is_it = address(words.next()?)? == local && address(words.next()?)? == remote;
    is_it.then(|| words.nth(6)?.parse().ok())?.filter(|inode| *inode != 0)
}

/// An address is written as the bytes lie in memory, the port is not.
fn address(text: &str) -> Option<SocketAddrV4> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_str_radix(port, 16).ok()?))
}

fn has_open(pid: u32, name: &str) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.any(|target| target.as_os_str() == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    #[test]
    fn a_connection_is_found_to_be_this_process_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) =
            (client.local_addr().unwrap(), client.peer_addr().unwrap())
        else {
            panic!("not IPv4")
        };
        let own = std::process::id();
        assert_eq!(owner(local, remote, [1, own].into_iter()), Some(own));
        assert_eq!(owner(local, remote, std::iter::empty()), None);
        let other = SocketAddrV4::new(*remote.ip(), remote.port() ^ 1);
        assert_eq!(owner(local, other, [own].into_iter()), None);
    }
}
