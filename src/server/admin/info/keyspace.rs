//! `# Keyspace`: databases that have keys.

use storage::DbStats;

use super::{Facts, Field, field};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    facts.replica.current.load().stats().dbs.iter().map(line).collect()
}

/// The average time to live is not known: finding it would take reading every key.
fn line(db: &DbStats) -> Field {
    let DbStats { db, keys, deadlines } = db;
    field(format!("db{db}"), format_args!("keys={keys},expires={deadlines},avg_ttl=0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::info::tests::lines;

    #[test]
    fn a_line_a_database() {
        let db = DbStats { db: 3, keys: 7, deadlines: 2 };
        assert_eq!(lines(&[line(&db)]), ["db3:keys=7,expires=2,avg_ttl=0"]);
    }
}
