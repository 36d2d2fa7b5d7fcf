//! MEMORY: what the allocator, the process and the stores hold.

use std::sync::atomic::{AtomicU64, Ordering};

use resp::{Reply, ReplyError};
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats};

use super::process;
use crate::server::Server;

/// The most the allocator has given out, as far as it was noticed, and what it had at the start.
#[derive(Debug)]
pub struct MemoryMarks {
    startup: u64,
    peak: AtomicU64,
}

impl Default for MemoryMarks {
    /// Taken when nothing has been loaded yet.
    fn default() -> Self {
        let allocated = Allocator::now().allocated;
        Self { startup: allocated, peak: AtomicU64::new(allocated) }
    }
}

impl MemoryMarks {
    /// Looks whether there is more than ever; to be called every second.
    pub fn note(&self) {
        self.raise(Allocator::now().allocated);
    }

    fn raise(&self, allocated: u64) -> u64 {
        self.peak.fetch_max(allocated, Ordering::Relaxed).max(allocated)
    }
}

/// What the allocator says, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocator {
    /// Given out.
    pub allocated: u64,
    /// In pages of which at least a part is given out.
    pub active: u64,
    /// In RAM.
    pub resident: u64,
}

impl Allocator {
    fn now() -> Self {
        // Its figures are those of the last epoch; an allocator without figures shows zeros.
        let _ = epoch::advance();
        let bytes = |figure: Result<usize, _>| figure.unwrap_or_default() as u64;
        Self {
            allocated: bytes(stats::allocated::read()),
            active: bytes(stats::active::read()),
            resident: bytes(stats::resident::read()),
        }
    }
}

/// Where memory is, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// What the allocator says.
    pub allocator: Allocator,
    /// The most it has given out.
    pub peak: u64,
    /// What it had given out when the process began.
    pub startup: u64,
    /// Memory of the process that is in RAM.
    pub rss: u64,
    /// Data: rows, blocks and changes that are not yet on disk.
    pub dataset: u64,
    /// Keys there are, in all databases.
    pub keys: u64,
}

impl Usage {
    /// Where memory is now.
    pub fn of(server: &Server) -> Self {
        let allocator = Allocator::now();
        let store = server.replica.load().current.load().stats();
        Self {
            allocator,
            peak: server.memory.raise(allocator.allocated),
            startup: server.memory.startup,
            rss: process::resident_bytes(),
            dataset: store.cache.bytes
                + store.block_bytes
                + store.memtable_bytes
                + store.dirty_bytes,
            keys: store.dbs.iter().map(|db| db.keys).sum(),
        }
    }

    /// What is given out for anything but data.
    pub fn overhead(&self) -> u64 {
        self.allocator.allocated.saturating_sub(self.dataset)
    }

    /// Data's share of what was given out since the start, in percent.
    pub fn dataset_percent(&self) -> f64 {
        let since_start = self.allocator.allocated.saturating_sub(self.startup);
        (100.0 * ratio(self.dataset, since_start)).min(100.0)
    }

    /// The share of the peak that is given out now, in percent.
    pub fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.allocator.allocated, self.peak)
    }
}

/// `part / whole`; 0 of nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// By how much `a` exceeds `b`.
pub fn difference(a: u64, b: u64) -> i64 {
    a as i64 - b as i64
}

