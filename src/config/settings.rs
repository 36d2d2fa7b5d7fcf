//! Every setting, each in one row: section, key, kind, default, then what else is true of it.
//!
//! The file, the environment, the command line, `CONFIG GET/SET/REWRITE`, `conf/talus.toml` and
//! `talus config show` are all read off these rows. Adding a setting = adding a row.

use super::value::{Bytes, Level, Listen, LogFormat, Millis, OutputLimits, Seconds, Value, Words};
use std::fmt;

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Table of the TOML file.
    pub section: &'static str,
    /// Key in that table.
    pub key: &'static str,
    /// What it is for, in sentences.
    pub doc: &'static str,
    /// The default as the file spells it.
    pub default: &'static str,
    /// What `CONFIG GET` calls it, if Redis has it.
    pub redis_name: Option<&'static str>,
    /// The option of `talus serve`, if it has one of its own.
    pub flag: Option<Flag>,
    /// Smallest and largest number.
    pub bounds: Option<(u64, u64)>,
    /// Whether it may change while the node runs.
    pub is_live: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
    get: fn(&Config) -> &dyn Value,
    get_mut: fn(&mut Config) -> &mut dyn Value,
}

/// An option of the command line.
#[derive(Clone, Copy)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// What help puts in the place of its value: what kind of thing it is.
    pub value: &'static str,
}

impl Setting {
    const fn redis(mut self, name: &'static str) -> Self {
        self.redis_name = Some(name);
        self
    }

    const fn flag(mut self, name: &'static str, value: &'static str) -> Self {
        self.flag = Some(Flag { name, value });
        self
    }

    const fn within(mut self, min: u64, max: u64) -> Self {
        self.bounds = Some((min, max));
        self
    }

    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// `section.key`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// Name of the environment variable.
    pub fn variable(&self) -> String {
        format!("TALUS_{}__{}", self.section, self.key).to_ascii_uppercase()
    }

    /// What `CONFIG GET` calls it: Redis's name, or the path.
    pub fn config_name(&self) -> String {
        self.redis_name.map_or_else(|| self.path(), String::from)
    }

