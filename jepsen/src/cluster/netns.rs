//! A network of namespaces: one for each node, and one, the *switch*, with a bridge between them.
//!
//! The bridge has a namespace of its own, so that nothing leaves it, and any number of clusters may
//! use the same addresses. Clients are in the switch. Its firewall sees what the bridge forwards from
//! node to node, and not what comes from clients: links are cut or made lossy there. Packets are
//! delayed where they come from, as they leave the node. At a slow end of a cable only packets between
//! nodes are slow: they are told by the class that the firewalls put them into.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::network::{Conditions, Delay, Link};
use super::queue::Holder;
use super::{Problem, tool};

/// The first three bytes of all addresses.
const SUBNET: [u8; 3] = [10, 123, 0];
/// Clients.
const SWITCH: u8 = 254;
/// The class of packets between nodes.
const PEERS: &str = "1:10";

/// The namespaces of one cluster. They go with the cluster's guard.
#[derive(Debug)]
pub struct Switch {
    mark: String,
    /// Who holds back the packets of a node.
    holders: Mutex<BTreeMap<u32, Holder>>,
}

/// What this machine lacks.
pub fn lacks() -> Vec<String> {
    let mut lacks: Vec<String> = tool::lacks_root().map(str::to_owned).into_iter().collect();
    let programs = ["ip", "nft", "tc"].into_iter().filter(|program| !tool::has(program));
    lacks.extend(programs.map(|program| format!("the program {program}")));
    if !std::path::Path::new("/proc/self/ns/net").exists() {
        lacks.push("network namespaces in the kernel".to_owned());
    }
    lacks
}

impl Switch {
    /// Namespaces for nodes 1 to `nodes`, whose names begin with `mark`.
    pub fn new(mark: &str, nodes: u32) -> Result<Self, Problem> {
        let switch = Self { mark: mark.to_owned(), holders: Mutex::default() };
        let at = switch.namespace(None);
        tool::run(&format!("ip netns add {at}"))?;
        tool::run(&format!("ip -n {at} link add br0 type bridge"))?;
        tool::run(&format!("ip -n {at} addr add {}/24 dev br0", host(SWITCH)))?;
        for device in ["br0", "lo"] {
            tool::run(&format!("ip -n {at} link set {device} up"))?;
        }
        (1..=nodes).try_for_each(|node| switch.plug(node))?;
        switch.within(None, || tool::feed(nft(), &rules(&Conditions::default())))??;
        Ok(switch)
    }

    fn plug(&self, node: u32) -> Result<(), Problem> {
        let (switch, at, address) =
            (self.namespace(None), self.namespace(Some(node)), Self::address(node));
        let port = port(node);
        for line in [
            format!("ip netns add {at}"),
            format!("ip -n {at} link set lo up"),
            format!("ip -n {at} link add eth0 type veth peer name {port} netns {switch}"),
            format!("ip -n {at} addr add {address}/24 dev eth0"),
            format!("ip -n {at} link set eth0 up"),
            format!("ip -n {switch} link set {port} master br0 up"),
        ] {
            tool::run(&line)?;
        }
        let class = format!(
            "table ip jepsen {{ chain output {{\ntype filter hook output priority 0;\n\
             ip daddr != {} meta priority set {PEERS}\n}}\n}}\n",
            host(SWITCH)
        );
        self.within(Some(node), || tool::feed(nft(), &class))?
    }

    fn namespace(&self, node: Option<u32>) -> String {
        node.map_or_else(|| format!("{}-sw", self.mark), |node| format!("{}-n{node}", self.mark))
    }

    /// The node's address.
    pub fn address(node: u32) -> Ipv4Addr {
        host(u8::try_from(node).unwrap_or(u8::MAX))
    }

    /// Moves the calling thread into the switch.
    pub fn enter(&self) -> io::Result<()> {
        enter(&self.namespace(None))
    }

