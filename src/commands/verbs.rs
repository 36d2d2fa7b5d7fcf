//! What a session or the server is asked to do, as values.
//!
//! The rows of these commands are found, counted and documented like all others, and their
//! requests are parsed here with Redis's errors; but what they ask for is done by code that owns
//! a connection or a node, which this module does not know.

use bytes::Bytes;
use resp::Reply;

/// A request that concerns the connection it came from.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionVerb {
    /// Begin to queue requests.
    Multi,
    /// Run what was queued.
    Exec,
    /// Forget what was queued.
    Discard,
    /// Run EXEC only if these keys have not changed by then.
    Watch {
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Forget the watched keys.
    Unwatch,
    /// Use another database; its number is in range.
    Select(u32),
    /// Choose a protocol, and say who this is.
    Hello {
        /// 2 or 3; `None` leaves it as it is.
        version: Option<u8>,
        /// User and password.
        auth: Option<(Bytes, Bytes)>,
        /// The connection's name.
        name: Option<Bytes>,
    },
    /// Say who this is.
    Auth {
        /// `None` is the default user.
        user: Option<Bytes>,
        /// In clear.
        password: Bytes,
    },
    /// Answer OK, then close.
    Quit,
    /// Be as a fresh connection.
    Reset,
    /// Name the connection; empty removes the name.
    ClientSetName(Bytes),
    /// The connection's name.
    ClientGetName,
    /// The connection's number.
    ClientId,
    /// Which replies are sent.
    ClientReply(ReplyMode),
    /// What library the client uses.
    ClientSetInfo {
        /// Which of the two facts.
        fact: ClientFact,
        /// Its value.
        value: Bytes,
    },
    /// Whether the connection may be closed to regain memory.
    ClientNoEvict(bool),
    /// Whether its reads count for the age of keys.
    ClientNoTouch(bool),
    /// This connection described as in the list.
    ClientInfo,
    /// Where invalidations go: nowhere, as tracking is off.
    ClientGetRedir,
    /// Reads may be answered by a replica.
    ReadOnly,
    /// Reads are as strict as writes.
    ReadWrite,
    /// The next request is part of a slot's migration.
    Asking,
}

/// `CLIENT REPLY`'s modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every reply is sent.
    On,
    /// None is.
    Off,
    /// The next one is not.
    Skip,
}

/// What `CLIENT SETINFO` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFact {
    /// `lib-name`.
    LibraryName,
    /// `lib-ver`.
    LibraryVersion,
}

/// A request that concerns the node or the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum AdminVerb {
    /// The node's clock: seconds and microseconds.
    Time,
    /// Facts about the node; no section means the default ones.
    Info {
        /// Lower-case names, in the order given.
        sections: Vec<String>,
    },
    /// Settings whose names match one of the patterns.
    ConfigGet(Vec<Bytes>),
    /// Changes of settings, all or none.
    ConfigSet(Vec<(Bytes, Bytes)>),
    /// Write the settings to the file they came from.
    ConfigRewrite,
    /// Forget counters.
    ConfigResetStat,
    /// The connections.
    ClientList {
        /// Only of this type.
        kind: Option<ClientType>,
        /// Only these; empty means all.
        ids: Vec<u64>,
    },
    /// Close connections.
    ClientKill(ClientKill),
    /// Hold back requests.
    ClientPause {
        /// For how long.
        timeout_ms: u64,
        /// Reads as well as writes.
        all: bool,
    },
    /// Let requests pass again.
    ClientUnpause,
    /// Answer a blocked connection.
    ClientUnblock {
        /// Its number.
        id: u64,
        /// With an error rather than as if time had run out.
        error: bool,
    },
    /// For tests.
    Debug(DebugVerb),
    /// This node's place in replication.
    Role,
    /// Join that cluster as a learner.
    ReplicaOf {
        /// A name or an address.
        host: String,
        /// Its port for clients.
        port: u16,
    },
    /// Leave the cluster and keep the data.
    ReplicaOfNoOne,
    /// Until that many replicas have this connection's writes.
    Wait {
        /// How many.
        replicas: u64,
        /// For at most this long; 0 is without limit.
        timeout_ms: u64,
    },
    /// Until this connection's writes are on that many disks.
    WaitAof {
        /// 1 to ask for this node's disk too.
        local: u64,
        /// How many other nodes.
        replicas: u64,
        /// For at most this long; 0 is without limit.
        timeout_ms: u64,
    },
    /// When the last snapshot was taken.
    LastSave,
    /// Take a snapshot, and answer when it is there.
    Save,
    /// Take a snapshot.
    BgSave,
    /// Stop this node.
    Shutdown(Shutdown),
    /// The last slow requests.
    SlowlogGet {
        /// How many; `None` means all.
        count: Option<u64>,
    },
    /// How many slow requests are kept.
    SlowlogLen,
    /// Forget the slow requests.
    SlowlogReset,
    /// Latency spikes, the last of each event.
    LatencyLatest,
    /// Latency spikes of one event.
    LatencyHistory(String),
    /// Latency spikes of one event, drawn.
    LatencyGraph(String),
    /// Forget the spikes of these events; none means all.
    LatencyReset(Vec<String>),
    /// Advice in words.
    LatencyDoctor,
    /// Latency by command; none means all.
    LatencyHistogram(Vec<String>),
    /// Where memory is.
    MemoryStats,
    /// Advice in words.
    MemoryDoctor,
    /// What the allocator says.
    MemoryMallocStats,
    /// Give free memory back.
    MemoryPurge,
    /// Hand leadership over.
    Failover(Failover),
    /// What clients of Redis Cluster ask.
    Cluster(ClusterVerb),
    /// The cluster's id and its members with their addresses, as JSON.
    TalusMembers,
}