/// MEMORY STATS.
pub fn stats(server: &Server) -> Reply {
    let usage = Usage::of(server);
    let facts = bytes_of(&usage).into_iter().map(|(name, bytes)| (name, Reply::Integer(bytes)));
    let ratios = ratios_of(&usage).into_iter().map(|(name, ratio)| (name, Reply::Double(ratio)));
    Reply::Map(facts.chain(ratios).map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn bytes_of(usage: &Usage) -> [(&'static str, i64); 20] {
    let Usage { allocator, rss, .. } = *usage;
    let bytes = |count: u64| difference(count, 0);
    [
        ("peak.allocated", bytes(usage.peak)),
        ("total.allocated", bytes(allocator.allocated)),
        ("startup.allocated", bytes(usage.startup)),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", 0),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", bytes(usage.overhead())),
        ("keys.count", bytes(usage.keys)),
        ("keys.bytes-per-key", bytes(usage.dataset.checked_div(usage.keys).unwrap_or(0))),
        ("dataset.bytes", bytes(usage.dataset)),
        ("allocator.allocated", bytes(allocator.allocated)),
        ("allocator.active", bytes(allocator.active)),
        ("allocator.resident", bytes(allocator.resident)),
        ("allocator-fragmentation.bytes", difference(allocator.active, allocator.allocated)),
        ("allocator-rss.bytes", difference(allocator.resident, allocator.active)),
        ("fragmentation.bytes", difference(rss, allocator.allocated)),
    ]
}

fn ratios_of(usage: &Usage) -> [(&'static str, f64); 6] {
    let Usage { allocator, rss, .. } = *usage;
    [
        ("dataset.percentage", usage.dataset_percent()),
        ("peak.percentage", usage.peak_percent()),
        ("allocator-fragmentation.ratio", ratio(allocator.active, allocator.allocated)),
        ("allocator-rss.ratio", ratio(allocator.resident, allocator.active)),
        ("rss-overhead.ratio", ratio(rss, allocator.resident)),
        ("fragmentation", ratio(rss, allocator.allocated)),
    ]
}

/// MEMORY DOCTOR.
pub fn doctor(server: &Server) -> Reply {
    let findings = findings(&Usage::of(server), server.config.config().memory_bytes());
    let text = match findings.as_slice() {
        [] => "No problem with memory was found.\n".to_owned(),
        findings => findings.iter().map(|finding| format!("* {finding}\n")).collect(),
    };
    Reply::text(text)
}

/// Below this there is too little to judge by.
const JUDGED_BYTES_MIN: u64 = 64 << 20;

fn findings(usage: &Usage, budget: u64) -> Vec<String> {
    let Usage { allocator, .. } = *usage;
    let mut findings = Vec::new();
    if allocator.allocated < JUDGED_BYTES_MIN {
        return findings;
    }
    if usage.peak > allocator.allocated * 3 / 2 {
        findings.push(format!(
            "Peak: {} bytes were given out at one time, {} are now. The difference comes back to \
             the system within seconds, or at once with MEMORY PURGE.",
            usage.peak, allocator.allocated
        ));
    }
    if ratio(allocator.active, allocator.allocated) > 1.5 {
        findings.push(format!(
            "Fragmentation: pages of {} bytes hold {} bytes. A restart brings them together.",
            allocator.active, allocator.allocated
        ));
    }
    if usage.dataset > budget + budget / 10 {
        findings.push(format!(
            "Budget: data takes {} bytes, storage.memory_bytes allows {budget}. Readers that hold \
             old values, or a disk that cannot keep up with writes, are the causes to look for.",
            usage.dataset
        ));
    }
    findings
}

/// MEMORY MALLOC-STATS.
pub async fn malloc_stats() -> Reply {
    let print = || {
        let mut text = Vec::new();
        stats_print(&mut text, Options::default()).map(|()| text)
    };
    match tokio::task::spawn_blocking(print).await {
        Ok(Ok(text)) => Reply::text(text),
        _ => Reply::Error(ReplyError::Raw("ERR the allocator keeps no figures".into())),
    }
}

/// MEMORY PURGE: pages that are not in use go back to the system.
pub async fn purge() -> Reply {
    match tokio::task::spawn_blocking(purge_arenas).await {
        Ok(Ok(())) => Reply::OK,
        _ => Reply::Error(ReplyError::Raw("ERR Error purging dirty pages".into())),
    }
}

/// Unused pages are kept for a while before they are given back. With no such while they are given
/// back at once; then it is set to what it was.
fn purge_arenas() -> Result<(), tikv_jemalloc_ctl::Error> {
    for arena in 0..arenas::narenas::read()? {
        let name = format!("arena.{arena}.dirty_decay_ms\0");
        // Arenas nobody has used yet do not exist, which is no error.
        let keep: Result<isize, _> = name.as_str().name().update(0_isize);
        if let Ok(keep) = keep {
            name.as_str().name().write(keep)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn usage(allocated: u64, active: u64, peak: u64, dataset: u64) -> Usage {
        let allocator = Allocator { allocated, active, resident: active };
        Usage { allocator, peak, startup: MIB, rss: active, dataset, keys: 10 }
    }

    #[test]
    fn shares_are_percentages() {
        let usage = usage(101 * MIB, 110 * MIB, 202 * MIB, 50 * MIB);
        assert_eq!((usage.dataset_percent(), usage.peak_percent()), (50.0, 50.0));
        assert_eq!(usage.overhead(), 51 * MIB);
        assert_eq!(Usage::default().dataset_percent(), 0.0);
    }

    #[test]
    fn the_doctor_finds_what_is_wrong() {
        let healthy = usage(100 * MIB, 110 * MIB, 120 * MIB, 50 * MIB);
        assert!(findings(&healthy, 64 * MIB).is_empty());
        let ill = usage(100 * MIB, 200 * MIB, 400 * MIB, 90 * MIB);
        assert_eq!(findings(&ill, 64 * MIB).len(), 3);
        assert!(findings(&usage(MIB, 9 * MIB, 99 * MIB, MIB), MIB).is_empty());
    }

    #[test]
    fn purging_keeps_the_settings() {
        let decay = || -> isize { "arenas.dirty_decay_ms\0".name().read().expect("a setting") };
        let before = decay();
        purge_arenas().expect("purges");
        assert_eq!(decay(), before);
    }
}
