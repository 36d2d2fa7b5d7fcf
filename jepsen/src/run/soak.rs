//! Long hours: random workloads under random mixtures of faults, ten minutes each.

use super::Config;
use crate::workload::ROWS;
use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

const SECONDS: u64 = 600;

/// Runs drawn from the seed of `base`, and from `faults`, until the time is over.
pub fn configs(base: &Config, faults: &[String], length: Duration) -> impl Iterator<Item = Config> {
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
        dir: base.dir.join(format!("{number:03}-{}", workload.name)),
        ..base.clone()
    }
}
