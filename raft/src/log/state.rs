//! What the log knows of a shard besides its entries, and how records change it.
//!
//! Invariants
//! * Running and replaying go through the same methods, so a restart finds what was left.
//! * Entries are `first..next` without a hole; everything up to `purged` is gone.

use crate::types::{LogId, Vote};

/// A record that does not fit what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// A shard's vote, commit and purge points, and the range of its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ShardState {
    pub(super) vote: Option<Vote>,
    /// As reported; may be ahead of the entries that are here.
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// Index of the first entry.
    pub(super) first: u64,
    /// Index after the last entry; equal to `first` if there is none.
    pub(super) next: u64,
}

impl ShardState {
    /// Appends the entry `index`. An empty log may begin anywhere after what was purged.
    pub(super) fn append(&mut self, index: u64) -> Result<(), Gap> {
        let begins = self.first == self.next && index >= self.after_purged();
        if !begins && index != self.next {
            return Err(Gap { expected: self.next.max(self.after_purged()), found: index });
        }
        if begins {
            self.first = index;
        }
        self.next = index + 1;
        Ok(())
    }

    /// Removes the entries from `next` on.
    pub(super) fn truncate(&mut self, next: u64) {
        self.next = self.next.min(next).max(self.first);
    }

    /// Removes the entries up to `id`. Older ids than the last one change nothing.
    pub(super) fn purge(&mut self, id: LogId) {
        if self.purged.is_none_or(|purged| purged < id) {
            self.purged = Some(id);
            self.first = self.first.max(id.index + 1);
            self.next = self.next.max(self.first);
        }
    }

    fn after_purged(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LeaderId;

    fn purged(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
    }

    #[test]
    fn entries_follow_each_other() {
        let mut state = ShardState::default();
        assert_eq!(state.append(4), Ok(()), "an empty log begins anywhere");
        assert_eq!(state.append(5), Ok(()));
        assert_eq!(state.append(7), Err(Gap { expected: 6, found: 7 }));
        state.truncate(5);
        assert_eq!((state.first, state.next), (4, 5));
        assert_eq!(state.append(5), Ok(()));
    }

    #[test]
    fn purging_moves_the_beginning() {
        let mut state = ShardState::default();
        (1..=5).for_each(|index| state.append(index).expect("in order"));
        state.purge(purged(3));
        assert_eq!((state.first, state.next), (4, 6));
        state.purge(purged(2));
        assert_eq!(state.purged, Some(purged(3)), "an older purge changes nothing");
        state.purge(purged(9));
        assert_eq!((state.first, state.next), (10, 10));
        assert_eq!(state.append(9), Err(Gap { expected: 10, found: 9 }));
    }

    #[test]
    fn truncating_never_reaches_below_the_first_entry() {
        let mut state = ShardState::default();
        (0..3).for_each(|index| state.append(index).expect("in order"));
        state.purge(purged(0));
        state.truncate(0);
        assert_eq!((state.first, state.next), (1, 1));
    }
}
