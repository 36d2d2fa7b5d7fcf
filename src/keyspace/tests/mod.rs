//! Random logs of whole commands: what the keyspace answers is what a model answers, and what it
//! holds does not depend on how the log reached it.
//!
//! More cases than usual are tried with `PROPTEST_CASES`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod log;
mod model;
mod replica;
mod requests;
mod sessions;
mod words;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Keyspace;
use crate::commands::{Handler, by_id, names};
use log::{Draft, log, log_of_sessions};
use model::Model;
use raft::StateMachine;
use replica::{History, Replica, decode_applied, directory, events};

/// Each case opens several databases: fewer of them, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { usual };
    ProptestConfig { cases, max_shrink_iters: 2000, failure_persistence: None, ..default }
}

/// The history of a log whose every answer is the model's.
fn judged(drafts: &[Draft]) -> History {
    let mut model = Model::default();
    History::write(drafts, |entry, outcome| model.check(entry, outcome))
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn answers_and_state_are_the_models(drafts in log(requests::modelled(), 60)) {
        let mut model = Model::default();
        let mut replica = Replica::new(1);
        let mut author = log::Author::new();
        for draft in &drafts {
            let entry = author.write(draft, &replica.store());
            let outcome = replica.apply(std::slice::from_ref(&entry)).pop().unwrap();
            model.check(&entry, &outcome);
        }
        model.check_state(&replica.store());
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn batchings_drains_and_crashes_do_not_show(
        drafts in log(requests::any_kind(), 50),
        events in events(),
    ) {
        let history = History::write(&drafts, |_, _| ());
        Replica::new(1).follow(&history, &events);
    }

    #[test]
    fn an_installed_checkpoint_goes_on_alike(
        drafts in log(requests::any_kind(), 50),
        (before, during, own) in (0..30_usize, 0..5_usize, 0..30_usize),
        events in events(),
    ) {
        let history = History::write(&drafts, |_, _| ());
        let (mut giver, mut taker) = (Replica::new(1), Replica::new(0));
        giver.catch_up(&history, before);
        let checkpointer = giver.checkpointer();
        let least = giver.applied();
        giver.catch_up(&history, during);
        let dir = directory();
        let checkpoint = dir.path().join("checkpoint");
        checkpointer(&checkpoint).unwrap();
        let held = decode_applied(Keyspace::applied_in(&checkpoint).unwrap());
        assert!((least..=giver.applied()).contains(&held));

        taker.catch_up(&history, own);
        taker.install(&checkpoint);
        taker.check_digest(&history);
        taker.follow(&history, &events);
        giver.follow(&history, &[]);
    }

    #[test]
    fn a_batch_is_applied_once(drafts in log_of_sessions(80), events in events()) {
        let history = judged(&drafts);
        Replica::new(1).follow(&history, &events);
    }
}

#[test]
fn every_command_is_tried() {
    let is_in_the_log = |handler: Handler| {
        matches!(handler, Handler::Write { .. } | Handler::Read { .. } | Handler::Sample { .. })
    };
    let tried: BTreeSet<String> = requests::names().into_iter().collect();
    for (id, name) in names().enumerate() {
        let is_due = is_in_the_log(by_id(id).unwrap().handler);
        assert!(!is_due || tried.contains(name), "no random request calls {name}");
    }
}
