//! The two calls of etcd's gRPC API that are compared, written by hand from its `rpc.proto`: that
//! is less than its client, which wants protoc.

use std::io;

use bytes::Bytes;
use futures::future::join_all;
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::measure::Answers;
use crate::workload::Workload;
use crate::{Mode, Options};

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// Without `serializable` it is linearizable.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(int64, tag = "4")]
    count: i64,
}

pub struct Connection {
    channel: Channel,
    depth: usize,
    is_get: bool,
}

impl Connection {
    pub async fn open(options: &Options, address: &str) -> io::Result<Self> {
        let endpoint = Channel::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(io::Error::other)?;
        let channel = endpoint.connect().await.map_err(io::Error::other)?;
        Ok(Self { channel, depth: options.pipeline, is_get: options.mode == Mode::EtcdGet })
    }

    pub async fn round_trip(&self, workload: &Workload) -> Answers {
        let mut answers = Answers { requests: self.depth as u64, ..Answers::default() };
        for found in join_all((0..self.depth).map(|_| self.request(workload))).await {
            match found {
                Ok(true) => {}
                Ok(false) => answers.misses += 1,
                Err(status) => answers.error(status),
            }
        }
        answers
    }

    /// Whether a key was put or found.
    async fn request(&self, workload: &Workload) -> Result<bool, Status> {
        let key = Bytes::copy_from_slice(&workload.key());
        if self.is_get {
            let found: RangeResponse =
                self.call("/etcdserverpb.KV/Range", RangeRequest { key }).await?;
            return Ok(found.count > 0);
        }
        let put = PutRequest { key, value: workload.value() };
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", put).await?;
        Ok(true)
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        client.unary(Request::new(request), path, codec).await.map(|reply| reply.into_inner())
    }
}
