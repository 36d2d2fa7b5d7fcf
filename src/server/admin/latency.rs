//! LATENCY.
//!
//! Redis watches for spikes of events that block its one thread. Nothing here blocks like that,
//! so no spikes are recorded and what asks for them finds none; the times of commands are in
//! LATENCY HISTOGRAM, those of every stage of a request in INFO and in the metrics.

use std::time::Duration;

use resp::{Reply, ReplyError};

use crate::commands;
use crate::server::Server;
use crate::telemetry::CommandMetrics;
use crate::telemetry::histogram::Snapshot;

/// LATENCY LATEST.
pub fn latest() -> Reply {
    Reply::EMPTY_ARRAY
}

/// LATENCY HISTORY.
pub fn history() -> Reply {
    Reply::EMPTY_ARRAY
}

/// LATENCY GRAPH.
pub fn graph(event: &str) -> Reply {
    Reply::Error(ReplyError::Raw(format!("ERR No samples available for event '{event}'")))
}

/// LATENCY RESET: how many events were forgotten.
pub fn reset() -> Reply {
    Reply::Integer(0)
}

/// LATENCY DOCTOR.
pub fn doctor() -> Reply {
    Reply::text(
        "Latency spikes are not recorded: no event blocks this node as a whole. LATENCY HISTOGRAM \
         has the times of commands, INFO and /metrics those of every stage of a request.\n",
    )
}

/// LATENCY HISTOGRAM: how often commands took how long.
pub fn histogram(server: &Server, names: &[String]) -> Reply {
    let commands = server.telemetry.commands.iter();
    let asked = commands.filter(|command| is_asked_for(command.name, names));
    Reply::Map(asked.filter_map(entry).collect())
}

/// A container stands for all its subcommands, as in Redis.
fn is_asked_for(command: &str, names: &[String]) -> bool {
    let container = command.split_once('|').map_or(command, |(container, _)| container);
    let is = |name: &String| {
        name.eq_ignore_ascii_case(command)
            || (name.eq_ignore_ascii_case(container) && is_container(container))
    };
    names.is_empty() || names.iter().any(is)
}

fn is_container(name: &str) -> bool {
    commands::lookup(name.as_bytes()).is_some_and(|command| !command.subcommands.is_empty())
}

fn entry(command: &CommandMetrics) -> Option<(Reply, Reply)> {
    let times = command.time.since_reset();
    let calls = times.count();
    let buckets = buckets(&times).into_iter();
    let buckets = buckets.map(|(micros, count)| (Reply::count(micros), Reply::count(count)));
    let facts = vec![
        (Reply::bulk("calls"), Reply::count(calls)),
        (Reply::bulk("histogram_usec"), Reply::Map(buckets.collect())),
    ];
    (calls > 0).then(|| (Reply::bulk(command.name), Reply::Map(facts)))
}

/// Ends of buckets, each twice the one before, and how many calls took no longer. Buckets to which
/// no call belongs are left out.
fn buckets(times: &Snapshot) -> Vec<(u64, u64)> {
    const DOUBLINGS: u32 = 28;
    let all = times.count();
    let mut buckets = Vec::new();
    let mut before = 0;
    for micros in (0..DOUBLINGS).map(|doubling| 1 << doubling) {
        let count = times.count_up_to(Duration::from_micros(micros));
        if count > before {
            buckets.push((micros, count));
            before = count;
        }
        if count == all {
            return buckets;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Histogram;

    #[test]
    fn buckets_count_up() {
        let histogram = Histogram::default();
        for micros in [1, 3, 3, 100] {
            histogram.record(Duration::from_micros(micros));
        }
        let buckets = buckets(&histogram.snapshot());
        assert_eq!(buckets, [(2, 1), (4, 3), (128, 4)]);
    }
}
