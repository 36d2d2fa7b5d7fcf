//! Known bugs, so that the harness in `jepsen/` can show that it finds them.
//!
//! A build with the feature `mutants` has one of them, which the variable `TALUS_MUTANT` names.
//! Every other build has none: [`Mutant::is_on`] is false there at compile time.

macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A bug that others have shipped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        #[cfg(feature = "mutants")]
        const ALL: &[(&str, Mutant)] = &[$(($name, Mutant::$variant),)*];
    };
}

mutants! {
    /// A write is acknowledged before it is durable: the log is written and never synced.
    AckBeforeFsync = "ack-before-fsync",
    /// An fsync that failed is taken for one that did not.
    FsyncErrorIgnored = "fsync-error-ignored",
    /// The leader acknowledges what is in its own log only.
    AckBeforeCommit = "ack-before-commit",
    /// Every node answers reads from what it has applied.
    NoReadBarrier = "no-read-barrier",
    /// Whoever leads, or believes so, answers reads without asking anybody.
    LongLease = "long-lease",
    /// Who has just been elected answers reads from what it has applied, which may be less than what
    /// the leader before it had acknowledged.
    NoTermGate = "no-term-gate",
    /// A node that has lost its data and joins again is taken for the voter it was.
    WipedNodeKeepsItsId = "wiped-node-keeps-its-id",
    /// An entry of the log counts even if its checksum does not fit.
    TornTailKept = "torn-tail-kept",
    /// A vote is kept in memory only.
    VoteNotPersisted = "vote-not-persisted",
    /// The last entries are applied once more after a restart.
    ApplyTwiceAfterRestart = "apply-twice-after-restart",
    /// One entry in a hundred is not applied, another one on each node.
    SkipOneApply = "skip-one-apply",
    /// EXEC is two entries of the log.
    TransactionAsTwoEntries = "transaction-as-two-entries",
    /// WATCH is forgotten.
    WatchIgnored = "watch-ignored",
    /// A batch that is sent again is applied again.
    ForwardWithoutDedup = "forward-without-dedup",
    /// An unknown outcome is reported as a definite failure.
    WrongErrorClass = "wrong-error-class",
    /// What the last entry of a snapshot wrote is not in it.
    SnapshotWithoutLastEntry = "snapshot-without-last-entry",
    /// No key in a snapshot expires.
    SnapshotWithoutDeadlines = "snapshot-without-deadlines",
    /// Each node decides by its own clock whether a key has expired.
    LocalClockExpiry = "local-clock-expiry",
}

impl Mutant {
    /// Whether this process has the bug.
    #[cfg(not(feature = "mutants"))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        false
    }

    /// Whether this process has the bug.
    #[cfg(feature = "mutants")]
    pub fn is_on(self) -> bool {
        chosen() == Some(self)
    }
}

/// The bug that `TALUS_MUTANT` asks for.
///
/// # Panics
/// When there is none of that name.
#[cfg(feature = "mutants")]
fn chosen() -> Option<Mutant> {
    static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var("TALUS_MUTANT").ok()?;
        let known = ALL.iter().find(|(name, _)| *name == wanted);
        let (name, mutant) = known.unwrap_or_else(|| panic!("no mutant is called {wanted:?}"));
        tracing::warn!(name, "this process is broken on purpose");
        Some(*mutant)
    })
}
