//! A reduce for totally ordered times: per key the current values in order, and a pure function of them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Out, complete_times};
use super::held::Held;

/// A group's key. Its route decides the worker and must be well distributed.
pub trait GroupKey: ExchangeData + Hash {
    /// Equal keys have equal routes.
    fn route(&self) -> u64;
}

/// A 128-bit stable hash: well distributed already.
impl GroupKey for u128 {
    fn route(&self) -> u64 {
        *self as u64
    }
}

/// The values that a group has now, in ascending order. Values whose count is not positive are left out.
pub struct Group<'a, V>(&'a [(V, i64)]);

impl<'a, V> Group<'a, V> {
    /// Of values in ascending order, with their counts.
    pub fn new(values: &'a [(V, i64)]) -> Self {
        Group(values)
    }

    /// The values, each once.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a V> + Clone + use<'a, V> {
        self.0.iter().filter(|(_, n)| *n > 0).map(|(v, _)| v)
    }
}

/// How the operator knows what it said last about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It keeps the outputs: for a function that takes long.
    Keep,
    /// It calls the function on the old values again: for a cheap function, half the memory.
    Recompute,
}

/// What `logic` pushes for each key, as a collection: whenever a key's values change, only what differs is emitted, in
/// one go per time. `logic` must be pure; what it pushes twice counts once. Not for partially ordered times.
pub fn reduce_total<'s, K, V, O, L>(
    input: VecCollection<'s, u64, (K, V), i64>,
    name: &str,
    memory: Memory,
    mut logic: L,
) -> VecCollection<'s, u64, O, i64>
where
    K: GroupKey,
    V: ExchangeData,
    O: Ord + Clone + 'static,
    L: FnMut(&K, Group<'_, V>, &mut Vec<O>) + 'static,
{
    let compute = move |key: &K, group: Group<'_, V>| {
        let mut said = Vec::new();
        logic(key, group, &mut said);
        if !said.is_sorted() {
            said.sort_unstable();
        }
        said.dedup();
        said
    };
    let differ = |old: Vec<O>, new: &Vec<O>, out: Out<'_, O, ()>| merge_difference(&old, new, out.main);
    reduce_states(input, name, memory, compute, differ).0
}

/// Like [`reduce_total`] for a function with one result per key and its own idea of a difference: `compute` gives a
/// key's state from its values (a key without values has the default one); `differ` is given the old and the new state
/// and pushes what each of two collections loses (-1) and gets (+1).
pub fn reduce_states<'s, K, V, S, A, B, C, D>(
    input: VecCollection<'s, u64, (K, V), i64>,
    name: &str,
    memory: Memory,
    mut compute: C,
    mut differ: D,
) -> (VecCollection<'s, u64, A, i64>, VecCollection<'s, u64, B, i64>)
where
    K: GroupKey,
    V: ExchangeData,
    S: Default + 'static,
    A: Clone + 'static,
    B: Clone + 'static,
    C: FnMut(&K, Group<'_, V>) -> S + 'static,
    D: FnMut(S, &S, Out<'_, A, B>) + 'static,
{
    let mut groups: HashMap<K, Slot<V, S>, FixedState> = HashMap::default();
    let mut held = Held::by(name);
    let mut touched: Vec<K> = Vec::new();
    let step = move |_time, updates: &mut dyn Iterator<Item = ((K, V), i64)>, out: Out<'_, A, B>| {
        for ((key, value), diff) in updates {
            let slot = groups.entry(key);
            let key = slot.key().clone();
            let slot = slot.or_default();
            if !std::mem::replace(&mut slot.touched, true) {
                if memory == Memory::Recompute && !slot.values.is_empty() {
                    slot.state = compute(&key, Group(&slot.values));
                }
                touched.push(key);
            }
            slot.update(value, diff);
        }
        for key in touched.drain(..) {
            let Some(slot) = groups.get_mut(&key) else { continue };
            slot.touched = false;
            slot.values.retain(|(_, n)| *n != 0);
            let empty = slot.values.is_empty();
            let new = if empty { S::default() } else { compute(&key, Group(&slot.values)) };
            let old = std::mem::take(&mut slot.state);
            differ(old, &new, Out { main: &mut *out.main, side: &mut *out.side });
            if empty {
                groups.remove(&key);
            } else if memory == Memory::Keep {
                slot.state = new;
            }
        }
        held.set(groups.len());
    };
    let by_key = Exchange::new(|((key, _), _, _): &((K, V), u64, i64)| key.route());
    let (main, side) = complete_times(input.inner, by_key, name, step);
    (main.as_collection(), side.as_collection())
}

/// What the sorted `new` has more (+1) and less (-1) than the sorted `old`.
pub fn merge_difference<O: Ord + Clone>(old: &[O], new: &[O], out: &mut dyn FnMut(O, i64)) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let gone = if order.is_le() { old.next() } else { None };
        let came = if order.is_ge() { new.next() } else { None };
        if order.is_ne() {
            gone.into_iter().for_each(|o| out(o.clone(), -1));
            came.into_iter().for_each(|o| out(o.clone(), 1));
        }
    }
}

