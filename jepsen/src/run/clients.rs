//! Clients at work: one thread each, one operation at a time, at a given rate.
//!
//! A thread plays one process after another: when an outcome is unknown, the process and its
//! connection are never used again, and the thread goes on as the next process of its lane. Lanes
//! count from 0; above the clients' are the nodes' for the final phase. A lane's processes are its own
//! number plus multiples of the number of all lanes, so that no two lanes share one.

use crate::client::Trouble;
use crate::client::seat::{Addresses, Seat, Service};
use crate::history::{Kind, Process, Recorder, Value};
use crate::tell;
use crate::workload::{Invocation, Workload};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// Bytes of unrecorded writes, ten times a second: without them a short run's log is too small to be
/// purged, and no follower would ever need a snapshot.
const BALLAST_BYTES: usize = 10 << 10;
const BALLAST_EVERY: Duration = Duration::from_millis(100);
const BALLAST_KEYS: u32 = 64;
/// The longest a thread sleeps before it looks whether all is over.
const NAP: Duration = Duration::from_millis(50);

/// What all clients share.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// Where the nodes are.
    pub addresses: &'a Addresses,
    /// What is done.
    pub workload: &'a dyn Workload,
    /// Who writes it down.
    pub recorder: &'a Recorder,
    /// What is random comes from it.
    pub seed: u64,
    /// Operations a second and client.
    pub rate: f64,
    /// Clients.
    pub lanes: u64,
}

impl<'a> Load<'a> {
    /// Starts all clients; each calls `enter` first, and ends soon after `over`.
    pub fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        enter: impl Fn() -> io::Result<()> + Send + Copy + 'scope,
        over: &'env AtomicBool,
    ) {
        for number in 0..self.lanes {
            scope.spawn(move || match enter() {
                Ok(()) => self.lane(number).work(self.rate, over),
                Err(error) => tell::aside(format_args!("client {number} has no place: {error}")),
            });
        }
        if self.addresses.service == Service::Redis {
            scope.spawn(move || enter().is_ok().then(|| self.weigh_down(over)));
        }
    }

    /// How many clients, counted from the first, stay at their nodes: half of them, and so many that
    /// every node has one. With one a node none is left to hop.
    fn pinned(&self) -> u64 {
        self.lanes.div_ceil(2).max(u64::from(self.addresses.nodes()))
    }

    fn lane(&self, number: u64) -> Lane<'a> {
        let nodes = self.addresses.nodes();
        let node = u32::try_from(number % u64::from(nodes)).expect("less than nodes") + 1;
        let seat = match number < self.pinned() {
            true => Seat::pinned(self.addresses, node),
            false => Seat::hopping(self.addresses, node),
        };
        self.seated(number, seat)
    }

    /// The lane that asks a node in a final phase, of which there are two.
    pub fn final_lane(&self, node: u32, last: bool) -> Lane<'a> {
        let phase = if last { u64::from(self.addresses.nodes()) } else { 0 };
        let number = self.lanes + phase + u64::from(node) - 1;
        self.seated(number, Seat::pinned(self.addresses, node))
    }

    fn seated(&self, number: u64, seat: Seat<'a>) -> Lane<'a> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        Lane {
            workload: self.workload,
            recorder: self.recorder,
            seat,
            process: number,
            stride: self.all_lanes(),
            rng,
        }
    }

    /// Lanes of clients and of both final phases.
    pub fn all_lanes(&self) -> u64 {
        self.lanes + 2 * u64::from(self.addresses.nodes())
    }

    fn weigh_down(&self, over: &AtomicBool) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::MAX);
        let mut seat = Seat::hopping(self.addresses, 1);
        let ballast = "ballast ".repeat(BALLAST_BYTES / 8);
        while !over.load(Ordering::SeqCst) {
            let key = format!("ballast:{}", rng.random_range(0..BALLAST_KEYS));
            let done = seat.redis().and_then(|client| client.write(&["SET", &key, &ballast]));
            if let Err(trouble) = done {
                seat.settle(&trouble, &mut rng);
            }
            std::thread::sleep(BALLAST_EVERY);
        }
    }
}

