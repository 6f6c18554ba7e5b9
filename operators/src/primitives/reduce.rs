//! A reduce for totally ordered times: per key the current values in order, and a pure function of them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Updates, complete_times};

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
    /// The values, each once.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a V> + use<'a, V> {
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
    let mut groups: HashMap<K, Slot<V, O>, FixedState> = HashMap::default();
    let mut touched: Vec<K> = Vec::new();
    let step = move |time, updates: Updates<(K, V)>, out: &mut Vec<(O, u64, i64)>| {
        for ((key, value), _, diff) in updates.into_iter().flatten() {
            let slot = groups.entry(key);
            let key = slot.key().clone();
            let slot = slot.or_default();
            if !slot.touched {
                slot.touched = true;
                if memory == Memory::Recompute {
                    logic(&key, Group(&slot.values), &mut slot.said);
                    tidy(&mut slot.said);
                }
                touched.push(key);
            }
            slot.update(value, diff);
        }
        for key in touched.drain(..) {
            let Some(slot) = groups.get_mut(&key) else { continue };
            slot.touched = false;
            slot.values.retain(|(_, n)| *n != 0);
            let old = std::mem::take(&mut slot.said);
            let mut new = Vec::new();
            if !slot.values.is_empty() {
                logic(&key, Group(&slot.values), &mut new);
                tidy(&mut new);
            }
            emit_difference(old, &new, time, out);
            if memory == Memory::Keep {
                slot.said = new;
            }
            if slot.values.is_empty() {
                groups.remove(&key);
            }
        }
    };
    complete_times(input.inner, Exchange::new(|((key, _), _, _): &((K, V), u64, i64)| key.route()), name, step)
        .as_collection()
}

struct Slot<V, O> {
    values: Vec<(V, i64)>,
    said: Vec<O>,
    touched: bool,
}

impl<V, O> Default for Slot<V, O> {
    fn default() -> Self {
        Slot { values: Vec::new(), said: Vec::new(), touched: false }
    }
}

impl<V: Ord, O> Slot<V, O> {
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

fn tidy<O: Ord>(said: &mut Vec<O>) {
    if !said.is_sorted() {
        said.sort_unstable();
    }
    said.dedup();
}

fn emit_difference<O: Ord + Clone>(old: Vec<O>, new: &[O], time: u64, out: &mut Vec<(O, u64, i64)>) {
    let (mut old, mut new) = (old.into_iter().peekable(), new.iter().peekable());
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
            out.extend(gone.map(|o| (o, time, -1)));
            out.extend(came.map(|o| (o.clone(), time, 1)));
        }
    }
}
