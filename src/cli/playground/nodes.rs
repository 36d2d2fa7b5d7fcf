//! The processes of a playground and their files.

use crate::cli::failure::Failure;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Where everything is.
pub struct Layout {
    pub nodes: u16,
    pub root: PathBuf,
    base_port: u16,
    temporary: bool,
}

impl Layout {
    /// In the directory `keep`, or in one that is removed at the end.
    pub fn new(nodes: u16, base_port: u16, keep: Option<PathBuf>) -> Result<Layout, Failure> {
        let temporary = keep.is_none();
        let root = keep.unwrap_or_else(|| {
            let name = format!("talus-playground-{base_port}-{}", std::process::id());
            std::env::temp_dir().join(name)
        });
        let layout = Layout { nodes, root, base_port, temporary };
        let made = (1..=nodes).try_for_each(|number| fs::create_dir_all(layout.data(number)));
        made.map_err(|error| Failure::new(format!("{}: {error}", layout.root.display())))?;
        Ok(layout)
    }

    fn port(&self, number: u16) -> u16 {
        self.base_port + number - 1
    }

    pub fn resp(&self, number: u16) -> String {
        format!("127.0.0.1:{}", self.port(number))
    }

    pub fn http(&self, number: u16) -> String {
        format!("127.0.0.1:{}", self.port(number) + 1000)
    }

    pub fn url(&self, number: u16) -> String {
        format!("http://{}", self.http(number))
    }

    pub fn urls(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| self.url(number)).collect()
    }

    fn data(&self, number: u16) -> PathBuf {
        self.root.join(format!("node-{number}"))
    }

    fn log(&self, number: u16) -> PathBuf {
        self.root.join(format!("node-{number}.log"))
    }

    /// The first node founds the cluster, the others join it; who has been a member before knows
    /// its cluster.
    fn arguments(&self, number: u16) -> Vec<String> {
        let join = (number > 1).then(|| ["--join".into(), self.resp(1)]);
        let data = self.data(number).display().to_string();
        let fixed = [
            ["--bind".into(), "127.0.0.1".into()],
            ["--port".into(), self.port(number).to_string()],
            ["--http".into(), self.http(number)],
            ["--data-dir".into(), data],
            ["--cluster-name".into(), "playground".into()],
        ];
        let options = fixed.into_iter().chain(join).flatten();
        ["serve".into(), "--until-stdin-closes".into()].into_iter().chain(options).collect()
    }
}

/// The token the nodes take from the environment they share with the playground.
pub fn token() -> Option<String> {
    let name = crate::config::redis::setting("admin.token")?.variable();
    std::env::var_os(name)?.into_string().ok()
}

struct Node {
    number: u16,
    child: Child,
    started: Instant,
}

/// The processes that run.
pub struct Nodes {
    pub layout: Layout,
    running: Vec<Node>,
}

impl Nodes {
    pub fn new(layout: Layout) -> Nodes {
        Nodes { layout, running: Vec::new() }
    }

    /// Starts a node, in a process group of its own: what interrupts the playground does not
    /// interrupt the nodes.
    pub fn start(&mut self, number: u16) -> Result<(), Failure> {
        let child = self.spawn(number);
        let child = child.map_err(|error| Failure::new(format!("node {number}: {error}")))?;
        self.running.push(Node { number, child, started: Instant::now() });
        Ok(())
    }

    fn spawn(&self, number: u16) -> std::io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.layout.log(number))?;
        Command::new(std::env::current_exe()?)
            .args(self.layout.arguments(number))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// As `kill -9` does.
    pub async fn kill(&mut self, number: u16) {
        let Some(place) = self.running.iter().position(|node| node.number == number) else {
            return;
        };
        let mut node = self.running.swap_remove(place);
        // It may have ended by itself; either way it is gone.
        let _ = node.child.kill().await;
    }

    /// Fails if a node has ended by itself.
    pub fn check(&mut self) -> Result<(), Failure> {
        let ended = |node: &mut Node| node.child.try_wait().is_ok_and(|status| status.is_some());
        let Some(place) = self.running.iter_mut().position(ended) else { return Ok(()) };
        let number = self.running[place].number;
        Err(Failure::new(format!(
            "node {number} has stopped: {}",
            last_line(&self.layout.log(number))
        ))
        .help(format!("its log is {}", self.layout.log(number).display())))
    }

    /// Restarts nodes that somebody killed. One that ends right after its start stays away.
    pub async fn revive(&mut self) -> Result<(), Failure> {
        const LIVED_MIN: Duration = Duration::from_secs(5);
        for place in (0..self.running.len()).rev() {
            let node = &mut self.running[place];
            let Ok(Some(status)) = node.child.try_wait() else { continue };
            if node.started.elapsed() < LIVED_MIN {
                return self.check();
            }
            let number = node.number;
            println!("  node {number} has ended ({status}), restarting it");
            self.running.remove(place);
            sleep(Duration::from_secs(1)).await;
            self.start(number)?;
        }
        Ok(())
    }

    /// Ends all. Temporary data goes, unless it is needed to see what went wrong.
    pub async fn stop(mut self, went_well: bool) {
        const GRACE: Duration = Duration::from_secs(10);
        for node in &mut self.running {
            drop(node.child.stdin.take());
        }
        for node in &mut self.running {
            if timeout(GRACE, node.child.wait()).await.is_err() {
                // It may end meanwhile; either way it is gone.
                let _ = node.child.kill().await;
            }
        }
        if self.layout.temporary
            && went_well
            && let Err(error) = fs::remove_dir_all(&self.layout.root)
        {
            eprintln!("warning: {} stays: {error}", self.layout.root.display());
        }
    }
}

/// The reason a node gave for its end: its last error, or whatever it said last.
fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = |line: &&str| !line.trim().is_empty();
    let mut errors = text.lines().rev().filter_map(|line| line.strip_prefix("error: "));
    let line = errors.next().or_else(|| text.lines().rev().find(said));
    line.unwrap_or("it said nothing").to_owned()
}
