//! The search for an order: Wing and Gong's, with Lowe's memory of configurations.
//!
//! A configuration is the set of calls that have their place and the value that they leave. From
//! each the search goes on with one call that was invoked before the first return still to come
//! (the front), and comes back when nothing is left to try. No configuration is entered twice.
//!
//! What keeps the number of configurations small loses no order:
//! - A read that sees the current value is placed at once: it changes nothing, so any order that
//!   has it later also holds with it here.
//! - Where the call at the front expects a value that no open call leaves, nothing is tried.
//! - A possible call is only tried if it changes the value and an open call expects what it leaves:
//!   in any other place the order holds without it.
//! - Of possible calls that do the same, the earlier comes first: they can be exchanged.
//!
//! The call at the front is tried before others, then what leaves the value it expects: an order is
//! found sooner if nothing is placed before it must be.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::list::List;
use super::register::{Action, Call, NIL, Register};
use crate::check::deadline::Deadline;

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) deadline: Deadline,
    /// Of the remembered configurations, roughly.
    pub(super) bytes: usize,
}

/// What the search came to.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// In this order.
    Linearizable(Vec<Call<'a>>),
    /// No order holds up to and with the event of this index; up to it one does.
    Stuck(usize),
    /// It gave up, for this reason.
    Undecided(&'static str),
}

/// Looks for an order of the calls of `register`.
pub(super) fn search<'a>(register: &Register<'a>, limits: Limits) -> Outcome<'a> {
    Search::new(register).run(limits)
}

/// A remembered configuration beyond its bits: the box, its place in the set, the allocator's share.
const ENTRY_BYTES: usize = 64;

/// How often the clock is looked at, in configurations tried.
const STRIDE: u64 = 256;

/// Where to go back to.
struct Frame {
    placed: usize,
    value: u32,
    choices: usize,
}

struct Search<'r, 'a> {
    register: &'r Register<'a>,
    list: List,
    /// The number of the first possible call; certain calls are numbered from 0.
    base: u32,
    /// Of each possible call the one before it that does the same.
    twins: Vec<Option<u32>>,
    /// A bit for each call that has its place.
    taken: Vec<u64>,
    /// No word of certain calls from here on has ever had a bit.
    high: usize,
    value: u32,
    placed: Vec<u32>,
    frames: Vec<Frame>,
    /// What is still to be tried, of all frames.
    choices: Vec<u32>,
    seen: HashSet<Box<[u64]>>,
    bytes: usize,
    furthest: usize,
}

impl<'r, 'a> Search<'r, 'a> {
    fn new(register: &'r Register<'a>) -> Self {
        let base = register.certain.len().next_multiple_of(64);
        let words = (base + register.possible.len()).div_ceil(64);
        Self {
            register,
            list: List::new(register.certain.iter().map(|call| (call.from, call.until))),
            base: base as u32,
            twins: twins(&register.possible, base as u32),
            taken: vec![0; words],
            high: 0,
            value: NIL,
            placed: Vec::new(),
            frames: Vec::new(),
            choices: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
            furthest: 0,
        }
    }

