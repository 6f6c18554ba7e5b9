//! CloudEvents 1.0 in JSON: structured, batched and binary mode, in and out.
//!
//! Strict in what it knows, open in what it does not. Known attributes and fields are checked for type, form and
//! size, and whatever is wrong names its field. Unknown extension attributes and unknown fields of `data` are ignored,
//! so that a newer producer can talk to an older reader. What one function here accepts, all of them accept: a record
//! taken from HTTP is not refused when it is read from its topic.
//!
//! A record is read in one pass over its bytes ([`structured`]), which finds the attributes and, where an identity is
//! asked for, writes the canonical form of `data` into a buffer of the thread; then serde reads `data` straight into
//! its struct. Only when that fails, a second, slow look finds the field at fault.

mod batched;
mod binary;
mod explain;
pub(crate) mod limits;
mod nearest;
mod print;
mod structured;

pub use batched::decode_batch;
pub use binary::decode_binary;
pub use limits::*;
pub use nearest::nearest;
pub use print::encode;

pub(crate) use explain::explain;

use crate::{DecodeError, Identity, Record};

/// Decodes one record in structured mode.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    structured::decode(bytes, false).map(|(record, _)| record)
}

/// Decodes one record in structured mode, with what makes it the same record as another: see [`Identity`].
///
/// The hottest function of the platform: no allocation beyond what the record itself holds.
pub fn decode_full(bytes: &[u8]) -> Result<(Record, Identity), DecodeError> {
    structured::decode(bytes, true)
}
