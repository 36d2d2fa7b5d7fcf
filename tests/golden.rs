//! Golden scripts: what a client types, and what Redis answers to the letter.
//!
//! The scripts under `scripts/` are recorded from a real Redis and run against every server there
//! is: Redis itself (so that they cannot drift), Valkey where a binary is named, and Talus, in
//! RESP2, in RESP3 and with every line wrapped in MULTI and EXEC; as one node, as three whose leader
//! changes between lines, and as sessions over a keyspace without a server. `golden/script.rs` has
//! the format.
//!
//! * `GOLDEN=strings/set` runs the scripts whose path contains that.
//! * `UPDATE_GOLDEN=1` records replies from Redis into the scripts, those `# since: valkey` from
//!   Valkey, those `# talus-only` from Talus. Replies that match already, placeholders included, are
//!   kept. Run it with `--test-threads=1` and review the diff.
//! * `TALUS_VALKEY=/path/to/valkey-server` names a Valkey.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "cluster/mod.rs"]
mod processes;
#[path = "golden/mod.rs"]
mod runner;

use runner::{Flavor, Machine, Mode, Process, Suite, Trio};

fn talus() -> Process {
    Process::talus(env!("CARGO_BIN_EXE_talus").into()).unwrap()
}

#[test]
fn redis_answers_as_recorded() {
    let Some(mut redis) = Process::redis().unwrap() else {
        println!("skipped: no redis-server is installed");
        return;
    };
    if runner::updating() {
        Suite::load().record(&mut redis);
    }
    for mode in Mode::ALL {
        Suite::load().run(&mut redis, mode);
    }
}

#[test]
fn valkey_answers_as_recorded() {
    let Some(mut valkey) = Process::valkey().unwrap() else {
        println!("skipped: TALUS_VALKEY names no binary");
        return;
    };
    if runner::updating() {
        Suite::load().record(&mut valkey);
    }
    for mode in Mode::ALL {
        Suite::load().run(&mut valkey, mode);
    }
}

#[test]
fn talus_answers_in_resp2() {
    let mut talus = talus();
    if runner::updating() {
        Suite::load().record(&mut talus);
    }
    Suite::load().run(&mut talus, Mode::Resp2);
}

#[test]
fn talus_answers_in_resp3() {
    Suite::load().run(&mut talus(), Mode::Resp3);
}

#[test]
fn talus_answers_within_transactions() {
    Suite::load().run(&mut talus(), Mode::Transaction);
}

#[test]
fn talus_answers_on_three_nodes() {
    let mut trio = Trio::start();
    Suite::load().run(&mut trio, Mode::Resp2);
    assert!(trio.moved * 10 >= trio.asked * 9, "leadership moved {} times", trio.moved);
    trio.assert_equal();
}

#[test]
fn talus_answers_in_process() {
    for mode in Mode::ALL {
        Suite::load().run(&mut Machine::new(), mode);
    }
}

#[test]
fn every_script_has_a_home() {
    for script in &Suite::load().scripts {
        assert!(script.flavors().contains(&Flavor::Talus), "{} is for others only", script.name);
        assert!(!script.steps.is_empty(), "{} is empty", script.name);
    }
}
