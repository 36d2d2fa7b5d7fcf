//! The connections of a node, as CLIENT LIST shows them and CLIENT KILL ends them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use resp::{Protocol, Reply, ReplyError};
use tokio::sync::Notify;

use super::now;
use crate::commands::verbs::ClientFact;
use crate::commands::{self, Command};

/// What others may know of a connection.
pub struct Client {
    id: u64,
    address: SocketAddr,
    local_address: SocketAddr,
    descriptor: RawFd,
    since: Instant,
    names: Mutex<Names>,
    last_used_ms: AtomicU64,
    last_command: AtomicUsize,
    db: AtomicU32,
    /// Requests queued by MULTI, plus one; 0 = none.
    queued: AtomicU32,
    /// See [`Client::note_memory`].
    memory: [AtomicUsize; 5],
    resp3: AtomicBool,
    killed: AtomicBool,
    kill: Notify,
}

#[derive(Default)]
struct Names {
    name: String,
    library: String,
    library_version: String,
}

const NO_COMMAND: usize = usize::MAX;

impl Client {
    fn new(id: u64, address: SocketAddr, local_address: SocketAddr, descriptor: RawFd) -> Self {
        Self {
            id,
            address,
            local_address,
            descriptor,
            since: now(),
            names: Mutex::default(),
            last_used_ms: AtomicU64::new(0),
            last_command: AtomicUsize::new(NO_COMMAND),
            db: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            memory: Default::default(),
            resp3: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            kill: Notify::new(),
        }
    }

    /// Its number; never used again while the process runs.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The client's end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This node's end.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The database it has selected.
    pub fn db(&self) -> u32 {
        self.db.load(Ordering::Relaxed)
    }

    /// Takes note of what it does.
    pub fn note_command(&self, command: &Command, db: u32) {
        self.last_command.store(command.id, Ordering::Relaxed);
        self.db.store(db, Ordering::Relaxed);
    }

    /// Takes note that it was heard of, and of the length of its MULTI.
    pub fn note_turn(&self, queued: Option<usize>) {
        let age = self.since.elapsed().as_millis() as u64;
        self.last_used_ms.store(age, Ordering::Relaxed);
        self.queued.store(queued.map_or(0, |n| n as u32 + 1), Ordering::Relaxed);
    }

    /// Takes note of what it holds: input, room for input, queue of MULTI, output, all of it.
    pub fn note_memory(&self, bytes: [usize; 5]) {
        for (place, bytes) in self.memory.iter().zip(bytes) {
            place.store(bytes, Ordering::Relaxed);
        }
    }

    /// Takes note of its protocol.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// Names it.
    ///
    /// # Errors
    /// When the name has spaces or other characters that would break a list.
    pub fn set_name(&self, name: &[u8]) -> Result<(), ReplyError> {
        let name = plain(name).ok_or(ReplyError::ClientName)?;
        self.names.lock().name = name;
        Ok(())
    }

    /// Takes its name away.
    pub fn forget_name(&self) {
        self.names.lock().name.clear();
    }

    /// Sets one of the facts about its library.
    ///
    /// # Errors
    /// When the value would break a list.
    pub fn set_info(&self, fact: ClientFact, value: &Bytes) -> Result<(), ReplyError> {
        let word = match fact {
            ClientFact::LibraryName => "lib-name",
            ClientFact::LibraryVersion => "lib-ver",
        };
        let value = plain(value).ok_or_else(|| ReplyError::ClientInfoValue(word.into()))?;
        let mut names = self.names.lock();
        match fact {
            ClientFact::LibraryName => names.library = value,
            ClientFact::LibraryVersion => names.library_version = value,
        }
        Ok(())
    }

    /// CLIENT GETNAME.
    pub fn name_reply(&self) -> Reply {
        let names = self.names.lock();
        if names.name.is_empty() { Reply::Null } else { Reply::bulk(names.name.clone()) }
    }

    /// CLIENT INFO.
    pub fn info_reply(&self) -> Reply {
        let text = format!("{}\n", self.describe());
        Reply::Verbatim { format: *b"txt", text: text.into() }
    }

    /// Its line in CLIENT LIST (<https://redis.io/docs/latest/commands/client-list/>).
    pub fn describe(&self) -> String {
        let names = self.names.lock();
        let age_ms = self.since.elapsed().as_millis() as u64;
        let idle_ms = age_ms.saturating_sub(self.last_used_ms.load(Ordering::Relaxed));
        let queued = i64::from(self.queued.load(Ordering::Relaxed)) - 1;
        let flags = if queued >= 0 { "x" } else { "N" };
        let [input, room, queue, output, total] =
            self.memory.each_ref().map(|place| place.load(Ordering::Relaxed));
        let events = if output > 0 { "rw" } else { "r" };
        let resp = if self.resp3.load(Ordering::Relaxed) { 3 } else { 2 };
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub=0 psub=0 \
             ssub=0 multi={queued} qbuf={input} qbuf-free={room} argv-mem=0 multi-mem={queue} \
             rbs=0 rbp=0 obl={output} oll=0 omem={output} tot-mem={total} events={events} cmd={} \
             user=default redir=-1 resp={resp} lib-name={} \
             lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            self.descriptor,
            names.name,
            age_ms / 1000,
            idle_ms / 1000,
            self.db.load(Ordering::Relaxed),
            self.command_name(),
            names.library,
            names.library_version,
        )
    }

    fn command_name(&self) -> &'static str {
        let id = self.last_command.load(Ordering::Relaxed);
        if id == NO_COMMAND { "NULL" } else { commands::by_id(id).map_or("NULL", |c| c.name) }
    }

    /// Ends the connection, after the reply that is being made.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.kill.notify_one();
    }

    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Waits until it is killed.
    pub async fn killed(&self) {
        self.kill.notified().await;
    }
}

/// Text of printable characters without spaces.
fn plain(text: &[u8]) -> Option<String> {
    let printable = text.iter().all(|b| (b'!'..=b'~').contains(b));
    printable.then(|| String::from_utf8_lossy(text).into_owned())
}

/// All connections of the node.
#[derive(Default)]
pub struct Clients {
    last_id: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// A new connection.
    pub fn add(
        &self,
        address: SocketAddr,
        local_address: SocketAddr,
        descriptor: RawFd,
    ) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client::new(id, address, local_address, descriptor));
        self.by_id.lock().insert(id, Arc::clone(&client));
        client
    }

    /// A connection that ended.
    pub fn remove(&self, id: u64) {
        self.by_id.lock().remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by number.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.lock().values().cloned().collect()
    }
}
