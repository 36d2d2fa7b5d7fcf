//! A counter: each addition counts exactly once.
//!
//! Jepsen's `counter` bounds a read by the additions that certainly came before it and those that
//! may have. That is `out-of-bounds` here. Two more things follow from a counter's being one:
//!
//! * `backwards`: between two reads, one after the other, it moved by more than the additions that
//!   can have happened between them explain.
//! * `miscounted`: a final read is not the sum of the acknowledged additions and of *some* of the
//!   unknown ones. Without unknown ones that is equality: nothing was counted twice or forgotten.

use std::collections::HashSet;

use super::shape::{self, Odd};
use super::{Case, Finding};
use crate::history::{History, Kind, Operation, Value};

/// So many different sums of one half of the unknown additions are followed before giving up:
/// forty additions, if no two selections of them have one sum.
const SUMS_MAX: usize = 1 << 20;

/// Checks operations `add` and `read`; at least one read must be final.
pub fn check(history: &History) -> Finding {
    Case::run("counter", |case| {
        let adds = adds(history)?;
        let reads = reads(history)?;
        let sums = Sums::new(history.events.len(), &adds);
        reads.iter().for_each(|read| sums.bound(read, case));
        sums.order(&reads, case);
        for read in reads.iter().filter(|read| read.last) {
            exact(read, &adds, case);
        }
        if !reads.iter().any(|read| read.last) {
            case.doubt("no final read succeeded");
        }
        let unknown = adds.iter().filter(|add| add.ok.is_none()).count();
        case.figure("added", adds.len() - unknown);
        case.figure("unknown", unknown);
        case.figure("reads", reads.len());
        Ok(())
    })
}

/// An addition that did not fail.
struct Add {
    start: usize,
    ok: Option<usize>,
    amount: i128,
}

/// A successful read.
struct Read {
    start: usize,
    end: usize,
    value: i128,
    last: bool,
}

fn adds(history: &History) -> Result<Vec<Add>, Odd> {
    let mut adds = shape::named(history, "add");
    adds.retain(|add| add.outcome() != Kind::Fail);
    let add = |add: &Operation<'_>| {
        let amount = shape::int(add, &add.invoked.value)?.into();
        Ok(Add { start: add.start(), ok: add.ok(), amount })
    };
    adds.iter().map(add).collect()
}

/// A counter that nobody has added to is absent, that is 0.
fn reads(history: &History) -> Result<Vec<Read>, Odd> {
    let operations = shape::named(history, "read");
    let done = operations.iter().filter_map(|read| Some((read, read.done()?)));
    done.map(|(read, completed)| {
        let value = match &completed.value {
            Value::Nil => 0,
            value => shape::int(read, value)?.into(),
        };
        Ok(Read { start: read.start(), end: completed.index, value, last: read.is_final() })
    })
    .collect()
}

/// Increments and decrements before each index, each as one sum.
struct Sums {
    /// Of those invoked.
    begun: Vec<Sum>,
    /// Of those acknowledged.
    certain: Vec<Sum>,
}

#[derive(Default, Clone, Copy)]
struct Sum {
    up: i128,
    down: i128,
}

impl Sum {
    fn add(&mut self, amount: i128) {
        self.up += amount.max(0);
        self.down += amount.min(0);
    }
}

impl Sums {
    fn new(events: usize, adds: &[Add]) -> Self {
        let mut begun = vec![Sum::default(); events + 1];
        let mut certain = begun.clone();
        for add in adds {
            begun[add.start + 1].add(add.amount);
            if let Some(ok) = add.ok {
                certain[ok + 1].add(add.amount);
            }
        }
        for sums in [&mut begun, &mut certain] {
            for place in 1..sums.len() {
                sums[place].up += sums[place - 1].up;
                sums[place].down += sums[place - 1].down;
            }
        }
        Self { begun, certain }
    }

