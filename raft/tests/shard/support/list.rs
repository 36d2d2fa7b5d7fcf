//! A state machine that keeps every command in a list and answers with its position.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use raft::{Checkpointer, Committed, StateMachine};

/// Items of one file of a checkpoint.
const PER_FILE: usize = 64;
const RECORD: &str = "record";

#[derive(Clone, Default)]
pub struct State {
    pub items: Vec<Bytes>,
    record: Option<Bytes>,
    /// How long it takes to write a checkpoint.
    pub checkpoint_takes: Duration,
}

/// What the test sees of a state machine.
pub type Shared = Arc<Mutex<State>>;

/// Everything in memory; a node that restarts has lost it.
#[derive(Default)]
pub struct List(pub Shared);

impl StateMachine for List {
    type Reply = Option<usize>;

    fn applied(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.0.lock().record.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>, applied: Bytes) -> io::Result<Vec<Option<usize>>> {
        let mut state = self.0.lock();
        state.record = Some(applied);
        let answers = entries.into_iter().map(|entry| {
            let command = entry.command?;
            state.items.push(command);
            Some(state.items.len())
        });
        Ok(answers.collect())
    }

    fn has_room(&self) -> bool {
        true
    }

    fn checkpointer(&mut self) -> io::Result<Checkpointer> {
        let state = self.0.lock().clone();
        Ok(Box::new(move |dir| {
            std::thread::sleep(state.checkpoint_takes);
            write(dir, &state)
        }))
    }

    fn applied_in(dir: &Path) -> io::Result<Option<Bytes>> {
        let record = fs::read(dir.join(RECORD))?;
        Ok((!record.is_empty()).then(|| record.into()))
    }

    fn install(&mut self, dir: &Path) -> io::Result<()> {
        let state = read(dir)?;
        fs::remove_dir_all(dir)?;
        *self.0.lock() = state;
        Ok(())
    }
}

fn write(dir: &Path, state: &State) -> io::Result<()> {
    fs::create_dir(dir)?;
    for (number, items) in state.items.chunks(PER_FILE).enumerate() {
        let mut file = Vec::new();
        for item in items {
            file.extend_from_slice(&(item.len() as u32).to_le_bytes());
            file.extend_from_slice(item);
        }
        fs::write(dir.join(format!("{number:06}.sst")), file)?;
    }
    fs::write(dir.join("empty"), b"")?;
    fs::write(dir.join(RECORD), state.record.as_deref().unwrap_or_default())
}

fn read(dir: &Path) -> io::Result<State> {
    let mut names: Vec<_> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.sort();
    let mut state = State { record: List::applied_in(dir)?, ..State::default() };
    for name in names.iter().filter(|name| name.extension().is_some_and(|e| e == "sst")) {
        let mut file = Bytes::from(fs::read(name)?);
        while !file.is_empty() {
            let size = u32::from_le_bytes(file.split_to(4).as_ref().try_into().expect("four"));
            state.items.push(file.split_to(size as usize));
        }
    }
    Ok(state)
}
