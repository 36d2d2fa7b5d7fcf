//! A connection that can be cut, and counts what went through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    forwarded: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let proxy = Self { address, connections: Arc::default(), forwarded: Arc::default() };
        let (connections, forwarded) = (proxy.connections.clone(), proxy.forwarded.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let forwarded = forwarded.clone();
                let task = tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let (mut client_in, mut client_out) = client.into_split();
                    let (mut server_in, mut server_out) = server.into_split();
                    let back = tokio::io::copy(&mut server_in, &mut client_out);
                    let there = async {
                        let mut buffer = vec![0; 64 << 10];
                        while let Ok(count @ 1..) = client_in.read(&mut buffer).await {
                            forwarded.fetch_add(count as u64, Ordering::Relaxed);
                            server_out.write_all(&buffer[..count]).await.ok();
                        }
                    };
                    tokio::select! { _ = back => {}, () = there => {} }
                });
                connections.lock().push(task.abort_handle());
            }
        });
        proxy
    }

    /// Breaks every connection. New ones are let through.
    pub fn cut(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }

    /// Bytes towards the target.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }
}
