//! Folds: the current state of a keyed stream, and the only state that is kept on disk.

use std::collections::BTreeMap;

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use gravity_operators::primitives::held::Held;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::{Capability, Operator};

use super::row::{FoldOp, FoldRow, Stored, Unpack, pack};
use super::worker::ToCommitter;

type Map = HashMap<Box<[u8]>, Stored, foldhash::fast::RandomState>;

/// The packed rows of one (fold, shard), sorted by key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Block {
    /// Which fold.
    pub fold: u8,
    /// Which shard.
    pub shard: u8,
    /// Packed rows.
    pub rows: bytes::Bytes,
}

/// Gives a pipeline's views their folds.
pub struct Folds<'s> {
    pub(super) streams: Vec<Option<StreamVec<'s, u64, FoldRow>>>,
    /// Blocks that this worker owns, by fold.
    pub(super) loaded: Vec<Vec<Block>>,
    pub(super) start: u64,
    pub(super) out: ToCommitter,
    pub(super) pipeline: &'static str,
}

impl<'s> Folds<'s> {
    /// The current rows of an upsert fold, decoded. `decode` gets key and value as `Facts::upsert` gave them.
    ///
    /// # Panics
    /// When a fold is taken twice, or does not exist: wiring is code, not input.
    pub fn upsert<T: ExchangeData>(
        &mut self,
        fold: u8,
        decode: impl Fn(&[u8], &[u8]) -> Option<T> + 'static,
    ) -> VecCollection<'s, u64, T, i64> {
        self.fold(fold, move |key, stored| match stored {
            Stored::Upsert { value: Some(value), .. } => decode(key, value),
            _ => None,
        })
    }

    /// The current sums of a sum fold, decoded.
    ///
    /// # Panics
    /// As [`Folds::upsert`].
    pub fn sum<T: ExchangeData>(
        &mut self,
        fold: u8,
        decode: impl Fn(&[u8], &[i64]) -> Option<T> + 'static,
    ) -> VecCollection<'s, u64, T, i64> {
        self.fold(fold, move |key, stored| match stored {
            Stored::Sum(numbers) => decode(key, numbers),
            Stored::Upsert { .. } => None,
        })
    }

    fn fold<T: ExchangeData>(
        &mut self,
        fold: u8,
        decode: impl Fn(&[u8], &Stored) -> Option<T> + 'static,
    ) -> VecCollection<'s, u64, T, i64> {
        let stream = self.streams[usize::from(fold)].take().expect("a fold has one taker");
        let (out, start) = (self.out.clone(), self.start);
        let mut held = Held::by(&format!("{}/fold {fold}", self.pipeline));
        let mut loaded = Some(std::mem::take(&mut self.loaded[usize::from(fold)]));
        stream
            .unary_frontier(Exchange::new(|r: &FoldRow| u64::from(r.shard)), "Fold", move |cap, _| {
                let mut cap = Some(cap);
                let mut state = Map::default();
                // Rows of a later epoch may arrive before the last ones of an earlier epoch.
                let mut waiting: BTreeMap<u64, (Capability<u64>, Vec<FoldRow>)> = BTreeMap::new();
                move |(input, frontier), output| {
                    if let (Some(mut cap), Some(blocks)) = (cap.take(), loaded.take()) {
                        for block in blocks {
                            for row in Unpack::new(&block.rows) {
                                // The checksum was right, so this is a fault of the build. Going on would lose rows.
                                let (key, stored) = row.expect("stored fold rows can be unpacked");
                                state.insert(key.into(), stored);
                            }
                        }
                        held.set(state.len());
                        cap.downgrade(&start);
                        let mut session = output.session(&cap);
                        for (key, stored) in &state {
                            if let Some(row) = decode(key, stored) {
                                session.give((row, start, 1));
                            }
                        }
                    }
                    input.for_each_stamp(|cap, data| {
                        if let Some(cap) = cap.retain_least(output.output_index()) {
                            let rows = waiting.entry(*cap.time()).or_insert_with(|| (cap, Vec::new()));
                            rows.1.extend(data.flat_map(|d| d.drain(..)));
                        }
                    });
                    while let Some(entry) = waiting.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (epoch, (cap, rows)) = entry.remove_entry();
                        let mut session = output.session(&cap);
                        let blocks = apply(&mut state, fold, rows, |key, stored, diff| {
                            if let Some(row) = decode(key, stored) {
                                session.give((row, epoch, diff));
                            }
                        });
                        out.rows(epoch, blocks);
                        held.set(state.len());
                    }
                }
            })
            .as_collection()
    }
}

/// Applies the rows of one epoch; tells `emit` what went (-1) and came (+1); returns the changed rows, packed.
fn apply(state: &mut Map, fold: u8, mut rows: Vec<FoldRow>, mut emit: impl FnMut(&[u8], &Stored, i64)) -> Vec<Block> {
    rows.sort_unstable_by(|a, b| {
        (a.shard, &a.key).cmp(&(b.shard, &b.key)).then_with(|| order(&a.op).cmp(&order(&b.op)))
    });
    let mut blocks: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(mut row) = rows.next() {
        while let Some(next) = rows.next_if(|n| n.key == row.key) {
            row.op = join(row.op, next.op);
        }
        let shard = row.shard;
        if blocks.last().is_none_or(|b| b.0 != shard) {
            blocks.push((shard, Vec::new()));
        }
        let packed = &mut blocks.last_mut().expect("one was pushed").1;
        match state.entry(row.key) {
            Entry::Vacant(v) => {
                let stored = first(row.op);
                emit(v.key(), &stored, 1);
                pack(packed, v.key(), &stored);
                v.insert(stored);
            }
            Entry::Occupied(mut o) => {
                if let Some(stored) = next(o.get(), row.op) {
                    if !same_content(o.get(), &stored) {
                        emit(o.key(), o.get(), -1);
                        emit(o.key(), &stored, 1);
                    }
                    pack(packed, o.key(), &stored);
                    o.insert(stored);
                }
            }
        }
    }
    blocks
        .into_iter()
        .filter(|b| !b.1.is_empty())
        .map(|(shard, rows)| Block { fold, shard, rows: rows.into() })
        .collect()
}