    /// Its value in `config`.
    pub fn value<'a>(&self, config: &'a Config) -> &'a dyn Value {
        (self.get)(config)
    }

    /// Its value for people: hidden if it is a secret.
    pub fn shown(&self, config: &Config) -> String {
        let text = self.value(config).text();
        if self.is_secret && !text.is_empty() { "(hidden)".into() } else { text }
    }

    /// Reads `text` into `config`; on an error nothing has changed.
    pub fn assign(&self, config: &mut Config, text: &str) -> Result<(), String> {
        if let Ok(number) = text.parse::<i128>() {
            self.check_bounds(number)?;
        }
        let before = self.value(config).text();
        let value = (self.get_mut)(config);
        value.assign(text)?;
        let checked = value.number().map_or(Ok(()), |number| self.check_bounds(number.into()));
        if checked.is_err() {
            value.assign(&before).expect("a value reads what it printed");
        }
        checked
    }

    fn check_bounds(&self, number: i128) -> Result<(), String> {
        match self.bounds {
            Some((min, max)) if !(i128::from(min)..=i128::from(max)).contains(&number) => {
                Err(format!("argument must be between {min} and {max} inclusive"))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! settings {
    ($($(#[doc = $about:literal])* $section:ident: $name:ident {
        $($(#[doc = $doc:literal])* $key:ident: $kind:ty = $default:literal $(. $fact:ident ( $($arg:expr),* ))* ;)*
    })*) => {
        /// What a node runs with.
        #[derive(Clone, PartialEq, Eq)]
        pub struct Config { $($(#[doc = $about])* pub $section: $name),* }

        $($(#[doc = $about])*
        #[derive(Clone, Default, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $doc])* pub $key: $kind),* })*

        impl Default for Config {
            fn default() -> Self {
                let mut config = Config { $($section: $name::default()),* };
                for setting in SETTINGS {
                    setting.assign(&mut config, setting.default).expect("a default is within bounds");
                }
                config
            }
        }

        /// The sections and what they are about, in the order of the file.
        pub const SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($about, "\n"),*))),*];

        /// All settings, in the order of the file.
        pub const SETTINGS: &[Setting] = &[$($(Setting {
            section: stringify!($section),
            key: stringify!($key),
            doc: concat!($($doc, "\n"),*),
            default: $default,
            redis_name: None,
            flag: None,
            bounds: None,
            is_live: false,
            is_secret: false,
            get: |config| &config.$section.$key,
            get_mut: |config| &mut config.$section.$key,
        }$(.$fact($($arg),*))*),*),*];
    };
}

/// Without secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(SETTINGS.iter().map(|row| (row.path(), row.shown(self)))).finish()
    }
}

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

settings! {
    /// Redis clients: where they are served and how much each may use.
    server: Server {
        /// Addresses to listen on. Other machines reach the node only if an address of theirs is
        /// here. A leading `-` means: no matter if this machine does not have the address.
        bind: Words = "127.0.0.1 -::1" .redis("bind").flag("bind", "ADDRESS...");
        /// Port for Redis clients. HTTP is served one above, other nodes 10000 above, by default.
        port: u16 = "6379" .redis("port").flag("port", "PORT").within(1, 65535);
        /// Connections the kernel may hold before they are accepted.
        backlog: u32 = "511" .redis("tcp-backlog").within(1, 65535);
        /// Connections at a time; more are told so and closed. Lowered at the start if the hard
        /// limit of open files (`ulimit -Hn`) allows no more.
        clients_max: u32 = "10000" .redis("maxclients").within(1, 1_000_000).live();
        /// Idle clients are disconnected after this; 0 is never.
        idle_timeout_s: Seconds = "0" .redis("timeout").within(0, 2_147_483_647).live();
        /// Idle connections are probed after this, so that dead clients are noticed; 0 is never.
        keepalive_s: Seconds = "300" .redis("tcp-keepalive").within(0, 2_147_483_647).live();
        /// The longest argument of a request, and with it the longest string value.
        bulk_bytes_max: Bytes = "512mb" .redis("proto-max-bulk-len").within(MB, 512 * MB).live();
        /// What a client may have sent that is not yet executed; above, it is disconnected.
        query_buffer_bytes_max: Bytes = "1gb" .redis("client-query-buffer-limit").within(MB, 1024 * GB).live();
        /// Replies that may wait unsent, by class of clients: hard limit, soft limit and for how
        /// many seconds the soft one may be exceeded; 0 is no limit. A client above is disconnected.
        output_limits: OutputLimits = "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60" .redis("client-output-buffer-limit").live();
        /// Databases for SELECT. Equal on all nodes.
        databases: u32 = "16" .redis("databases").within(1, 16384);
        /// Password of the default user; empty is none.
        password: String = "" .redis("requirepass").secret().live();
        /// Without a password, refuse clients that do not come over a loopback address.
        protected_mode: bool = "true" .redis("protected-mode").live();
        /// Threads that serve connections; 0 is one for every two cores, at least one: consensus,
        /// the log and the data have threads of their own. A single one does it together with the
        /// one of consensus while this node votes alone.
        io_threads: u32 = "0" .redis("io-threads").within(0, 128);
    }
    /// This node: its files, its name, the cluster it belongs to.
    node: Node {
        /// Directory of everything the node keeps. One node, one directory.
        data_dir: String = "./data" .redis("dir").flag("data-dir", "DIR");
        /// HOST or HOST:PORT under which clients and other nodes reach this node. Empty: the
        /// address it listens on, or this machine's own if it listens on all.
        advertise: String = "" .flag("advertise", "HOST[:PORT]");
        /// Name of the cluster a first node founds. For people; clusters differ by their id.
        cluster_name: String = "default" .flag("cluster-name", "NAME");
        /// Members (HOST:PORT of any of them) of the cluster to join. Empty: an empty directory
        /// founds a cluster of its own. Ignored once the directory belongs to a cluster.
        join: Words = "" .flag("join", "HOST:PORT...");
        /// Join as a replica: a learner for good, which never votes.
        replica: bool = "false" .flag("replica", "BOOL");
    }
    /// HTTP: health, metrics, membership.
    admin: Admin {
        /// `auto` (loopback, one above the port for Redis clients), `off`, or IP:PORT.
        listen: Listen = "auto" .flag("http", "IP:PORT");
        /// If set, requests below /v1 carry it as `Authorization: Bearer …`. Needed as soon as
        /// `listen` is not a loopback address.
        token: String = "" .secret();
        /// A request is given up after this. Changes of membership wait for data to be copied,
        /// and go on by themselves when the request has been given up.
        request_timeout_ms: Millis = "60000" .within(100, 3_600_000);
        /// Connections at a time; more wait to be accepted.
        connections_max: u32 = "128" .within(1, 65535);
    }
    /// Consensus. The same on all nodes, please.
    raft: Raft {
        /// Port for other nodes; 0 is 10000 above the port for Redis clients. Not encrypted and
        /// without a password: keep it inside a network you trust.
        port: u16 = "0" .flag("raft-port", "PORT");
        /// An idle leader is heard from this often. Longer than the slowest fsync of a follower.
        heartbeat_ms: Millis = "100" .within(10, 60_000);
        /// A follower that hears nothing for `election_timeout_max_ms`, plus a random time between
        /// both bounds, stands for election.
        election_timeout_min_ms: Millis = "400" .within(50, 300_000);
        /// See `election_timeout_min_ms`.
        election_timeout_max_ms: Millis = "800" .within(100, 600_000);
        /// Waiting writes travel to the leader, and into one log entry, up to this many bytes at a
        /// time.
        batch_bytes_max: Bytes = "1mb" .within(4 * KB, 64 * MB);
        /// A single write larger than this is refused, whatever `server.bulk_bytes_max` lets in.
        entry_bytes_max: Bytes = "64mb" .within(MB, 512 * MB);
        /// Log entries proposed and not yet applied, at a time.
        inflight_entries_max: u32 = "16" .within(1, 4096);
        /// Batches of this node's writes that are not yet answered by the leader, at a time.
        inflight_batches_max: u32 = "4" .within(1, 4096);
        /// A write not applied within this is answered with `-UNCERTAIN`.
        write_timeout_ms: Millis = "5000" .within(100, 600_000);
        /// A read not confirmed by a quorum within this is answered with `-CLUSTERDOWN`.
        read_timeout_ms: Millis = "3000" .within(100, 600_000);
        /// Reads that wait to be confirmed, at a time; more are answered with `-BUSY`.
        reads_max: u32 = "65536" .within(1, 16_777_216);
        /// Size of one file of the log. Files are zeroed ahead, so that an fsync does not wait for
        /// the file system's own journal, and used again.
        log_segment_bytes: Bytes = "64mb" .within(MB, 4 * GB);
        /// The newest entries stay readable in memory up to this size.
        log_cache_bytes: Bytes = "64mb" .within(64 * KB, 64 * GB);
        /// A snapshot is taken when the log has grown by this much …
        snapshot_log_bytes: Bytes = "512mb" .within(MB, 1024 * GB);
        /// … and, if it has grown at all, this often.
        snapshot_interval_s: Seconds = "3600" .within(1, 31_536_000);
        /// Log kept behind a snapshot for members that were away. More than is written while a
        /// snapshot is sent, or a slow member needs one after the other.
        log_keep_bytes: Bytes = "256mb" .within(MB, 1024 * GB);
        /// A snapshot is sent no faster than this per second; 0 is no limit.
        snapshot_bytes_per_s: Bytes = "0";
        /// How far a learner may be behind, in log entries, when it becomes a voter.
        catch_up_entries_max: u64 = "1024" .within(1, 1_000_000_000);
        /// How long a promotion waits for the learner to catch up.
        catch_up_timeout_ms: Millis = "60000" .within(100, 3_600_000);
        /// How long a change of membership may take to be committed.
        change_timeout_ms: Millis = "10000" .within(100, 600_000);
        /// How long a transfer of leadership may take. Writes wait meanwhile.
        transfer_timeout_ms: Millis = "5000" .within(100, 60_000);
    }
    /// The keyspace on disk and in memory.
    storage: Storage {
        /// Memory for data: rows ready to be answered, blocks of files, write buffers. Divided by
        /// the store, and taken only as it is needed. 0 is a quarter of what this machine, or this
        /// process's control group, has; otherwise at least 32mb.
        memory_bytes: Bytes = "0" .within(0, 64 * 1024 * GB);
        /// Changes are in the log at once; the disk store gets them in bulk, no later than this.
        drain_after_ms: Millis = "5000" .within(10, 60_000);
        /// Size of one write buffer of the disk store, which becomes one file.
        memtable_bytes: Bytes = "32mb" .within(MB, 4 * GB);
        /// Strings up to this length are kept with their key, longer ones in chunks.
        inline_bytes_max: Bytes = "64kb" .within(64, 16 * MB);
        /// Keys past their deadline are looked for this often …
        sweep_interval_ms: Millis = "100" .within(10, 60_000).live();
        /// … and this many removed at a time.
        sweep_keys_max: u32 = "1000" .within(1, 100_000).live();
    }
    /// What all clients together may use.
    limits: Limits {
        /// Bytes of requests that wait to be executed. Above, new ones are answered with `-BUSY`.
        pending_bytes_max: Bytes = "256mb" .within(MB, 64 * GB);
        /// Bytes of requests that are arriving, of queues of MULTI, and of replies that clients have
        /// yet to take; the first 256kb of each client are not counted. Above, who wants more waits,
        /// and after a while is answered with `-BUSY`.
        clients_bytes_max: Bytes = "512mb" .within(MB, 1024 * GB).live();
    }
    /// The log for people.
    log: Log {
        /// error, warn, info, debug or trace. Values and passwords are not logged at any level.
        level: Level = "info" .redis("loglevel").flag("log-level", "LEVEL").live();
        /// text, json, or auto: text on a terminal, JSON elsewhere.
        format: LogFormat = "auto" .flag("log-format", "FORMAT");
        /// Requests that took longer than this to execute are kept for SLOWLOG; -1 keeps none.
        slower_than_us: i64 = "10000" .redis("slowlog-log-slower-than").live();
        /// How many of them are kept.
        slow_entries_max: u32 = "128" .redis("slowlog-max-len").within(0, 100_000).live();
    }
}
