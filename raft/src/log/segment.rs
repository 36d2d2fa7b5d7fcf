//! Segments: the files of the log, made ahead of their use.
//!
//! A file begins with a header of 64 bytes: `TALUSLOG`, format u32, salt u32, sequence u64, CRC-32
//! of those 24 bytes, zeros. Records follow. The salt is the same in all files of a directory.
//!
//! A file is written full of zeros before it becomes a segment, and is used again when its entries
//! are dead: then a write changes neither its length nor its extents, and `fdatasync` is one flush
//! of the device instead of a commit of the file system's journal. Telling the file system to
//! allocate is not enough, for it must still note which blocks have been written.
//!
//! Invariants
//! * A header is one sector and is written while its file holds nothing live, so it is never torn.
//!   A file under its own name with a bad header is damaged.
//! * Sequences only grow, over restarts too, and are never given twice: seals depend on it.
//! * A file becomes free only after a durable record says that its segment is dead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use parking_lot::{Condvar, Mutex, RwLock};

use super::disk::{Disk, DiskFile};
use super::error::LogError;
use super::index::Place;
use super::record::{self, HEADER_BYTES, Seal};
use super::{Result, WalOptions};

/// Bytes before the first record of a segment.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;

const MAGIC: &[u8; 8] = b"TALUSLOG";
const FORMAT: u32 = 1;
const SUFFIX: &str = ".wal";
const SUFFIX_NEW: &str = ".new";
/// Zeros are written and synced in pieces, so that the log's own syncs need not wait for long.
const ZEROS_BYTES: u64 = 1 << 20;
const ZEROS_SYNC_BYTES: u64 = 8 << 20;

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) salt: u32,
    pub(super) sequence: u64,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        out.put_slice(MAGIC);
        out.put_u32_le(FORMAT);
        out.put_u32_le(self.salt);
        out.put_u64_le(self.sequence);
        out.put_u32_le(crc32fast::hash(&out));
        out.resize(SEGMENT_HEADER_BYTES as usize, 0);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut crc) = bytes.split_at_checked(24)?;
        let mut rest = head.strip_prefix(MAGIC)?;
        let format = rest.get_u32_le();
        let header = Self { salt: rest.get_u32_le(), sequence: rest.get_u64_le() };
        let whole = format == FORMAT && crc.try_get_u32_le().ok()? == crc32fast::hash(head);
        whole.then_some(header)
    }
}

/// A file that holds nothing live.
pub(super) struct FreeFile {
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) length: u64,
}

/// A file with its place in the log.
pub(super) struct Segment {
    pub(super) sequence: u64,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes that were made ahead. A record longer than that makes its file longer.
    pub(super) capacity: u64,
    pub(super) seal: Seal,
}

impl Segment {
    /// Reads `length` bytes.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, offset).map_err(LogError::io("read", &self.name))?;
        Ok(bytes.into())
    }

    /// The body of the record at `place`; `bytes` are its.
    pub(super) fn body(&self, place: Place, bytes: &Bytes) -> Result<Bytes> {
        let frame = record::parse(bytes, self.seal)
            .ok_or_else(|| LogError::damaged(&self.name, place.offset, "bad record"))?;
        Ok(bytes.slice(HEADER_BYTES..HEADER_BYTES + frame.body.len()))
    }
}

/// All segments: those with live records, and those to come.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    salt: u32,
    options: WalOptions,
    live: RwLock<BTreeMap<u64, Arc<Segment>>>,
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// What a log was found to consist of.
pub(super) struct Inventory {
    pub(super) salt: u32,
    pub(super) live: BTreeMap<u64, Arc<Segment>>,
    pub(super) free: Vec<FreeFile>,
    /// Greater than any sequence ever given.
    pub(super) next_sequence: u64,
    /// Greater than the number of any file.
    pub(super) next_file: u64,
}

struct Pool {
    /// Ready to be written, in the order of their sequences.
    spares: VecDeque<Arc<Segment>>,
    free: Vec<FreeFile>,
    next_sequence: u64,
    next_file: u64,
    /// Files created since the log was opened.
    created: u32,
    /// Of these, how many are not ready yet.
    making: u32,
    /// Why no spare could be made when it was last tried.
    error: Option<LogError>,
    closed: bool,
}

