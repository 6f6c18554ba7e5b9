//! What an epoch's output rows say: per key, what it was and what it is.

use bytes::{Bytes, BytesMut};

use super::super::definition::Definition;
use super::super::versions::Diff;
use super::super::{PipelineError, metrics};

/// An output row, when, and whether it came (+1) or went (-1).
pub(super) type Row<D> = ((<D as Definition>::Key, <D as Definition>::Value), u64, i64);

/// Pairs what went with what came, by key, in the order of keys. At most one of each leaves a view per epoch: more is a
/// fault of the view, counted and survived.
pub(super) fn paired<D: Definition>(
    pipeline: &'static str,
    batches: Vec<Vec<Row<D>>>,
) -> Result<Vec<Diff<D>>, PipelineError> {
    // Tens of thousands of rows in an epoch under load: grown step by step, most of the time would go into fresh pages.
    let mut rows: Vec<Row<D>> = Vec::with_capacity(batches.iter().map(Vec::len).sum());
    rows.extend(batches.into_iter().flatten());
    rows.sort_unstable_by(|a, b| a.0.0.cmp(&b.0.0).then(a.2.cmp(&b.2)));
    let keys = rows.chunk_by(|a, b| a.0.0 == b.0.0).count();
    let mut diffs: Vec<Diff<D>> = Vec::with_capacity(keys);
    let mut encoded = Encoded::new(pipeline);
    let mut rows = rows.into_iter().peekable();
    while let Some(((key, value), _, diff)) = rows.next() {
        let (mut old, mut new) = (None, None);
        match rows.next_if(|next| next.0.0 == key) {
            None if diff == 1 => new = Some(value),
            None if diff == -1 => old = Some(value),
            Some(((_, other), _, 1)) if diff == -1 && rows.peek().is_none_or(|next| next.0.0 != key) => {
                if value == other {
                    continue;
                }
                (old, new) = (Some(value), Some(other));
            }
            second => {
                let mut of_key: Vec<(D::Value, i64)> = vec![(value, diff)];
                of_key.extend(second.map(|((_, value), _, diff)| (value, diff)));
                while let Some(((_, value), _, diff)) = rows.next_if(|next| next.0.0 == key) {
                    of_key.push((value, diff));
                }
                (old, new) = consolidated(of_key);
                if old.is_none() && new.is_none() {
                    continue;
                }
            }
        }
        let key_bytes = encoded.add(&key)?;
        let new_bytes = new.as_ref().map(|value| encoded.add(value)).transpose()?;
        diffs.push(Diff { key, old, new, key_bytes, new_bytes });
    }
    Ok(diffs)
}

/// What is left of many rows of one key: what went and what came.
fn consolidated<V: Ord>(mut rows: Vec<(V, i64)>) -> (Option<V>, Option<V>) {
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    rows.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let (mut old, mut new) = (None, None);
    for (value, diff) in rows.into_iter().filter(|r| r.1 != 0) {
        let place = if diff > 0 { &mut new } else { &mut old };
        if diff.abs() != 1 || place.is_some() {
            debug_assert!(false, "a view gave several rows for a key");
            metrics::BROKEN.with_label_values(&["one_row_per_key"]).inc();
        }
        *place = Some(value);
    }
    (old, new)
}

/// Encodes many small values into few allocations.
pub(super) struct Encoded {
    pipeline: &'static str,
    one: Vec<u8>,
    piece: BytesMut,
}

impl Encoded {
    const PIECE_BYTES: usize = 256 << 10;

    pub(super) fn new(pipeline: &'static str) -> Encoded {
        Encoded { pipeline, one: Vec::new(), piece: BytesMut::new() }
    }

    pub(super) fn add(&mut self, value: &impl serde::Serialize) -> Result<Bytes, PipelineError> {
        let mut one = std::mem::take(&mut self.one);
        one.clear();
        self.one = postcard::to_extend(value, one).map_err(|e| PipelineError::Journal {
            pipeline: self.pipeline,
            what: format!("an output cannot be encoded: {e}"),
        })?;
        if self.piece.capacity() < self.one.len() {
            self.piece = BytesMut::with_capacity(Self::PIECE_BYTES.max(self.one.len()));
        }
        self.piece.extend_from_slice(&self.one);
        Ok(self.piece.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::consolidated;

    #[test]
    fn rows_that_cancel_say_nothing() {
        assert_eq!(consolidated(vec![("a", 1), ("b", -1), ("a", -1), ("b", 1)]), (None, None));
        assert_eq!(consolidated(vec![("b", 1), ("a", -1), ("c", 1), ("c", -1)]), (Some("a"), Some("b")));
        assert_eq!(consolidated(vec![("b", 2), ("b", -1)]), (None, Some("b")));
    }
}
