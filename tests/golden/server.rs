//! Servers as real processes on loopback, each with a directory of its own.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;
use resp::client::{Client, Timeouts};
use tempfile::TempDir;

use super::script::Flavor;
use super::target::{Link, Target, connect_to};

/// How long a server may take until it takes writes.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// One server, killed when dropped.
pub struct Process {
    flavor: Flavor,
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Process {
    /// Debian's Redis, if it is installed.
    pub fn redis() -> io::Result<Option<Self>> {
        let Some(program) = find_program("redis-server") else { return Ok(None) };
        Self::start(Flavor::Redis, &program, redis_arguments).map(Some)
    }

    /// The Valkey named by the environment.
    pub fn valkey() -> io::Result<Option<Self>> {
        let program = env::var_os("TALUS_VALKEY").map(PathBuf::from);
        let Some(program) = program.filter(|program| program.is_file()) else { return Ok(None) };
        Self::start(Flavor::Valkey, &program, redis_arguments).map(Some)
    }

    /// One node of Talus.
    pub fn talus(program: PathBuf) -> io::Result<Self> {
        Self::start(Flavor::Talus, &program, |port, dir| {
            let dir = dir.display().to_string();
            vec!["serve".into(), "--port".into(), port.to_string(), "--data-dir".into(), dir]
        })
    }

    fn start(
        flavor: Flavor,
        program: &Path,
        arguments: impl FnOnce(u16, &Path) -> Vec<String>,
    ) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let child = Command::new(program)
            .args(arguments(port, dir.path()))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let mut process = Self { flavor, child, addr, _dir: dir };
        process.wait_until_ready()?;
        Ok(process)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("{:?} ended: {status}", self.flavor)));
            }
            if takes_writes(self.addr) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{:?} is not ready", self.flavor)))
    }
}

impl Target for Process {
    fn flavor(&self) -> Flavor {
        self.flavor
    }

    fn connect(&self, _client: usize) -> io::Result<Box<dyn Link>> {
        connect_to(self.addr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn redis_arguments(port: u16, dir: &Path) -> Vec<String> {
    let port = port.to_string();
    let dir = dir.display().to_string();
    let pairs = [
        ("--port", port.as_str()),
        ("--dir", &dir),
        ("--bind", "127.0.0.1"),
        ("--save", ""),
        ("--appendonly", "no"),
        ("--enable-debug-command", "yes"),
    ];
    pairs.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}

fn takes_writes(addr: SocketAddr) -> bool {
    let timeout = Duration::from_secs(5);
    let timeouts = Timeouts { connect: timeout, io: Some(timeout) };
    let flushed =
        Client::connect_within(addr, timeouts).and_then(|mut client| client.request(&["FLUSHALL"]));
    matches!(flushed, Ok(reply) if reply == Reply::OK)
}

fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A port below the ephemeral ones that is free, and so are those Talus derives from it.
fn free_port() -> io::Result<u16> {
    let seed = u16::try_from(std::process::id() % 1000).expect("below 1000");
    let moment = std::time::UNIX_EPOCH.elapsed().map_or(0, |it| it.subsec_nanos() % 5000);
    let first = 12_000 + seed + u16::try_from(moment).expect("below 5000");
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (first..first + 2000)
        .step_by(7)
        .find(|port| free(*port) && free(port + 1) && free(port + 10_000))
        .ok_or_else(|| io::Error::other("no free port"))
}
