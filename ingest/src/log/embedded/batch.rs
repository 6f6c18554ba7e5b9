//! The payload of a topic's frame: records that were committed together.
//!
//! ```text
//! layout u8 = 1 | appended_at_ms i64 | per record: key length u32 | value length u32 | key | value
//! ```
//! A record's offset is the frame's first plus its place.

use bytes::Bytes;

use crate::log::Produce;
use crate::segment::Frame;
use crate::segment::format::u32_at;

const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 9;
const LENGTHS_BYTES: usize = 8;

/// Bytes that a record takes.
pub(super) fn record_bytes(record: &Produce) -> usize {
    LENGTHS_BYTES + record.key.len() + record.value.len()
}

/// Begins a payload.
pub(super) fn begin(payload: &mut Vec<u8>, appended_at_ms: i64) {
    payload.clear();
    payload.push(LAYOUT);
    payload.extend_from_slice(&appended_at_ms.to_le_bytes());
}

/// Adds a record.
pub(super) fn push(payload: &mut Vec<u8>, record: &Produce) {
    payload.extend_from_slice(&(record.key.len() as u32).to_le_bytes());
    payload.extend_from_slice(&(record.value.len() as u32).to_le_bytes());
    payload.extend_from_slice(&record.key);
    payload.extend_from_slice(&record.value);
}

/// The records of a frame, one after the other.
#[derive(Debug)]
pub(super) struct Records {
    payload: Bytes,
    at: usize,
    /// Offset of the next record.
    pub next: u64,
    end: u64,
    pub appended_at_ms: i64,
}

/// The payload is not one of a topic. Its checksum was right, so it was written so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotABatch;

impl Records {
    pub fn new(frame: &Frame) -> Result<Records, NotABatch> {
        let payload = frame.payload.clone();
        if payload.len() < HEADER_BYTES || payload[0] != LAYOUT {
            return Err(NotABatch);
        }
        let appended_at_ms = i64::from_le_bytes(payload[1..9].try_into().expect("eight bytes"));
        Ok(Records {
            payload,
            at: HEADER_BYTES,
            next: frame.first,
            end: frame.next(),
            appended_at_ms,
        })
    }

    /// Leaves out records before `offset`.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), NotABatch> {
        while self.next < offset
            && let Some((key, value)) = self.lengths()?
        {
            self.advance(key + value);
        }
        Ok(())
    }

    /// Bytes of key and value of the next record.
    pub fn peek_bytes(&self) -> Result<Option<usize>, NotABatch> {
        Ok(self.lengths()?.map(|(key, value)| key + value))
    }

    /// The next record: offset, key, value.
    pub fn pop(&mut self) -> Result<Option<(u64, Bytes, Bytes)>, NotABatch> {
        let Some((key, value)) = self.lengths()? else {
            return Ok(None);
        };
        let (offset, from) = (self.next, self.at + LENGTHS_BYTES);
        let entry = (
            offset,
            self.payload.slice(from..from + key),
            self.payload.slice(from + key..from + key + value),
        );
        self.advance(key + value);
        Ok(Some(entry))
    }

    fn lengths(&self) -> Result<Option<(usize, usize)>, NotABatch> {
        if self.next == self.end {
            return Ok(None);
        }
        let left = self.payload.len() - self.at;
        if left < LENGTHS_BYTES {
            return Err(NotABatch);
        }
        let (key, value) = (
            u32_at(&self.payload, self.at) as usize,
            u32_at(&self.payload, self.at + 4) as usize,
        );
        if left - LENGTHS_BYTES < key + value {
            return Err(NotABatch);
        }
        Ok(Some((key, value)))
    }

    fn advance(&mut self, bytes: usize) {
        self.at += LENGTHS_BYTES + bytes;
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use gravity_events::Topic;

    use super::*;

    #[test]
    fn records_come_back_and_garbage_is_refused() {
        let mut payload = Vec::new();
        begin(&mut payload, 77);
        for (key, value) in [("a", "one"), ("", ""), ("c", "three")] {
            let record = Produce {
                topic: Topic::Usage,
                key: key.into(),
                partition: None,
                value: value.into(),
            };
            push(&mut payload, &record);
        }
        let frame = |payload: &[u8]| Frame {
            first: 5,
            count: 3,
            payload: Bytes::copy_from_slice(payload),
        };
        let mut records = Records::new(&frame(&payload)).unwrap();
        assert_eq!(records.appended_at_ms, 77);
        records.skip_to(6).unwrap();
        assert_eq!(records.pop(), Ok(Some((6, Bytes::new(), Bytes::new()))));
        assert_eq!(records.peek_bytes(), Ok(Some(6)));
        assert_eq!(records.pop(), Ok(Some((7, "c".into(), "three".into()))));
        assert_eq!(records.pop(), Ok(None));
        for len in 0..payload.len() {
            let all = Records::new(&frame(&payload[..len])).and_then(|mut r| {
                while r.pop()?.is_some() {}
                Ok(())
            });
            assert_eq!(all, Err(NotABatch), "length {len}");
        }
    }
}