    fn bound(&self, read: &Read, case: &mut Case) {
        let (certain, begun) = (self.certain[read.start], self.begun[read.end]);
        let (lower, upper) = (certain.up + begun.down, begun.up + certain.down);
        let Read { start, end, value, .. } = *read;
        if !(lower..=upper).contains(&value) {
            let what = format!(
                "the read at {start}, {end} gave {value}; at least {lower} and at most {upper} \
                 are possible"
            );
            case.accuse("out-of-bounds", &[start, end], what);
        }
    }

    /// A read less what may have been added before it, and with what may yet come, bounds the next.
    /// Of all earlier reads the extreme ones suffice.
    fn order(&self, reads: &[Read], case: &mut Case) {
        let mut ended: Vec<&Read> = reads.iter().collect();
        ended.sort_unstable_by_key(|read| read.end);
        let mut ended = ended.into_iter().peekable();
        let mut floor: Option<(i128, &Read)> = None;
        let mut ceiling: Option<(i128, &Read)> = None;
        for read in reads {
            while let Some(earlier) = ended.next_if(|earlier| earlier.end < read.start) {
                let certain = self.certain[earlier.start];
                let low = (earlier.value - certain.down, earlier);
                let high = (earlier.value - certain.up, earlier);
                floor = floor.filter(|floor| floor.0 >= low.0).or(Some(low));
                ceiling = ceiling.filter(|ceiling| ceiling.0 <= high.0).or(Some(high));
            }
            let begun = self.begun[read.end];
            let below = floor.filter(|floor| read.value - begun.down < floor.0);
            let above = ceiling.filter(|ceiling| read.value - begun.up > ceiling.0);
            if let Some((_, earlier)) = below.or(above) {
                let what = format!(
                    "the read that ended at {} gave {}, a later one at {}, {} gave {}: nothing \
                     between them explains it",
                    earlier.end, earlier.value, read.start, read.end, read.value
                );
                case.accuse("backwards", &[earlier.end, read.start, read.end], what);
            }
        }
    }
}

/// Whether a final read is the acknowledged additions and some of the others.
fn exact(read: &Read, adds: &[Add], case: &mut Case) {
    let certain = |add: &&Add| add.ok.is_some_and(|ok| ok < read.start);
    let acknowledged: i128 = adds.iter().filter(certain).map(|add| add.amount).sum();
    let possible = adds.iter().filter(|add| !certain(add) && add.start < read.end);
    let possible: Vec<i128> = possible.map(|add| add.amount).collect();
    let Read { end, value, .. } = *read;
    match reachable(value - acknowledged, &possible) {
        Some(true) => {}
        None => case.doubt(format!("too many unknown additions for the final read at {end}")),
        Some(false) => {
            let what = format!(
                "the final read at {end} gave {value}; {acknowledged} was acknowledged, and no \
                 selection of {} unknown additions makes the difference of {}",
                possible.len(),
                value - acknowledged
            );
            case.accuse("miscounted", &[read.start, end], what);
        }
    }
}

/// Whether some of the amounts have that sum; `None` if that is too much to find out.
fn reachable(wanted: i128, amounts: &[i128]) -> Option<bool> {
    let (some, others) = amounts.split_at(amounts.len() / 2);
    let (some, others) = (sums(some)?, sums(others)?);
    Some(some.iter().any(|sum| others.contains(&(wanted - sum))))
}

/// The sums of all selections, if they are not too many.
fn sums(amounts: &[i128]) -> Option<HashSet<i128>> {
    let mut sums = HashSet::from([0]);
    for amount in amounts {
        let more: Vec<i128> = sums.iter().map(|sum| sum + amount).collect();
        sums.extend(more);
        if sums.len() > SUMS_MAX {
            return None;
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn an_addition_that_counts_twice_does_not_hide_among_forty_unknown_ones() {
        let mut rng = StdRng::seed_from_u64(1);
        let amounts: Vec<i128> = (0..40).map(|_| rng.random_range(1..1 << 40)).collect();
        let some: i128 = amounts.iter().step_by(3).sum();
        assert_eq!(reachable(some, &amounts), Some(true));
        assert_eq!(reachable(some + rng.random_range(1..1 << 40), &amounts), Some(false));
    }
}
