//! SLOWLOG: the last requests that took long, as Redis keeps them.
//!
//! What is kept of a request is bounded in words and bytes, and secrets are not kept at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use resp::Reply;

use super::time::unix_seconds;
use crate::config::Live;
use crate::config::redis::setting;
use crate::server::{Client, Server};

/// Words kept of a request.
const ARGS_MAX: usize = 32;
/// Bytes kept of a word.
const ARG_BYTES_MAX: usize = 128;
/// Entries kept, whatever the configuration says: 4 KiB each at most.
const ENTRIES_MAX: usize = 100_000;

/// The slow requests of a node.
pub struct SlowLog {
    /// In microseconds; negative keeps nothing.
    slower_than: AtomicI64,
    entries_max: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next_id: u64,
    /// Newest first.
    entries: VecDeque<Entry>,
}

/// A slow request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: u64,
    unix_s: u64,
    micros: u64,
    args: Vec<Bytes>,
    client: String,
    client_name: Bytes,
}

impl SlowLog {
    /// An empty log with the limits of a configuration.
    pub fn new(config: &Live) -> Self {
        let log = Self {
            slower_than: AtomicI64::new(-1),
            entries_max: AtomicUsize::new(0),
            kept: Mutex::default(),
        };
        log.follow(config);
        log
    }

    /// Takes over the limits of a configuration that may have changed.
    pub fn follow(&self, config: &Live) {
        let number = |name: &str| config.get(&[name]).first().and_then(|(_, v)| v.parse().ok());
        let limits = (number("slowlog-log-slower-than"), number("slowlog-max-len"));
        self.limit(limits.0.unwrap_or(-1), limits.1.unwrap_or(0));
    }

    fn limit(&self, slower_than_micros: i64, entries_max: i64) {
        let entries_max = usize::try_from(entries_max).unwrap_or(0).min(ENTRIES_MAX);
        self.slower_than.store(slower_than_micros, Ordering::Relaxed);
        self.entries_max.store(entries_max, Ordering::Relaxed);
        self.kept.lock().entries.truncate(entries_max);
    }

    /// Whether a request that took so long is kept: the fast test on the way of every request.
    pub fn is_slow(&self, micros: u64) -> bool {
        let slower_than = self.slower_than.load(Ordering::Relaxed);
        u64::try_from(slower_than).is_ok_and(|limit| micros >= limit)
    }

    /// Keeps a request if it took long. The caller passes over commands that are not logged.
    pub fn note(&self, micros: u64, request: &[Bytes], client: &Client) {
        if self.is_slow(micros) {
            let name = match client.name_reply() {
                Reply::Bulk(name) => name,
                _ => Bytes::new(),
            };
            self.keep(micros, shown(request), client.address().to_string(), name);
        }
    }

