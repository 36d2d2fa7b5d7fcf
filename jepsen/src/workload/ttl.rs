//! Keys that expire: once gone they stay gone, on every node, whatever its clock says.
//!
//! Value and remaining time are read in one transaction, so that both tell of the same moment.

use super::keys::{Keys, Limits};
use super::values::{int_at, ints, list, maybe};
use super::{Invocation, Workload};
use crate::client::seat::Seat;
use crate::client::{Reply, Trouble, words};
use crate::history::Value;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// A key with a write of unknown outcome proves little from then on.
const LIMITS: Limits = Limits { active: 6, uses_max: 300, unknown_max: 1 };
const LIFE_MIN_MS: f64 = 20.0;
const LIFE_MAX_MS: f64 = 2000.0;

/// See the module.
#[derive(Debug)]
pub struct Ttl {
    keys: Keys,
}

impl Default for Ttl {
    fn default() -> Self {
        Self { keys: Keys::new(LIMITS) }
    }
}

impl Workload for Ttl {
    fn next(&self, _process: u64, rng: &mut ChaCha8Rng) -> Invocation {
        // Each order of magnitude as likely, so that some keys expire before they are set again.
        let life = LIFE_MIN_MS * (LIFE_MAX_MS / LIFE_MIN_MS).powf(rng.random());
        let (sets, life) = (rng.random_bool(0.1), life as i64);
        self.keys.pick(rng, |key, _| {
            key.used();
            if sets {
                Invocation::new("set", ints([key.id, key.fresh_value(), life]))
            } else {
                Invocation::new("read", list([Value::Int(key.id), Value::Nil]))
            }
        })
    }

    fn perform(
        &self,
        seat: &mut Seat<'_>,
        _process: u64,
        operation: &Invocation,
    ) -> Result<Value, Trouble> {
        let id = int_at(&operation.value, 0)?;
        if operation.deed() == "read" {
            return Ok(list([Value::Int(id), read(seat, id)?]));
        }
        let [value, life] = [int_at(&operation.value, 1)?, int_at(&operation.value, 2)?];
        let command = ["SET", &key(id), &value.to_string(), "PX", &life.to_string()];
        let done = seat.redis().and_then(|client| client.write(&command)?.expect_ok());
        if let Err(Trouble::Unknown(_)) = &done {
            self.keys.unknown(id);
        }
        done.map(|()| operation.value.clone())
    }

    fn finals(&self, _last: bool) -> Vec<Invocation> {
        self.keys.final_reads()
    }
}

fn key(id: i64) -> String {
    format!("ttl:{id}")
}

fn read(seat: &mut Seat<'_>, id: i64) -> Result<Value, Trouble> {
    let commands = [words(&["PTTL", &key(id)]), words(&["GET", &key(id)])];
    let replies = seat.redis()?.transact(&commands).map_err(Trouble::of_read)?;
    let nil = || Trouble::Impossible("EXEC gave nil and nothing is watched".to_owned());
    let [remaining, value] =
        <[Reply; 2]>::try_from(replies.ok_or_else(nil)?).expect("as many as commands");
    let remaining = remaining.integer()?;
    Ok(match value.number()? {
        None if remaining == -2 => Value::Nil,
        None => return Err(Trouble::Impossible(format!("no value, but {remaining} ms of life"))),
        value => list([maybe(value), Value::Int(remaining)]),
    })
}