    fn run(mut self, limits: Limits) -> Outcome<'a> {
        self.enter(0, self.value);
        let mut tried = 0_u64;
        while let Some(frame) = self.frames.last() {
            if self.list.is_empty() {
                return Outcome::Linearizable(self.placed.iter().map(|&n| *self.call(n)).collect());
            }
            if tried.is_multiple_of(STRIDE) && limits.deadline.passed() {
                return Outcome::Undecided("time ran out");
            }
            if self.bytes > limits.bytes {
                return Outcome::Undecided("memory ran out");
            }
            tried += 1;
            if self.choices.len() == frame.choices {
                self.leave();
            } else if let Some(choice) = self.choices.pop() {
                self.advance(choice);
            }
        }
        Outcome::Stuck(self.furthest)
    }

    fn call(&self, number: u32) -> &'r Call<'a> {
        match number.checked_sub(self.base) {
            None => &self.register.certain[number as usize],
            Some(place) => &self.register.possible[place as usize],
        }
    }

    fn advance(&mut self, choice: u32) {
        let (placed, value) = (self.placed.len(), self.value);
        self.value = self.call(choice).action.leaves();
        self.take(choice);
        if choice < self.base {
            self.list.lift(choice);
        }
        self.enter(placed, value);
    }

    /// Enters the configuration at hand, unless it was entered before; `placed` and `value` are what
    /// it came from.
    fn enter(&mut self, placed: usize, value: u32) {
        self.frames.push(Frame { placed, value, choices: self.choices.len() });
        self.settle();
        let key = self.key();
        self.bytes += ENTRY_BYTES + 8 * key.len();
        if self.seen.insert(key) {
            self.collect();
        } else {
            self.leave();
        }
    }

    /// Goes back to where the last frame came from.
    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        for number in self.placed.drain(frame.placed..).rev() {
            self.taken[number as usize / 64] &= !(1 << (number % 64));
            if number < self.base {
                self.list.put_back(number);
            }
        }
        self.value = frame.value;
        self.choices.truncate(frame.choices);
    }

    fn take(&mut self, number: u32) {
        let word = number as usize / 64;
        self.taken[word] |= 1 << (number % 64);
        self.placed.push(number);
        if number < self.base {
            self.high = self.high.max(word + 1);
        }
    }

    fn is_taken(&self, number: u32) -> bool {
        self.taken[number as usize / 64] & (1 << (number % 64)) != 0
    }

    /// Places every read that sees the current value.
    fn settle(&mut self) {
        let (certain, value, first) = (&self.register.certain, self.value, self.placed.len());
        let placed = &mut self.placed;
        self.list.lift_open(|number| {
            let sees = certain[number as usize].action == Action::Read(value);
            sees.then(|| placed.push(number)).is_some()
        });
        for number in self.placed.split_off(first) {
            self.take(number);
        }
    }

    /// The configuration: which certain calls have their place, from the first word that is not full
    /// to the last that is not empty; which possible calls; and the value.
    fn key(&self) -> Box<[u64]> {
        let (certain, possible) = self.taken.split_at(self.base as usize / 64);
        let low = self.list.first().map_or(certain.len(), |number| number as usize / 64);
        let mut window = &certain[low..self.high.max(low)];
        while let [rest @ .., 0] = window {
            window = rest;
        }
        let head = (low as u64) << 32 | u64::from(self.value);
        [&[head], window, possible].concat().into_boxed_slice()
    }

    /// Lists what can come next, the best last.
    fn collect(&mut self) {
        let (front, last) = self.list.front();
        self.furthest = self.furthest.max(front);
        if self.list.is_empty() {
            return;
        }
        let open: Vec<u32> = self.list.open().chain(self.open_possible(front)).collect();
        let wanted = self.call(last).action.expects().filter(|&value| value != self.value);
        let actions = || open.iter().map(|&number| self.call(number).action);
        if wanted.is_some_and(|value| !actions().any(|action| action.brings(value))) {
            return;
        }
        let worth = |number: &u32| self.is_worth(*number, &open);
        let mut choices: Vec<u32> = open.iter().copied().filter(worth).collect();
        choices.sort_by_key(|&number| {
            let serves = number == last || wanted == Some(self.call(number).action.leaves());
            Reverse((!serves, number >= self.base, self.call(number).until))
        });
        self.choices.append(&mut choices);
    }

    /// Possible calls invoked before `front`, of those that do the same only the first.
    fn open_possible(&self, front: usize) -> impl Iterator<Item = u32> {
        let invoked = self.register.possible.iter().take_while(move |call| call.from < front);
        (self.base..).zip(invoked).map(|(number, _)| number).filter(|&number| {
            let twin = self.twins[(number - self.base) as usize];
            !self.is_taken(number) && twin.is_none_or(|twin| self.is_taken(twin))
        })
    }

    /// Whether the open call can come next, and, if it is only possible, changes anything by that.
    fn is_worth(&self, number: u32, open: &[u32]) -> bool {
        let action = self.call(number).action;
        let expected = || {
            let sees = |&other: &u32| self.call(other).action.expects() == Some(action.leaves());
            action.leaves() != self.value
                && open.iter().any(|other| *other != number && sees(other))
        };
        action.can_follow(self.value) && (number < self.base || expected())
    }
}

/// Of each call the number of the one before it with the same action.
fn twins(calls: &[Call<'_>], base: u32) -> Vec<Option<u32>> {
    let mut last = std::collections::HashMap::new();
    (base..).zip(calls).map(|(number, call)| last.insert(call.action, number)).collect()
}