/// `CLIENT LIST TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientType {
    /// An application.
    Normal,
    /// The node this one follows.
    Master,
    /// A node that follows this one.
    Replica,
    /// A subscriber.
    PubSub,
}

/// `CLIENT KILL`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientKill {
    /// The old form: exactly the one at this address, or an error.
    Address(String),
    /// Every connection all given filters agree on; the answer is how many.
    Filters(KillFilters),
}

/// `CLIENT KILL`'s filters. None of them given matches nobody: there is at least one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KillFilters {
    /// By number.
    pub id: Option<u64>,
    /// By type.
    pub kind: Option<ClientType>,
    /// By the client's address.
    pub address: Option<String>,
    /// By this node's address.
    pub local_address: Option<String>,
    /// By user.
    pub user: Option<String>,
    /// The caller too; by default it is spared.
    pub me_too: bool,
}

/// `SHUTDOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// Take it back.
    pub abort: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Whatever goes wrong.
    pub force: bool,
    /// Whether to take a snapshot; `None` leaves it to the configuration.
    pub save: Option<bool>,
}

/// `FAILOVER`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Failover {
    /// To whom; `None` lets the leader choose. No node has some of these ports.
    pub to: Option<(String, i64)>,
    /// Even if the other is not ready when time runs out.
    pub force: bool,
    /// Take it back.
    pub abort: bool,
    /// For at most this long; 0 is without limit.
    pub timeout_ms: u64,
}

/// `CLUSTER`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterVerb {
    /// This node's id.
    MyId,
    /// This node's shard's id.
    MyShardId,
    /// The cluster's state.
    Info,
    /// The members, a line each.
    Nodes,
    /// Slot ranges and who serves them.
    Slots,
    /// Shards and who serves them.
    Shards,
    /// Links between nodes.
    Links,
    /// The replicas of a node.
    Replicas(String),
    /// How many keys a slot has.
    CountKeysInSlot(u16),
    /// Some keys of a slot.
    GetKeysInSlot {
        /// The slot.
        slot: u16,
        /// At most this many.
        count: u64,
    },
}

/// `DEBUG`, as far as tests need it.
#[derive(Debug, Clone, PartialEq)]
pub enum DebugVerb {
    /// Answered already: it asks nothing of the node.
    Answer(Reply),
    /// Do nothing for so long.
    Sleep {
        /// How long.
        micros: u64,
    },
    /// A digest of the whole state.
    Digest,
    /// Whether the leader proposes sweeps of expired keys.
    SetActiveExpire(bool),
    /// Write everything to disk and read it again.
    Reload,
    /// What is known about a key.
    Object(Bytes),
    /// Write a line to the log.
    Log(String),
}
