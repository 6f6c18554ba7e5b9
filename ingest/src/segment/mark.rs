//! `durable.mark`: how far the newest file is known to be durable; also the lock that keeps a second writer out.
//!
//! It is written after each fsync of the segment, and itself not synced: after a crash of the process it is exact, after
//! a power loss it may lag (never lead). A missing or garbled mark counts as none.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::disk;
use super::format::{u32_at, u64_at};
use crate::log::LogError;

const MAGIC: &[u8; 8] = b"GRAVMRK1";
const BYTES: usize = 32;

/// What the mark says: all bytes of the file before `end` were durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Durable {
    /// The file's first sequence.
    pub file_first: u64,
    /// Byte offset in it.
    pub end: u64,
}

#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    enabled: bool,
}

impl Mark {
    /// Opens or creates the mark and takes the lock. A mark that is not `enabled` is never written.
    pub fn open(dir: &Path, enabled: bool) -> Result<(Mark, Option<Durable>), LogError> {
        let path = dir.join("durable.mark");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| disk::failed("open", &path, e))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| disk::failed("lock (is another process using this folder? stop it first)", &path, e.into()))?;
        let bytes = disk::read_at(&file, &path, 0, BYTES)?;
        Ok((Mark { file, path, enabled }, decode(&bytes)))
    }

    /// Notes what is durable now. A failure leaves an older or garbled mark, which is allowed for.
    pub fn write(&self, durable: Durable) {
        if self.enabled
            && let Err(error) = disk::write_at(&self.file, &self.path, &encode(durable), 0)
        {
            tracing::warn!(%error, "the durable mark was not written; damage in the last batch could pass for a torn tail");
        }
    }

    /// Makes the mark itself durable, on an orderly end.
    pub fn sync(&self) {
        if self.enabled {
            let _ = self.file.sync_data();
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn encode(durable: Durable) -> [u8; BYTES] {
    let mut b = [0u8; BYTES];
    b[..8].copy_from_slice(MAGIC);
    b[8..16].copy_from_slice(&durable.file_first.to_le_bytes());
    b[16..24].copy_from_slice(&durable.end.to_le_bytes());
    let crc = crc32c::crc32c(&b[..24]);
    b[24..28].copy_from_slice(&crc.to_le_bytes());
    b
}

fn decode(b: &[u8]) -> Option<Durable> {
    let whole = b.len() == BYTES && &b[..8] == MAGIC && u32_at(b, 24) == crc32c::crc32c(&b[..24]);
    whole.then(|| Durable { file_first: u64_at(b, 8), end: u64_at(b, 16) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_garbled_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, none) = Mark::open(dir.path(), true).unwrap();
        assert_eq!(none, None);
        let durable = Durable { file_first: 3, end: 4_000 };
        mark.write(durable);
        assert!(Mark::open(dir.path(), true).is_err(), "locked");
        drop(mark);
        let (mark, found) = Mark::open(dir.path(), true).unwrap();
        assert_eq!(found, Some(durable));
        for byte in 0..28 {
            let mut b = encode(durable);
            b[byte] ^= 0x10;
            assert_eq!(decode(&b), None);
        }
        drop(mark);
    }
}
