//! Connections to the other members.
//!
//! One connection per address and purpose: an append must not wait behind a snapshot, nor a
//! heartbeat behind an append. Connections are opened when first used and reopened when lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::node::v1::consensus_client::ConsensusClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::types::Node;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Replication streams.
    Append,
    /// Heartbeats, votes, read indexes: small and urgent.
    Control,
    /// Snapshots.
    Snapshot,
    /// The services of the layers above.
    Service,
}

/// How connections are made.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// How often an idle connection is probed.
    pub keepalive: Duration,
    /// A connection whose probe is not answered for this long is dropped.
    pub keepalive_timeout: Duration,
    /// Largest message in either direction.
    pub message_bytes_max: usize,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(1000),
            keepalive: Duration::from_secs(2),
            keepalive_timeout: Duration::from_secs(3),
            message_bytes_max: crate::Options::default().message_bytes_max(),
        }
    }
}

/// HTTP/2 windows: what may be in flight before the receiver has read it.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// What bytes travel over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Reaches an address over something else than TCP.
pub type Dial = Arc<dyn Fn(&str) -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send + Sync>;

/// An address that is none.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not an address of a node: {0:?}")]
pub struct BadAddress(pub String);

/// The connections of this process; clones share them.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    handle: Handle,
    options: PeerOptions,
    dial: Option<Dial>,
    channels: Mutex<BTreeMap<(String, Purpose), Channel>>,
}

impl Peers {
    /// Connections that are driven by the runtime behind `handle`.
    pub fn new(handle: Handle, options: PeerOptions) -> Self {
        Self(Arc::new(Inner { handle, options, dial: None, channels: Mutex::default() }))
    }

    /// The same over another network than TCP's.
    pub fn over(dial: Dial, handle: Handle, options: PeerOptions) -> Self {
        let dial = Some(dial);
        Self(Arc::new(Inner { handle, options, dial, channels: Mutex::default() }))
    }

    /// The runtime that drives the connections.
    pub fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// Largest message that is accepted or sent.
    pub fn message_bytes_max(&self) -> usize {
        self.0.options.message_bytes_max
    }

    /// A connection for the services above consensus.
    pub fn channel(&self, node: &Node) -> Result<Channel, BadAddress> {
        self.channel_for(&node.rpc, Purpose::Service)
    }

    /// A connection to an address, for a purpose.
    pub fn channel_for(&self, address: &str, purpose: Purpose) -> Result<Channel, BadAddress> {
        let mut channels = self.0.channels.lock();
        let key = (address.to_owned(), purpose);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = self.endpoint(address).ok_or_else(|| BadAddress(address.to_owned()))?;
        let _runtime = self.0.handle.enter();
        let channel = match &self.0.dial {
            None => endpoint.connect_lazy(),
            Some(dial) => endpoint.connect_with_connector_lazy(Dialer(Arc::clone(dial))),
        };
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    /// Closes the connections to an address once nobody uses them: its member is gone.
    pub fn forget(&self, address: &str) {
        self.0.channels.lock().retain(|(known, _), _| known != address);
    }

    pub(crate) fn consensus(
        &self,
        node: &Node,
        purpose: Purpose,
    ) -> Result<ConsensusClient<Channel>, BadAddress> {
        let limit = self.message_bytes_max();
        let client = ConsensusClient::new(self.channel_for(&node.rpc, purpose)?);
        Ok(client.max_decoding_message_size(limit).max_encoding_message_size(limit))
    }

    fn endpoint(&self, address: &str) -> Option<Endpoint> {
        let options = &self.0.options;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        Some(
            endpoint
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(options.keepalive)
                .keep_alive_timeout(options.keepalive_timeout)
                .keep_alive_while_idle(true)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW),
        )
    }
}

/// A [`Dial`] as tonic wants it.
struct Dialer(Dial);

impl Service<Uri> for Dialer {
    type Response = TokioIo<Box<dyn Wire>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let dialled = (self.0)(address.authority().map_or("", |authority| authority.as_str()));
        Box::pin(async move { Ok(TokioIo::new(dialled.await?)) })
    }
}

/// A server for node-to-node traffic, with the windows and probes that its clients expect.
pub fn server() -> tonic::transport::Server {
    let options = PeerOptions::default();
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(options.keepalive))
        .http2_keepalive_timeout(Some(options.keepalive_timeout))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}
