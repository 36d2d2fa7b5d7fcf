//! Digests of all replicas at one log index, while transactions and expiring keys keep them busy.

use super::append::Append;
use super::ttl::Ttl;
use super::values::list;
use super::{Invocation, Workload};
use crate::client::Trouble;
use crate::client::seat::Seat;
use crate::cluster::http::{self, Request};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::time::Duration;

/// Every replica walks over its data for a digest.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Verify {
    transactions: Append,
    expiry: Ttl,
}

impl Default for Verify {
    fn default() -> Self {
        Self { transactions: Append::transactions(), expiry: Ttl::default() }
    }
}

impl Workload for Verify {
    fn next(&self, process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        match rng.random_range(0..100) {
            0 => Invocation::new("digest", Value::Nil),
            1..=50 => self.transactions.next(process, rng),
            _ => self.expiry.next(process, rng),
        }
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        match operation.deed() {
            "digest" => digest(seat, operation.f == FINAL),
            "txn" => self.transactions.perform(seat, process, operation),
            _ => self.expiry.perform(seat, process, operation),
        }
    }

    fn finals(&self, last: bool) -> Vec<Invocation> {
        let mut all = self.transactions.finals(last);
        all.extend(self.expiry.finals(last));
        all
    }
}

const FINAL: &str = "final-digest";

/// The digests that end every run, for which each replica must be there.
pub fn final_digest() -> Invocation {
    Invocation::new(FINAL, Value::Nil)
}

/// Asks for the digests of all replicas; `complete` if none may be missing.
///
/// Only the leader gives them, so every node is asked until one does.
pub fn digest(seat: &Seat<'_>, complete: bool) -> Result<Value, Trouble> {
    let agent = http::agent(PATIENCE);
    let mut refused = "there are no nodes".to_owned();
    for side in seat.sides() {
        match http::ask(&agent, side, "/v1/digest", &Request::Get) {
            Ok((200, text)) => return digests(&text, complete),
            Ok((status, text)) => refused = format!("{status}: {}", text.trim()),
            Err(error) => refused = error,
        }
    }
    Err(Trouble::Refused(refused))
}

fn digests(text: &str, complete: bool) -> Result<Value, Trouble> {
    let view: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| Trouble::Impossible(format!("{error} in {text:?}")))?;
    let strange = || Trouble::Impossible(format!("{view} as digests"));
    let index = view["index"].as_i64().ok_or_else(strange)?;
    let mut digests = Vec::new();
    for replica in view["replicas"].as_array().ok_or_else(strange)? {
        let member = replica["id"].as_i64().ok_or_else(strange)?;
        match replica["digest"].as_str() {
            Some(digest) => digests.push(list([
                Value::Int(member),
                Value::Int(index),
                Value::Text(digest.to_owned()),
            ])),
            None if complete => {
                return Err(Trouble::Refused(format!("no digest of {member}: {replica}")));
            }
            None => {}
        }
    }
    Ok(Value::List(digests))
}
