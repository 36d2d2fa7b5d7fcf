//! Digests: replicas that have applied the same log are equal.
//!
//! As etcd's hash check. State is a function of the log, so two digests of one log index that differ,
//! of two nodes or of one node twice, are `diverged` replicas, whatever clients have seen.

use std::collections::HashMap;

use super::shape::{self, Odd};
use super::{Case, Finding};
use crate::history::{History, Operation, Value};

/// Checks operations `digest`.
pub fn check(history: &History) -> Finding {
    Case::run("digests", |case| {
        let mut digests = shape::named(history, "digest");
        digests.retain(|digest| digest.ok().is_some());
        let mut seen = HashMap::new();
        let mut compared = 0;
        for digest in &digests {
            compared += compare(digest, &mut seen, case)?;
        }
        if compared == 0 {
            case.doubt("no two nodes gave a digest of the same index");
        }
        case.figure("digests", digests.len());
        case.figure("compared", compared);
        Ok(())
    })
}

/// Of an index: the first digest of it, whose it was, and in which event.
type Seen<'a> = HashMap<&'a Value, (&'a Value, &'a Value, usize)>;

/// How many digests of this event were compared with one of another node.
fn compare<'a>(digest: &Operation<'a>, seen: &mut Seen<'a>, case: &mut Case) -> Result<usize, Odd> {
    let event = digest.ok().unwrap_or(digest.start());
    let mut compared = 0;
    for replica in shape::list(digest, digest.value())? {
        let [node, index, hash] = shape::tuple(digest, replica)?;
        let (other, first, at) = *seen.entry(index).or_insert((hash, node, event));
        compared += usize::from(first != node);
        if other != hash {
            let what = format!(
                "at index {index} node {first} has {other} (event {at}), node {node} has {hash} \
                 (event {event})"
            );
            case.accuse("diverged", &[at, event], what);
        }
    }
    Ok(compared)
}