    /// Does something in a node's namespace, or in the switch.
    pub fn within<T: Send>(
        &self,
        node: Option<u32>,
        work: impl FnOnce() -> T + Send,
    ) -> io::Result<T> {
        let name = self.namespace(node);
        std::thread::scope(|scope| {
            let done = scope.spawn(|| enter(&name).map(|()| work())).join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes the network as `to` has it; it is as `from` has it.
    pub fn apply(&self, from: &Conditions, to: &Conditions) -> Result<(), Problem> {
        if (&from.cut, &from.loss) != (&to.cut, &to.loss) {
            let script = rules(to);
            self.within(None, || tool::feed(nft(), &script))??;
        }
        let nodes: BTreeSet<&u32> = from.slow.keys().chain(to.slow.keys()).collect();
        for &node in nodes {
            if from.slow.get(&node) != to.slow.get(&node) {
                self.limit(node, to.slow.get(&node).copied())?;
            }
        }
        if from.delay != to.delay { self.delay(&from.delay, &to.delay) } else { Ok(()) }
    }

    /// Both ends of the node's cable.
    fn limit(&self, node: u32, bytes_per_s: Option<u64>) -> Result<(), Problem> {
        let ends =
            [(self.namespace(Some(node)), "eth0".to_owned()), (self.namespace(None), port(node))];
        for (at, device) in ends {
            let Some(rate) = bytes_per_s else {
                tool::run(&format!("tc -n {at} qdisc del dev {device} root"))?;
                continue;
            };
            // What is of no class goes as fast as it can.
            tool::run(&format!("tc -n {at} qdisc replace dev {device} root handle 1: htb"))?;
            tool::run(&format!(
                "tc -n {at} class replace dev {device} parent 1: classid {PEERS} htb rate {}bit \
                 burst 16kb",
                rate * 8
            ))?;
        }
        Ok(())
    }

    fn delay(
        &self,
        from: &BTreeMap<Link, Delay>,
        to: &BTreeMap<Link, Delay>,
    ) -> Result<(), Problem> {
        let sources: BTreeSet<u32> = from.keys().chain(to.keys()).map(|link| link.0).collect();
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            let delays: BTreeMap<Ipv4Addr, Delay> = to
                .iter()
                .filter(|(link, _)| link.0 == source)
                .map(|(link, delay)| (Self::address(link.1), *delay))
                .collect();
            // Nothing is queued for a holder that is gone: such packets would be lost.
            self.within(Some(source), || tool::run("iptables -w -F OUTPUT"))??;
            holders.remove(&source);
            if !delays.is_empty() {
                let holder = self.within(Some(source), || Holder::new(delays))??;
                holders.insert(source, holder);
            }
        }
        Ok(())
    }
}

fn nft() -> std::process::Command {
    let mut nft = tool::command("nft");
    nft.args(["-f", "-"]);
    nft
}

/// The firewall of the switch, replaced as a whole in one transaction.
fn rules(conditions: &Conditions) -> String {
    let mut script = format!(
        "table bridge jepsen\ndelete table bridge jepsen\ntable bridge jepsen {{ chain forward {{\n\
         type filter hook forward priority 0;\nmeta priority set {PEERS}\n"
    );
    let cut = conditions.cut.iter().map(|link| (link, String::new()));
    let loss = conditions.loss.iter();
    let loss = loss.map(|(link, percent)| (link, format!("numgen random mod 100 < {percent} ")));
    for ((from, to), when) in cut.chain(loss) {
        let (from, to) = (port(*from), port(*to));
        // Writing to a string does not fail.
        let _ = writeln!(script, "iifname \"{from}\" oifname \"{to}\" {when}drop");
    }
    script + "}\n}\n"
}

/// The node's place at the bridge.
fn port(node: u32) -> String {
    format!("p{node}")
}

fn host(number: u8) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, number)
}

fn enter(name: &str) -> io::Result<()> {
    let namespace = File::open(format!("/run/netns/{name}"))?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_a_direction() {
        let conditions = Conditions {
            cut: vec![(1, 2)],
            loss: BTreeMap::from([((3, 1), 10)]),
            ..Conditions::default()
        };
        let rules = rules(&conditions);
        assert!(rules.contains("iifname \"p1\" oifname \"p2\" drop"), "{rules}");
        assert!(!rules.contains("iifname \"p2\" oifname \"p1\""), "{rules}");
        assert!(
            rules.contains("iifname \"p3\" oifname \"p1\" numgen random mod 100 < 10 drop"),
            "{rules}"
        );
    }
}
