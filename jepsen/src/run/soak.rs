//! Long hours: random workloads under random mixtures of faults, ten minutes each; in one of four a
//! majority stays whole.

use super::suite::{Line, play_while};
use super::{Config, account};
use crate::tell;
use crate::workload::ROWS;
use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const SECONDS: u64 = 600;
/// So many runs in a row that come to nothing, as without a server to start, are the last.
const FUTILE_MAX: usize = 5;

/// Plays runs drawn from the seed of `base`, and from `faults`, until the time is over.
pub fn play(base: &Config, faults: &[String], length: Duration, stop: &AtomicBool) -> Vec<Line> {
    let is_futile = |lines: &[Line]| account::came_to_nothing(lines, FUTILE_MAX);
    let lines = play_while(configs(base, faults, length), stop, |lines| !is_futile(lines));
    if is_futile(&lines) {
        tell::aside(format_args!("given up: the last {FUTILE_MAX} runs came to nothing"));
    }
    lines
}

fn configs(base: &Config, faults: &[String], length: Duration) -> impl Iterator<Item = Config> {
    let end = Instant::now() + length;
    let mut rng = ChaCha8Rng::seed_from_u64(base.seed);
    let (base, faults) = (base.clone(), faults.to_vec());
    (0..).map_while(move |number| {
        (Instant::now() < end).then(|| draw(&base, &faults, number, &mut rng))
    })
}

fn draw(base: &Config, faults: &[String], number: usize, rng: &mut ChaCha8Rng) -> Config {
    let workloads = ROWS.iter().filter(|row| base.is_talus() || row.on_etcd);
    let workload = workloads.choose(rng).expect("there are workloads");
    let count = rng.random_range(1..=4);
    Config {
        workload,
        nemeses: faults.sample(rng, count).cloned().collect(),
        nodes: if rng.random_bool(0.5) { 3 } else { 5 },
        seconds: SECONDS,
        seed: rng.random(),
        liveness: rng.random_ratio(1, 4) || base.liveness,
        dir: base.dir.join(format!("{number:03}-{}", workload.name)),
        ..base.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Target;
    use crate::run::Failure;
    use crate::run::suite::tests::line;

    #[test]
    fn without_a_server_a_night_is_not_filled_with_runs_that_are_none() {
        let mut base = line(Err(Failure::Panicked)).config;
        base.target = Target::Talus("/nowhere/talus".into());
        let lines =
            play(&base, &["kill".to_owned()], Duration::from_secs(60), &AtomicBool::new(false));
        assert_eq!(lines.len(), FUTILE_MAX);
    }

    #[test]
    fn some_runs_keep_a_majority_whole_and_most_do_not() {
        let base = line(Err(Failure::Panicked)).config;
        let faults = ["kill".to_owned(), "pause".to_owned()];
        let mut rng = ChaCha8Rng::seed_from_u64(base.seed);
        let mut live = |base: &Config| {
            (0..100).filter(|number| draw(base, &faults, *number, &mut rng).liveness).count()
        };
        assert!((10..40).contains(&live(&base)));
        assert_eq!(live(&Config { liveness: true, ..base }), 100);
    }
}
