//! Which keys a transaction changed: what waiters, WATCH, tracking and keyspace events live on.

use bytes::Bytes;

use crate::layout::{key_in, space_in};
use crate::overlay::Overlay;
use crate::root::Root;
use crate::row::{Column, Row};

/// What a transaction changed.
#[derive(Default)]
pub struct Touched {
    rows: Vec<(u32, Row)>,
    /// Keys removed because they had expired; they are among [`Touched::keys`], too.
    pub expired: Vec<(u32, Bytes)>,
    /// Databases that were flushed or swapped: any of their keys may have changed.
    pub emptied: Vec<u32>,
}

impl Touched {
    pub(crate) fn new(
        overlay: &Overlay,
        root: &Root,
        expired: &[(u32, Bytes)],
        emptied: &[u32],
    ) -> Self {
        let changes = overlay.changes().iter().filter(|change| change.column == Column::Meta);
        // A space may have died in this transaction; its database is among the emptied ones.
        let rows = changes.filter_map(|change| {
            let db = root.db_of(space_in(change.row.key()))?;
            Some((db, change.row.clone()))
        });
        Self { rows: rows.collect(), expired: expired.to_vec(), emptied: emptied.to_vec() }
    }

    /// Database and name of every changed key, each once, in the order of their first changes.
    pub fn keys(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.rows.iter().map(|(db, row)| (*db, key_in(row.key())))
    }

    /// How many keys were changed.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.emptied.is_empty()
    }
}
