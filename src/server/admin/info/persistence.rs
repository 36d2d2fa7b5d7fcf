//! `# Persistence`: the log and its snapshots in the words of AOF and RDB.

use super::{Facts, Field, field, zeros};
use crate::server::admin::persistence::Saves;

/// Zero for a node that is ready: clients and tools wait until it is.
const LOADING: &str = "loading";

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let status = facts.replica.consensus.status();
    let mut fields = vec![field(LOADING, 0)];
    fields.extend(zeros([
        "async_loading",
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
    ]));
    fields.push(field("current_fork_perc", "0.00"));
    fields.extend(zeros(["current_save_keys_processed", "current_save_keys_total"]));
    fields.extend(snapshots(&facts.server.saves, status.applied.saturating_sub(status.snapshot)));
    fields.extend(log());
    fields
}

fn snapshots(saves: &Saves, entries_since: u64) -> Vec<Field> {
    let took = saves.last_took_s().map_or(-1, |seconds| seconds as i64);
    let mut fields = vec![
        field("rdb_changes_since_last_save", entries_since),
        field("rdb_bgsave_in_progress", u8::from(saves.is_running())),
        field("rdb_last_save_time", saves.last_unix_s()),
        field("rdb_last_bgsave_status", if saves.has_failed() { "err" } else { "ok" }),
        field("rdb_last_bgsave_time_sec", took),
        field("rdb_current_bgsave_time_sec", -1),
        field("rdb_saves", saves.count()),
    ];
    fields.extend(zeros([
        "rdb_last_cow_size",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
    ]));
    fields
}

/// The log is what Redis calls an AOF that is synced always, and is never rewritten.
fn log() -> Vec<Field> {
    let mut fields = vec![
        field("aof_enabled", 1),
        field("aof_rewrite_in_progress", 0),
        field("aof_rewrite_scheduled", 0),
        field("aof_last_rewrite_time_sec", -1),
        field("aof_current_rewrite_time_sec", -1),
        field("aof_last_bgrewrite_status", "ok"),
        field("aof_rewrites", 0),
        field("aof_rewrites_consecutive_failures", 0),
        // An error on the log stops the node, so whoever can ask may be told this.
        field("aof_last_write_status", "ok"),
    ];
    fields.extend(zeros([
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
        "aof_current_size",
        "aof_base_size",
        "aof_pending_rewrite",
        "aof_buffer_length",
        "aof_pending_bio_fsync",
        "aof_delayed_fsync",
    ]));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines;

    #[test]
    fn a_fresh_node_has_saved_nothing_and_failed_at_nothing() {
        let lines = lines(&snapshots(&Saves::default(), 12));
        assert_eq!(lines[..2], ["rdb_changes_since_last_save:12", "rdb_bgsave_in_progress:0"]);
        assert_eq!(lines[3..5], ["rdb_last_bgsave_status:ok", "rdb_last_bgsave_time_sec:-1"]);
    }
}
