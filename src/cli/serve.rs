//! `talus serve`: run a node.

use super::Node;
use super::failure::Failure;
use super::flags::Settings;
use crate::config::Live;
use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use std::io::Read;
use std::time::Duration;

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// Only say whether the settings are right
    #[arg(long)]
    check_only: bool,
    /// Stop when standard input is closed: whoever started this node is gone
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Serve {
    pub fn run(self, node: Node) -> Result<(), Failure> {
        let loaded = self.settings.load()?;
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        if self.check_only {
            println!("the settings are right");
            return Ok(());
        }
        if self.until_stdin_closes {
            std::thread::spawn(stop_when_stdin_closes);
        }
        node(Live::new(loaded))
    }
}

/// Asks this process to stop, as an operator would; if that takes too long, ends it.
fn stop_when_stdin_closes() {
    const GRACE: Duration = Duration::from_secs(15);
    let mut buffer = [0; 64];
    while std::io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
    // This process exists, and may signal itself.
    let _ = kill_process(getpid(), Signal::TERM);
    std::thread::sleep(GRACE);
    std::process::exit(1);
}
