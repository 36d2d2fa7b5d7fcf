//! What of a machine only some faults need, and whether this one has it.
//!
//! Where a program may be there and yet not be allowed to do its work, that work is tried.

use super::{Mode, clock, cpu, disk, queue, trace};

/// Something a machine may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// File systems of their own, whose power can be cut.
    Disks,
    /// Clocks that can be moved.
    Clocks,
    /// Shares of the processor.
    Shares,
    /// System calls that fail or take longer.
    Traces,
    /// Packets that are held back.
    Queues,
}

impl Means {
    /// What this machine lacks for it.
    pub fn lacks(self, mode: Mode) -> Vec<String> {
        match (self, mode) {
            (Self::Disks, _) => disk::lacks(),
            (Self::Clocks, _) => clock::lacks().into_iter().collect(),
            (Self::Shares, _) => cpu::lacks(),
            (Self::Traces, _) => trace::lacks().into_iter().collect(),
            (Self::Queues, Mode::Namespaces) => queue::lacks(),
            // The proxies hold back what they carry.
            (Self::Queues, Mode::Loopback) => Vec::new(),
        }
    }
}
