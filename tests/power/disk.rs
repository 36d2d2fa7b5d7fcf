//! Disks whose power can be cut: ext4 in a file, mounted over a loop device.
//!
//! Cutting the power shuts the file system down without a flush of its journal: what was not
//! fsynced is gone, and every later write and fsync fails. Debian's own programs do it, as the
//! call behind it is unsafe in Rust.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing becomes durable by luck: neither by the journal's timer nor by a rename.
const MOUNT_OPTIONS: &str = "loop,noatime,noauto_da_alloc,commit=300";

/// `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`, of all directories at one moment.
const CUT: &str = r#"
    for (@ARGV) { open my $dir, "<", $_ or die "$_: $!"; push @dirs, $dir }
    for (@dirs) { my $flags = pack "L", 2; ioctl $_, 0x8004587d, $flags or die "ioctl: $!" }
"#;

/// Unmounts when its input ends: when the disk is dropped, or the test is killed in whatever way.
const GUARD: &str = r#"cat; umount --lazy "$0"; rm -f "$1""#;

/// A small disk. Dropping it unmounts it; whoever uses it must have ended before.
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    guard: Child,
}

/// What this machine lacks to have such disks.
pub fn lacks() -> Option<&'static str> {
    let has = |program: &str| command(program).arg("-V").output().is_ok();
    if !may_mount() {
        return Some("root");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("loop devices");
    }
    let programs = ["mkfs.ext4", "mount", "umount", "perl"];
    programs.into_iter().find(|program| !has(program))
}

fn may_mount() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap() & CAP_SYS_ADMIN != 0
}

impl Disk {
    /// A new one, mounted below `dir`.
    pub fn new(dir: &Path, name: &str, megabytes: u64) -> Self {
        let (image, mount) = (dir.join(format!("{name}.ext4")), dir.join(name));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        insist(command("mkfs.ext4").args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(&image));
        let guard = guard(&mount, &image);
        let disk = Self { image, mount, guard };
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power of all of them at one moment.
    pub fn cut_all<'a>(disks: impl Iterator<Item = &'a Self>) {
        insist(command("perl").args(["-e", CUT]).args(disks.map(Self::path)));
    }

    /// Power comes back. Nobody may use the disk meanwhile.
    pub fn come_back(&self) {
        insist(command("umount").arg(&self.mount));
        self.mount();
    }

    fn mount(&self) {
        insist(command("mount").args(["-o", MOUNT_OPTIONS]).arg(&self.image).arg(&self.mount));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// In a process group of its own: what interrupts the test does not interrupt the guard.
fn guard(mount: &Path, image: &Path) -> Child {
    let mut guard = command("sh");
    guard.args(["-c", GUARD]).args([mount, image]).process_group(0);
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A path of its own, as not every user's has the programs of root.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn insist(command: &mut Command) {
    let Output { status, stderr, .. } = patiently(command);
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
}

/// A mount may be in use a moment longer than the processes on it, and so may its loop device.
fn patiently(command: &mut Command) -> Output {
    let begun = Instant::now();
    loop {
        let output = command.output().unwrap();
        if output.status.success() || begun.elapsed() > Duration::from_secs(5) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
