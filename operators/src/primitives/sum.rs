//! Sums of numbers by key, kept by adding and taking away.

use std::collections::{BTreeMap, HashMap};

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Out, complete_times};
use super::held::Held;
use super::reduce::GroupKey;

/// How many rows a key has, and their sums: exact, also where a sum is more than is told.
struct Sum<const N: usize> {
    rows: i64,
    sums: [i128; N],
}

impl<const N: usize> Sum<N> {
    fn told(&self) -> Option<[i64; N]> {
        let clamped = |sum: i128| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
        (self.rows > 0).then(|| self.sums.map(clamped))
    }
}

/// The sums of each key's numbers; a key without rows has none. A sum that no integer holds is told as the greatest.
///
/// Cost: that of the changes, however many rows a key has. Memory: one row per key.
pub fn sum_total<'s, K: GroupKey, const N: usize>(
    rows: VecCollection<'s, u64, (K, [i64; N]), i64>,
    name: &str,
) -> VecCollection<'s, u64, (K, [i64; N]), i64>
where
    [i64; N]: ExchangeData,
{
    let mut groups: HashMap<K, Sum<N>, FixedState> = HashMap::default();
    let mut held = Held::by(name);
    let by_key = Exchange::new(|((key, _), _, _): &((K, [i64; N]), u64, i64)| key.route());
    let step = move |_, updates: &mut dyn Iterator<Item = ((K, [i64; N]), i64)>, out: Out<'_, (K, [i64; N]), ()>| {
        let mut changes: BTreeMap<K, Sum<N>> = BTreeMap::new();
        for ((key, numbers), diff) in updates {
            let change = changes.entry(key).or_insert(Sum { rows: 0, sums: [0; N] });
            add(change, diff, numbers.map(i128::from), i128::from(diff));
        }
        for (key, change) in changes {
            let sum = groups.entry(key.clone()).or_insert(Sum { rows: 0, sums: [0; N] });
            let old = sum.told();
            add(sum, change.rows, change.sums, 1);
            let new = sum.told();
            if sum.rows == 0 {
                groups.remove(&key);
            }
            if old != new {
                old.into_iter().for_each(|old| (out.main)((key.clone(), old), -1));
                new.into_iter().for_each(|new| (out.main)((key.clone(), new), 1));
            }
        }
        held.set(groups.len());
    };
    let (main, _) = complete_times(rows.inner, by_key, name, step);
    main.as_collection()
}

fn add<const N: usize>(to: &mut Sum<N>, rows: i64, numbers: [i128; N], times: i128) {
    to.rows += rows;
    for (sum, number) in to.sums.iter_mut().zip(numbers) {
        *sum += number * times;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    type Row = (u64, u128, [i64; 2]);

    fn view(rows: VecCollection<'_, u64, Row, i64>) -> VecCollection<'_, u64, (u128, [i64; 2]), i64> {
        sum_total(rows.map(|(_, key, numbers)| (key, numbers)), "Test")
    }

    fn plain(rows: &[Row]) -> Vec<(u128, [i64; 2])> {
        let mut sums: BTreeMap<u128, Vec<[i64; 2]>> = BTreeMap::new();
        rows.iter().for_each(|(_, key, numbers)| sums.entry(*key).or_default().push(*numbers));
        let told = |rows: &[[i64; 2]], at: usize| {
            let sum: i128 = rows.iter().map(|row| i128::from(row[at])).sum();
            sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
        };
        sums.iter().map(|(key, rows)| (*key, [told(rows, 0), told(rows, 1)])).collect()
    }

    #[test]
    fn agrees_with_adding_up_beyond_what_integers_hold_and_back() {
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Row> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(6) {
                    let at = dice.below(30);
                    let large = if dice.chance(20) { i64::MAX } else { dice.below(9) as i64 - 4 };
                    match dice.chance(30) {
                        true => script.remove(&at),
                        false => script.put(at, (at, u128::from(dice.below(4)), [large, dice.below(3) as i64])),
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
