//! The manifest of a snapshot: which state it holds and which files, with their checksums.
//!
//! On disk: one byte of version, the CRC32 of the rest (little endian), a
//! `talus.node.v1.SnapshotManifest`. Between nodes: the message alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use bytes::{Buf, Bytes};
use proto::Message;
use proto::node::v1 as wire;

use super::{DATA, files};
use crate::convert::{Malformed, membership_in, membership_out, some_log_id_in, some_log_id_out};
use crate::types::{SnapshotMeta, StoredMembership};

const NAME: &str = "MANIFEST";
const VERSION: u8 = 1;
const FILES_MAX: usize = 100_000;

/// What a snapshot consists of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub meta: SnapshotMeta,
    pub files: Vec<wire::SnapshotFile>,
}

impl Manifest {
    /// The name of its directory: index and term of the last entry it holds.
    pub fn name(&self) -> String {
        match &self.meta.last_log_id {
            Some(id) => format!("{:020}-{:010}", id.index, id.leader_id.term),
            None => "empty".into(),
        }
    }

    pub fn to_wire(&self) -> wire::SnapshotManifest {
        let membership = &self.meta.last_membership;
        wire::SnapshotManifest {
            last_log_id: some_log_id_out(&self.meta.last_log_id),
            membership_log_id: some_log_id_out(membership.log_id()),
            membership: Some(membership_out(membership.membership())),
            files: self.files.clone(),
        }
    }

    /// From another node, which is not trusted to name files.
    pub fn from_wire(message: wire::SnapshotManifest) -> Result<Self, Malformed> {
        if message.files.len() > FILES_MAX {
            return Err(Malformed("a snapshot of too many files"));
        }
        if !message.files.iter().all(|file| plain(&file.name)) {
            return Err(Malformed("a snapshot with a file outside of it"));
        }
        let membership = membership_in(message.membership.unwrap_or_default())?;
        let log_id = some_log_id_in(&message.membership_log_id);
        let meta = SnapshotMeta {
            last_log_id: some_log_id_in(&message.last_log_id),
            last_membership: StoredMembership::new(log_id, membership),
        };
        Ok(Self { meta, files: message.files })
    }
}

/// Names of files only: nothing that leads elsewhere.
fn plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

/// Writes the manifest of the snapshot at `path`, durably. The data is already.
pub(super) fn write(path: &Path, manifest: &Manifest) -> io::Result<()> {
    let body = manifest.to_wire().encode_to_vec();
    let mut file = File::create(path.join(NAME))?;
    file.write_all(&[VERSION])?;
    file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    files::sync_dir(path)
}

/// Reads the manifest of the snapshot at `path` and checks that every file is there in full.
pub(super) fn read(path: &Path) -> io::Result<Manifest> {
    let corrupt = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut bytes = Bytes::from(std::fs::read(path.join(NAME))?);
    if bytes.len() < 5 || bytes.get_u8() != VERSION {
        return Err(corrupt("a manifest of another version"));
    }
    if bytes.get_u32_le() != crc32fast::hash(&bytes) {
        return Err(corrupt("a damaged manifest"));
    }
    let message = wire::SnapshotManifest::decode(bytes).map_err(io::Error::other)?;
    let manifest = Manifest::from_wire(message).map_err(io::Error::other)?;
    for file in &manifest.files {
        if std::fs::metadata(path.join(DATA).join(&file.name))?.len() != file.size {
            return Err(corrupt("a file of another size than the manifest says"));
        }
    }
    Ok(manifest)
}
