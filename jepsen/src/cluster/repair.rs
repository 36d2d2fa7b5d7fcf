//! Making a cluster whole again: everything undone, everybody a voter.
//!
//! A node that will not start any more, because its files are damaged, or that was removed, begins
//! anew: its member goes, its data are put aside, and it joins as one who was never there. It is a
//! newcomer then, who needs time; of any other node nothing excuses that it does not serve.

use std::time::{Duration, Instant};

use super::network::Conditions;
use super::sampler::Sampler;
use super::{Cluster, Problem, http};

/// How long the readmission of all who have to begin anew may take.
const HEAL_MAX: Duration = Duration::from_secs(30);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(200);
/// A node that ended so often at its start is one that refuses.
const STARTS_MAX: u32 = 2;

impl Cluster {
    /// Makes everything whole: [`restore`](Self::restore) and [`regroup`](Self::regroup).
    pub fn heal(&self) {
        self.restore();
        self.regroup();
    }

    /// Undoes whatever is wrong, starts who is down, and waits for nobody.
    pub fn restore(&self) {
        self.undo();
        // One that does not start is seen by the clients.
        (1..=self.nodes()).for_each(|node| drop(self.launch(node)));
    }

    /// Waits until all are voters again, for at most half a minute, and readmits who has to begin
    /// anew for that. Who they are, with those that had begun anew and were not ready yet.
    pub fn regroup(&self) -> Vec<u32> {
        self.welcome();
        // Said by the clients: the run goes on with what there is.
        let _ = self.settle(Instant::now() + HEAL_MAX);
        let is_new =
            |node: &u32| self.node(*node).is_ok_and(|mut node| std::mem::take(&mut node.newcomer));
        (1..=self.nodes()).filter(is_new).collect()
    }

    /// Who is ready is no newcomer any more.
    fn welcome(&self) {
        let agent = http::agent(Duration::from_secs(1));
        for number in 1..=self.nodes() {
            let is_new = self.node(number).is_ok_and(|node| node.newcomer);
            if is_new && self.is_ready(number, &agent) {
                self.regard(number, false);
            }
        }
    }

    /// As a newcomer, or not.
    fn regard(&self, number: u32, newcomer: bool) {
        if let Ok(mut node) = self.node(number) {
            node.newcomer = newcomer;
        }
    }

    /// Undoes what is wrong, and waits for nobody.
    pub fn undo(&self) {
        // A network that cannot be mended is seen by the clients.
        let _ = self.network().change(|conditions| *conditions = Conditions::default());
        for node in (1..=self.spare()).filter_map(|node| self.node(node).ok()) {
            let mut node = node;
            node.heal(&self.shared);
        }
    }

    /// Waits until every node is up, ready and a voter, and nobody else is a member.
    pub fn settle(&self, deadline: Instant) -> Result<(), Problem> {
        let mut starts = vec![0; self.spare() as usize + 1];
        loop {
            let Err(problem) = self.settle_once(&mut starts) else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(problem);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn settle_once(&self, starts: &mut [u32]) -> Result<(), Problem> {
        let all: Vec<u32> = (1..=self.nodes()).collect();
        for node in &all {
            self.revive(*node, &mut starts[*node as usize])?;
        }
        if self.is_talus() {
            self.settle_members(&all)?;
        }
        let agent = http::agent(Duration::from_secs(1));
        if let Some(node) = all.iter().find(|node| !self.is_ready(**node, &agent)) {
            return Err(self.blame(*node, "is not ready"));
        }
        match self.sampler.as_ref().map_or(1, Sampler::leaders) {
            1 => Ok(()),
            leaders => Err(Problem::new("leaders", format!("{leaders} nodes say that they lead"))),
        }
    }

    /// Starts the node if it is down, from nothing if it refuses to start or was removed.
    fn revive(&self, number: u32, starts: &mut u32) -> Result<(), Problem> {
        let runs = self.node(number)?.runs();
        if runs && !(self.is_talus() && self.is_removed(number)) {
            return Ok(());
        }
        let refuses = self.node(number)?.has_ended() && *starts >= STARTS_MAX;
        if self.is_talus() && (refuses || runs) {
            *starts = 0;
            // One that was removed or damaged may refuse; any other is not excused by beginning anew.
            let excused = runs || self.node(number)?.is_excused();
            let readmitted = self.readmit(number);
            self.regard(number, excused);
            return readmitted;
        }
        *starts += 1;
        self.launch(number)
    }

    /// Lets the node begin anew, under another id.
    pub fn readmit(&self, number: u32) -> Result<(), Problem> {
        self.regard(number, true);
        self.node(number)?.kill();
        self.remove(number, None)?;
        self.node(number)?.wipe()?;
        self.launch(number)
    }

    /// The spare goes, and learners get their votes back.
    fn settle_members(&self, all: &[u32]) -> Result<(), Problem> {
        let spare = self.spare();
        for member in self.members()? {
            if member.node == Some(spare) {
                self.remove(spare, None)?;
            } else if let Some(node) = member.node.filter(|_| !member.votes()) {
                self.change_vote(node, "promote")?;
            }
        }
        self.node(spare)?.wipe()?;
        let members = self.members()?;
        let voters = members.iter().filter(|member| member.votes());
        if voters.count() == all.len() && members.len() == all.len() {
            return Ok(());
        }
        Err(Problem::new("the cluster", format!("has not every node as a voter: {members:?}")))
    }

    /// Whether it is a cluster of Talus.
    pub fn is_talus(&self) -> bool {
        self.options().target.is_talus()
    }
}
