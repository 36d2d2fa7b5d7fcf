//! A lock with fencing tokens: whoever holds an old token writes nothing.
//!
//! After Kleppmann's "How to do distributed locking" and what Jepsen found in etcd 3.4.3: a lease
//! may end while its holder sleeps, so that two believe to hold the lock. Such an overlap is allowed
//! and reported as a figure; what is promised is that tokens rise and that stores obey them.
//!
//! * `token-repeated`: two acquisitions were given the same token.
//! * `token-fell`: an acquisition after another was given a smaller token.
//! * `unfenced`: a store with an older token succeeded after one with a newer token.

use std::collections::BTreeMap;

use super::shape::{self, Odd};
use super::{Case, Finding};
use crate::history::{History, Operation, Value};

/// Checks operations `acquire`, `release` and `store`.
pub fn check(history: &History) -> Finding {
    Case::run("lock", |case| {
        let acquired = claims(&shape::named(history, "acquire"))?;
        let stored = claims(&shape::named(history, "store"))?;
        for (name, claims) in &acquired {
            unique(name, claims, case);
            rising(name, claims, ("token-fell", "acquired"), case);
        }
        for (name, claims) in &stored {
            rising(name, claims, ("unfenced", "stored"), case);
        }
        for (what, claims) in [("acquire", &acquired), ("store", &stored)] {
            if claims.is_empty() {
                case.doubt(format!("no {what} succeeded"));
            }
        }
        overlaps(history, &acquired, case)?;
        case.figure("acquired", acquired.values().map(Vec::len).sum::<usize>());
        case.figure("stored", stored.values().map(Vec::len).sum::<usize>());
        Ok(())
    })
}

/// A token in a successful operation.
struct Claim {
    token: i64,
    start: usize,
    end: usize,
}

/// By the lock's name, in the order of their invocations.
type Claims<'a> = BTreeMap<&'a Value, Vec<Claim>>;

fn claims<'a>(operations: &[Operation<'a>]) -> Result<Claims<'a>, Odd> {
    let mut claims = Claims::new();
    for operation in operations {
        let Some(end) = operation.ok() else { continue };
        let [name, token] = shape::tuple(operation, operation.value())?;
        let token = shape::int(operation, token)?;
        claims.entry(name).or_default().push(Claim { token, start: operation.start(), end });
    }
    Ok(claims)
}

fn unique(name: &Value, claims: &[Claim], case: &mut Case) {
    let mut first = BTreeMap::new();
    for claim in claims {
        let earlier = *first.entry(claim.token).or_insert(claim.end);
        if earlier != claim.end {
            let (token, end) = (claim.token, claim.end);
            let what =
                format!("{name} was acquired at {earlier} and {end}, both with token {token}");
            case.accuse("token-repeated", &[earlier, end], what);
        }
    }
}

/// No claim has a smaller token than one that ended before it began.
fn rising(name: &Value, claims: &[Claim], (anomaly, verb): (&'static str, &str), case: &mut Case) {
    let mut ended: Vec<&Claim> = claims.iter().collect();
    ended.sort_unstable_by_key(|claim| claim.end);
    let mut ended = ended.into_iter().peekable();
    let mut highest: Option<&Claim> = None;
    for claim in claims {
        while let Some(earlier) = ended.next_if(|earlier| earlier.end < claim.start) {
            highest = highest.filter(|highest| highest.token > earlier.token).or(Some(earlier));
        }
        if let Some(highest) = highest.filter(|highest| highest.token > claim.token) {
            let text = format!(
                "{name} was {verb} with token {} at {}, then with {} at {}, {}",
                highest.token, highest.end, claim.token, claim.start, claim.end
            );
            case.accuse(anomaly, &[highest.end, claim.start, claim.end], text);
        }
    }
}

/// How often a lock was acquired while another certainly had not given it back.
fn overlaps(history: &History, acquired: &Claims<'_>, case: &mut Case) -> Result<(), Odd> {
    let mut released = BTreeMap::new();
    for release in shape::named(history, "release") {
        let [name, token] = shape::tuple(&release, &release.invoked.value)?;
        released.entry((name, shape::int(&release, token)?)).or_insert(release.start());
    }
    let mut overlaps = 0;
    for (name, claims) in acquired {
        let mut held: Vec<(usize, usize)> = claims
            .iter()
            .filter_map(|claim| Some((claim.end, *released.get(&(*name, claim.token))?)))
            .collect();
        held.sort_unstable();
        let mut until = 0;
        for (from, to) in held {
            overlaps += usize::from(from < until);
            until = until.max(to);
        }
    }
    case.figure("overlaps", overlaps);
    Ok(())
}
