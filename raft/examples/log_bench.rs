//! What does the log cost over the bare device? Appends entries of 200 bytes in batches, each
//! batch durable before the next, and compares with one write and one fdatasync of as many bytes
//! in a file made of zeros; then the same from sixteen shards at once. The first second of a row
//! does not count: it makes the files that are used again from then on.
//!
//! `cargo run --release -p talus-raft --example log_bench [directory] [seconds per row]`

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use raft::log::{ShardLog, Wal, WalOptions};
use raft::types::{Command, Entry, LeaderId, LogId, Payload, Types};
use raft::{Checkpointer, Committed, ShardId, StateMachine};

const ENTRY_BYTES: usize = 200;
const BATCHES: [u64; 4] = [1, 16, 64, 256];
const SHARDS: u32 = 16;
const WARM_UP: Duration = Duration::from_secs(1);
/// Of all shards together, before they are purged.
const LIVE_BYTES: usize = 64 << 20;

/// A state machine of which only the types matter.
struct Nothing;

impl StateMachine for Nothing {
    type Reply = ();

    fn applied(&mut self) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn apply(&mut self, entries: Vec<Committed>, _: Bytes) -> io::Result<Vec<()>> {
        Ok(vec![(); entries.len()])
    }

    fn has_room(&self) -> bool {
        true
    }

    fn checkpointer(&mut self) -> io::Result<Checkpointer> {
        Ok(Box::new(|_| Ok(())))
    }

    fn applied_in(_: &Path) -> io::Result<Option<Bytes>> {
        Ok(None)
    }

    fn install(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

type C = Types<Nothing>;

/// One row: batches counted and their latencies.
struct Row(Vec<Duration>);

impl Row {
    fn print(mut self, what: &str, batch: u64, took: Duration, note: &str) {
        self.0.sort();
        let at = |part: f64| self.0[((self.0.len() - 1) as f64 * part) as usize].as_micros();
        let rate = (self.0.len() as u64 * batch) as f64 / took.as_secs_f64();
        println!("{what:<22} {batch:>5} {rate:>12.0} {:>8} {:>8}  {note}", at(0.5), at(0.99));
    }
}

fn raw(dir: &Path, batch: u64, seconds: u64) -> io::Result<()> {
    const FILE_BYTES: u64 = 64 << 20;
    let path = dir.join("raw");
    let file = std::fs::File::create(&path)?;
    file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
    file.sync_all()?;
    let bytes = vec![7; batch as usize * (ENTRY_BYTES + 40)];
    let (began, mut offset, mut row) = (Instant::now(), 0, vec![]);
    while began.elapsed() < Duration::from_secs(seconds) {
        let start = Instant::now();
        if offset + bytes.len() as u64 > FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&bytes, offset)?;
        file.sync_data()?;
        offset += bytes.len() as u64;
        row.push(start.elapsed());
    }
    Row(row).print("write + fdatasync", batch, began.elapsed(), "");
    std::fs::remove_file(path)
}

/// Appends batches to one shard, each durable before the next, and purges now and then.
async fn appends(
    mut log: ShardLog,
    batch: u64,
    counted: (Instant, Instant),
    live: u64,
) -> io::Result<Vec<Duration>> {
    let payload = Bytes::from(vec![7; ENTRY_BYTES]);
    let id = |index| LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
    let (mut next, mut purged, mut row) = (1, 1, vec![]);
    while Instant::now() < counted.1 {
        let entry = |index| Entry {
            log_id: id(index),
            payload: Payload::Normal(Command::from(payload.clone())),
        };
        let start = Instant::now();
        let (sender, durable) = C::oneshot();
        let entries: Vec<_> = (next..next + batch).map(entry).collect();
        RaftLogStorage::<C>::append(&mut log, entries, IOFlushed::signal(sender)).await?;
        durable.await.map_err(io::Error::other)??;
        if start >= counted.0 {
            row.push(start.elapsed());
        }
        next += batch;
        if next - purged > live {
            RaftLogStorage::<C>::purge(&mut log, id(next - live / 2)).await?;
            purged = next - live / 2;
        }
    }
    Ok(row)
}

async fn shards(dir: &Path, shards: u32, batch: u64, seconds: u64) -> io::Result<()> {
    let path = dir.join("log");
    let opening = Instant::now();
    let (wal, _) = Wal::open(&path, WalOptions::default())?;
    let opened = opening.elapsed();
    let began = Instant::now() + WARM_UP;
    let counted = (began, began + Duration::from_secs(seconds));
    let live = (LIVE_BYTES / (ENTRY_BYTES + 40) / shards as usize) as u64;
    let task = |id| tokio::spawn(appends(wal.shard(ShardId(id), None), batch, counted, live));
    let tasks: Vec<_> = (0..shards).map(task).collect();
    tokio::time::sleep_until(began.into()).await;
    let syncs = wal.stats().syncs;
    let mut row = vec![];
    for task in tasks {
        row.extend(task.await.map_err(io::Error::other)??);
    }
    let took = began.elapsed();
    let stats = wal.stats();
    let note = format!(
        "syncs/s {:.0}, sync p50 {} p99 {} us, opened in {:.1} ms",
        (stats.syncs - syncs) as f64 / took.as_secs_f64(),
        stats.sync_micros.quantile(0.5),
        stats.sync_micros.quantile(0.99),
        opened.as_secs_f64() * 1e3
    );
    Row(row).print(&format!("log, {shards} shards"), batch, took, &note);
    drop(wal);
    std::fs::remove_dir_all(path)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let dir = dir.join(format!("talus-log-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    println!("{:<22} {:>5} {:>12} {:>8} {:>8}", "", "batch", "entries/s", "p50 us", "p99 us");
    for batch in BATCHES {
        raw(&dir, batch, seconds)?;
        shards(&dir, 1, batch, seconds).await?;
        shards(&dir, SHARDS, batch, seconds).await?;
    }
    std::fs::remove_dir_all(dir)
}
