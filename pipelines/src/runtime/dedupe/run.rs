//! A run: identities on disk, sorted, written once.
//!
//! ```text
//! blocks of 1,024 bytes:  39 identities (id u128, data u64, day u16), ascending by id | zeros
//!                         | CRC32C u32 of the block's number (u64) and the 1,020 bytes before
//! fences:                 the high half of the first id of each block, u64
//! filter:                 see `filter`
//! days:                   (day u16, identities u64) for each day of acceptance, ascending
//! footer, 80 bytes:       "GRAVIDS\n" | format u32 | days u32 | identities u64 | filter bytes u64 | first epoch u64
//!                         | last epoch u64 | 20 zeros | CRC32C u32 of fences, filter and days | 4 zeros
//!                         | CRC32C u32 of the footer before
//! ```
//! All numbers are little endian. Fences and filter are read at start (1.7 + 12 bits per identity); a look-up that passes
//! the filter reads one block, which the page cache has when it is asked for often.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use gravity_ingest::log::LogError;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{PACKED_BYTES, is_kept, pack, unpack};

/// The format that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"GRAVIDS\n";
const BLOCK_BYTES: usize = 1024;
/// Identities in a block.
const PER_BLOCK: usize = (BLOCK_BYTES - 4) / PACKED_BYTES;
const FOOTER_BYTES: usize = 80;
const DAY_BYTES: usize = 10;
/// Written bytes are synced in pieces, so that the journal's own syncs never wait for all of a large run.
const SYNC_BYTES: u64 = 8 << 20;

/// One identity: (id, data hash, day of acceptance).
pub type Item = (u128, u64, u16);

/// A run as a base names it: the identities accepted in these epochs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// First epoch.
    pub first: u64,
    /// Last epoch.
    pub last: u64,
    /// CRC32C at the end of the file, so that another file of the same name is found out.
    pub crc: u32,
}

impl RunName {
    /// Its file.
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:020}-{:020}.run", self.first, self.last))
    }
}

/// A run, open.
#[derive(Debug)]
pub struct Run {
    /// Its name.
    pub name: RunName,
    path: PathBuf,
    file: File,
    len: u64,
    fences: Vec<u64>,
    filter: Filter,
    days: Vec<(u16, u64)>,
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError::Io { doing, path: path.to_owned(), source }
}

fn damaged(path: &Path, at: u64, what: impl Into<String>) -> LogError {
    LogError::Damaged { path: path.to_owned(), at, what: what.into() }
}

fn block_crc(number: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), bytes)
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(b[at..at + 8].try_into().expect("8 bytes"))
}

