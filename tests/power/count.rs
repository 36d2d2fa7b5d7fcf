//! Clients that count. What they count must be neither lost nor counted twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use resp::Reply;
use resp::client::Client;

/// Large values between two increments fill the log's segments and RocksDB's files, so that the
/// power fails while these are made, removed and snapshotted.
const VALUE_BYTES: usize = 16 << 10;
const VALUES: u64 = 64;

/// What became of the increments of one counter, which only one client increments.
pub struct Count {
    key: String,
    acknowledged: i64,
    uncertain: i64,
    /// The last value that was answered.
    seen: i64,
}

/// Clients that count until they are told to stop.
pub struct Counting {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Count>>,
}

impl Counting {
    /// One client at each of the addresses.
    pub fn start(addresses: &[String], name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |address: &String| {
            let key = format!("counter:{name}:{address}");
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            std::thread::spawn(move || Count::new(key).run(&address, &stop))
        };
        Self { clients: addresses.iter().map(start).collect(), stop }
    }

    /// Stops the clients.
    pub fn stop(self) -> Vec<Count> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).collect()
    }
}

impl Count {
    fn new(key: String) -> Self {
        Self { key, acknowledged: 0, uncertain: 0, seen: 0 }
    }

    fn run(mut self, address: &str, stop: &AtomicBool) -> Self {
        let mut value = vec![0; VALUE_BYTES];
        rand::fill(&mut value);
        while !stop.load(Ordering::Relaxed) {
            if let Ok(mut client) = Client::connect(address) {
                self.count(&mut client, &value, stop);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// Counts until it is told to stop or the connection ends.
    fn count(&mut self, client: &mut Client, value: &[u8], stop: &AtomicBool) {
        for number in 0.. {
            let key = format!("value:{}:{}", self.key, number % VALUES);
            let filled = client.request(&[b"SET", key.as_bytes(), value]);
            if stop.load(Ordering::Relaxed) || filled.is_err() {
                return;
            }
            match client.request(&["INCR", &self.key]) {
                Ok(Reply::Integer(value)) => self.counted(value),
                Ok(Reply::Error(error)) if error.to_string().starts_with("UNCERTAIN") => {
                    self.uncertain += 1;
                }
                Ok(Reply::Error(_)) => {}
                Ok(reply) => panic!("INCR answers {reply:?}"),
                Err(_) => {
                    self.uncertain += 1;
                    return;
                }
            }
        }
    }

    fn counted(&mut self, value: i64) {
        assert!(value > self.seen, "{} went from {} back to {value}", self.key, self.seen);
        self.acknowledged += 1;
        self.seen = value;
    }

    /// Fails unless the counter at `address` holds every acknowledged increment, and none twice.
    pub fn assert_exact(&self, address: &str) {
        let value = match Client::connect(address).unwrap().request(&["GET", &self.key]).unwrap() {
            Reply::Bulk(text) => String::from_utf8_lossy(&text).parse().unwrap(),
            Reply::Null => 0,
            reply => panic!("GET answers {reply:?}"),
        };
        let Self { key, acknowledged, uncertain, seen } = self;
        assert!(*seen <= value, "{key} is {value}, acknowledged increments made it {seen}");
        let most = acknowledged + uncertain;
        assert!(value <= most, "{key} is {value}, only {most} increments were sent");
    }
}
