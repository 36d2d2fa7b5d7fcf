//! A node's log, whose every step is checked against the laws.

use std::io;
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use raft::log::{ShardLog, ShardLogReader};
use raft::types::{Entry, LogId, Types, Vote};
use raft::{Flushed, LogStore, NodeId};
use talus::keyspace::Keyspace;

use crate::laws::SharedLaws;

type T = Types<Keyspace>;

/// See the module.
pub struct Watched {
    node: NodeId,
    log: ShardLog,
    laws: SharedLaws,
}

impl Watched {
    /// A log that was just opened.
    pub async fn new(node: NodeId, mut log: ShardLog, laws: SharedLaws) -> io::Result<Self> {
        let mut reader = log.reader();
        let vote = RaftLogReader::<T>::read_vote(&mut reader).await?;
        let entries = RaftLogReader::<T>::try_get_log_entries(&mut reader, ..).await?;
        let state = RaftLogStorage::<T>::get_log_state(&mut log).await?;
        let purged = state.last_purged_log_id.map_or(0, |id| id.index);
        laws.lock().opened(node, vote, purged, &entries);
        Ok(Self { node, log, laws })
    }
}

impl LogStore<Keyspace> for Watched {
    fn flushed(&self) -> Arc<dyn Flushed> {
        LogStore::<Keyspace>::flushed(&self.log)
    }

    fn write_in_place(&mut self, allowed: bool) {
        self.log.write_in_place(allowed);
    }
}

impl RaftLogStorage<T> for Watched {
    type LogReader = ShardLogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<T>> {
        self.log.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> ShardLogReader {
        self.log.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        RaftLogStorage::<T>::save_vote(&mut self.log, vote).await?;
        self.laws.lock().promised(self.node, *vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        committed.into_iter().for_each(|id| self.laws.lock().committed(self.node, id));
        RaftLogStorage::<T>::save_committed(&mut self.log, committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        RaftLogStorage::<T>::read_committed(&mut self.log).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<T>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.laws.lock().appended(self.node, &entries);
        RaftLogStorage::<T>::append(&mut self.log, entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.laws.lock().cut_off(self.node, last);
        RaftLogStorage::<T>::truncate_after(&mut self.log, last).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.laws.lock().purged(self.node, upto);
        RaftLogStorage::<T>::purge(&mut self.log, upto).await
    }
}
