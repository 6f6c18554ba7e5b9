//! Folds: the current state of a keyed stream, and the only state that is kept on disk.

use std::collections::BTreeMap;

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use gravity_events::Position;
use gravity_operators::primitives::held::Held;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::{Capability, Operator};

use super::row::{FoldOp, FoldRow, Stored, Unpack, pack};
use super::worker::ToCommitter;

type Map = HashMap<Box<[u8]>, Stored, foldhash::fast::RandomState>;

/// What a scan fold does with an input: key, the state before (None: there is none yet), and the input become the new state.
pub type Step = dyn Fn(&[u8], Option<&[u8]>, &[u8]) -> Vec<u8>;

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
        self.fold(fold, None, move |key, stored| match stored {
            Stored::Upsert { value: Some(value), .. } => decode(key, value),
            _ => None,
        })
    }

    /// What `decode` says of the current states of a scan fold, which `step` makes of one input after the other. A state
    /// that changes without `decode` saying anything else is no change for the views. States are written whole into the
    /// journal when they change: keep them small.
    ///
    /// # Panics
    /// As [`Folds::upsert`].
    pub fn scan<T: ExchangeData>(
        &mut self,
        fold: u8,
        step: impl Fn(&[u8], Option<&[u8]>, &[u8]) -> Vec<u8> + 'static,
        decode: impl Fn(&[u8], &[u8]) -> Option<T> + 'static,
    ) -> VecCollection<'s, u64, T, i64> {
        self.fold(fold, Some(Box::new(step)), move |key, stored| match stored {
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
        self.fold(fold, None, move |key, stored| match stored {
            Stored::Sum(numbers) => decode(key, numbers),
            Stored::Upsert { .. } => None,
        })
    }

    fn fold<T: ExchangeData>(
        &mut self,
        fold: u8,
        step: Option<Box<Step>>,
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
                        let blocks = apply(&mut state, fold, rows, step.as_deref(), |key, old, new| {
                            // Of a scan much changes that is not told.
                            let (old, new) = (old.and_then(|old| decode(key, old)), decode(key, new));
                            if old != new {
                                old.into_iter().for_each(|row| session.give((row, epoch, -1)));
                                new.into_iter().for_each(|row| session.give((row, epoch, 1)));
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

/// Applies the rows of one epoch; tells `emit` what was and what is; returns the changed rows, packed.
fn apply(
    state: &mut Map,
    fold: u8,
    mut rows: Vec<FoldRow>,
    step: Option<&Step>,
    mut emit: impl FnMut(&[u8], Option<&Stored>, &Stored),
) -> Vec<Block> {
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
                let stored = first(v.key(), row.op, step);
                emit(v.key(), None, &stored);
                pack(packed, v.key(), &stored);
                v.insert(stored);
            }
            Entry::Occupied(mut o) => {
                if let Some(stored) = next(o.key(), o.get(), row.op, step) {
                    if !same_content(o.get(), &stored) {
                        emit(o.key(), Some(o.get()), &stored);
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
        FoldOp::Scan(inputs) => inputs.first().map(|(position, _)| (0, *position)),
    }
}

fn join(a: FoldOp, b: FoldOp) -> FoldOp {
    match (a, b) {
        (FoldOp::Sum(a), FoldOp::Sum(b)) => FoldOp::Sum(added(&a, &b)),
        (FoldOp::Scan(mut a), FoldOp::Scan(b)) => {
            a.extend(b);
            FoldOp::Scan(a)
        }
        // Sorted by (revision, position), so the later one wins.
        (_, b) => b,
    }
}

fn added(a: &[i64], b: &[i64]) -> Box<[i64]> {
    let at = |s: &[i64], i: usize| s.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len())).map(|i| at(a, i).saturating_add(at(b, i))).collect()
}

fn first(key: &[u8], op: FoldOp, step: Option<&Step>) -> Stored {
    match op {
        FoldOp::Upsert { revision, position, value } => Stored::Upsert { revision, position, value },
        FoldOp::Sum(n) => Stored::Sum(n),
        FoldOp::Scan(inputs) => scanned(key, None, &inputs, step),
    }
}

/// The new state of a key, or None when the change is older than what is there.
fn next(key: &[u8], old: &Stored, op: FoldOp, step: Option<&Step>) -> Option<Stored> {
    match (old, op) {
        (Stored::Upsert { revision: r, position: p, .. }, FoldOp::Upsert { revision, position, value }) => {
            ((revision, position) > (*r, *p)).then_some(Stored::Upsert { revision, position, value })
        }
        (Stored::Upsert { value, .. }, FoldOp::Scan(inputs)) => Some(scanned(key, value.as_deref(), &inputs, step)),
        (Stored::Sum(a), FoldOp::Sum(b)) => Some(Stored::Sum(added(a, &b))),
        (_, op) => {
            debug_assert!(false, "a fold does not change its kind");
            Some(first(key, op, step))
        }
    }
}

fn scanned(key: &[u8], old: Option<&[u8]>, inputs: &[(Position, Box<[u8]>)], step: Option<&Step>) -> Stored {
    let step = step.expect("only a scan fold is given inputs to scan");
    let mut state = None;
    for (_, input) in inputs {
        state = Some(step(key, state.as_deref().or(old), input));
    }
    let position = inputs.last().expect("a scan has an input").0;
    Stored::Upsert { revision: 0, position, value: state.map(Into::into) }
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
        apply(state, 0, rows, None, |k, old, new| {
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
            for (stored, diff) in old.map(|old| (old, -1)).into_iter().chain([(new, 1)]) {
                let Stored::Upsert { value, .. } = stored else { panic!() };
                seen.push((text(k), value.as_deref().map(text), diff));
            }
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
            apply(&mut s, 0, rows, None, |_, old, new| {
                last.extend(old.map(|old| (old.clone(), -1)));
                last.push((new.clone(), 1));
            });
        }
        let of = |n: &[i64]| Stored::Sum(n.into());
        assert_eq!(last, [(of(&[4, 2]), 1), (of(&[4, 2]), -1), (of(&[0, 2, 7]), 1)]);
    }

    #[test]
    fn scans_take_inputs_in_the_order_of_the_log_however_they_arrive() {
        let input = |offset: u64, text: &str| {
            let position = Position { topic: Topic::Telemetry, offset, partition: 0 };
            let op = FoldOp::Scan(smallvec::smallvec![(position, text.as_bytes().into())]);
            FoldRow { key: b"k"[..].into(), shard: shard_of(b"k"), op }
        };
        let step = |_: &[u8], state: Option<&[u8]>, input: &[u8]| [state.unwrap_or_default(), input].concat();
        let (mut s, mut last) = (Map::default(), Vec::new());
        for rows in [vec![input(2, "c"), input(0, "a"), input(1, "b")], vec![input(4, "e"), input(3, "d")]] {
            apply(&mut s, 0, rows, Some(&step), |_, old, new| last.push((old.cloned(), new.clone())));
        }
        let of = |offset: u64, value: &str| {
            let position = Position { topic: Topic::Telemetry, offset, partition: 0 };
            Stored::Upsert { revision: 0, position, value: Some(value.as_bytes().into()) }
        };
        assert_eq!(last, [(None, of(2, "abc")), (Some(of(2, "abc")), of(4, "abcde"))]);
    }
}
