//! `# Server`: the program and the machine.

use super::{Facts, Field, field, zeros};
use crate::server::REDIS_VERSION;
use crate::server::admin::{process, time};

const SECONDS_PER_DAY: u64 = 24 * 3600;

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let (server, config) = (facts.server, facts.server.config.config());
    let uptime_s = server.started.elapsed().as_secs();
    let file = server.config.file().map_or_else(String::new, |file| file.display().to_string());
    let mut fields = vec![
        field("redis_version", REDIS_VERSION),
        field("server_name", "talus"),
        field("talus_version", env!("CARGO_PKG_VERSION")),
        field("redis_git_sha1", "00000000"),
        field("redis_git_dirty", 0),
        field("redis_build_id", "0"),
        field("redis_mode", "standalone"),
        field("os", process::operating_system()),
        field("arch_bits", usize::BITS),
        field("monotonic_clock", "POSIX clock_gettime"),
        field("multiplexing_api", if cfg!(target_os = "linux") { "epoll" } else { "kqueue" }),
        field("atomicvar_api", "rust"),
        field("gcc_version", "0.0.0"),
        field("process_id", std::process::id()),
        field("process_supervised", "no"),
        field("run_id", &server.run_id),
        field("tcp_port", config.server.port),
        field("server_time_usec", time::unix_micros()),
        field("uptime_in_seconds", uptime_s),
        field("uptime_in_days", uptime_s / SECONDS_PER_DAY),
        field("hz", 10),
        field("configured_hz", 10),
        field("lru_clock", time::unix_seconds() & LRU_CLOCK_MAX),
        field("executable", process::executable()),
        field("config_file", file),
    ];
    fields.extend(zeros(["io_threads_active"]));
    fields.extend(config.server.bind.0.iter().enumerate().map(|(number, address)| {
        let port = config.server.port;
        field(format!("listener{number}"), format_args!("name=tcp,bind={address},port={port}"))
    }));
    fields
}

/// Redis's clock of key ages has 24 bits.
const LRU_CLOCK_MAX: u64 = (1 << 24) - 1;
