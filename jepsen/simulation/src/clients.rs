//! Clients: each writes and reads at one node, one thing after the other, and notes what it heard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::log::v1::{Item, Request, Watch};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use resp::Reply;
use storage::{Store, View};
use tokio::time::sleep;

use crate::history::{Deed, History, SharedHistory};
use crate::journal::note;
use crate::node::Parts;
use crate::power;

/// Lists, in pairs that transactions append to.
pub const LISTS: [&str; 4] = ["a", "b", "c", "d"];
/// Those of the lists that are extended from what was read, too. Few, so that clients meet there.
const GUARDED: [&str; 1] = ["a"];
/// Counters.
pub const COUNTERS: [&str; 2] = ["m", "n"];
/// Registers.
pub const REGISTERS: [&str; 2] = ["x", "y"];

/// A client at one node.
pub struct Client {
    pub parts: Arc<Parts>,
    pub history: SharedHistory,
    pub rng: StdRng,
    /// It waits up to so long between two requests.
    pub pause_ms: u64,
}

impl Client {
    /// A client with its own seed.
    pub fn new(parts: Arc<Parts>, history: SharedHistory, seed: u64, pause_ms: u64) -> Self {
        Self { parts, history, rng: StdRng::seed_from_u64(seed), pause_ms }
    }

    /// Writes and reads until it is told to stop, or its node dies.
    pub async fn run(mut self) {
        while !self.history.lock().is_over() {
            match self.rng.random_range(0..10) {
                0..=5 => self.write().await,
                _ => self.read().await,
            }
            let pause = self.rng.random_range(0..=self.pause_ms);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn write(&mut self) {
        let deed = self.deed();
        let id = self.history.lock().begin(self.parts.node, deed.clone());
        let Some(item) = self.item(&deed, id).await else {
            return self.history.lock().refused(id);
        };
        let answer = match self.parts.router.submit(&[item]) {
            Ok(answer) => answer.await.map(|mut replies| replies.remove(0)),
            Err(busy) => Ok(Reply::Error(busy)),
        };
        if !power::is_on() {
            return; // Nobody hears it.
        }
        let mut history = self.history.lock();
        match answer.ok().map(numbers) {
            Some(Ok(numbers)) => history.done(id, &numbers),
            Some(Err(text)) if text.starts_with("UNCERTAIN") => history.unknown(id),
            Some(Err(_)) => history.refused(id),
            None => history.unknown(id),
        }
    }

    fn deed(&mut self) -> Deed {
        let any = |rng: &mut StdRng, keys: &[&str]| (*keys.choose(rng).expect("some")).to_owned();
        match self.rng.random_range(0..10) {
            0..=2 => Deed::Append(vec![any(&mut self.rng, &LISTS)]),
            8..=9 => Deed::Extend(any(&mut self.rng, &GUARDED)),
            3..=4 => {
                let pair = self.rng.random_range(0..LISTS.len() / 2);
                Deed::Append(
                    LISTS[2 * pair..2 * pair + 2].iter().map(|key| (*key).into()).collect(),
                )
            }
            5..=6 => Deed::Count(any(&mut self.rng, &COUNTERS)),
            _ => Deed::Set(any(&mut self.rng, &REGISTERS)),
        }
    }

    /// What is asked of the log; nothing if what has to be read before cannot be.
    async fn item(&mut self, deed: &Deed, id: u64) -> Option<Item> {
        let (element, number) = (History::element(id), id.to_string());
        Some(match deed {
            Deed::Append(keys) => {
                let each = keys.iter().map(|key| request(&["APPEND", key, &element]));
                Item { transaction: keys.len() > 1, ..transaction(vec![], each.collect()) }
            }
            Deed::Extend(key) => self.extension(key, &element).await?,
            Deed::Count(key) => single(request(&["INCR", key])),
            Deed::Set(key) => single(request(&["SET", key, &number])),
        })
    }

    /// WATCH, GET, and what is between MULTI and EXEC.
    async fn extension(&mut self, key: &str, element: &str) -> Option<Item> {
        let version = self.state().await?.view(0, 0).version(key.as_bytes()).expect("a version");
        sleep(Duration::from_millis(self.rng.random_range(0..=5))).await;
        let value = get(&self.state().await?.view(0, 0), key).unwrap_or_default() + element;
        let watch = Watch { db: 0, key: Bytes::copy_from_slice(key.as_bytes()), version };
        Some(transaction(
            vec![watch],
            vec![request(&["SET", key, &value]), request(&["STRLEN", key])],
        ))
    }

    /// The state of this node once it holds whatever was acknowledged before now.
    async fn state(&self) -> Option<Arc<Store>> {
        let is_there = self.parts.consensus.read_index().await.is_ok() && power::is_on();
        is_there.then(|| self.parts.current.load_full())
    }

    /// A linearizable read of everything, in one state.
    async fn read(&mut self) {
        let begun = note!("client of {} reads", self.parts.node);
        if self.state().await.is_some() {
            self.look(begun);
        }
    }

    /// Holds what this node shows against what anyone knows who asks since `begun`.
    pub fn look(&self, begun: u64) {
        let store = self.parts.current.load_full();
        let view = store.view(0, 0);
        let text = |key: &&str| get(&view, key).unwrap_or_default();
        let mut history = self.history.lock();
        let lists: Vec<(String, String)> =
            LISTS.iter().map(|key| ((*key).to_owned(), text(key))).collect();
        history.saw_lists(begun, &lists);
        for key in COUNTERS {
            history.saw_counter(begun, key, text(&key).parse().unwrap_or(0));
        }
        for key in REGISTERS {
            let value = get(&view, key).map(|value| value.parse().expect("a number"));
            history.saw_register(begun, key, value);
        }
    }

    /// What counters say at the end.
    pub fn check_counters(&self) {
        let store = self.parts.current.load_full();
        let view = store.view(0, 0);
        for key in COUNTERS {
            let number = get(&view, key).map_or(0, |text| text.parse().expect("a number"));
            self.history.lock().check_counter(key, number);
        }
    }
}

fn request(words: &[&str]) -> Request {
    Request { args: words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect() }
}

fn single(request: Request) -> Item {
    Item { requests: vec![request], ..Item::default() }
}

fn transaction(watches: Vec<Watch>, requests: Vec<Request>) -> Item {
    Item { db: 0, transaction: true, watches, requests }
}

/// The numbers in an answer, or the error it is.
fn numbers(reply: Reply) -> Result<Vec<u64>, String> {
    match reply {
        Reply::Error(error) => Err(error.to_string()),
        Reply::NullArray => Err("what was watched has changed".into()),
        Reply::Integer(number) => Ok(vec![number as u64]),
        Reply::Array(replies) => {
            replies.into_iter().map(numbers).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        }
        _ => Ok(vec![]),
    }
}

fn get(view: &View<'_>, key: &str) -> Option<String> {
    let request = [Bytes::from_static(b"GET"), Bytes::copy_from_slice(key.as_bytes())];
    match talus::commands::read(view, &request, 0) {
        Ok(Reply::Bulk(value)) => Some(String::from_utf8_lossy(&value).into_owned()),
        Ok(Reply::Null) => None,
        other => panic!("GET {key} answers {other:?}"),
    }
}
