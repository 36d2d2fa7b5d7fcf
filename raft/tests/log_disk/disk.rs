//! A disk in memory that loses what was not synced, tears what was being written, and fails. The
//! tests of the log and the simulation of clusters share it.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;
use raft::log::{Disk, DiskFile};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The unit that a device writes whole or not at all.
pub const SECTOR: usize = 512;

/// A disk in memory. Its content survives a crash as far as it was synced, and by chance beyond.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the directory.
    unsynced_names: Vec<BTreeMap<String, usize>>,
    /// Changes until the power fails.
    left: Option<u64>,
    changes: u64,
    /// Every sync fails, though the power does not.
    syncs_fail: bool,
    power: Option<Power>,
}

/// The power of the machine that a disk is in. When it fails for one, it does for the other.
#[derive(Clone, Copy)]
pub struct Power {
    pub is_on: fn() -> bool,
    pub cut: fn(),
}

#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    current: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl Content {
    /// One change. False from the moment the power fails.
    fn change(&mut self) -> bool {
        self.changes += 1;
        if self.is_dark() {
            return false;
        }
        let Some(left) = &mut self.left else { return true };
        *left -= 1;
        if *left == 0 {
            self.power.iter().for_each(|power| (power.cut)());
        }
        *left > 0
    }

    fn is_dark(&self) -> bool {
        self.left == Some(0) || self.power.is_some_and(|power| !(power.is_on)())
    }

    fn rename(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) -> io::Result<()> {
        if self.is_dark() {
            return Err(no_power());
        }
        change(&mut self.names);
        self.unsynced_names.push(self.names.clone());
        if self.change() { Ok(()) } else { Err(no_power()) }
    }

    /// With so many changes of names, and without the sectors that are lost.
    fn after_losing(&self, names: usize, mut lost: impl FnMut(&File, usize) -> bool) -> MemoryDisk {
        let names = match names {
            0 => self.durable_names.clone(),
            kept => self.unsynced_names[kept - 1].clone(),
        };
        let files = self.files.iter().map(|file| file.after_losing(&mut lost)).collect();
        let durable_names = names.clone();
        let content = Self { files, names, durable_names, ..Self::default() };
        MemoryDisk(Arc::new(Mutex::new(content)))
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power has failed")
}

impl MemoryDisk {
    /// The power fails at the given change from now on.
    pub fn fail_after(&self, changes: u64) {
        self.0.lock().left = Some(changes);
    }

    /// Whether the power is still there.
    pub fn is_powered(&self) -> bool {
        !self.0.lock().is_dark()
    }

    /// It is in a machine.
    pub fn draw_from(&self, power: Power) {
        self.0.lock().power = Some(power);
    }

    /// From now on no sync succeeds.
    pub fn fail_syncs(&self) {
        self.0.lock().syncs_fail = true;
    }

    /// Writes, syncs, creations and so on so far.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// What is found after the power failed: everything synced, and each sector that was not with
    /// the given probability.
    pub fn after_crash(&self, rng: &mut StdRng, survives: f64) -> Self {
        let content = self.0.lock();
        let names = content.unsynced_names.len();
        let names = if survives >= 1.0 { names } else { rng.random_range(0..=names) };
        content.after_losing(names, |_, _| !rng.random_bool(survives.clamp(0.0, 1.0)))
    }

    /// What is found if the first sector of every file that was not synced is lost, and no other.
    pub fn after_losing_first_sectors(&self) -> Self {
        self.0.lock().after_losing(0, |file, sector| file.dirty.first() == Some(&sector))
    }

    /// A copy that shares nothing with this one.
    pub fn snapshot(&self) -> Self {
        self.after_crash(&mut StdRng::seed_from_u64(0), 1.0)
    }

    /// The content of a file.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let content = self.0.lock();
        content.files[content.names[name]].current.clone()
    }

    /// Flips a bit of a file behind everybody's back.
    pub fn flip(&self, name: &str, offset: usize, bit: u8) {
        let mut content = self.0.lock();
        let file = content.names[name];
        content.files[file].current[offset] ^= 1 << bit;
        content.files[file].durable[offset] ^= 1 << bit;
    }

    fn file(&self, number: usize) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile { disk: self.clone(), number })
    }
}

impl File {
    fn after_losing(&self, lost: &mut impl FnMut(&Self, usize) -> bool) -> Self {
        let mut bytes = self.durable.clone();
        for sector in &self.dirty {
            let begin = sector * SECTOR;
            let end = self.current.len().min(begin + SECTOR);
            if begin < end && !lost(self, *sector) {
                bytes.resize(bytes.len().max(end), 0);
                bytes[begin..end].copy_from_slice(&self.current[begin..end]);
            }
        }
        Self { durable: bytes.clone(), current: bytes, dirty: BTreeSet::new() }
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut content = self.0.lock();
        let number = content.files.len();
        content.files.push(File::default());
        content.rename(|names| assert_eq!(names.insert(name.to_owned(), number), None))?;
        drop(content);
        Ok(self.file(number))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.0.lock().names.get(name).copied();
        number.map(|number| self.file(number)).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.lock().rename(|names| {
            let number = names.remove(from).expect("it exists");
            names.insert(to.to_owned(), number);
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().rename(|names| {
            names.remove(name).expect("it exists");
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.0.lock();
        if !content.change() {
            return Err(no_power());
        }
        content.durable_names = content.names.clone();
        content.unsynced_names.clear();
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    number: usize,
}

impl DiskFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.number].current.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.disk.0.lock();
        let bytes = content.files[self.number].current.get(offset as usize..);
        let bytes = bytes.and_then(|bytes| bytes.get(..into.len()));
        into.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.disk.0.lock();
        if content.is_dark() {
            return Err(no_power());
        }
        let (begin, end) = (offset as usize, offset as usize + bytes.len());
        let file = &mut content.files[self.number];
        file.current.resize(file.current.len().max(end), 0);
        file.current[begin..end].copy_from_slice(bytes);
        file.dirty.extend(begin / SECTOR..end.div_ceil(SECTOR));
        // A write that the power fails in may have reached the device in parts.
        if content.change() { Ok(()) } else { Err(no_power()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.disk.0.lock();
        if content.syncs_fail {
            return Err(io::Error::other("the device has failed"));
        }
        if !content.change() {
            return Err(no_power());
        }
        let file = &mut content.files[self.number];
        file.durable = file.current.clone();
        file.dirty.clear();
        Ok(())
    }
}
