//! Rows of dead spaces, dropped when RocksDB compacts.
//!
//! `FLUSHDB` gives a database a new space and leaves the rows of the old one where they are.
//! Nothing can refer to them any more, so dropping them is local work and not in the log.

use std::ffi::CStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use crate::layout::{PREFIX_BYTES, space_in};
use crate::root::Root;

/// Which spaces are dead: those ever used, but for the living.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DeadSpaces {
    next: u32,
    living: Vec<u32>,
}

impl DeadSpaces {
    /// The spaces that are dead by a root row.
    pub fn of(root: &Root) -> Self {
        let living = root.spaces.iter().map(|(_, space)| space.id).collect();
        Self { next: root.next_space, living }
    }

    fn contains(&self, space: u32) -> bool {
        space < self.next && !self.living.contains(&space)
    }
}

/// Makes a filter for each compaction.
pub(crate) struct DropDeadSpaces(Arc<ArcSwap<DeadSpaces>>);

impl DropDeadSpaces {
    /// A factory that goes by what is dead when a compaction begins.
    pub fn new(dead: Arc<ArcSwap<DeadSpaces>>) -> Self {
        Self(dead)
    }
}

const NAME: &CStr = c"talus.dead-spaces";

impl CompactionFilterFactory for DropDeadSpaces {
    type Filter = Filter;

    fn create(&mut self, _: CompactionFilterContext) -> Filter {
        Filter(self.0.load_full())
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

/// Drops the rows of spaces that were dead when the compaction began.
pub(crate) struct Filter(Arc<DeadSpaces>);

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> CompactionDecision {
        if key.len() >= PREFIX_BYTES && self.0.contains(space_in(key)) {
            CompactionDecision::Remove
        } else {
            CompactionDecision::Keep
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}
