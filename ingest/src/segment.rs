//! Append-only files of CRC-framed frames: the one storage format of topics and journals.
//!
//! A folder holds files named after the sequence of their first item (`00000000000000000000.seg`), and `durable.mark`.
//! Items (records, epochs) are numbered without gaps; a frame holds one or more. The bytes are described in
//! [`format`](self::format).
//!
//! # Torn or damaged
//! What was synced must never be lost without a word; what was not, may be. After a crash the last file may end in
//! frames that were never synced, of which a power loss may leave any part (also a later one whole and an earlier one
//! not). So the question about a bad frame is only: *had it been synced?* Three things say so:
//! - **its place**: files before the last were synced before the next one was made. They and their lengths are named by
//!   the header of the file after them, so one that is missing or shorter is found at open;
//! - **later frames**: each carries the offset up to which its file was durable when it was written;
//! - **the mark**: `durable.mark` holds the durable end of the last file. It is written after each fsync, so it never
//!   leads. After a crash of the process alone it is exact.
//!
//! A bad frame before the durable end is [`LogError::Damaged`], with file and offset. One at or after it is a torn tail:
//! it and all after it were never acknowledged, are cut off, and reported as [`Repair`]. A frame's header has its own
//! checksum over its length, so a flipped length is never followed.
//!
//! What cannot be told apart: damage in the batch of the *last* fsync, if a power loss also took the mark's last write
//! (both within the seconds before the page cache is written back), or if someone removed the mark. It passes for a torn
//! tail, and is reported as a repair. Likewise the removal of the *oldest* files looks like retention.
//!
//! A backup copies `durable.mark` first, or not at all; a mark that is newer than the segments reads as damage.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::log::LogError;

pub(crate) mod disk;
mod file;
pub(crate) mod format;
mod mark;
mod reader;
mod recover;
mod rewrite;
#[cfg(test)]
mod tests;
mod window;

pub use reader::{Frame, SegmentsReader};

use file::{Index, SegmentFile, file_name};
use format::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, MAX_PAYLOAD_BYTES};
use mark::{Durable, Mark};
use reader::Shared;

/// Frames up to this size are put together in memory and written in one go.
const COPY_BYTES: usize = 64 << 10;

/// Whether `sync` means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// fdatasync: survives a power loss.
    Fsync,
    /// Nothing is synced: for tests and `--in-memory`, where the folder does not outlive the process.
    None,
}

/// How segments are written.
#[derive(Clone, Copy, Debug)]
pub struct SegmentOptions {
    /// A new file is begun once the current one has this many bytes.
    pub segment_bytes: u64,
    /// Whether `sync` means it.
    pub sync: SyncMode,
}

/// A torn tail that was cut off: nothing in it had ever been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Which file.
    pub path: PathBuf,
    /// Its length now.
    pub cut_at: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The single writer of a folder of segments. A second one, in any process, is refused.
#[derive(Debug)]
pub struct Segments {
    options: SegmentOptions,
    shared: Arc<Shared>,
    file: Arc<SegmentFile>,
    handle: Arc<File>,
    mark: Mark,
    /// Bytes of the file, durable or not.
    len: u64,
    next: u64,
    /// Bytes of the files before.
    sealed_bytes: u64,
    poisoned: bool,
    buffer: Vec<u8>,
}

impl Segments {
    /// Opens a folder of segments, or creates one that begins at 0. Scans the last file only; a torn tail is cut off and
    /// reported, damage elsewhere is [`LogError::Damaged`]. What it holds afterwards is durable.
    pub fn open(dir: &Path, options: SegmentOptions) -> Result<(Segments, Option<Repair>), LogError> {
        disk::create_folder(dir, options.sync == SyncMode::Fsync)?;
        let (mark, durable) = Mark::open(dir, options.sync == SyncMode::Fsync)?;
        let mut names = segment_names(dir)?;
        names.sort_unstable();
        let Some(newest) = names.last().copied() else {
            if durable.is_some() {
                let what =
                    "the folder had segments and has none: restore them, or remove this file to begin anew".into();
                return Err(LogError::Damaged { path: mark.path().into(), at: 0, what });
            }
            return Ok((Segments::begin(dir, 0, options, mark)?, None));
        };
        if let Some(durable) = durable
            && durable.file_first > newest
        {
            let what = "the newest segment is missing".into();
            return Err(LogError::Damaged { path: dir.join(file_name(durable.file_first)), at: 0, what });
        }
        let files = open_files(dir, &names)?;
        let marked = durable.filter(|d| d.file_first == newest).map(|d| d.end);
        Segments::resume(dir, options, mark, files, marked)
    }

