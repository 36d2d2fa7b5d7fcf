//! `# Memory`: the allocator, the process, the data.

use super::{Facts, Field, field, zeros};
use crate::server::admin::memory::{Usage, difference, ratio};
use crate::server::admin::process;

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let usage = Usage::of(facts.server);
    let mut fields = used(&usage);
    fields.extend(machine(process::machine_bytes()));
    fields.extend(scripts());
    fields.extend([
        field("maxmemory", 0),
        field("maxmemory_human", "0B"),
        field("maxmemory_policy", "noeviction"),
    ]);
    fields.extend(fragmentation(&usage));
    fields.extend(zeros([
        "mem_not_counted_for_evict",
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_clients_slaves",
        "mem_clients_normal",
        "mem_cluster_links",
        "mem_aof_buffer",
    ]));
    fields.push(field("mem_allocator", "jemalloc"));
    fields.extend(zeros([
        "active_defrag_running",
        "lazyfree_pending_objects",
        "lazyfreed_objects",
    ]));
    fields
}

fn used(usage: &Usage) -> Vec<Field> {
    let Usage { allocator, rss, peak, .. } = *usage;
    vec![
        field("used_memory", allocator.allocated),
        field("used_memory_human", human(allocator.allocated)),
        field("used_memory_rss", rss),
        field("used_memory_rss_human", human(rss)),
        field("used_memory_peak", peak),
        field("used_memory_peak_human", human(peak)),
        field("used_memory_peak_perc", percent(usage.peak_percent())),
        field("used_memory_overhead", usage.overhead()),
        field("used_memory_startup", usage.startup),
        field("used_memory_dataset", usage.dataset),
        field("used_memory_dataset_perc", percent(usage.dataset_percent())),
        field("allocator_allocated", allocator.allocated),
        field("allocator_active", allocator.active),
        field("allocator_resident", allocator.resident),
    ]
}

fn machine(bytes: u64) -> [Field; 2] {
    [field("total_system_memory", bytes), field("total_system_memory_human", human(bytes))]
}

fn scripts() -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, is_size) in [
        ("used_memory_lua", true),
        ("used_memory_vm_eval", false),
        ("used_memory_scripts_eval", false),
        ("number_of_cached_scripts", false),
        ("number_of_functions", false),
        ("number_of_libraries", false),
        ("used_memory_vm_functions", false),
        ("used_memory_vm_total", true),
        ("used_memory_functions", false),
        ("used_memory_scripts", true),
    ] {
        fields.push(field(name, 0));
        if is_size {
            fields.push(field(format!("{name}_human"), "0B"));
        }
    }
    fields
}

fn fragmentation(usage: &Usage) -> [Field; 8] {
    let Usage { allocator, rss, .. } = *usage;
    let pair = |ratio_name: &'static str, bytes_name: &'static str, a: u64, b: u64| {
        [field(ratio_name, format_args!("{:.2}", ratio(a, b))), field(bytes_name, difference(a, b))]
    };
    let allocated = allocator.allocated;
    let [a, b] = pair("allocator_frag_ratio", "allocator_frag_bytes", allocator.active, allocated);
    let [c, d] =
        pair("allocator_rss_ratio", "allocator_rss_bytes", allocator.resident, allocator.active);
    let [e, f] = pair("rss_overhead_ratio", "rss_overhead_bytes", rss, allocator.resident);
    let [g, h] = pair("mem_fragmentation_ratio", "mem_fragmentation_bytes", rss, allocated);
    [a, b, c, d, e, f, g, h]
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// Bytes as Redis shows them to people.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    for unit in UNITS {
        if scaled < 1024.0 || unit == "P" {
            return format!("{scaled:.2}{unit}");
        }
        scaled /= 1024.0;
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines;
    use crate::server::admin::memory::Allocator;

    #[test]
    fn sizes_for_people() {
        let shown = [0, 1023, 1024, 1_572_864, 5 << 30, u64::MAX].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50M", "5.00G", "16384.00P"]);
    }

    #[test]
    fn fragmentation_may_be_negative() {
        let allocator = Allocator { allocated: 200, active: 400, resident: 600 };
        let usage = Usage { allocator, rss: 100, ..Usage::default() };
        let lines = lines(&fragmentation(&usage));
        assert_eq!(lines[..2], ["allocator_frag_ratio:2.00", "allocator_frag_bytes:200"]);
        assert_eq!(lines[6..], ["mem_fragmentation_ratio:0.50", "mem_fragmentation_bytes:-100"]);
    }
}
