//! The least values of a key, in order.

use differential_dataflow::{ExchangeData, VecCollection};

use super::reduce::{Group, GroupKey, Memory, reduce_total};

/// For each key its `k` least values, with their places from 0 on. For the greatest, wrap values in
/// [`std::cmp::Reverse`].
///
/// Cost: a change of a key looks at its values once, O(n) of that key; what is said is at most `k` rows, and only those
/// whose place or value changed. Memory: all values of a key, so that any may be taken back.
pub fn top_k<'s, K, V>(
    input: VecCollection<'s, u64, (K, V), i64>,
    k: usize,
    name: &str,
) -> VecCollection<'s, u64, (K, u32, V), i64>
where
    K: GroupKey,
    V: ExchangeData,
{
    reduce_total(input, name, Memory::Keep, move |key: &K, group: Group<'_, V>, said| {
        let least = group.iter().take(k).zip(0..);
        said.extend(least.map(|(value, place)| (key.clone(), place, value.clone())));
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    type Row = (u128, u64);

    fn view(rows: VecCollection<'_, u64, Row, i64>) -> VecCollection<'_, u64, (u128, u32, u64), i64> {
        top_k(rows, 3, "Test")
    }

    fn plain(rows: &[Row]) -> Vec<(u128, u32, u64)> {
        let mut by_key: BTreeMap<u128, Vec<u64>> = BTreeMap::new();
        rows.iter().for_each(|(key, value)| by_key.entry(*key).or_default().push(*value));
        let mut said = Vec::new();
        for (key, mut values) in by_key {
            values.sort_unstable();
            said.extend(values.into_iter().take(3).zip(0..).map(|(value, place)| (key, place, value)));
        }
        said
    }

    #[test]
    fn agrees_with_sorting() {
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Row> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(6) {
                    let at = dice.below(30);
                    match dice.chance(25) {
                        true => script.remove(&at),
                        // Values are distinct: folds give an object once.
                        false => script.put(at, (u128::from(dice.below(3)), dice.below(50) * 100 + at)),
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