    /// Creates a folder of segments that begins at `first_seq`. Refused where there are segments already.
    pub fn create_at(dir: &Path, first_seq: u64, options: SegmentOptions) -> Result<Segments, LogError> {
        disk::create_folder(dir, options.sync == SyncMode::Fsync)?;
        let (mark, _) = Mark::open(dir, options.sync == SyncMode::Fsync)?;
        if !segment_names(dir)?.is_empty() {
            let error = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "the folder has segments already");
            return Err(disk::failed("create segments in", dir, error));
        }
        Segments::begin(dir, first_seq, options, mark)
    }

    fn begin(dir: &Path, first: u64, options: SegmentOptions, mark: Mark) -> Result<Segments, LogError> {
        let (file, handle) = create_file(dir, first, None, options.sync)?;
        mark.write(Durable { file_first: first, end: FILE_HEADER_BYTES as u64 });
        let shared =
            Shared { dir: dir.into(), files: RwLock::new(vec![file.clone()]), durable_seq: AtomicU64::new(first) };
        Ok(Segments {
            options,
            shared: Arc::new(shared),
            file,
            handle,
            mark,
            len: FILE_HEADER_BYTES as u64,
            next: first,
            sealed_bytes: 0,
            poisoned: false,
            buffer: Vec::new(),
        })
    }

    fn resume(
        dir: &Path,
        options: SegmentOptions,
        mark: Mark,
        mut files: Vec<SegmentFile>,
        marked: Option<u64>,
    ) -> Result<(Segments, Option<Repair>), LogError> {
        let mut last = files.pop().expect("there is a newest file");
        let handle = File::options().read(true).write(true).open(&last.path);
        let handle = handle.map_err(|e| disk::failed("open", &last.path, e))?;
        let found = recover::scan(&handle, &last.path, &last.header, *last.durable_len.get_mut(), marked)?;
        let repair = (found.torn_bytes > 0).then(|| Repair {
            path: last.path.clone(),
            cut_at: found.end,
            bytes: found.torn_bytes,
        });
        if let Some(repair) = &repair {
            tracing::warn!(path = %repair.path.display(), cut_at = repair.cut_at, bytes = repair.bytes, "cut off a torn tail");
            handle.set_len(found.end).map_err(|e| disk::failed("cut", &last.path, e))?;
        }
        if options.sync == SyncMode::Fsync {
            recover::write_again(&handle, &last.path, found.durable, found.end)?;
            disk::sync_data(&handle, &last.path)?;
        }
        *last.durable_len.get_mut() = found.end;
        *last.index.get_mut() = Some(found.index);
        mark.write(Durable { file_first: last.header.first, end: found.end });
        let sealed_bytes = files.iter().map(|f| f.durable_len.load(Ordering::Relaxed)).sum();
        let (file, handle) = (Arc::new(last), Arc::new(handle));
        file.share(&handle);
        let files = files.into_iter().map(Arc::new).chain([file.clone()]).collect();
        let shared = Shared { dir: dir.into(), files: RwLock::new(files), durable_seq: AtomicU64::new(found.next) };
        let segments = Segments {
            options,
            shared: Arc::new(shared),
            file,
            handle,
            mark,
            len: found.end,
            next: found.next,
            sealed_bytes,
            poisoned: false,
            buffer: Vec::new(),
        };
        Ok((segments, repair))
    }

    /// Appends a frame of `count` items, the first of which is `first`, which must be [`next_seq`](Self::next_seq). Not
    /// durable yet. On [`LogError::Full`] nothing has been appended and later calls may succeed.
    pub fn append(&mut self, first: u64, count: u32, payload: &[u8]) -> Result<(), LogError> {
        self.check_poison()?;
        let invalid = |what: String| {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
            disk::failed("append to", &self.file.path, error)
        };
        if first != self.next || count == 0 {
            return Err(invalid(format!("frame of {count} items at {first}, expected some at {}", self.next)));
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(invalid(format!("frame of {} bytes, at most {MAX_PAYLOAD_BYTES} are accepted", payload.len())));
        }
        if self.len >= self.options.segment_bytes && self.len > FILE_HEADER_BYTES as u64 {
            self.roll()?;
        }
        let header = FrameHeader {
            len: payload.len() as u32,
            count,
            payload_crc: crc32c::crc32c(payload),
            first,
            durable: match self.options.sync {
                SyncMode::Fsync => self.file.durable_len.load(Ordering::Relaxed),
                SyncMode::None => 0,
            },
        };
        if let Err(error) = self.write_frame(&header.encode(self.file.header.salt, self.len), payload) {
            // What was written of it must not stand where the next frame will be looked for.
            if self.handle.set_len(self.len).is_err() {
                self.poisoned = true;
            }
            return Err(error);
        }
        if let Some(index) = self.file.index.write().as_mut() {
            index.note(first, self.len);
        }
        self.len += header.frame_bytes();
        self.next += u64::from(count);
        Ok(())
    }

    fn write_frame(&mut self, header: &[u8; FRAME_HEADER_BYTES], payload: &[u8]) -> Result<(), LogError> {
        if payload.len() > COPY_BYTES {
            disk::write_at(&self.handle, &self.file.path, header, self.len)?;
            return disk::write_at(&self.handle, &self.file.path, payload, self.len + FRAME_HEADER_BYTES as u64);
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(header);
        self.buffer.extend_from_slice(payload);
        disk::write_at(&self.handle, &self.file.path, &self.buffer, self.len)
    }

    /// Makes all appended frames durable, and visible to readers. After an error nothing more can be appended: what the
    /// disk holds is only known again after opening anew.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check_poison()?;
        if self.file.durable_len.load(Ordering::Relaxed) == self.len {
            return Ok(());
        }
        if self.options.sync == SyncMode::Fsync
            && let Err(error) = disk::sync_data(&self.handle, &self.file.path)
        {
            self.poisoned = true;
            return Err(error);
        }
        self.file.durable_len.store(self.len, Ordering::Release);
        self.shared.durable_seq.store(self.next, Ordering::Release);
        self.mark.write(Durable { file_first: self.file.header.first, end: self.len });
        Ok(())
    }

    fn roll(&mut self) -> Result<(), LogError> {
        self.sync()?;
        let previous = Some((self.file.header.first, self.len));
        let (file, handle) = match create_file(&self.shared.dir, self.next, previous, self.options.sync) {
            Ok(made) => made,
            Err(error) => {
                // Whether the new file has its name is not known unless the disk was merely full.
                self.poisoned = !matches!(error, LogError::Full { .. });
                return Err(error);
            }
        };
        self.mark.write(Durable { file_first: self.next, end: FILE_HEADER_BYTES as u64 });
        self.sealed_bytes += self.len;
        self.len = FILE_HEADER_BYTES as u64;
        self.file = file.clone();
        self.handle = handle;
        self.shared.files.write().push(file);
        Ok(())
    }

    fn check_poison(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned { path: self.file.path.clone() }) } else { Ok(()) }
    }

    /// First sequence that is still there.
    pub fn first_seq(&self) -> u64 {
        self.shared.first_seq()
    }

    /// Sequence of the next item.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// First sequence that is not durable.
    pub fn durable_seq(&self) -> u64 {
        self.shared.durable_seq.load(Ordering::Relaxed)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.sealed_bytes + self.len
    }

    /// Removes whole files whose every item is before `seq`, oldest first, never the one being written. Returns the
    /// bytes freed.
    pub fn drop_before(&mut self, seq: u64) -> Result<u64, LogError> {
        let mut files = self.shared.files.write();
        let mut freed = 0;
        while files.len() > 1 && files[1].header.first <= seq {
            match std::fs::remove_file(&files[0].path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(disk::failed("remove", &files[0].path, e));
                }
                _ => {}
            }
            let bytes = files.remove(0).durable_len.load(Ordering::Relaxed);
            self.sealed_bytes -= bytes;
            freed += bytes;
        }
        drop(files);
        if freed > 0 && self.options.sync == SyncMode::Fsync {
            disk::sync_folder(&self.shared.dir)?;
        }
        Ok(freed)
    }

    /// A reader of what is durable, independent of this writer.
    pub fn reader(&self) -> SegmentsReader {
        SegmentsReader::new(self.shared.clone())
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.mark.sync();
    }
}

