//! One segment file as readers and the writer share it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::disk;
use super::format::{FILE_HEADER_BYTES, FileHeader};
use super::window::{Found, Window};
use crate::log::LogError;

/// One index entry per this many bytes.
const INDEX_EVERY_BYTES: u64 = 64 << 10;
/// How much is read at once to index a file.
const SCAN_BYTES: usize = 1 << 20;

/// The name of the file whose first item is `first`.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// Offsets of some frames: (sequence of the first item, byte offset), ascending.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<(u64, u64)>);

impl Index {
    /// Takes note of a frame, if the last one noted is far enough.
    pub fn note(&mut self, first: u64, at: u64) {
        if self.0.last().is_none_or(|(_, last)| at - last >= INDEX_EVERY_BYTES) {
            self.0.push((first, at));
        }
    }

    fn find(&self, seq: u64) -> Option<(u64, u64)> {
        let after = self.0.partition_point(|(first, _)| *first <= seq);
        self.0[..after].last().copied()
    }
}

#[derive(Debug)]
pub(super) struct SegmentFile {
    pub path: PathBuf,
    pub header: FileHeader,
    /// Bytes that readers may see. Final once a later file exists.
    pub durable_len: AtomicU64,
    /// `None` until someone needs it.
    pub index: RwLock<Option<Index>>,
    handle: RwLock<Weak<File>>,
}

impl SegmentFile {
    pub fn new(path: PathBuf, header: FileHeader, durable_len: u64, index: Option<Index>) -> SegmentFile {
        SegmentFile {
            path,
            header,
            durable_len: AtomicU64::new(durable_len),
            index: RwLock::new(index),
            handle: RwLock::new(Weak::new()),
        }
    }

    /// Reads and checks the header of a file.
    pub fn read_header(file: &File, path: &Path) -> Result<FileHeader, LogError> {
        let header = FileHeader::decode(path, &disk::read_at(file, path, 0, FILE_HEADER_BYTES)?)?;
        let named = path.file_name().and_then(|n| n.to_str());
        if named != Some(file_name(header.first).as_str()) {
            let what = format!("its header says that it is {}", file_name(header.first));
            return Err(LogError::Damaged { path: path.into(), at: 0, what });
        }
        Ok(header)
    }

    /// Lets readers share the writer's handle.
    pub fn share(&self, file: &Arc<File>) {
        *self.handle.write() = Arc::downgrade(file);
    }

    /// A handle to read by, shared while someone holds it. `None` when the file is gone.
    pub fn open(&self) -> Result<Option<Arc<File>>, LogError> {
        if let Some(file) = self.handle.read().upgrade() {
            return Ok(Some(file));
        }
        let mut handle = self.handle.write();
        if let Some(file) = handle.upgrade() {
            return Ok(Some(file));
        }
        match File::open(&self.path) {
            Ok(file) => {
                let file = Arc::new(file);
                *handle = Arc::downgrade(&file);
                Ok(Some(file))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(disk::failed("open", &self.path, e)),
        }
    }

    /// A frame at or before the one that holds `seq`: its first sequence and offset.
    pub fn locate(&self, file: &File, seq: u64) -> Result<(u64, u64), LogError> {
        let start = (self.header.first, FILE_HEADER_BYTES as u64);
        if seq == self.header.first {
            return Ok(start);
        }
        if let Some(index) = self.index.read().as_ref() {
            return Ok(index.find(seq).unwrap_or(start));
        }
        let index = self.build_index(file)?;
        let found = index.find(seq).unwrap_or(start);
        *self.index.write() = Some(index);
        Ok(found)
    }

    /// Walks the headers of a finished file. Payloads are checked when they are read.
    fn build_index(&self, file: &File) -> Result<Index, LogError> {
        let end = self.durable_len.load(Ordering::Acquire);
        let (mut index, mut window) = (Index::default(), Window::default());
        let mut at = FILE_HEADER_BYTES as u64;
        while at < end {
            match window.header(file, &self.path, self.header.salt, at, end, SCAN_BYTES)? {
                Found::Header(header) => {
                    index.note(header.first, at);
                    at += header.frame_bytes();
                }
                Found::Bad(what) => return Err(self.damaged(at, what)),
            }
        }
        Ok(index)
    }

    pub fn damaged(&self, at: u64, what: impl Into<String>) -> LogError {
        LogError::Damaged { path: self.path.clone(), at, what: what.into() }
    }
}
