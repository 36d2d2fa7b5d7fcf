//! What a person types to get the same run again.

use super::Config;
use crate::cluster::{Mode, Target};
use std::path::Path;

/// The command that repeats a run: same workload, schedule and rates; interleavings differ.
pub fn of(config: &Config) -> String {
    let mut words: Vec<String> =
        config.env.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    words.push(format!("talus-jepsen run --workload {}", config.workload.name));
    if !config.nemeses.is_empty() {
        words.push(format!("--nemesis {}", config.nemeses.join(",")));
    }
    words
        .push(format!("--nodes {} --time {} --seed {}", config.nodes, config.seconds, config.seed));
    words.push(format!("--rate {} --concurrency {}", config.rate, config.concurrency));
    words.push(format!("--mode {}", mode(config.mode)));
    words.push(target(&config.target));
    let given = config.settings.iter().map(|(key, value)| quoted(&format!("{key}={value}")));
    words.extend(given.map(|setting| format!("--set {setting}")));
    if config.liveness {
        words.push("--liveness".to_owned());
    }
    words.push(format!("--out {}-again", quoted(&config.dir.display().to_string())));
    words.join(" ")
}

/// A mode as it is asked for.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Namespaces => "namespaces",
        Mode::Loopback => "loopback",
    }
}

/// A path as a shell takes it.
pub fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn target(target: &Target) -> String {
    match target {
        Target::Talus(talus) => format!("--talus {}", path(talus)),
        Target::Sentinel => "--target sentinel".to_owned(),
        Target::Etcd => "--target etcd".to_owned(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_for_the_shell_only_where_it_must_be() {
        assert_eq!(quoted("/tmp/a-1"), "/tmp/a-1");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
