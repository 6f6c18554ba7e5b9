//! Reads a file through a moving window, so that frames are slices of large reads.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use super::disk;
use super::format::{FRAME_HEADER_BYTES, FrameHeader};
use crate::log::LogError;

/// The last stretch of a file that was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Bytes,
    at: u64,
}

/// What stands at an offset.
pub(super) enum Found {
    /// A whole header. Its payload may be wrong.
    Header(FrameHeader),
    /// Something else, and what is wrong with it.
    Bad(&'static str),
}

impl Window {
    /// `n` bytes at `at`, which must end before `end`; reads `ahead` bytes at once where it must read. `None` when the
    /// file is shorter.
    pub fn get(
        &mut self,
        file: &File,
        path: &Path,
        at: u64,
        n: usize,
        end: u64,
        ahead: usize,
    ) -> Result<Option<Bytes>, LogError> {
        let covered = at >= self.at && at + n as u64 <= self.at + self.bytes.len() as u64;
        if !covered {
            let want = n.max(ahead).min((end - at) as usize);
            self.bytes = Bytes::from(disk::read_at(file, path, at, want)?);
            self.at = at;
            if self.bytes.len() < n {
                return Ok(None);
            }
        }
        let from = (at - self.at) as usize;
        Ok(Some(self.bytes.slice(from..from + n)))
    }

    /// The frame header at `at` of a file that ends at `end`.
    pub fn header(
        &mut self,
        file: &File,
        path: &Path,
        salt: u64,
        at: u64,
        end: u64,
        ahead: usize,
    ) -> Result<Found, LogError> {
        const SHORT: &str = "the file ends inside a frame";
        if at + FRAME_HEADER_BYTES as u64 > end {
            return Ok(Found::Bad(SHORT));
        }
        let Some(bytes) = self.get(file, path, at, FRAME_HEADER_BYTES, end, ahead)? else {
            return Ok(Found::Bad(SHORT));
        };
        let Some(header) = FrameHeader::decode(&bytes, salt, at) else {
            return Ok(Found::Bad("a frame header does not match its checksum"));
        };
        if at + header.frame_bytes() > end {
            return Ok(Found::Bad(SHORT));
        }
        Ok(Found::Header(header))
    }

    /// The payload of the frame at `at`, or what is wrong with it.
    pub fn payload(
        &mut self,
        file: &File,
        path: &Path,
        header: &FrameHeader,
        at: u64,
        end: u64,
        ahead: usize,
    ) -> Result<Result<Bytes, &'static str>, LogError> {
        let at = at + FRAME_HEADER_BYTES as u64;
        let Some(bytes) = self.get(file, path, at, header.len as usize, end, ahead)? else {
            return Ok(Err("the file ends inside a frame"));
        };
        if crc32c::crc32c(&bytes) != header.payload_crc {
            return Ok(Err("a frame's payload does not match its checksum"));
        }
        Ok(Ok(bytes))
    }
}