impl Segments {
    pub(super) fn new(disk: Arc<dyn Disk>, found: Inventory, options: WalOptions) -> Self {
        let pool = Pool {
            spares: VecDeque::new(),
            free: found.free,
            next_sequence: found.next_sequence,
            next_file: found.next_file,
            created: 0,
            making: 0,
            error: None,
            closed: false,
        };
        Self {
            disk,
            salt: found.salt,
            options,
            live: RwLock::new(found.live),
            pool: Mutex::new(pool),
            changed: Condvar::new(),
        }
    }

    pub(super) fn salt(&self) -> u32 {
        self.salt
    }

    /// The segment with this sequence, if it holds records.
    pub(super) fn get(&self, sequence: u64) -> Option<Arc<Segment>> {
        self.live.read().get(&sequence).cloned()
    }

    /// Segments in use from `oldest` on.
    pub(super) fn count_from(&self, oldest: u64) -> usize {
        self.live.read().range(oldest..).count()
    }

    /// Live segments, and files made ahead of them.
    pub(super) fn counts(&self) -> (usize, usize) {
        let pool = self.pool.lock();
        (self.live.read().len(), pool.spares.len() + pool.free.len())
    }

    /// How much segment `sequence` holds, as far as that is known: at least so much if its file is
    /// not ready yet.
    pub(super) fn capacity(&self, sequence: u64) -> u64 {
        if let Some(segment) = self.get(sequence) {
            return segment.capacity;
        }
        let pool = self.pool.lock();
        if let Some(spare) = pool.spares.iter().find(|spare| spare.sequence == sequence) {
            return spare.capacity;
        }
        // Files are used in the order they are made, and each is at least as long as the last one.
        let before = sequence.saturating_sub(pool.next_sequence) as u32;
        let created = self.file_bytes((pool.created + before).saturating_sub(pool.making));
        pool.free.iter().map(|free| free.length).fold(created, u64::min)
    }

    /// Takes the spare `sequence` into use, waiting until it is ready.
    pub(super) fn begin(&self, sequence: u64) -> Result<Arc<Segment>> {
        let mut pool = self.pool.lock();
        while pool.spares.is_empty() {
            if let Some(error) = &pool.error {
                return Err(error.clone());
            }
            if pool.closed {
                return Err(LogError::Closed);
            }
            self.changed.wait(&mut pool);
        }
        let segment = pool.spares.pop_front().expect("it is not empty");
        assert_eq!(segment.sequence, sequence, "segments are used in the order they were made");
        self.live.write().insert(sequence, segment.clone());
        Ok(segment)
    }

    /// No spare will come any more.
    pub(super) fn close(&self) {
        self.pool.lock().closed = true;
        self.changed.notify_all();
    }

    /// Makes spares until there are enough, and removes files beyond what is worth keeping.
    pub(super) fn prepare(&self) -> Result<()> {
        let discarded = self.discard();
        while let Some(sequence) = self.wanted() {
            let made = self.spare(sequence);
            let mut pool = self.pool.lock();
            pool.error = made.as_ref().err().cloned();
            pool.making = 0;
            if let Ok(segment) = &made {
                pool.spares.push_back(segment.clone());
                pool.next_sequence = sequence + 1;
            }
            self.changed.notify_all();
            made?;
        }
        discarded
    }

    fn wanted(&self) -> Option<u64> {
        let pool = self.pool.lock();
        let wanted = !pool.closed && pool.spares.len() < self.options.segments_spare.max(1);
        wanted.then_some(pool.next_sequence)
    }

    fn spare(&self, sequence: u64) -> Result<Arc<Segment>> {
        let recycled = self.pool.lock().free.pop();
        let free = match recycled {
            Some(free) => free,
            None => self.create()?,
        };
        let header = Header { salt: self.salt, sequence }.encode();
        let written = free.file.write_at(&header, 0).and_then(|()| free.file.sync());
        if let Err(error) = written {
            let error = LogError::io("write", &free.name)(error);
            self.pool.lock().free.push(free);
            return Err(error);
        }
        let FreeFile { name, file, length } = free;
        let seal = Seal::new(sequence, self.salt);
        Ok(Arc::new(Segment { sequence, name, file, capacity: length, seal }))
    }

