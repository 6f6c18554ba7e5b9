//! The least value per key, in O(log n) per update.

use std::collections::{BTreeMap, HashMap};

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Out, complete_times};
use super::counts::add;
use super::held::Held;
use super::reduce::GroupKey;

/// For each key its least value (of those with a positive count), changed at most once per time. All values of a key
/// are kept, so that any may be taken back. For the greatest, wrap values in [`std::cmp::Reverse`].
pub fn least<'s, K, V>(input: VecCollection<'s, u64, (K, V), i64>, name: &str) -> VecCollection<'s, u64, (K, V), i64>
where
    K: GroupKey,
    V: ExchangeData,
{
    let mut groups: HashMap<K, Slot<V>, FixedState> = HashMap::default();
    let mut held = Held::by(name);
    let mut touched: Vec<K> = Vec::new();
    let step = move |_time, updates: &mut dyn Iterator<Item = ((K, V), i64)>, out: Out<'_, (K, V), ()>| {
        for ((key, value), diff) in updates {
            let slot = groups.entry(key);
            let key = slot.key().clone();
            let slot = slot.or_insert_with(|| Slot { counts: BTreeMap::new(), said: None, touched: false });
            if !std::mem::replace(&mut slot.touched, true) {
                touched.push(key);
            }
            add(&mut slot.counts, value, diff);
        }
        for key in touched.drain(..) {
            let Some(slot) = groups.get_mut(&key) else { continue };
            slot.touched = false;
            let least = slot.counts.iter().find(|(_, n)| **n > 0).map(|(v, _)| v);
            if least != slot.said.as_ref() {
                let new = least.cloned();
                let old = std::mem::replace(&mut slot.said, new.clone());
                old.into_iter().for_each(|v| (out.main)((key.clone(), v), -1));
                new.into_iter().for_each(|v| (out.main)((key.clone(), v), 1));
            }
            if slot.counts.is_empty() {
                groups.remove(&key);
            }
        }
        held.set(groups.len());
    };
    let by_key = Exchange::new(|((key, _), _, _): &((K, V), u64, i64)| key.route());
    complete_times(input.inner, by_key, name, step).0.as_collection()
}

struct Slot<V> {
    counts: BTreeMap<V, i64>,
    said: Option<V>,
    touched: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::run::{Epoch, Run};

    type Pair = (u128, u64);

    fn ours(rows: VecCollection<'_, u64, Pair, i64>) -> VecCollection<'_, u64, Pair, i64> {
        least(rows, "Test")
    }

    fn theirs(rows: VecCollection<'_, u64, Pair, i64>) -> VecCollection<'_, u64, Pair, i64> {
        rows.reduce(|_, values, said| said.extend(values.iter().find(|(_, n)| *n > 0).map(|(v, _)| (**v, 1))))
    }

    #[test]
    fn agrees_with_a_reduce() {
        for seed in 0..4 {
            let mut dice = Dice::new(seed);
            let mut row = |_| ((u128::from(dice.below(3)) << 60, dice.below(30)), dice.below(4) as i64 - 1);
            let mut script: Vec<Epoch<Pair>> = (0..60).map(|n| (0..n % 5).map(&mut row).collect()).collect();
            script.push(script.iter().flatten().map(|(row, diff)| (*row, -diff)).collect());
            let expected = Run::workers(1).drive(&script, theirs);
            assert!(expected.iter().flatten().count() > 10);
            for run in [Run::workers(1), Run { workers: 3, in_flight: 5 }] {
                assert_eq!(run.drive(&script, ours), expected, "seed {seed}, {run:?}");
            }
        }
    }

    #[test]
    fn says_nothing_when_the_least_stays() {
        let script = vec![vec![((7, 5), 1)], vec![((7, 9), 1), ((7, 3), 1), ((7, 3), -1)], vec![((7, 5), -1)]];
        let said = Run::workers(1).drive(&script, ours);
        assert_eq!(said, [vec![((7, 5), 1)], vec![], vec![((7, 5), -1), ((7, 9), 1)]]);
    }
}