    fn keep(&self, micros: u64, args: Vec<Bytes>, client: String, client_name: Bytes) {
        let entries_max = self.entries_max.load(Ordering::Relaxed);
        let mut kept = self.kept.lock();
        let id = kept.next_id;
        kept.next_id += 1;
        let unix_s = unix_seconds();
        kept.entries.push_front(Entry { id, unix_s, micros, args, client, client_name });
        kept.entries.truncate(entries_max);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.lock().entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets them all; the numbers go on.
    pub fn clear(&self) {
        self.kept.lock().entries.clear();
    }

    fn newest(&self, count: Option<u64>) -> Vec<Entry> {
        let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        self.kept.lock().entries.iter().take(count).cloned().collect()
    }
}

impl Entry {
    fn reply(self) -> Reply {
        Reply::Array(vec![
            Reply::count(self.id),
            Reply::count(self.unix_s),
            Reply::count(self.micros),
            Reply::Array(self.args.into_iter().map(Reply::Bulk).collect()),
            Reply::bulk(self.client),
            Reply::Bulk(self.client_name),
        ])
    }
}

/// SLOWLOG GET.
pub fn get(server: &Server, count: Option<u64>) -> Reply {
    Reply::Array(server.slowlog.newest(count).into_iter().map(Entry::reply).collect())
}

/// SLOWLOG LEN.
pub fn len(server: &Server) -> Reply {
    Reply::count(server.slowlog.len())
}

/// SLOWLOG RESET.
pub fn reset(server: &Server) -> Reply {
    server.slowlog.clear();
    Reply::OK
}

/// What is kept of a request: its first words, none of them long, no secrets.
fn shown(request: &[Bytes]) -> Vec<Bytes> {
    let words = if request.len() > ARGS_MAX { ARGS_MAX - 1 } else { request.len() };
    let mut args: Vec<Bytes> = (0..words).map(|at| shown_word(request, at)).collect();
    if words < request.len() {
        args.push(format!("... ({} more arguments)", request.len() - words).into());
    }
    args
}

fn shown_word(request: &[Bytes], at: usize) -> Bytes {
    let word = &request[at];
    if is_secret(request, at) {
        return Bytes::from_static(b"(redacted)");
    }
    if word.len() <= ARG_BYTES_MAX {
        // A copy: what is kept must not hold on to the buffer the request came in.
        return Bytes::copy_from_slice(word);
    }
    let mut cut = word[..ARG_BYTES_MAX].to_vec();
    cut.extend_from_slice(format!("... ({} more bytes)", word.len() - ARG_BYTES_MAX).as_bytes());
    cut.into()
}

/// Passwords: of AUTH, of HELLO … AUTH, of CONFIG SET.
fn is_secret(request: &[Bytes], at: usize) -> bool {
    let word = |at: usize| request.get(at).map(Bytes::as_ref).unwrap_or_default();
    let is = |at: usize, text: &str| word(at).eq_ignore_ascii_case(text.as_bytes());
    let follows_auth = |distance: usize| at > distance && is(at - distance, "auth");
    if is(0, "auth") {
        return at > 0;
    }
    if is(0, "hello") {
        return follows_auth(1) || follows_auth(2);
    }
    let names_secret = |at: usize| {
        std::str::from_utf8(word(at)).is_ok_and(|name| setting(name).is_some_and(|s| s.is_secret))
    };
    is(0, "config") && is(1, "set") && at >= 3 && at % 2 == 1 && names_secret(at - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[&str]) -> Vec<Bytes> {
        words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn requests_are_cut_as_in_redis() {
        let long = "x".repeat(200);
        let args = shown(&request(&["SET", "k", &long]));
        assert_eq!(args[2], format!("{}... (72 more bytes)", "x".repeat(128)));
        let many = shown(&vec![Bytes::from_static(b"a"); 40]);
        assert_eq!(many.len(), 32);
        assert_eq!(many[31], "... (9 more arguments)");
        assert_eq!(shown(&vec![Bytes::from_static(b"a"); 32]).len(), 32);
    }

    #[test]
    fn passwords_are_not_kept() {
        let kept = |words: &[&str]| shown(&request(words));
        assert_eq!(kept(&["AUTH", "u", "p"]), ["AUTH", "(redacted)", "(redacted)"]);
        assert_eq!(
            kept(&["hello", "3", "AUTH", "u", "p", "SETNAME", "n"]),
            ["hello", "3", "AUTH", "(redacted)", "(redacted)", "SETNAME", "n"]
        );
        assert_eq!(
            kept(&["CONFIG", "SET", "timeout", "5", "requirepass", "p"]),
            ["CONFIG", "SET", "timeout", "5", "requirepass", "(redacted)"]
        );
        assert_eq!(kept(&["SET", "auth", "value"]), ["SET", "auth", "value"]);
    }

    #[test]
    fn the_newest_are_kept() {
        let log = SlowLog {
            slower_than: AtomicI64::new(-1),
            entries_max: AtomicUsize::new(0),
            kept: Mutex::default(),
        };
        assert!(!log.is_slow(u64::MAX));
        log.limit(10, 2);
        assert!(log.is_slow(10) && !log.is_slow(9));
        for micros in [11, 12, 13] {
            log.keep(micros, Vec::new(), "1.2.3.4:5".into(), Bytes::new());
        }
        let ids = |count| log.newest(count).iter().map(|entry| entry.id).collect::<Vec<u64>>();
        assert_eq!(ids(None), [2, 1]);
        assert_eq!(ids(Some(1)), [2]);
        log.limit(10, 1);
        assert_eq!(log.len(), 1);
        log.clear();
        log.keep(14, Vec::new(), String::new(), Bytes::new());
        assert_eq!(ids(None), [3]);
    }

    #[test]
    fn entries_have_six_parts() {
        let entry = Entry {
            id: 1,
            unix_s: 2,
            micros: 3,
            args: request(&["GET", "k"]),
            client: "127.0.0.1:4".into(),
            client_name: "me".into(),
        };
        let args = Reply::Array(vec![Reply::bulk("GET"), Reply::bulk("k")]);
        let numbers = [Reply::Integer(1), Reply::Integer(2), Reply::Integer(3)];
        let tail = [args, Reply::bulk("127.0.0.1:4"), Reply::bulk("me")];
        assert_eq!(entry.reply(), Reply::Array([numbers, tail].concat()));
    }
}
