//! Before and after the load: what must be there first, waiting until all nodes serve, and asking
//! each of them for everything.

use super::clients::{Lane, Load};
use crate::client::Trouble;
use crate::client::seat::{Addresses, Seat};
use crate::workload::{Invocation, verify};
use std::time::{Duration, Instant};

/// Healed nodes that do not serve within this are a failure.
const CONVERGENCE: Duration = Duration::from_secs(30);
/// A node that answers must have answered everything within this.
const ANSWERS: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(100);

/// Waits until all nodes serve, and has the workload write what must be there first.
pub fn prepare(load: &Load<'_>) -> Result<(), String> {
    converge(load.addresses, false)?;
    let mut seat = Seat::pinned(load.addresses, 1);
    load.workload.prepare(&mut seat).map_err(|trouble| trouble.to_string())
}

/// How long it took until every node served and, if there are `digests`, every replica had one.
///
/// None of this is written down: it is no promise that a node serves at once.
pub fn converge(addresses: &Addresses, digests: bool) -> Result<Duration, String> {
    converge_within(addresses, digests, CONVERGENCE)
}

/// The same, with another limit.
pub fn converge_within(
    addresses: &Addresses,
    digests: bool,
    limit: Duration,
) -> Result<Duration, String> {
    let begun = Instant::now();
    let deadline = begun + limit;
    for node in 1..=addresses.nodes() {
        let mut seat = Seat::pinned(addresses, node);
        until(deadline, || seat.probe())
            .map_err(|trouble| format!("node {node} does not serve: {trouble}"))?;
    }
    let seat = Seat::pinned(addresses, 1);
    if digests {
        until(deadline, || verify::digest(&seat, true).map(drop))
            .map_err(|trouble| format!("replicas are missing: {trouble}"))?;
    }
    Ok(begun.elapsed())
}

fn until(
    deadline: Instant,
    mut attempt: impl FnMut() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            done => return done,
        }
    }
}

/// Asks every node for everything, and the last one for the digests of all too.
pub fn ask(load: &Load<'_>, digests: bool, last: bool) -> Result<(), String> {
    let verify = verify::Verify::default();
    for node in 1..=load.addresses.nodes() {
        let deadline = Instant::now() + ANSWERS;
        let mut lane = load.final_lane(node, last);
        for operation in load.workload.finals(last) {
            insist(&mut lane, &operation, node, deadline)?;
        }
        if digests && node == load.addresses.nodes() {
            lane.workload = &verify;
            insist(&mut lane, &verify::final_digest(), node, deadline)?;
        }
    }
    Ok(())
}

/// Repeats an operation until it is done. Each attempt is an operation of the history.
fn insist(
    lane: &mut Lane<'_>,
    operation: &Invocation,
    node: u32,
    deadline: Instant,
) -> Result<(), String> {
    loop {
        match lane.carry_out(operation) {
            Ok(_) => return Ok(()),
            Err(trouble @ Trouble::Impossible(_)) => return Err(trouble.to_string()),
            Err(trouble) if Instant::now() > deadline => {
                return Err(format!("node {node} does not answer {}: {trouble}", operation.f));
            }
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}
