//! Why a key is not linearizable, for a person: the longest prefix of the history that is, the
//! operation that has no place after it, and what else could have had a say.

use std::fmt;

use serde::Serialize;

use super::register::{Action, Call, Register};
use super::search::{Limits, Outcome, search};
use crate::check::place::place;

/// How many operations of a list are shown.
const SHOWN_MAX: usize = 8;

/// A counter-example; operations are texts with their event indexes, processes and nodes.
#[derive(Debug, Serialize)]
pub(super) struct Example {
    key: String,
    /// The event with which the history stops being linearizable.
    event: usize,
    /// How many operations the order of the prefix has.
    placed: usize,
    /// The last of that order.
    order: Vec<String>,
    /// What the register holds after it.
    holds: String,
    /// What completes at `event` and fits nowhere.
    misfit: String,
    /// What had begun before `event` and not ended.
    open: Vec<String>,
    /// What else could have left the value that the misfit expects; nothing if it expects none.
    sources: Option<Vec<String>>,
}

impl Example {
    /// `register` has no order up to and with the event `front`, but one before it.
    pub(super) fn new(register: &Register<'_>, front: usize, limits: Limits) -> Self {
        let prefix = register.before(front);
        let order = match search(&prefix, limits) {
            Outcome::Linearizable(order) => order,
            Outcome::Stuck(_) | Outcome::Undecided(_) => Vec::new(),
        };
        let holds = order.last().map_or(0, |call| call.action.leaves());
        let show = |call: &&Call<'_>| show(register, call);
        let known = || register.certain.iter().chain(&register.possible);
        let misfits = || register.certain.iter().filter(|call| call.until == front);
        let open = known().filter(|c| c.from < front && c.until > front);
        let sources = misfits().find_map(|call| call.action.expects()).map(|value| {
            known().filter(|c| c.action.brings(value)).take(SHOWN_MAX).map(|c| show(&c)).collect()
        });
        Self {
            key: register.key.to_string(),
            event: front,
            placed: order.len(),
            order: order[order.len().saturating_sub(SHOWN_MAX)..]
                .iter()
                .map(|c| show(&c))
                .collect(),
            holds: register.values[holds as usize].to_string(),
            misfit: misfits().map(|call| show(&call)).collect(),
            open: open.take(SHOWN_MAX).map(|call| show(&call)).collect(),
            sources,
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, event, placed, holds, misfit, .. } = self;
        writeln!(f, "key {key}: linearizable before event {event}, not with it")?;
        writeln!(f, "  fits nowhere: {misfit}")?;
        list(f, &format!("an order of the {placed} operations before it ends with"), &self.order)?;
        writeln!(f, "  and leaves {holds}")?;
        list(f, "open at that time are also", &self.open)?;
        match &self.sources {
            Some(sources) if sources.is_empty() => writeln!(f, "  nobody wrote what it saw"),
            Some(sources) => list(f, "what it saw may be from", sources),
            None => Ok(()),
        }
    }
}

/// The operations under their title; nothing if there are none.
fn list(f: &mut fmt::Formatter<'_>, title: &str, operations: &[String]) -> fmt::Result {
    if !operations.is_empty() {
        writeln!(f, "  {title}")?;
    }
    operations.iter().try_for_each(|operation| writeln!(f, "    {operation}"))
}

fn show(register: &Register<'_>, call: &Call<'_>) -> String {
    let value = |place: u32| register.values[place as usize];
    let what = match call.action {
        Action::Read(seen) => format!("read {}", value(seen)),
        Action::Write(new) => format!("write {}", value(new)),
        Action::Cas(old, new) => format!("cas {} to {}", value(old), value(new)),
    };
    format!("{} {what}", place(&call.operation))
}
