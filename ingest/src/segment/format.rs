//! The bytes of a segment file: one header, then frames. All numbers are little endian.
//!
//! ```text
//! file header, 64 bytes:  "GRAVSEG\n" | format u32 | flags u32 = 0 | first u64 | salt u64
//!                         | first of the file before u64 (MAX: none) | its length u64 | 12 zeros | CRC32C u32
//! frame header, 36 bytes: magic u32 | payload length u32 | count u32 | CRC32C of the payload u32
//!                         | first u64 | durable u64 | CRC32C u32 of salt, own offset and the 32 bytes before
//! ```
//! The salt is random per file. Salt and offset in the checksum of a frame's header mean that bytes which look like a
//! frame, but are part of a payload or of another file, are never taken for one. The first 32 bytes and the checksum of
//! the file header stay where they are in every later format, so that a flipped bit is told from a newer format.

use crate::log::LogError;
use std::path::Path;

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of a file header.
pub(crate) const FILE_HEADER_BYTES: usize = 64;
/// Bytes of a frame header.
pub(crate) const FRAME_HEADER_BYTES: usize = 36;
/// Largest payload of a frame.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 1 << 30;
/// First bytes of a frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = [0xF7, b'G', b'v', 0x1A];

const FILE_MAGIC: &[u8; 8] = b"GRAVSEG\n";

/// What stands at the start of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// Sequence of the file's first item.
    pub first: u64,
    /// Random; part of every frame's checksum.
    pub salt: u64,
    /// First sequence and length of the file before this one, when there was one.
    pub previous: Option<(u64, u64)>,
}

impl FileHeader {
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut b = [0u8; FILE_HEADER_BYTES];
        let (previous_first, previous_len) = self.previous.unwrap_or((u64::MAX, 0));
        b[..8].copy_from_slice(FILE_MAGIC);
        b[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        b[16..24].copy_from_slice(&self.first.to_le_bytes());
        b[24..32].copy_from_slice(&self.salt.to_le_bytes());
        b[32..40].copy_from_slice(&previous_first.to_le_bytes());
        b[40..48].copy_from_slice(&previous_len.to_le_bytes());
        let crc = crc32c::crc32c(&b[..60]);
        b[60..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    pub fn decode(path: &Path, b: &[u8]) -> Result<FileHeader, LogError> {
        let damaged = |what: &str| LogError::Damaged { path: path.into(), at: 0, what: what.into() };
        if b.len() < FILE_HEADER_BYTES {
            return Err(damaged("the file is shorter than its header"));
        }
        if &b[..8] != FILE_MAGIC {
            return Err(damaged("not a segment file"));
        }
        if crc32c::crc32c(&b[..60]) != u32_at(b, 60) {
            return Err(damaged("the file header does not match its checksum"));
        }
        let format = u32_at(b, 8);
        if format > FORMAT {
            return Err(LogError::TooNew { path: path.into(), found: format, known: FORMAT });
        }
        let previous_first = u64_at(b, 32);
        Ok(FileHeader {
            first: u64_at(b, 16),
            salt: u64_at(b, 24),
            previous: (previous_first != u64::MAX).then(|| (previous_first, u64_at(b, 40))),
        })
    }
}

/// What stands before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub len: u32,
    pub count: u32,
    pub payload_crc: u32,
    pub first: u64,
    /// The file was known to be durable up to this offset when the frame was written.
    pub durable: u64,
}

impl FrameHeader {
    pub fn encode(&self, salt: u64, at: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut b = [0u8; FRAME_HEADER_BYTES];
        b[..4].copy_from_slice(&FRAME_MAGIC);
        b[4..8].copy_from_slice(&self.len.to_le_bytes());
        b[8..12].copy_from_slice(&self.count.to_le_bytes());
        b[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        b[16..24].copy_from_slice(&self.first.to_le_bytes());
        b[24..32].copy_from_slice(&self.durable.to_le_bytes());
        let crc = header_crc(salt, at, &b[..32]);
        b[32..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// `None` when these bytes are not the header of a frame of that file at that offset.
    pub fn decode(b: &[u8], salt: u64, at: u64) -> Option<FrameHeader> {
        if b.len() < FRAME_HEADER_BYTES || b[..4] != FRAME_MAGIC || header_crc(salt, at, &b[..32]) != u32_at(b, 32) {
            return None;
        }
        Some(FrameHeader {
            len: u32_at(b, 4),
            count: u32_at(b, 8),
            payload_crc: u32_at(b, 12),
            first: u64_at(b, 16),
            durable: u64_at(b, 24),
        })
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.len)
    }
}

fn header_crc(salt: u64, at: u64, fields: &[u8]) -> u32 {
    let mut seed = [0u8; 16];
    seed[..8].copy_from_slice(&salt.to_le_bytes());
    seed[8..].copy_from_slice(&at.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), fields)
}

pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(b[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_seen() {
        let path = Path::new("x.seg");
        let file = FileHeader { first: 7, salt: 99, previous: Some((1, 4096)) };
        let b = file.encode();
        assert_eq!(FileHeader::decode(path, &b).unwrap(), file);
        let frame = FrameHeader { len: 5, count: 2, payload_crc: 9, first: 7, durable: 64 };
        let f = frame.encode(99, 64);
        assert_eq!(FrameHeader::decode(&f, 99, 64), Some(frame));
        assert_eq!(FrameHeader::decode(&f, 98, 64), None, "another file's");
        assert_eq!(FrameHeader::decode(&f, 99, 65), None, "elsewhere");
        for bit in 0..b.len() * 8 {
            let mut x = b;
            x[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(FileHeader::decode(path, &x), Err(LogError::Damaged { at: 0, .. })), "bit {bit}");
        }
        for bit in 0..f.len() * 8 {
            let mut x = f;
            x[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&x, 99, 64), None, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let mut b = FileHeader { first: 0, salt: 1, previous: None }.encode();
        b[8] = 2;
        let crc = crc32c::crc32c(&b[..60]);
        b[60..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(FileHeader::decode(Path::new("x"), &b), Err(LogError::TooNew { found: 2, known: 1, .. })));
    }
}
