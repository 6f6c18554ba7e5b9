//! Batched mode: a JSON array of records, each for itself.

use crate::codec::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, decode};
use crate::scan::Scanner;
use crate::{DecodeError, Record};

/// A record of a batch and its bytes, or why it was refused.
pub type BatchItem<'a> = Result<(Record, &'a [u8]), DecodeError>;

/// Decodes a batch: one result per record, in order; a bad one does not spoil the others. With each good one come its
/// bytes, a record in structured mode, as they go on the topic. The batch is refused as a whole when it is not an array
/// of JSON values, has more than [`MAX_BATCH_RECORDS`] of them or more than [`MAX_BATCH_BYTES`] bytes. Offsets in a
/// record's errors count from the start of that record.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<BatchItem<'_>>, DecodeError> {
    Ok(split(bytes)?
        .into_iter()
        .map(|record| decode(record).map(|r| (r, record)))
        .collect())
}

/// Cuts a batch into its records.
fn split(bytes: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    if bytes.len() > MAX_BATCH_BYTES {
        return Err(DecodeError::TooLarge {
            bytes: bytes.len(),
            limit: MAX_BATCH_BYTES,
        });
    }
    let mut records = Vec::new();
    let mut s = Scanner::new(bytes);
    s.need(b'[', "`[`: a batch is an array of records")?;
    if !s.take(b']') {
        loop {
            if records.len() == MAX_BATCH_RECORDS {
                let problem = format!("is one record too many: a batch has at most {MAX_BATCH_RECORDS}; split it");
                return Err(DecodeError::Invalid {
                    field: format!("[{MAX_BATCH_RECORDS}]"),
                    problem,
                });
            }
            records.push(&bytes[s.skip()?]);
            if s.take(b']') {
                break;
            }
            s.need(b',', "`,` or `]`")?;
        }
    }
    s.end()?;
    Ok(records)
}
