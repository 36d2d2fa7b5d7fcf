//! What a row says about a command besides its name, arity and keys: Redis's flags, groups and
//! ACL categories.
//!
//! Whether a command writes or only reads is not among them: that follows from the trait it
//! implements, so that a row cannot lie about it.

/// The flags of a command that are written by hand, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints(u32);

impl Hints {
    pub(super) const NONE: Self = Self(0);
    pub(super) const DENY_OOM: Self = Self(1);
    pub(super) const ADMIN: Self = Self(1 << 1);
    pub(super) const NO_SCRIPT: Self = Self(1 << 2);
    pub(super) const BLOCKING: Self = Self(1 << 3);
    pub(super) const LOADING: Self = Self(1 << 4);
    pub(super) const STALE: Self = Self(1 << 5);
    pub(super) const SKIP_SLOWLOG: Self = Self(1 << 6);
    pub(super) const ASKING: Self = Self(1 << 7);
    pub(super) const FAST: Self = Self(1 << 8);
    pub(super) const NO_AUTH: Self = Self(1 << 9);
    pub(super) const NO_ASYNC_LOADING: Self = Self(1 << 10);
    pub(super) const NO_MULTI: Self = Self(1 << 11);
    pub(super) const ALLOW_BUSY: Self = Self(1 << 12);
    pub(super) const INTERNAL: Self = Self(1 << 13);
    pub(super) const IMMEDIATE: Self = Self(1 << 14);

    /// In the order Redis prints them, after `write` and `readonly`.
    pub(super) const NAMES: [(Self, &'static str); 13] = [
        (Self::DENY_OOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::NO_SCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::ASKING, "asking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
        (Self::NO_MULTI, "no_multi"),
        (Self::ALLOW_BUSY, "allow_busy"),
    ];

    /// Both sets together.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The chapter of Redis's documentation a command is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Operations on strings.
    String,
    /// Operations on single bits of strings.
    Bitmap,
    /// Operations on keys, whatever they hold.
    Generic,
    /// MULTI and what belongs to it.
    Transactions,
    /// What concerns one connection.
    Connection,
    /// What concerns the node.
    Server,
    /// What concerns the cluster.
    Cluster,
}

impl Group {
    /// The name `COMMAND DOCS` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::Generic => "generic",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
        }
    }

    /// The ACL category its commands belong to unless their row says otherwise.
    pub(super) const fn category(self) -> Option<Category> {
        match self {
            Self::String => Some(Category::String),
            Self::Bitmap => Some(Category::Bitmap),
            Self::Generic => Some(Category::Keyspace),
            Self::Transactions => Some(Category::Transaction),
            Self::Connection => Some(Category::Connection),
            Self::Server | Self::Cluster => None,
        }
    }
}

/// An ACL category, in the order Redis prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Works on keys, whatever they hold.
    Keyspace,
    /// Reads data.
    Read,
    /// Changes data.
    Write,
    /// Works on strings.
    String,
    /// Works on bits of strings.
    Bitmap,
    /// For administrators.
    Admin,
    /// Constant or logarithmic time.
    Fast,
    /// Everything that is not fast.
    Slow,
    /// May block the connection.
    Blocking,
    /// Not for applications.
    Dangerous,
    /// Concerns the connection.
    Connection,
    /// Concerns transactions.
    Transaction,
}

impl Category {
    /// Every category that has commands.
    pub const ALL: [Self; 12] = [
        Self::Keyspace,
        Self::Read,
        Self::Write,
        Self::String,
        Self::Bitmap,
        Self::Admin,
        Self::Fast,
        Self::Slow,
        Self::Blocking,
        Self::Dangerous,
        Self::Connection,
        Self::Transaction,
    ];

    /// Its name, without the `@`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyspace => "keyspace",
            Self::Read => "read",
            Self::Write => "write",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::Admin => "admin",
            Self::Fast => "fast",
            Self::Slow => "slow",
            Self::Blocking => "blocking",
            Self::Dangerous => "dangerous",
            Self::Connection => "connection",
            Self::Transaction => "transaction",
        }
    }
}