/// One client.
pub struct Lane<'a> {
    /// What it does; another workload may take over.
    pub workload: &'a dyn Workload,
    recorder: &'a Recorder,
    seat: Seat<'a>,
    process: u64,
    stride: u64,
    rng: ChaCha8Rng,
}

impl Lane<'_> {
    fn work(&mut self, rate: f64, over: &AtomicBool) {
        let mut due = Instant::now() + self.pause(rate);
        loop {
            while Instant::now() < due && !over.load(Ordering::SeqCst) {
                std::thread::sleep(NAP.min(due.saturating_duration_since(Instant::now())));
            }
            if over.load(Ordering::SeqCst) {
                return;
            }
            let operation = self.workload.next(self.process, &mut self.rng);
            let _ = self.carry_out(&operation);
            // What was missed while an operation hung is not made up for.
            due = due.max(Instant::now()) + self.pause(rate);
        }
    }

    /// Exponentially distributed, so that clients do not march in step.
    fn pause(&mut self, rate: f64) -> Duration {
        let chance: f64 = self.rng.random_range(f64::EPSILON..1.0);
        Duration::from_secs_f64(-chance.ln() / rate)
    }

    /// One operation, written down before and after.
    pub fn carry_out(&mut self, operation: &Invocation) -> Result<Value, Trouble> {
        self.record(Kind::Invoke, operation, operation.value.clone(), None);
        let node = self.seat.node();
        let done = self.workload.perform(&mut self.seat, self.process, operation);
        let (kind, value) = match &done {
            Ok(value) => (Kind::Ok, value.clone()),
            Err(Trouble::Refused(_) | Trouble::Unmet(_)) => (Kind::Fail, operation.value.clone()),
            Err(Trouble::Unknown(_) | Trouble::Impossible(_)) => {
                (Kind::Info, operation.value.clone())
            }
        };
        debug_assert_eq!(node, self.seat.node(), "an operation stays at its node");
        // Where only a condition was not met nothing is wrong, and no error is told.
        let wrong = done.as_ref().err().filter(|trouble| !matches!(trouble, Trouble::Unmet(_)));
        let error = wrong.map(ToString::to_string);
        self.record(kind, operation, value, error);
        if let Err(trouble) = &done {
            self.seat.settle(trouble, &mut self.rng);
        }
        if kind == Kind::Info {
            self.process += self.stride;
        }
        done
    }

    fn record(&self, kind: Kind, operation: &Invocation, value: Value, error: Option<String>) {
        let (process, node) = (Process::Client(self.process), Some(self.seat.node()));
        self.recorder.record(kind, process, operation.f, value, error, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Row;
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    /// The nodes that clients do not leave when they are refused, and how many clients do.
    fn pinned_and_hopping(nodes: u32, concurrency: u64) -> (BTreeSet<u32>, u64) {
        let at = vec![SocketAddr::from(([127, 0, 0, 1], 1)); nodes as usize];
        let addresses = Addresses { service: Service::Redis, clients: at.clone(), side: at };
        let recorder = Recorder::new(io::sink());
        let workload = (Row::named("set").expect("it exists").make)();
        let lanes = u64::from(nodes) * concurrency;
        let load = Load {
            addresses: &addresses,
            workload: &*workload,
            recorder: &recorder,
            seed: 1,
            rate: 1.0,
            lanes,
        };
        let (mut pinned, mut hopping) = (BTreeSet::new(), 0);
        for mut lane in (0..lanes).map(|number| load.lane(number)) {
            let node = lane.seat.node();
            lane.seat.settle(&Trouble::Refused("no".to_owned()), &mut lane.rng);
            match lane.seat.node() == node {
                true => drop(pinned.insert(node)),
                false => hopping += 1,
            }
        }
        (pinned, hopping)
    }

    #[test]
    fn every_node_has_a_client_that_stays_whatever_the_concurrency() {
        for nodes in 2..=7 {
            for concurrency in 1..=5 {
                let (pinned, hopping) = pinned_and_hopping(nodes, concurrency);
                assert_eq!(pinned, (1..=nodes).collect(), "{concurrency} at each of {nodes}");
                assert_eq!(hopping > 0, concurrency > 1, "{concurrency} at each of {nodes}");
            }
        }
    }
}
