//! Files of snapshots: listing, checksums, copies, durability.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proto::node::v1::SnapshotFile;

use super::Manifest;

/// Files that the storage engine never changes once they are written, by their extension. These
/// may be shared by hard links; anything else is copied.
const IMMUTABLE: [&str; 2] = ["sst", "blob"];
const BUFFER: usize = 1 << 20;

/// Lists a checkpoint with checksums and makes its files durable. Files shared with the snapshot
/// `known` keep the checksum they have there and are not read again.
pub(super) fn describe(
    data: &Path,
    known: Option<(PathBuf, &Manifest)>,
) -> io::Result<Vec<SnapshotFile>> {
    let (base, listed) = match &known {
        Some((base, manifest)) => (Some(base), manifest.files.as_slice()),
        None => (None, &[][..]),
    };
    let listed: BTreeMap<&str, &SnapshotFile> =
        listed.iter().map(|file| (file.name.as_str(), file)).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|_| invalid("a file with an odd name"))?;
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            return Err(invalid("a checkpoint holds a directory"));
        }
        let shared = base.zip(listed.get(name.as_str())).filter(|(base, file)| {
            file.size == metadata.len() && inode(&base.join(&name)) == Some(metadata.ino())
        });
        found.push(match shared {
            Some((_, file)) => (*file).clone(),
            None => describe_one(&entry.path(), name)?,
        });
    }
    sync_dir(data)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn describe_one(path: &Path, name: String) -> io::Result<SnapshotFile> {
    let (size, crc32) = checksum(path)?;
    File::open(path)?.sync_all()?;
    Ok(SnapshotFile { name, size, crc32 })
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// Size and CRC32 of a file.
pub(super) fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    let (mut size, mut crc) = (0, crc32fast::Hasher::new());
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, crc.finalize())),
            count => {
                size += count as u64;
                crc.update(&buffer[..count]);
            }
        }
    }
}

/// Copies a checkpoint, by links where nobody will write.
pub(super) fn copy_dir(from: &Path, to: &Path, manifest: &Manifest) -> io::Result<()> {
    fs::create_dir(to)?;
    for file in &manifest.files {
        let (from, to) = (from.join(&file.name), to.join(&file.name));
        if immutable(&file.name) {
            fs::hard_link(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
            File::open(&to)?.sync_all()?;
        }
    }
    sync_dir(to)
}

pub(super) fn immutable(name: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| IMMUTABLE.iter().any(|known| extension == *known))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes a directory, or nothing.
pub(super) fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
