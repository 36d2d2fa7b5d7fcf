//! How much memory data may take when nobody has said.

use super::settings::Config;

/// What a node takes by default on a machine that says nothing about its memory.
const FALLBACK_BYTES: u64 = 256 << 20;
/// One part of so many.
const SHARE: u64 = 4;

impl Config {
    /// Bytes of memory for data: as set, or a quarter of what this process may have.
    pub fn memory_bytes(&self) -> u64 {
        match self.storage.memory_bytes.0 {
            0 => available_bytes().map_or(FALLBACK_BYTES, |bytes| bytes / SHARE),
            bytes => bytes,
        }
    }
}

/// The smaller one of the machine's memory and the control group's limit.
fn available_bytes() -> Option<u64> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| kib(&text, "MemTotal:"));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min()
}

/// A line of `/proc/meminfo`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_unless_it_is_said() {
        let mut config = Config::default();
        let quarter = config.memory_bytes();
        assert!(available_bytes().is_none_or(|bytes| bytes / SHARE == quarter), "{quarter}");
        config.storage.memory_bytes.0 = 40 << 20;
        assert_eq!(config.memory_bytes(), 40 << 20);
        assert_eq!(kib("MemFree: 1 kB\nMemTotal:       16 kB\n", "MemTotal:"), Some(16384));
    }
}
