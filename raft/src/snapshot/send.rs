//! The sending side of a snapshot's transfer: offer, then ship what is missing.
//!
//! The producer of chunks is a task of its own, started before the call: a receiver that answers
//! only at the end of the stream would otherwise wait for a sender that waits for it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::node::v1::consensus_client::ConsensusClient;
use proto::node::v1::{Route, SnapshotChunk, SnapshotOffer, SnapshotWant};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::SnapshotDir;
use crate::beside::blocking;
use crate::convert::{required_vote, vote_out};
use crate::options::Options;
use crate::stage::{OnStage, Stage};
use crate::types::Vote;

/// Chunks between the disk and the network.
const CHUNKS_MAX: usize = 4;

/// Why a transfer did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("{0}")]
    Status(#[from] Status),
    #[error("refused: {0}")]
    Refused(String),
    #[error("reading the snapshot: {0}")]
    Disk(#[from] io::Error),
    #[error("no progress for {0:?}")]
    Stalled(Duration),
}

/// Sends a snapshot. Returns the receiver's vote once it has installed it.
pub(crate) async fn send(
    mut client: ConsensusClient<Channel>,
    route: Route,
    vote: &Vote,
    dir: SnapshotDir,
    options: &Options,
    on_stage: &OnStage,
) -> Result<Vote, SendError> {
    let begun = Instant::now();
    let manifest = Some(dir.manifest().to_wire());
    let offer = SnapshotOffer { route: Some(route.clone()), vote: Some(vote_out(vote)), manifest };
    let stalled = SendError::Stalled(options.install_timeout);
    // The receiver may have to read what it has before it knows what is missing.
    let wants = timeout(options.install_timeout, client.offer_snapshot(offer));
    let wants = wants.await.map_err(|_| stalled)??.into_inner();
    if !wants.refused.is_empty() {
        return Err(SendError::Refused(wants.refused));
    }
    on_stage(Stage::SnapshotOffered, begun.elapsed());
    let (chunks, stream) = mpsc::channel(CHUNKS_MAX);
    let producer = Producer {
        dir,
        route,
        transfer: wants.transfer,
        chunk_bytes: options.snapshot_chunk_bytes,
        bytes_per_second: options.snapshot_bytes_per_second,
        idle: options.idle_timeout,
        chunks,
    };
    let producer = tokio::spawn(producer.run(wants.files));
    let abort = producer.abort_handle();
    let _abort = AbortOnDrop(abort);
    let answer = client.send_snapshot(ReceiverStream::new(stream));
    tokio::pin!(answer);
    // The answer may come first: the receiver refuses, or the connection breaks.
    let reply = tokio::select! {
        reply = &mut answer => reply?,
        produced = producer => {
            produced.map_err(io::Error::other)??;
            let patience = options.install_timeout;
            timeout(patience, answer).await.map_err(|_| SendError::Stalled(patience))??
        }
    };
    let reply = reply.into_inner();
    if !reply.refused.is_empty() {
        return Err(SendError::Refused(reply.refused));
    }
    on_stage(Stage::SnapshotSent, begun.elapsed());
    required_vote(&reply.vote).map_err(|error| SendError::Refused(error.to_string()))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Producer {
    dir: SnapshotDir,
    route: Route,
    transfer: u64,
    chunk_bytes: usize,
    bytes_per_second: Option<u64>,
    idle: Duration,
    chunks: mpsc::Sender<SnapshotChunk>,
}

impl Producer {
    async fn run(self, wants: Vec<SnapshotWant>) -> Result<(), SendError> {
        self.ship(SnapshotChunk { transfer: self.transfer, ..SnapshotChunk::default() }).await?;
        let started = Instant::now();
        let mut sent = 0;
        for want in wants {
            let (path, mut offset) = (self.dir.data().join(&want.name), want.offset);
            loop {
                let data = read_at(path.clone(), offset, self.chunk_bytes).await?;
                // An empty file still needs one chunk to come into being.
                if data.is_empty() && offset > 0 {
                    break;
                }
                let count = data.len() as u64;
                let (name, crc32) = (want.name.clone(), crc32fast::hash(&data));
                let transfer = self.transfer;
                let route = None;
                self.ship(SnapshotChunk { route, transfer, name, offset, data, crc32 }).await?;
                if count == 0 {
                    break;
                }
                offset += count;
                sent += count;
                self.pace(started, sent).await;
            }
        }
        Ok(())
    }

    async fn ship(&self, mut chunk: SnapshotChunk) -> Result<(), SendError> {
        chunk.route = Some(self.route.clone());
        match timeout(self.idle, self.chunks.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            // The call is over; its answer says why.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => Err(SendError::Stalled(self.idle)),
        }
    }

    async fn pace(&self, started: Instant, sent: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let due = Duration::from_secs_f64(sent as f64 / rate.max(1) as f64);
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
    }
}

async fn read_at(path: PathBuf, offset: u64, count: usize) -> io::Result<Bytes> {
    blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut data = Vec::with_capacity(count);
        file.take(count as u64).read_to_end(&mut data)?;
        Ok(Bytes::from(data))
    })
    .await
}
