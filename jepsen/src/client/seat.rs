//! Where a process of a workload sits: at one node for good, or at another one after each error.
//!
//! Pinned seats keep asking followers, learners and nodes that were cut off; hopping ones go where
//! there is service, as real clients do. A connection is made when it is first needed.

use super::etcd::Etcd;
use super::{Client, Trouble, sentinel};
use rand::{Rng, RngExt};
use std::net::SocketAddr;

/// What is served at the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Redis's protocol, any node serves everything: Talus, or one Redis.
    Redis,
    /// Redis with a sentinel beside each: `side` has the sentinels.
    Sentinel,
    /// etcd's JSON gateway.
    Etcd,
}

/// Where the nodes are.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// What they serve.
    pub service: Service,
    /// Where clients are served, by node.
    pub clients: Vec<SocketAddr>,
    /// Where administration (Talus: HTTP) or the sentinel is, by node.
    pub side: Vec<SocketAddr>,
}

impl Addresses {
    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        u32::try_from(self.clients.len()).expect("nodes are counted in u32")
    }
}

/// A place at a node.
#[derive(Debug)]
pub struct Seat<'a> {
    addresses: &'a Addresses,
    node: u32,
    hops: bool,
    client: Option<Client>,
}

impl<'a> Seat<'a> {
    /// At this node (from 1), whatever happens.
    pub fn pinned(addresses: &'a Addresses, node: u32) -> Self {
        Self { addresses, node, hops: false, client: None }
    }

    /// At this node first, and at another one after each error.
    pub fn hopping(addresses: &'a Addresses, node: u32) -> Self {
        Self { addresses, node, hops: true, client: None }
    }

    /// The node, from 1.
    pub fn node(&self) -> u32 {
        self.node
    }

    /// The connection, for one operation from now.
    pub fn redis(&mut self) -> Result<&mut Client, Trouble> {
        let client = match self.client.take().filter(|client| !client.is_broken()) {
            Some(client) => client,
            None => Client::connect(self.address()?)?,
        };
        let client = self.client.insert(client);
        client.begin();
        Ok(client)
    }

    fn address(&self) -> Result<SocketAddr, Trouble> {
        match self.addresses.service {
            Service::Redis => Ok(self.of_node(&self.addresses.clients)),
            Service::Sentinel => sentinel::master(self.side()).map_err(Trouble::of_read),
            Service::Etcd => {
                Err(Trouble::Refused("etcd does not speak Redis's protocol".to_owned()))
            }
        }
    }

    /// etcd, if that is what is served.
    pub fn etcd(&self) -> Option<Etcd> {
        let is_etcd = self.addresses.service == Service::Etcd;
        is_etcd.then(|| Etcd::at(self.of_node(&self.addresses.clients)))
    }

    /// Where its administration or sentinel is.
    pub fn side(&self) -> SocketAddr {
        self.of_node(&self.addresses.side)
    }

    /// The same of all nodes, its own first.
    pub fn sides(&self) -> impl Iterator<Item = SocketAddr> {
        let own = self.node as usize - 1;
        let (before, from) = self.addresses.side.split_at(own);
        from.iter().chain(before).copied()
    }

    fn of_node(&self, addresses: &[SocketAddr]) -> SocketAddr {
        addresses[self.node as usize - 1]
    }

    /// A read that any node answers which serves at all.
    pub fn probe(&mut self) -> Result<(), Trouble> {
        let answered = match self.etcd() {
            Some(etcd) => etcd.get("probe").map(drop),
            None => self.redis().and_then(|client| client.read(&["GET", "probe"])).map(drop),
        };
        answered.inspect_err(|_| self.client = None)
    }

    /// Draws the consequences of how an operation ended.
    pub fn settle(&mut self, trouble: &Trouble, rng: &mut impl Rng) {
        let refused = matches!(trouble, Trouble::Refused(_));
        // A master of Redis that was deposed refuses; only a sentinel knows the next one.
        let elsewhere = refused && (self.hops || self.addresses.service == Service::Sentinel);
        if elsewhere || matches!(trouble, Trouble::Unknown(_) | Trouble::Impossible(_)) {
            self.client = None;
        }
        if self.hops && !matches!(trouble, Trouble::Unmet(_)) {
            self.node = another(self.node, self.addresses.nodes(), rng);
        }
    }
}

fn another(node: u32, nodes: u32, rng: &mut impl Rng) -> u32 {
    if nodes < 2 { node } else { (node - 1 + rng.random_range(1..nodes)) % nodes + 1 }
}
