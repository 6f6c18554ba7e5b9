//! What the last file holds after a crash: see "Torn or damaged" in [`super`].

use std::fs::File;
use std::path::Path;

use super::disk;
use super::file::Index;
use super::format::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FileHeader, FrameHeader};
use super::window::{Found, Window};
use crate::log::LogError;

const SCAN_BYTES: usize = 1 << 20;

/// What a scan found.
pub(super) struct Scanned {
    /// Where the whole frames end.
    pub end: u64,
    /// Sequence after the last whole frame.
    pub next: u64,
    pub index: Index,
    /// Bytes from `end` on that are to be cut off.
    pub torn_bytes: u64,
    /// Up to here the file is known to have been durable.
    pub durable: u64,
}

/// Scans the last file. `marked` is the durable end by the mark, when the mark is about this file.
pub(super) fn scan(
    file: &File,
    path: &Path,
    file_header: &FileHeader,
    len: u64,
    marked: Option<u64>,
) -> Result<Scanned, LogError> {
    let salt = file_header.salt;
    let (mut index, mut window) = (Index::default(), Window::default());
    let (mut at, mut next) = (FILE_HEADER_BYTES as u64, file_header.first);
    let mut durable = marked.unwrap_or(0).max(at);
    let bad = loop {
        if at == len {
            break None;
        }
        let header = match window.header(file, path, salt, at, len, SCAN_BYTES)? {
            Found::Header(header) => header,
            Found::Bad(what) => break Some(what),
        };
        if let Err(what) = window.payload(file, path, &header, at, len, SCAN_BYTES)? {
            break Some(what);
        }
        if header.first != next {
            break Some("a frame is out of order");
        }
        durable = durable.max(header.durable);
        index.note(header.first, at);
        at += header.frame_bytes();
        next += u64::from(header.count);
    };
    if bad.is_some() {
        durable = durable.max(durable_by_later_frames(file, path, salt, at, len)?);
    }
    if at < durable {
        let what = bad.unwrap_or("the file ends too early");
        return Err(LogError::Damaged {
            path: path.into(),
            at,
            what: format!("{what}; all up to byte {durable} had been made durable, so this is no torn tail"),
        });
    }
    Ok(Scanned { end: at, next, index, torn_bytes: len - at, durable })
}

/// The highest durable end that a frame after `at` names.
fn durable_by_later_frames(file: &File, path: &Path, salt: u64, at: u64, len: u64) -> Result<u64, LogError> {
    let mut durable = 0;
    let mut from = at + 1;
    while from + FRAME_HEADER_BYTES as u64 <= len {
        let bytes = disk::read_at(file, path, from, SCAN_BYTES.min((len - from) as usize))?;
        if bytes.len() < FRAME_HEADER_BYTES {
            break;
        }
        let starts = bytes.len() - FRAME_HEADER_BYTES + 1;
        for i in 0..starts {
            if bytes[i] == FRAME_MAGIC[0]
                && let Some(header) = FrameHeader::decode(&bytes[i..], salt, from + i as u64)
            {
                durable = durable.max(header.durable);
            }
        }
        from += starts as u64;
    }
    Ok(durable)
}

/// Writes the bytes between `from` and `to` again, as they are. After a failed fsync the page cache may call them clean
/// although the disk lacks them; only a new write makes the next fsync mean something.
pub(super) fn write_again(file: &File, path: &Path, from: u64, to: u64) -> Result<(), LogError> {
    let mut at = from;
    while at < to {
        let bytes = disk::read_at(file, path, at, SCAN_BYTES.min((to - at) as usize))?;
        if bytes.is_empty() {
            break;
        }
        disk::write_at(file, path, &bytes, at)?;
        at += bytes.len() as u64;
    }
    Ok(())
}
