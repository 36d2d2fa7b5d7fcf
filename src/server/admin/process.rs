//! What the operating system knows of this process.
//!
//! Linux tells it in files. Elsewhere, and where they cannot be read, the answer is zero, as INFO
//! has it for everything it cannot know.

use std::fs;

/// Processor time spent, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// In the kernel.
    pub system: f64,
    /// Outside of it.
    pub user: f64,
    /// In the kernel, by children that ended.
    pub system_children: f64,
    /// Outside of it, by children that ended.
    pub user_children: f64,
}

/// Processor time of the whole process.
pub fn cpu_time() -> CpuTime {
    read_cpu_time("/proc/self/stat")
}

/// Processor time of the thread the process began with.
pub fn main_thread_cpu_time() -> CpuTime {
    let id = std::process::id();
    read_cpu_time(&format!("/proc/self/task/{id}/stat"))
}

fn read_cpu_time(path: &str) -> CpuTime {
    fs::read_to_string(path).ok().and_then(|stat| parse_cpu_time(&stat)).unwrap_or_default()
}

/// Fields 14 to 17 of proc_pid_stat(5), in ticks. Linux shows 100 ticks a second to every program,
/// whatever it counts in.
fn parse_cpu_time(stat: &str) -> Option<CpuTime> {
    const TICKS_PER_SECOND: f64 = 100.0;
    // The second field is the program's name in parentheses, which may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut seconds = || Some(ticks.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let (user, system) = (seconds()?, seconds()?);
    Some(CpuTime { user, system, user_children: seconds()?, system_children: seconds()? })
}

/// Memory of the process that is in RAM, in bytes.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_kib(&status, "VmRSS:").unwrap_or(0) * 1024
}

fn parse_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Memory of the machine, in bytes.
pub fn machine_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    parse_kib(&meminfo, "MemTotal:").unwrap_or(0) * 1024
}

/// The operating system, as INFO shows it: name, release, architecture.
pub fn operating_system() -> String {
    let name = rustix::system::uname();
    let parts = [name.sysname(), name.release(), name.machine()];
    parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
}

/// The program's file.
pub fn executable() -> String {
    std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 250 3 4 20 0 1";
        let expected =
            CpuTime { user: 1.5, system: 2.5, user_children: 0.03, system_children: 0.04 };
        assert_eq!(parse_cpu_time(stat), Some(expected));
        assert_eq!(parse_cpu_time("12 (a) S 1"), None);
    }

    #[test]
    fn sizes_are_found_by_their_name() {
        let status = "Name:\ttalus\nVmHWM:\t  9 kB\nVmRSS:\t  2048 kB\n";
        assert_eq!(parse_kib(status, "VmRSS:"), Some(2048));
        assert_eq!(parse_kib(status, "VmSwap:"), None);
    }
}
