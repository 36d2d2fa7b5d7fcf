//! Accepts connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::Server;
use super::connection::Connection;

/// Binds one address for clients.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn bind(address: SocketAddr, backlog: u32) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves the connections that a listener accepts, for as long as the process runs.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => welcome(&server, stream, address),
            Err(error) => {
                // Out of descriptors, mostly: closing connections will help, a busy loop will not.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn welcome(server: &Arc<Server>, stream: TcpStream, address: SocketAddr) {
    server.telemetry.counters.connections_received.increment();
    if let Some(reason) = refusal(server, address) {
        server.telemetry.counters.connections_rejected.increment();
        tokio::spawn(refuse(stream, reason));
        return;
    }
    if let Err(error) = configure(server, &stream) {
        tracing::debug!(%error, %address, "cannot configure a connection");
        return;
    }
    let Ok(local_address) = stream.local_addr() else { return };
    let client = server.clients.add(address, local_address, stream.as_raw_fd());
    tokio::spawn(Connection::new(Arc::clone(server), stream, client).run());
}

const PROTECTED: &str = "-DENIED Talus is running in protected mode because protected mode is \
     enabled and no password is set for the default user. In this mode connections are only \
     accepted from the loopback interface. Set server.password, or server.protected_mode = \
     false if the network is trusted.\r\n";

fn refusal(server: &Server, address: SocketAddr) -> Option<&'static str> {
    let config = server.config.config();
    if server.clients.len() >= config.server.clients_max as usize {
        return Some("-ERR max number of clients reached\r\n");
    }
    let open = config.server.password.is_empty() && config.server.protected_mode;
    (open && !address.ip().to_canonical().is_loopback()).then_some(PROTECTED)
}

async fn refuse(mut stream: TcpStream, reason: &'static str) {
    // The client may be gone already.
    let _ = stream.write_all(reason.as_bytes()).await;
}

fn configure(server: &Server, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let idle = server.config.config().server.keepalive_s.duration().min(KEEPALIVE_MAX);
    if !idle.is_zero() {
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(idle / 3 + MINIMUM);
        SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

/// The longest time that Linux takes; Redis's setting takes longer ones.
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);
/// Keeps the probes' interval above zero.
const MINIMUM: Duration = Duration::from_secs(1);
