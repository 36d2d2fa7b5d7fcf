//! Which operations a timeline draws when there are more than a browser and a reader can bear.
//!
//! Those that a finding accuses come first, then those nearest in time to the accused and to the
//! beginnings and ends of faults, so that what is drawn is whole stretches of the history rather
//! than a thin selection of it.

use super::Facts;

/// Draws as many as this.
pub const DRAWN_MAX: usize = 5_000;

/// What lies about an accused operation counts as so much nearer than what lies about a fault.
const ACCUSED_NEARER: u64 = 4;

/// The places in `facts.operations` of what is drawn, in order.
pub fn choose(facts: &Facts<'_>, max: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..facts.operations.len()).collect();
    if places.len() > max {
        let (accused, faults) = moments(facts);
        places.sort_by_cached_key(|place| {
            let operation = &facts.operations[*place];
            let lasted = (operation.invoked.time, facts.until(operation));
            let near = distance(&accused, lasted).map(|far| far / ACCUSED_NEARER);
            let near = near.into_iter().chain(distance(&faults, lasted)).min();
            (!facts.is_accused(operation), near, *place)
        });
        places.truncate(max);
        places.sort_unstable();
    }
    places
}

/// When accused operations and when faults began and ended; the run itself if there are neither.
fn moments(facts: &Facts<'_>) -> (Vec<u64>, Vec<u64>) {
    let operations = facts.operations.iter().filter(|it| facts.is_accused(it));
    let mut accused: Vec<u64> =
        operations.flat_map(|it| [it.invoked.time, facts.until(it)]).collect();
    let mut faults: Vec<u64> = facts.bands.iter().flat_map(|it| [it.from, it.until]).collect();
    if accused.is_empty() && faults.is_empty() {
        faults = vec![0, facts.end];
    }
    accused.sort_unstable();
    faults.sort_unstable();
    (accused, faults)
}

/// How far the nearest of the sorted moments is from a span of time; `None` if there is none.
fn distance(moments: &[u64], (from, until): (u64, u64)) -> Option<u64> {
    let next = moments.partition_point(|moment| *moment < from);
    let after = moments.get(next).map(|moment| moment.saturating_sub(until));
    let before = next.checked_sub(1).map(|previous| from - moments[previous]);
    after.into_iter().chain(before).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_to_the_nearer_side() {
        let moments = [100, 200];
        let far = |from, until| distance(&moments, (from, until));
        assert_eq!([far(0, 10), far(90, 110), far(110, 120)], [Some(90), Some(0), Some(10)]);
        assert_eq!([far(150, 190), far(300, 400)], [Some(10), Some(100)]);
        assert_eq!(distance(&[], (0, 1)), None);
    }
}