/// First sequences of the segment files of a folder; removes what a crash left of unfinished ones.
fn segment_names(dir: &Path) -> Result<Vec<u64>, LogError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| disk::failed("list", dir, e))? {
        let entry = entry.map_err(|e| disk::failed("list", dir, e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".seg.tmp") {
            std::fs::remove_file(entry.path()).map_err(|e| disk::failed("remove", &entry.path(), e))?;
        } else if let Some(first) = name.strip_suffix(".seg").filter(|n| n.len() == 20).and_then(|n| n.parse().ok()) {
            names.push(first);
        }
    }
    Ok(names)
}

/// Checks headers, and that each file follows the one before. Lengths are those on disk.
fn open_files(dir: &Path, names: &[u64]) -> Result<Vec<SegmentFile>, LogError> {
    let mut files: Vec<SegmentFile> = Vec::with_capacity(names.len());
    for first in names {
        let path = dir.join(file_name(*first));
        let file = File::open(&path).map_err(|e| disk::failed("open", &path, e))?;
        let len = file.metadata().map_err(|e| disk::failed("look at", &path, e))?.len();
        let header = SegmentFile::read_header(&file, &path)?;
        if let Some(before) = files.last() {
            let is = (before.header.first, before.durable_len.load(Ordering::Relaxed));
            match header.previous {
                Some(was) if was == is => {}
                Some((was_first, was_len)) if was_first == is.0 => {
                    let what = format!("the file has {} bytes, it had {was_len}", is.1);
                    return Err(before.damaged(is.1.min(was_len), what));
                }
                Some((was_first, _)) => {
                    let path = dir.join(file_name(was_first));
                    return Err(LogError::Damaged { path, at: 0, what: "the file is missing".into() });
                }
                None => return Err(before.damaged(0, "the next file knows of none before it")),
            }
        }
        files.push(SegmentFile::new(path, header, len, None));
    }
    Ok(files)
}

/// Makes a file that holds its header only. It has its name only once it is whole.
fn create_file(
    dir: &Path,
    first: u64,
    previous: Option<(u64, u64)>,
    sync: SyncMode,
) -> Result<(Arc<SegmentFile>, Arc<File>), LogError> {
    let path = dir.join(file_name(first));
    // Seeded by the operating system; only has to differ from file to file and be hard to guess.
    let salt = std::hash::RandomState::new().build_hasher().finish();
    let header = FileHeader { first, salt, previous };
    disk::replace_file(&path, &header.encode(), sync == SyncMode::Fsync)?;
    let handle = File::options().read(true).write(true).open(&path).map_err(|e| disk::failed("open", &path, e))?;
    let file = SegmentFile::new(path, header, FILE_HEADER_BYTES as u64, Some(Index::default()));
    let (file, handle) = (Arc::new(file), Arc::new(handle));
    file.share(&handle);
    Ok((file, handle))
}
