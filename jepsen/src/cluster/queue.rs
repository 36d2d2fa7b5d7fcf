//! Packets that are held back: the kernel hands them over, and gets them back later.
//!
//! This kernel family has no delay of its own (`netem`) everywhere, but it queues packets for
//! programs. A thread in the node's namespace takes what leaves for the delayed destinations, and
//! gives each packet back when its time has come. Times differ by a random jitter, so packets
//! overtake each other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nfq::{Message, Queue, Verdict};
use rand::RngExt;

use super::network::Delay;
use super::{Problem, tool};

const QUEUE: u16 = 1;
/// The kernel drops what comes above it.
const PACKETS_MAX: u32 = 8192;
/// How exactly times are kept.
const TICK: Duration = Duration::from_millis(1);

/// What this machine lacks to hold packets back. The rule that queues them is tried in a namespace of
/// its own: a kernel that knows it has the queue, too.
pub fn lacks() -> Vec<String> {
    let programs = ["iptables", "unshare"].into_iter().filter(|program| !tool::has(program));
    let lacks: Vec<String> = programs.map(|program| format!("the program {program}")).collect();
    if !lacks.is_empty() {
        return lacks;
    }
    let rule = format!("unshare -n iptables -w -A OUTPUT -j NFQUEUE --queue-num {QUEUE}");
    tool::run(&rule).err().map(|why| format!("queues of packets ({why})")).into_iter().collect()
}

/// Holds back packets of one node; dropping it lets all go.
#[derive(Debug)]
pub struct Holder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Holds back what leaves the calling thread's namespace for these addresses.
    pub fn new(delays: BTreeMap<Ipv4Addr, Delay>) -> Result<Self, Problem> {
        let mut queue = Queue::open()?;
        queue.bind(QUEUE)?;
        queue.set_queue_max_len(QUEUE, PACKETS_MAX)?;
        queue.set_nonblocking(true);
        for address in delays.keys() {
            tool::run(&format!(
                "iptables -w -A OUTPUT -d {address} -j NFQUEUE --queue-num {QUEUE}"
            ))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || hold(queue, &delays, &flag));
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet and when it goes on; the number makes the order of equals that of arrival.
struct Late {
    due: Instant,
    number: u64,
    packet: Message,
}

fn hold(mut queue: Queue, delays: &BTreeMap<Ipv4Addr, Delay>, stop: &AtomicBool) {
    let mut waiting: BinaryHeap<Reverse<Late>> = BinaryHeap::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        while let Ok(packet) = queue.recv() {
            number += 1;
            let due = Instant::now() + lateness(&packet, delays);
            waiting.push(Reverse(Late { due, number, packet }));
        }
        release(&mut queue, &mut waiting, Instant::now());
        std::thread::sleep(TICK);
    }
    let end = Instant::now() + Duration::from_secs(3600);
    release(&mut queue, &mut waiting, end);
    // Said aloud, as a process that was started meanwhile may have inherited the socket.
    let _ = queue.unbind(QUEUE);
}

fn release(queue: &mut Queue, waiting: &mut BinaryHeap<Reverse<Late>>, now: Instant) {
    while waiting.peek().is_some_and(|Reverse(first)| first.due <= now) {
        let Some(Reverse(mut first)) = waiting.pop() else { return };
        first.packet.set_verdict(Verdict::Accept);
        // A packet the kernel does not take back is one that was lost.
        let _: io::Result<()> = queue.verdict(first.packet);
    }
}

fn lateness(packet: &Message, delays: &BTreeMap<Ipv4Addr, Delay>) -> Duration {
    let delay = destination(packet.get_payload()).and_then(|address| delays.get(&address));
    delay.map_or(Duration::ZERO, |delay| delay.base + delay.jitter.mul_f64(rand::rng().random()))
}

/// Bytes 16 to 19 of an IPv4 packet.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}