impl Run {
    /// Writes a run of ascending identities, at most `most`, and opens it. It has its name only once it is durable.
    pub fn write(
        dir: &Path,
        (first, last): (u64, u64),
        most: u64,
        items: impl Iterator<Item = Result<Item, LogError>>,
        sync: bool,
    ) -> Result<Run, LogError> {
        let unfinished = dir.join(format!("{first:020}-{last:020}.unfinished"));
        let mut out = Writer::create(unfinished.clone(), most, sync)?;
        for item in items {
            out.push(item?)?;
        }
        let crc = out.finish((first, last))?;
        let name = RunName { first, last, crc };
        let path = name.path(dir);
        fs::rename(&unfinished, &path).map_err(io("rename", &unfinished))?;
        if sync {
            File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))?;
        }
        Run::open(dir, &name)
    }

    /// Opens a run and reads its fences and filter.
    pub fn open(dir: &Path, name: &RunName) -> Result<Run, LogError> {
        let path = name.path(dir);
        let file = File::open(&path).map_err(io("open", &path))?;
        let bytes = file.metadata().map_err(io("look at", &path))?.len();
        let mut footer = [0; FOOTER_BYTES];
        let Some(footer_at) = bytes.checked_sub(FOOTER_BYTES as u64) else {
            return Err(damaged(&path, 0, "the file is shorter than its footer"));
        };
        file.read_exact_at(&mut footer, footer_at).map_err(io("read", &path))?;
        if &footer[..8] != MAGIC || crc32c::crc32c(&footer[..FOOTER_BYTES - 4]) != u32_at(&footer, FOOTER_BYTES - 4) {
            return Err(damaged(&path, footer_at, "the footer does not match its checksum"));
        }
        let format = u32_at(&footer, 8);
        if format > FORMAT {
            return Err(LogError::TooNew { path, found: format, known: FORMAT });
        }
        let (days, len, filter_bytes) = (u32_at(&footer, 12) as u64, u64_at(&footer, 16), u64_at(&footer, 24));
        let found = (u64_at(&footer, 32), u64_at(&footer, 40), u32_at(&footer, FOOTER_BYTES - 4));
        if found != (name.first, name.last, name.crc) {
            return Err(damaged(&path, footer_at, "it is another file than the base knows"));
        }
        let blocks = len.div_ceil(PER_BLOCK as u64);
        let tail_at = blocks * BLOCK_BYTES as u64;
        let tail_bytes = blocks * 8 + filter_bytes + days * DAY_BYTES as u64;
        if tail_at + tail_bytes != footer_at {
            return Err(damaged(&path, footer_at, "the file has not the length that its footer says"));
        }
        let mut tail = vec![0; usize::try_from(tail_bytes).map_err(|_| damaged(&path, footer_at, "it is too large"))?];
        file.read_exact_at(&mut tail, tail_at).map_err(io("read", &path))?;
        if crc32c::crc32c(&tail) != u32_at(&footer, FOOTER_BYTES - 12) {
            return Err(damaged(&path, tail_at, "fences and filter do not match their checksum"));
        }
        let (fences, rest) = tail.split_at(blocks as usize * 8);
        let (filter, days) = rest.split_at(filter_bytes as usize);
        let day = |d: &[u8]| (u16::from_le_bytes([d[0], d[1]]), u64_at(d, 2));
        Ok(Run {
            name: name.clone(),
            fences: fences.chunks_exact(8).map(|f| u64_at(f, 0)).collect(),
            filter: Filter::from_bytes(filter),
            days: days.chunks_exact(DAY_BYTES).map(day).collect(),
            path,
            file,
            len,
        })
    }

    /// Number of identities.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them are no longer kept on day `today`.
    pub fn forgotten(&self, today: u16) -> u64 {
        self.days.iter().filter(|(day, _)| !is_kept(*day, today)).map(|(_, n)| n).sum()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.fences.len() * 8 + self.filter.bytes()
    }

    /// Data hash and day of acceptance of an identity.
    pub fn get(&self, id: u128) -> Result<Option<(u64, u16)>, LogError> {
        if !self.filter.may_hold(id) {
            return Ok(None);
        }
        let high = (id >> 64) as u64;
        // The block before the first fence at or after `high` may hold it, and each one that begins with just `high`.
        let mut at = self.fences.partition_point(|f| *f < high).saturating_sub(1);
        let mut block = [0; BLOCK_BYTES];
        while at < self.fences.len() && self.fences[at] <= high {
            let number = at as u64;
            self.file.read_exact_at(&mut block, number * BLOCK_BYTES as u64).map_err(io("read", &self.path))?;
            let items = self.checked(number, &block)?;
            let (mut low, mut end) = (0, items.len() / PACKED_BYTES);
            while low < end {
                let middle = (low + end) / 2;
                let item = &items[middle * PACKED_BYTES..(middle + 1) * PACKED_BYTES];
                let (found, data, day) = unpack(item).next().expect("it is one identity");
                match found.cmp(&id) {
                    std::cmp::Ordering::Equal => return Ok(Some((data, day))),
                    std::cmp::Ordering::Less => low = middle + 1,
                    std::cmp::Ordering::Greater => end = middle,
                }
            }
            at += 1;
        }
        Ok(None)
    }

    /// The identities of a block as it was read.
    fn checked<'b>(&self, number: u64, block: &'b [u8]) -> Result<&'b [u8], LogError> {
        if block_crc(number, &block[..BLOCK_BYTES - 4]) != u32_at(block, BLOCK_BYTES - 4) {
            let at = number * BLOCK_BYTES as u64;
            return Err(damaged(&self.path, at, "a block of identities does not match its checksum"));
        }
        let left = self.len - number * PER_BLOCK as u64;
        Ok(&block[..left.min(PER_BLOCK as u64) as usize * PACKED_BYTES])
    }

    /// All identities, ascending. After an error it ends.
    pub fn items(&self) -> Result<impl Iterator<Item = Result<Item, LogError>> + '_, LogError> {
        let file = File::open(&self.path).map_err(io("open", &self.path))?;
        let mut reader = std::io::BufReader::with_capacity(256 * BLOCK_BYTES, file);
        let mut ready: Vec<Item> = Vec::new();
        let mut number = 0;
        Ok(std::iter::from_fn(move || {
            if ready.is_empty() {
                if number >= self.fences.len() as u64 {
                    return None;
                }
                let mut block = [0; BLOCK_BYTES];
                let read = reader.read_exact(&mut block).map_err(io("read", &self.path));
                match read.and_then(|()| self.checked(number, &block)) {
                    Ok(items) => ready.extend(unpack(items)),
                    Err(e) => {
                        number = u64::MAX;
                        return Some(Err(e));
                    }
                }
                ready.reverse();
                number += 1;
            }
            ready.pop().map(Ok)
        }))
    }
}

struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    sync: bool,
    unsynced: u64,
    block: Vec<u8>,
    fences: Vec<u64>,
    filter: Filter,
    days: std::collections::BTreeMap<u16, u64>,
    len: u64,
}

impl Writer {
    fn create(path: PathBuf, most: u64, sync: bool) -> Result<Writer, LogError> {
        let file = File::create(&path).map_err(io("create", &path))?;
        Ok(Writer {
            out: BufWriter::with_capacity(64 * BLOCK_BYTES, file),
            path,
            sync,
            unsynced: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            fences: Vec::new(),
            filter: Filter::for_identities(most),
            days: Default::default(),
            len: 0,
        })
    }

    fn push(&mut self, (id, data, day): Item) -> Result<(), LogError> {
        if self.block.is_empty() {
            self.fences.push((id >> 64) as u64);
        }
        pack(&mut self.block, gravity_events::Identity { id, data }, day);
        self.filter.insert(id);
        *self.days.entry(day).or_default() += 1;
        self.len += 1;
        if self.block.len() == PER_BLOCK * PACKED_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), LogError> {
        let mut block = std::mem::take(&mut self.block);
        block.resize(BLOCK_BYTES - 4, 0);
        let crc = block_crc(self.fences.len() as u64 - 1, &block);
        block.extend_from_slice(&crc.to_le_bytes());
        self.write(&block)?;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.out.write_all(bytes).map_err(io("write", &self.path))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.out.flush().map_err(io("write", &self.path))?;
        self.unsynced = 0;
        if self.sync {
            self.out.get_ref().sync_data().map_err(io("sync", &self.path))?;
        }
        Ok(())
    }