/// The order in which changes of one key are applied: it does not depend on how they arrived.
fn order(op: &FoldOp) -> Option<(u64, gravity_events::Position)> {
    match op {
        FoldOp::Upsert { revision, position, .. } => Some((*revision, *position)),
        FoldOp::Sum(_) => None,
    }
}

fn join(a: FoldOp, b: FoldOp) -> FoldOp {
    match (a, b) {
        (FoldOp::Sum(a), FoldOp::Sum(b)) => FoldOp::Sum(added(&a, &b)),
        // Sorted by (revision, position), so the later one wins.
        (_, b) => b,
    }
}

fn added(a: &[i64], b: &[i64]) -> Box<[i64]> {
    let at = |s: &[i64], i: usize| s.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len())).map(|i| at(a, i).saturating_add(at(b, i))).collect()
}

fn first(op: FoldOp) -> Stored {
    match op {
        FoldOp::Upsert { revision, position, value } => Stored::Upsert { revision, position, value },
        FoldOp::Sum(n) => Stored::Sum(n),
    }
}

/// The new state of a key, or None when the change is older than what is there.
pub(super) fn next(old: &Stored, op: FoldOp) -> Option<Stored> {
    match (old, op) {
        (Stored::Upsert { revision: r, position: p, .. }, FoldOp::Upsert { revision, position, value }) => {
            ((revision, position) > (*r, *p)).then_some(Stored::Upsert { revision, position, value })
        }
        (Stored::Sum(a), FoldOp::Sum(b)) => Some(Stored::Sum(added(a, &b))),
        (_, op) => {
            debug_assert!(false, "a fold does not change its kind");
            Some(first(op))
        }
    }
}

fn same_content(a: &Stored, b: &Stored) -> bool {
    match (a, b) {
        (Stored::Upsert { value: a, .. }, Stored::Upsert { value: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::row::shard_of;
    use gravity_events::{Position, Topic};

    fn row(key: &str, revision: u64, offset: u64, value: Option<&str>) -> FoldRow {
        let position = Position { topic: Topic::Submissions, offset, partition: 0 };
        let op = FoldOp::Upsert { revision, position, value: value.map(|v| v.as_bytes().into()) };
        FoldRow { key: key.as_bytes().into(), shard: shard_of(key.as_bytes()), op }
    }

    fn run(state: &mut Map, rows: Vec<FoldRow>) -> Vec<(String, Option<String>, i64)> {
        let mut seen = Vec::new();
        apply(state, 0, rows, |k, s, d| {
            let Stored::Upsert { value, .. } = s else { panic!() };
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
            seen.push((text(k), value.as_deref().map(text), d));
        });
        seen
    }

    #[test]
    fn highest_revision_wins_then_position_and_tombstones_keep_theirs() {
        let mut s = Map::default();
        assert_eq!(
            run(&mut s, vec![row("k", 0, 5, Some("b")), row("k", 0, 4, Some("a"))]),
            [("k".into(), Some("b".into()), 1)]
        );
        assert_eq!(run(&mut s, vec![row("k", 0, 3, Some("old"))]), [], "older place");
        assert_eq!(
            run(&mut s, vec![row("k", 2, 6, None)]),
            [("k".into(), Some("b".into()), -1), ("k".into(), None, 1)]
        );
        assert_eq!(run(&mut s, vec![row("k", 1, 9, Some("back"))]), [], "an older revision does not bring it back");
        assert_eq!(
            run(&mut s, vec![row("k", 2, 10, Some("c"))]),
            [("k".into(), None, -1), ("k".into(), Some("c".into()), 1)]
        );
        assert_eq!(
            run(&mut s, vec![row("k", 3, 11, Some("c"))]),
            [],
            "same content: nothing to tell, but the revision is kept"
        );
        assert_eq!(run(&mut s, vec![row("k", 2, 12, Some("d"))]), []);
    }

    #[test]
    fn sums_add_up_whatever_the_order() {
        let mut s = Map::default();
        let sum = |n: &[i64]| FoldRow { key: b"k"[..].into(), shard: shard_of(b"k"), op: FoldOp::Sum(n.into()) };
        let mut last = Vec::new();
        for rows in [vec![sum(&[1, 2]), sum(&[3])], vec![sum(&[-4, 0, 7])]] {
            apply(&mut s, 0, rows, |_, stored, d| last.push((stored.clone(), d)));
        }
        let of = |n: &[i64]| Stored::Sum(n.into());
        assert_eq!(last, [(of(&[4, 2]), 1), (of(&[4, 2]), -1), (of(&[0, 2, 7]), 1)]);
    }
}
