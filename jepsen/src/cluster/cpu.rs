//! How much of the processor a node may use, by a control group (version 1) of its own.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::guard::CPU_GROUPS;
use super::{Problem, tool};

const PERIOD_US: u64 = 100_000;

fn group(mark: &str, node: u32) -> PathBuf {
    Path::new(CPU_GROUPS).join(format!("{mark}-n{node}"))
}

/// What this machine lacks to share the processor out.
pub fn lacks() -> Vec<String> {
    let root = tool::lacks_root().map(str::to_owned);
    let groups = access(Path::new(CPU_GROUPS).join("cgroup.procs"), Access::WRITE_OK);
    let groups = groups.err().map(|_| "control groups of version 1 for the processor".to_owned());
    root.into_iter().chain(groups).collect()
}

/// Leaves the process so many hundredths of one processor.
pub fn limit(mark: &str, node: u32, pid: u32, percent: u64) -> Result<(), Problem> {
    let group = group(mark, node);
    fs::create_dir_all(&group).map_err(|error| Problem::new(group.display(), error))?;
    let write = |name: &str, value: u64| {
        let file = group.join(name);
        fs::write(&file, value.to_string()).map_err(|error| Problem::new(file.display(), error))
    };
    write("cpu.cfs_period_us", PERIOD_US)?;
    write("cpu.cfs_quota_us", PERIOD_US * percent / 100)?;
    write("cgroup.procs", u64::from(pid))
}

/// Gives the node all of it again. The group goes once nobody is in it.
pub fn free(mark: &str, node: u32) {
    let group = group(mark, node);
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines() {
        // A process that ended meanwhile is in no group.
        let _ = fs::write(Path::new(CPU_GROUPS).join("cgroup.procs"), pid);
    }
    let _ = fs::remove_dir(group);
}
