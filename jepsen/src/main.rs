//! `talus-jepsen`: see `--help`.

fn main() {}
