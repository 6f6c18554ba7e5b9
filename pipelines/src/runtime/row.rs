//! Fold rows: how facts travel from records to folds and into the journal.

use gravity_events::{Position, Topic};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A key, value or input of a fold as it is kept.
pub fn written<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value in memory can be written")
}

/// Number of shards of every fold. Fixed for ever: it is in the journal. Workers own shards by `shard % workers`, so a
/// restart may change their number.
pub const SHARDS: u8 = 64;

/// The shard of a fold key: CRC-32C of the key modulo 64. Stored, so it never changes.
pub fn shard_of(key: &[u8]) -> u8 {
    (crc32c::crc32c(key) % u32::from(SHARDS)) as u8
}

/// One change to a fold, made by one record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldRow {
    /// Key within the fold.
    pub key: Box<[u8]>,
    /// [`shard_of`] the key.
    pub shard: u8,
    /// What happens to it.
    pub op: FoldOp,
}

/// What happens to a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FoldOp {
    /// The value is now this (None: gone), unless a higher (revision, position) was seen.
    Upsert {
        /// As the record says.
        revision: u64,
        /// Where the record stands.
        position: Position,
        /// The new value.
        value: Option<Box<[u8]>>,
    },
    /// These numbers are added.
    Sum(Box<[i64]>),
    /// The state takes these inputs, in the order of their places.
    Scan(SmallVec<[(Position, Box<[u8]>); 1]>),
}

/// The stored state of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Of an upsert fold; a tombstone keeps its revision and position. Also the state of a scan fold, at revision 0 and the
    /// place of its newest input.
    Upsert {
        /// Highest revision seen.
        revision: u64,
        /// Where it stood.
        position: Position,
        /// None: deleted.
        value: Option<Box<[u8]>>,
    },
    /// Of a sum fold.
    Sum(Box<[i64]>),
}

/// Appends one stored row in the packed form of frames and bases.
pub fn pack(out: &mut Vec<u8>, key: &[u8], stored: &Stored) {
    varint(out, key.len() as u64);
    out.extend_from_slice(key);
    match stored {
        Stored::Upsert { revision, position, value } => {
            out.push(if value.is_some() { 1 } else { 0 });
            varint(out, *revision);
            out.push(position.topic.code());
            varint(out, u64::from(position.partition));
            varint(out, position.offset);
            if let Some(value) = value {
                varint(out, value.len() as u64);
                out.extend_from_slice(value);
            }
        }
        Stored::Sum(numbers) => {
            out.push(2);
            varint(out, numbers.len() as u64);
            for n in numbers.iter() {
                varint(out, ((n << 1) ^ (n >> 63)) as u64);
            }
        }
    }
}

/// Reads packed rows back. None inside: the bytes are not packed rows.
pub struct Unpack<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Unpack<'a> {
    /// Over a packed block.
    pub fn new(bytes: &'a [u8]) -> Unpack<'a> {
        Unpack { rest: bytes, broken: false }
    }

    fn take(&mut self, n: u64) -> Option<&'a [u8]> {
        let n = usize::try_from(n).ok()?;
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            n |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn row(&mut self) -> Option<(&'a [u8], Stored)> {
        let len = self.varint()?;
        let key = self.take(len)?;
        let tag = self.byte()?;
        let stored = match tag {
            0 | 1 => {
                let revision = self.varint()?;
                let topic = Topic::from_code(self.byte()?)?;
                let partition = u32::try_from(self.varint()?).ok()?;
                let offset = self.varint()?;
                let value = if tag == 1 {
                    let len = self.varint()?;
                    Some(self.take(len)?.into())
                } else {
                    None
                };
                Stored::Upsert { revision, position: Position { topic, offset, partition }, value }
            }
            2 => {
                let len = self.varint()?;
                let mut numbers = Vec::new();
                for _ in 0..len {
                    let z = self.varint()?;
                    numbers.push((z >> 1) as i64 ^ -((z & 1) as i64));
                }
                Stored::Sum(numbers.into())
            }
            _ => return None,
        };
        Some((key, stored))
    }
}

impl<'a> Iterator for Unpack<'a> {
    type Item = Option<(&'a [u8], Stored)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken {
            return None;
        }
        let row = self.row();
        self.broken = row.is_none();
        Some(row)
    }
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_rows_come_back() {
        let position = Position { topic: Topic::Judgements, offset: u64::MAX, partition: 300 };
        let rows = [
            (b"a".to_vec(), Stored::Upsert { revision: 7, position, value: Some(b"value".to_vec().into()) }),
            (vec![0; 200], Stored::Upsert { revision: u64::MAX, position, value: None }),
            (b"sum".to_vec(), Stored::Sum(vec![0, -1, i64::MIN, i64::MAX, 5].into())),
        ];
        let mut packed = Vec::new();
        for (key, stored) in &rows {
            pack(&mut packed, key, stored);
        }
        let back: Vec<_> = Unpack::new(&packed).map(|r| r.unwrap()).map(|(k, s)| (k.to_vec(), s)).collect();
        assert_eq!(back, rows);
        for cut in 1..packed.len() {
            // A cut block ends in an error or at the end of a row, and never panics.
            let whole: Vec<_> = Unpack::new(&packed[..cut]).collect();
            assert!(whole.len() <= rows.len());
        }
    }

    #[test]
    fn the_shard_of_a_key_never_changes() {
        assert_eq!(shard_of(b""), 0);
        assert_eq!(shard_of(b"a"), (crc32c::crc32c(b"a") % 64) as u8);
        assert_eq!(shard_of(b"123456789"), (0xE306_9283_u32 % 64) as u8, "check value of CRC-32C");
    }
}
