//! The network between nodes, and what is wrong with it.
//!
//! A *link* is the way from one node to another: the way back is another link. [`Conditions`] say
//! what is wrong with every link; whoever wants a fault changes them, and the network is made so
//! that they hold. Clients reach every node whatever the conditions are.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Problem;
use super::loopback::Proxies;
use super::netns::Switch;

/// From whom to whom.
pub type Link = (u32, u32);

/// How long packets are held back. Packets overtake each other within the jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// At least so long.
    pub base: Duration,
    /// And up to so much longer.
    pub jitter: Duration,
}

/// What is wrong with each link, or with a node's connection to all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Nothing passes.
    pub cut: Vec<Link>,
    /// So many of a hundred packets are lost.
    pub loss: BTreeMap<Link, u8>,
    /// Packets are late.
    pub delay: BTreeMap<Link, Delay>,
    /// Bytes a second to and from a node.
    pub slow: BTreeMap<u32, u64>,
}

/// What carries bytes between nodes.
#[derive(Debug)]
pub enum Wires {
    /// A namespace for each node.
    Namespaces(Switch),
    /// Addresses of the loopback device.
    Loopback(Proxies),
}

/// The network of one cluster.
#[derive(Debug)]
pub struct Network {
    wires: Wires,
    conditions: Mutex<Conditions>,
}

impl Network {
    /// One where nothing is wrong.
    pub fn new(wires: Wires) -> Self {
        Self { wires, conditions: Mutex::default() }
    }

    /// Changes the conditions. If they cannot be had, they are as before.
    pub fn change(&self, change: impl FnOnce(&mut Conditions)) -> Result<(), Problem> {
        let mut current = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = current.clone();
        change(&mut next);
        if next == *current {
            return Ok(());
        }
        let changed = self.apply(&current, &next);
        match changed {
            Ok(()) => *current = next,
            // Half of it may hold; what cannot be taken back is tried again with the next change.
            Err(_) => drop(self.apply(&next, &current)),
        }
        changed
    }

    fn apply(&self, from: &Conditions, to: &Conditions) -> Result<(), Problem> {
        match &self.wires {
            Wires::Namespaces(switch) => switch.apply(from, to),
            Wires::Loopback(proxies) => proxies.apply(to),
        }
    }

    /// Where the node listens.
    pub fn address(&self, node: u32) -> Ipv4Addr {
        match &self.wires {
            Wires::Namespaces(_) => Switch::address(node),
            Wires::Loopback(proxies) => proxies.address(node),
        }
    }

    /// Where other nodes reach it.
    pub fn advertised(&self, node: u32) -> Ipv4Addr {
        match &self.wires {
            Wires::Namespaces(_) => Switch::address(node),
            Wires::Loopback(proxies) => proxies.advertised(node),
        }
    }

    /// Which of nodes 1 to `nodes` others reach there.
    pub fn node_at(&self, address: Ipv4Addr, nodes: u32) -> Option<u32> {
        (1..=nodes).find(|node| self.advertised(*node) == address)
    }

    /// Moves the calling thread to where clients are.
    pub fn enter(&self) -> io::Result<()> {
        match &self.wires {
            Wires::Namespaces(switch) => switch.enter(),
            Wires::Loopback(_) => Ok(()),
        }
    }

    /// Does something where clients are, wherever the calling thread is.
    pub fn among_clients<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        match &self.wires {
            Wires::Namespaces(switch) => switch.within(None, work),
            Wires::Loopback(_) => Ok(work()),
        }
    }

    /// Does something where the node is: what is started there belongs there.
    pub fn at<T: Send>(&self, node: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        match &self.wires {
            Wires::Namespaces(switch) => switch.within(Some(node), work),
            Wires::Loopback(_) => Ok(work()),
        }
    }

    /// Says that this process is the node, so that its connections are known as the node's.
    pub fn belongs(&self, pid: u32, node: u32) {
        if let Wires::Loopback(proxies) = &self.wires {
            proxies.belongs(pid, node);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What holds packets back must let go of them.
        let _ = self.change(|conditions| *conditions = Conditions::default());
    }
}
