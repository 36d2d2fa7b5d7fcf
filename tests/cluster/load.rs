//! Writers that count what was acknowledged.
#![allow(dead_code, reason = "every test uses another part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use resp::Reply;
use resp::client::Client;

/// What became of the writes of one writer.
#[derive(Default)]
pub struct Tally {
    /// Keys whose write was acknowledged.
    pub acknowledged: Vec<String>,
    /// Writes with an unknown outcome.
    pub uncertain: usize,
    /// Writes that were refused for certain: these must not be found.
    pub refused: Vec<String>,
    /// The longest time between two acknowledgements.
    pub longest_gap: Duration,
}

/// Writers that write until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// One writer at each of the addresses; each goes on to the next address when one fails.
    pub fn start(addresses: &[String], name: &'static str) -> Self {
        Self::paced(addresses, name, Duration::ZERO)
    }

    /// The same, with a pause after each write: a log that grows slowly on a fast machine, too.
    pub fn paced(addresses: &[String], name: &'static str, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..addresses.len()).map(|at| {
            let (stop, addresses) = (Arc::clone(&stop), addresses.to_vec());
            std::thread::spawn(move || write(&addresses, at, name, pause, &stop))
        });
        Self { stop: Arc::clone(&stop), writers: writers.collect() }
    }

    /// Stops the writers.
    pub fn stop(self) -> Vec<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().map(|w| w.join().unwrap()).collect()
    }
}

fn write(
    addresses: &[String],
    first: usize,
    name: &str,
    pause: Duration,
    stop: &AtomicBool,
) -> Tally {
    let mut tally = Tally::default();
    let mut at = first;
    let mut client: Option<Client> = None;
    let mut last = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return tally;
        }
        std::thread::sleep(pause);
        let Some(open) = client.as_mut() else {
            client = connect(&addresses[at % addresses.len()]);
            at += usize::from(client.is_none());
            continue;
        };
        let key = format!("{name}:{first}:{number}");
        match open.request(&["SET", &key, "x"]) {
            Ok(Reply::Simple(_)) => {
                tally.longest_gap = tally.longest_gap.max(last.elapsed());
                last = Instant::now();
                tally.acknowledged.push(key);
            }
            Ok(Reply::Error(error)) if error.to_string().starts_with("UNCERTAIN") => {
                tally.uncertain += 1;
            }
            Ok(Reply::Error(_)) => tally.refused.push(key),
            Ok(reply) => panic!("SET answers {reply:?}"),
            Err(_) => {
                tally.uncertain += 1;
                client = None;
                at += 1;
            }
        }
    }
    tally
}

/// Clients that count one key up, each on one connection, which never fails and never hears of an
/// error: whatever happens to the cluster, each INCR is done once.
pub struct Counting {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<i64>>,
}

impl Counting {
    /// One client at each of the addresses.
    pub fn start(addresses: &[String], key: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = addresses.iter().map(|address| {
            let (stop, address) = (Arc::clone(&stop), address.clone());
            std::thread::spawn(move || count_up(&address, key, &stop))
        });
        Self { stop: Arc::clone(&stop), clients: clients.collect() }
    }

    /// Stops the clients. What they have counted together is the value the key must have.
    pub fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).sum()
    }
}

fn count_up(address: &str, key: &str, stop: &AtomicBool) -> i64 {
    let mut client = connect(address).unwrap();
    let mut counted = 0;
    while !stop.load(Ordering::Relaxed) {
        match client.request(&["INCR", key]) {
            Ok(Reply::Integer(_)) => counted += 1,
            reply => panic!("INCR at {address} answers {reply:?}"),
        }
    }
    counted
}

fn connect(address: &str) -> Option<Client> {
    let client = Client::connect(address).ok();
    if client.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let client = client?;
    client.set_timeout(Some(Duration::from_secs(8))).ok()?;
    Some(client)
}

/// Fails unless every acknowledged write is found at `address`, and no refused one.
pub fn assert_found(address: &str, tallies: &[Tally]) {
    let mut client = Client::connect(address).unwrap();
    for tally in tallies {
        for keys in tally.acknowledged.chunks(500) {
            assert_eq!(count(&mut client, keys), keys.len() as i64, "acknowledged writes are lost");
        }
        for keys in tally.refused.chunks(500) {
            assert_eq!(count(&mut client, keys), 0, "a refused write was done");
        }
    }
}

fn count(client: &mut Client, keys: &[String]) -> i64 {
    let mut request = vec!["EXISTS"];
    request.extend(keys.iter().map(String::as_str));
    match client.request(&request).unwrap() {
        Reply::Integer(count) => count,
        reply => panic!("EXISTS answers {reply:?}"),
    }
}