    /// Writes what comes after the blocks; returns the checksum that names the file.
    fn finish(mut self, (first, last): (u64, u64)) -> Result<u32, LogError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let mut tail: Vec<u8> = self.fences.iter().flat_map(|f| f.to_le_bytes()).collect();
        let filter = self.filter.to_bytes();
        tail.extend_from_slice(&filter);
        for (day, n) in &self.days {
            tail.extend_from_slice(&day.to_le_bytes());
            tail.extend_from_slice(&n.to_le_bytes());
        }
        let mut footer = [0; FOOTER_BYTES];
        footer[..8].copy_from_slice(MAGIC);
        footer[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        footer[12..16].copy_from_slice(&(self.days.len() as u32).to_le_bytes());
        footer[16..24].copy_from_slice(&self.len.to_le_bytes());
        footer[24..32].copy_from_slice(&(filter.len() as u64).to_le_bytes());
        footer[32..40].copy_from_slice(&first.to_le_bytes());
        footer[40..48].copy_from_slice(&last.to_le_bytes());
        footer[FOOTER_BYTES - 12..FOOTER_BYTES - 8].copy_from_slice(&crc32c::crc32c(&tail).to_le_bytes());
        let crc = crc32c::crc32c(&footer[..FOOTER_BYTES - 4]);
        footer[FOOTER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        self.write(&tail)?;
        self.write(&footer)?;
        self.sync()?;
        Ok(crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: u32) -> Vec<Item> {
        let mut all: Vec<Item> = (0..n)
            .map(|n| (gravity_events::record::stable_hash128(&[&n.to_le_bytes()]), u64::from(n), (n % 5) as u16))
            .collect();
        all.sort_unstable();
        all
    }

    fn write(dir: &Path, items: &[Item]) -> Run {
        Run::write(dir, (1, 9), items.len() as u64, items.iter().copied().map(Ok), true).unwrap()
    }

    #[test]
    fn every_identity_is_found_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for n in [0, 1, 38, 39, 40, 1_000] {
            let items = ids(n);
            let run = write(dir.path(), &items);
            assert_eq!(run.len(), u64::from(n));
            assert_eq!(run.items().unwrap().map(Result::unwrap).collect::<Vec<_>>(), items);
            for (id, data, day) in &items {
                assert_eq!(run.get(*id).unwrap(), Some((*data, *day)));
                assert_eq!(run.get(id ^ 1).unwrap(), None);
            }
            assert_eq!(run.forgotten(2 + super::super::KEPT_DAYS), items.iter().filter(|i| i.2 < 2).count() as u64);
        }
    }

    #[test]
    fn identities_with_the_same_high_half_are_told_apart_across_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let items: Vec<Item> = (0..200u64).map(|n| ((7 << 64) | u128::from(n) << 32, n, 0)).collect();
        let run = write(dir.path(), &items);
        for (id, data, day) in &items {
            assert_eq!(run.get(*id).unwrap(), Some((*data, *day)));
        }
        assert_eq!(run.get(6 << 64).unwrap(), None);
        assert_eq!(run.get(8 << 64).unwrap(), None);
    }

    #[test]
    fn damage_anywhere_is_named_and_a_cut_or_swapped_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let items = ids(100);
        let name = write(dir.path(), &items).name;
        let path = name.path(dir.path());
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            fs::write(&path, &bytes).unwrap();
            let failed = match Run::open(dir.path(), &name) {
                Err(e) => e,
                Ok(run) => {
                    assert!(at < 3 * BLOCK_BYTES, "byte {at}");
                    // A flipped bit in a block is found by whoever reads it.
                    assert!(items.iter().any(|i| run.get(i.0).is_err()));
                    run.items().unwrap().find_map(Result::err).unwrap()
                }
            };
            assert!(matches!(failed, LogError::Damaged { .. }), "byte {at}: {failed}");
        }
        for cut in [0, 10, 79, 80, 1_024, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Run::open(dir.path(), &name), Err(LogError::Damaged { .. })), "cut at {cut}");
        }
        write(dir.path(), &ids(101));
        let swapped = Run::open(dir.path(), &name).unwrap_err().to_string();
        assert!(swapped.contains("another file"), "{swapped}");
    }

    #[test]
    fn a_newer_format_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut name = write(dir.path(), &ids(3)).name;
        let path = name.path(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        let footer_at = bytes.len() - FOOTER_BYTES;
        bytes[footer_at + 8] = 2;
        name.crc = crc32c::crc32c(&bytes[footer_at..bytes.len() - 4]);
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&name.crc.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(Run::open(dir.path(), &name), Err(LogError::TooNew { found: 2, known: 1, .. })));
    }
}
