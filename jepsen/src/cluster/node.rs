//! One node: its place, its processes, and what is wrong with it.
//!
//! A node is *up* if it was started and has not been stopped; it may have ended by itself all the
//! same. Whatever is done to a node that is not up does nothing, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::disk::Store;
use super::network::Network;
use super::process::{self, Process};
use super::target::Site;
use super::trace::{Sync, Trace};
use super::{Problem, Shared, clock, cpu};
use crate::check::crashes;

/// A node and its processes.
#[derive(Debug)]
pub struct Node {
    number: u32,
    processes: Vec<Process>,
    /// Where its data are.
    pub store: Store,
    trace: Option<Trace>,
    /// Whether its power is cut.
    dark: bool,
    /// Whether the first start of it is to come.
    fresh: bool,
    /// Whether what it acknowledged was damaged: it counts as lost until it begins anew.
    damaged: bool,
    /// Whether it began anew, and nobody has seen it serve since.
    pub newcomer: bool,
    /// Where what it says is kept, over all its starts.
    log: PathBuf,
}

impl Node {
    /// A node that was never started.
    pub fn new(number: u32, store: Store, log: PathBuf) -> Self {
        Self {
            number,
            processes: Vec::new(),
            store,
            trace: None,
            dark: false,
            fresh: true,
            damaged: false,
            newcomer: false,
            log,
        }
    }

    /// Whether its first start is to come.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether nobody can expect it to serve soon: it lost what it had.
    pub fn is_excused(&self) -> bool {
        self.damaged || self.newcomer
    }

    /// Starts what does not run of it.
    pub(crate) fn start(
        &mut self,
        shared: &Shared,
        network: &Network,
        site: &Site,
    ) -> Result<(), Problem> {
        if self.runs() {
            return Ok(());
        }
        self.kill();
        if self.dark {
            self.power_on()?;
        }
        for mut command in shared.options.target.commands(site, &shared.options.settings)? {
            command.envs(shared.options.env.iter().map(|(name, value)| (name, value)));
            if let Some(library) = &shared.clock {
                clock::fake(&mut command, library, &self.clock_file(shared));
            }
            let start = || Process::spawn(&mut command, &self.log, &shared.mark);
            let process = network.at(self.number, start)?.map_err(|error| {
                Problem::new(format!("node {} does not start", self.number), error)
            })?;
            network.belongs(process.pid(), self.number);
            self.processes.push(process);
        }
        self.fresh = false;
        Ok(())
    }

    /// Whether all its processes are there.
    pub fn runs(&mut self) -> bool {
        !self.processes.is_empty() && self.processes.iter_mut().all(Process::runs)
    }

    /// Whether it was started and has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !self.processes.is_empty() && !self.runs()
    }

    /// The process that keeps the data.
    pub fn pid(&self) -> Option<u32> {
        self.processes.first().map(Process::pid)
    }

    /// The node's process, if it is up.
    fn up(&mut self) -> Result<u32, Problem> {
        let runs = self.runs();
        let pid = self.pid().filter(|_| runs);
        pid.ok_or_else(|| Problem::new(format!("node {}", self.number), "it is down"))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.trace = None;
        self.processes.iter_mut().for_each(Process::kill);
        self.processes.clear();
    }

    /// SIGTERM, and kill -9 if that takes too long. Whether it ended by itself.
    pub fn terminate(&mut self, limit: Duration) -> bool {
        self.trace = None;
        let ended: Vec<bool> = self.processes.iter_mut().map(|it| it.terminate(limit)).collect();
        self.processes.clear();
        !ended.contains(&false)
    }

    /// SIGSTOP or SIGCONT.
    pub fn pause(&mut self, paused: bool) -> Result<(), Problem> {
        self.up()?;
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        self.processes.iter_mut().for_each(|process| process.signal(signal));
        Ok(())
    }

    /// Its power is cut already; its processes end, and it starts on what was durable.
    pub fn lose_power(&mut self) {
        self.kill();
        self.dark = true;
    }

    /// Mounts what was durable, and does not start it.
    pub fn power_on(&mut self) -> Result<(), Problem> {
        self.store.power_on()?;
        // A full disk cannot be emptied while it has no power.
        self.store.drain();
        self.dark = false;
        Ok(())
    }

    /// From now on each fsync is as said, until the node is healed or killed.
    pub fn sync(&mut self, sync: Option<Sync>, mark: &str) -> Result<(), Problem> {
        self.trace = None;
        if let Some(sync) = sync {
            self.trace = Some(Trace::attach(self.up()?, sync, mark)?);
        }
        Ok(())
    }

    /// Leaves it so many hundredths of a processor.
    pub fn starve(&mut self, percent: u64, mark: &str) -> Result<(), Problem> {
        cpu::limit(mark, self.number, self.up()?, percent)
    }

    /// Undoes what lasts beyond a fault, whatever of it there is. Does not start it.
    pub(crate) fn heal(&mut self, shared: &Shared) {
        self.trace = None;
        cpu::free(&shared.mark, self.number);
        self.store.drain();
        // Where clocks cannot be moved, there is no file for them.
        let _ = clock::set(&self.clock_file(shared), 0);
        // Of a node that is down there is nobody to go on.
        let _ = self.pause(false);
    }

    /// Whether what it acknowledged was damaged, and it has not begun anew since.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// What it acknowledged is damaged: from now on it may refuse to start.
    pub fn mark_damaged(&mut self) {
        self.damaged = true;
        process::note(&self.log, crashes::DAMAGED);
    }

    /// Puts its data aside, so that it begins anew. They are kept to be looked at.
    pub fn wipe(&mut self) -> Result<(), Problem> {
        self.kill();
        if self.dark {
            self.power_on()?;
        }
        let data = self.data();
        if data.exists() {
            fs::rename(&data, free_name(self.store.path()))?;
            process::note(&self.log, crashes::ANEW);
        }
        self.damaged = false;
        Ok(())
    }

    /// Its data are gone, and others still count on them.
    pub fn lose_data(&mut self) -> Result<(), Problem> {
        self.wipe()?;
        self.mark_damaged();
        Ok(())
    }

    /// The data directory of the server.
    pub fn data(&self) -> PathBuf {
        self.store.path().join("data")
    }

    /// The file that tells its clock.
    pub(crate) fn clock_file(&self, shared: &Shared) -> PathBuf {
        shared.options.dir.join(format!("n{}.clock", self.number))
    }
}

fn free_name(dir: &Path) -> PathBuf {
    let names = (1..).map(|number: u32| dir.join(format!("wiped-{number}")));
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| dir.join("wiped"))
}