struct Slot<V, S> {
    values: Vec<(V, i64)>,
    state: S,
    touched: bool,
}

impl<V, S: Default> Default for Slot<V, S> {
    fn default() -> Self {
        Slot { values: Vec::new(), state: S::default(), touched: false }
    }
}

impl<V: Ord, S> Slot<V, S> {
    fn update(&mut self, value: V, diff: i64) {
        // Values mostly come in order: look at the end first.
        let at = match self.values.last() {
            Some((last, _)) if *last < value => Err(self.values.len()),
            None => Err(0),
            _ => self.values.binary_search_by(|(v, _)| v.cmp(&value)),
        };
        match at {
            Ok(at) => self.values[at].1 += diff,
            Err(at) => {
                // Groups of two or three are the most common by far: no room to spare for them.
                if self.values.len() < 4 {
                    self.values.reserve_exact(1);
                }
                self.values.insert(at, (value, diff));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::run::{Epoch, Run};

    type Pair = (u128, u64);

    /// How many values a key has, and its least two.
    fn logic(values: impl Iterator<Item = u64> + Clone, said: &mut Vec<(u64, u64)>) {
        said.push((0, values.clone().count() as u64));
        said.extend(values.take(2).map(|v| (1, v)));
    }

    fn ours(rows: VecCollection<'_, u64, Pair, i64>, memory: Memory) -> VecCollection<'_, u64, (u64, u64, u64), i64> {
        reduce_total(rows, "Test", memory, |key, group, said| {
            let mut of_key = Vec::new();
            logic(group.iter().copied(), &mut of_key);
            said.extend(of_key.into_iter().rev().map(|(kind, v)| (*key as u64, kind, v)));
        })
    }

    fn theirs(rows: VecCollection<'_, u64, Pair, i64>) -> VecCollection<'_, u64, (u64, u64, u64), i64> {
        let said = rows.reduce(|_, values, said: &mut Vec<((u64, u64), i64)>| {
            let mut of_key = Vec::new();
            logic(values.iter().filter(|(_, n)| *n > 0).map(|(v, _)| **v), &mut of_key);
            said.extend(of_key.into_iter().map(|row| (row, 1)));
        });
        said.map(|(key, (kind, v))| (key as u64, kind, v))
    }

    /// Updates with multiplicities, negative ones too, that cancel in and between epochs.
    fn script(seed: u64) -> Vec<Epoch<Pair>> {
        let mut dice = Dice::new(seed);
        let mut row = |_| ((u128::from(dice.below(5)) << 60, dice.below(4)), dice.below(5) as i64 - 2);
        let mut epochs: Vec<Epoch<Pair>> = (0..40).map(|n| (0..n % 7).map(&mut row).collect()).collect();
        let all: Vec<_> = epochs.iter().flatten().map(|(row, diff)| (*row, -diff)).collect();
        epochs.push(all);
        epochs
    }

    #[test]
    fn agrees_with_the_general_reduce() {
        for seed in 0..4 {
            let script = script(seed);
            let expected = Run::workers(1).drive(&script, theirs);
            assert!(expected.iter().flatten().count() > 40);
            for run in [Run::workers(1), Run { workers: 3, in_flight: 5 }] {
                for memory in [Memory::Keep, Memory::Recompute] {
                    let said = run.drive(&script, move |rows| ours(rows, memory));
                    // The general one has a row for a key whose values all count less than nothing; ours has too.
                    assert_eq!(said, expected, "seed {seed}, {run:?}, {memory:?}");
                }
            }
        }
    }
}
