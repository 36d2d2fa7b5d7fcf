//! Where a node keeps its data: a plain directory, or a file system of its own in a file, whose power
//! can be cut.
//!
//! Cutting the power shuts the file system down without a flush of its journal: what was not fsynced
//! is gone, and every later write and fsync fails, until it is mounted again. The mount goes with
//! the cluster's guard.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::guard::MOUNTS;
use super::{Problem, tool};

/// Nothing becomes durable by luck: neither by the journal's timer nor by a rename.
const OPTIONS: &str = "loop,noatime,noauto_da_alloc,commit=300";
/// What the file may take at most; it takes what is written.
const BYTES: u64 = 1 << 30;
/// Takes all space there is.
const FILLER: &str = "filler";

/// `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`, of all directories at one moment.
const CUT: &str = r#"
    for (@ARGV) { open my $dir, "<", $_ or die "$_: $!"; push @dirs, $dir }
    for (@dirs) { my $flags = pack "L", 2; ioctl $_, 0x8004587d, $flags or die "ioctl: $!" }
"#;

/// What this machine lacks to have file systems of their own.
pub fn lacks() -> Vec<String> {
    let programs = ["mkfs.ext4", "mount", "umount", "perl"].into_iter();
    let programs = programs.filter(|program| !tool::has(program));
    let mut lacks: Vec<String> = programs.map(|program| format!("the program {program}")).collect();
    if !Path::new("/dev/loop-control").exists() {
        lacks.push("loop devices".to_owned());
    }
    lacks.extend(tool::lacks_root().map(str::to_owned));
    lacks
}

/// A node's place for data.
#[derive(Debug)]
pub enum Store {
    /// A directory of the machine's own file system.
    Plain(PathBuf),
    /// A file system in a file.
    Ext4 {
        /// The file.
        image: PathBuf,
        /// Where it is mounted.
        mount: PathBuf,
    },
}

impl Store {
    /// A directory.
    pub fn plain(dir: &Path) -> Result<Self, Problem> {
        fs::create_dir_all(dir).map_err(|error| Problem::new(dir.display(), error))?;
        Ok(Self::Plain(dir.to_owned()))
    }

    /// A new file system in the file `image`.
    pub fn ext4(image: PathBuf, mark: &str, node: u32) -> Result<Self, Problem> {
        let mount = Path::new(MOUNTS).join(mark).join(format!("n{node}"));
        fs::create_dir_all(&mount)?;
        File::create(&image).and_then(|file| file.set_len(BYTES))?;
        let mut make = tool::command("mkfs.ext4");
        tool::insist(make.args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(&image))?;
        let store = Self::Ext4 { image, mount };
        store.mount()?;
        Ok(store)
    }

    /// The directory for data.
    pub fn path(&self) -> &Path {
        match self {
            Self::Plain(dir) => dir,
            Self::Ext4 { mount, .. } => mount,
        }
    }

    /// Whether its power can be cut.
    pub fn has_power(&self) -> bool {
        matches!(self, Self::Ext4 { .. })
    }

    fn mount(&self) -> Result<(), Problem> {
        let Self::Ext4 { image, mount } = self else { return Ok(()) };
        let mut command = tool::command("mount");
        tool::insist(command.args(["-o", OPTIONS]).args([image, mount])).map(drop)
    }

    /// The power comes back. Nobody may use the file system.
    pub fn power_on(&self) -> Result<(), Problem> {
        let Self::Ext4 { mount, .. } = self else { return Ok(()) };
        patiently(|| tool::insist(tool::command("umount").arg(mount)))?;
        self.mount()
    }

    /// Takes all the space that is left. Returns how many bytes that was.
    pub fn fill(&self) -> Result<u64, Problem> {
        if !self.has_power() {
            return Err(Problem::new("disk-full", "the node has no file system of its own"));
        }
        let file = File::create(self.path().join(FILLER))?;
        let mut taken = 0;
        // Blocks for the file's own map are taken on the way, so the last pieces are small.
        for piece in [64 << 20, 1 << 20, 64 << 10, 4 << 10] {
            while fallocate(file.as_fd(), FallocateFlags::empty(), taken, piece).is_ok() {
                taken += piece;
            }
        }
        Ok(taken)
    }

    /// Gives the space back.
    pub fn drain(&self) {
        // Without a filler there is nothing to give back.
        let _ = fs::remove_file(self.path().join(FILLER));
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        statvfs(self.path()).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
    }
}

/// Cuts the power of all of them at one moment.
pub fn cut_power<'a>(stores: impl Iterator<Item = &'a Path>) -> Result<(), Problem> {
    tool::insist(tool::command("perl").args(["-e", CUT]).args(stores)).map(drop)
}

/// A mount may be in use a moment longer than the processes on it, and so may its loop device.
fn patiently(mut attempt: impl FnMut() -> Result<String, Problem>) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(_) if begun.elapsed() < Duration::from_secs(5) => {}
            outcome => return outcome.map(drop),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