    /// A new file full of zeros. Its header comes later, so under its own name it has one from the
    /// beginning that says it was never used.
    fn create(&self) -> Result<FreeFile> {
        let (number, length) = {
            let mut pool = self.pool.lock();
            pool.next_file += 1;
            pool.created += 1;
            pool.making = 1;
            (pool.next_file - 1, self.file_bytes(pool.created - 1))
        };
        let name = format!("{number:08}{SUFFIX}");
        let draft = format!("{number:08}{SUFFIX_NEW}");
        let file = self.disk.create(&draft).map_err(LogError::io("create", &draft))?;
        let filled = self.fill(&*file, length);
        if let Err(error) = filled.and_then(|()| self.publish(&draft, &name)) {
            // Most likely the disk is full: leave nothing behind that makes it fuller.
            let _ = self.disk.remove(&draft);
            return Err(LogError::io("prepare", &name)(error));
        }
        Ok(FreeFile { name, file, length })
    }

    fn fill(&self, file: &dyn DiskFile, length: u64) -> std::io::Result<()> {
        let zeros = vec![0; ZEROS_BYTES.min(length) as usize];
        let mut at = 0;
        while at < length {
            let piece = &zeros[..ZEROS_BYTES.min(length - at) as usize];
            file.write_at(piece, at)?;
            at += piece.len() as u64;
            if at % ZEROS_SYNC_BYTES == 0 {
                file.sync()?;
            }
        }
        // Sequence 0 is no segment's.
        file.write_at(&Header { salt: self.salt, sequence: 0 }.encode(), 0)?;
        file.sync()
    }

    fn publish(&self, draft: &str, name: &str) -> std::io::Result<()> {
        self.disk.rename(draft, name)?;
        self.disk.sync()
    }

    /// The first files are small, so that a new log is ready at once.
    fn file_bytes(&self, created: u32) -> u64 {
        let grown = self.options.segment_bytes_first.saturating_mul(4_u64.saturating_pow(created));
        grown.min(self.options.segment_bytes)
    }

    /// Segments before `oldest` are dead: their files are free.
    pub(super) fn release(&self, oldest: u64) {
        let mut live = self.live.write();
        let kept = live.split_off(&oldest);
        let dead = std::mem::replace(&mut *live, kept);
        drop(live);
        let free = dead.into_values().map(|segment| FreeFile {
            name: segment.name.clone(),
            file: segment.file.clone(),
            length: segment.capacity,
        });
        self.pool.lock().free.extend(free);
    }

    /// Removes free files that have not the usual length, or are too many.
    fn discard(&self) -> Result<()> {
        let surplus: Vec<FreeFile> = {
            let mut pool = self.pool.lock();
            let usual = |free: &FreeFile| free.length == self.options.segment_bytes;
            let (mut kept, mut surplus): (Vec<_>, Vec<_>) = pool.free.drain(..).partition(usual);
            let count = kept.len().min(self.options.segments_recycled);
            surplus.extend(kept.drain(count..));
            pool.free = kept;
            surplus
        };
        for FreeFile { name, .. } in surplus {
            self.disk.remove(&name).map_err(LogError::io("remove", &name))?;
        }
        Ok(())
    }
}

/// The number in the name of a file of the log, if it is one.
pub(super) fn file_number(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

/// Whether a file was left by a crash while it was being made.
pub(super) fn is_draft(name: &str) -> bool {
    name.strip_suffix(SUFFIX_NEW).is_some_and(|number| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_their_encoding() {
        let header = Header { salt: 7, sequence: 12 };
        let mut bytes = header.encode();
        assert_eq!(bytes.len() as u64, SEGMENT_HEADER_BYTES);
        assert_eq!(Header::decode(&bytes), Some(header));
        bytes[20] ^= 1;
        assert_eq!(Header::decode(&bytes), None);
        assert_eq!(Header::decode(&bytes[..20]), None);
        assert_eq!(Header::decode(&[0; 64]), None);
    }

    #[test]
    fn names_tell_what_files_are() {
        assert_eq!(file_number("00000012.wal"), Some(12));
        assert_eq!(file_number("MANIFEST"), None);
        assert!(is_draft("00000012.new") && !is_draft("00000012.wal") && !is_draft("x.new"));
    }
}
