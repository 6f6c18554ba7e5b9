//! The least value per key, in O(log n) per update.

use std::collections::{BTreeMap, HashMap};

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Updates, complete_times};
use super::reduce::GroupKey;

/// For each key its least value (of those with a positive count), changed at most once per time. All values of a key
/// are kept, so that any may be taken back. For the greatest, wrap values in [`std::cmp::Reverse`].
pub fn least<'s, K, V>(input: VecCollection<'s, u64, (K, V), i64>, name: &str) -> VecCollection<'s, u64, (K, V), i64>
where
    K: GroupKey,
    V: ExchangeData,
{
    let mut groups: HashMap<K, Slot<V>, FixedState> = HashMap::default();
    let mut touched: Vec<K> = Vec::new();
    let step = move |time, updates: Updates<(K, V)>, out: &mut Vec<((K, V), u64, i64)>| {
        for ((key, value), _, diff) in updates.into_iter().flatten() {
            let slot = groups.entry(key);
            let key = slot.key().clone();
            let slot = slot.or_insert_with(|| Slot { counts: BTreeMap::new(), said: None, touched: false });
            if !std::mem::replace(&mut slot.touched, true) {
                touched.push(key);
            }
            slot.update(value, diff);
        }
        for key in touched.drain(..) {
            let Some(slot) = groups.get_mut(&key) else { continue };
            slot.touched = false;
            let least = slot.counts.iter().find(|(_, n)| **n > 0).map(|(v, _)| v);
            if least != slot.said.as_ref() {
                let new = least.cloned();
                let old = std::mem::replace(&mut slot.said, new.clone());
                out.extend(old.map(|v| ((key.clone(), v), time, -1)));
                out.extend(new.map(|v| ((key.clone(), v), time, 1)));
            }
            if slot.counts.is_empty() {
                groups.remove(&key);
            }
        }
    };
    complete_times(input.inner, Exchange::new(|((key, _), _, _): &((K, V), u64, i64)| key.route()), name, step)
        .as_collection()
}

struct Slot<V> {
    counts: BTreeMap<V, i64>,
    said: Option<V>,
    touched: bool,
}

impl<V: Ord> Slot<V> {
    fn update(&mut self, value: V, diff: i64) {
        match self.counts.entry(value) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(diff);
            }
            std::collections::btree_map::Entry::Occupied(mut count) => {
                *count.get_mut() += diff;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}
