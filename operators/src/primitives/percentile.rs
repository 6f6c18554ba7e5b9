//! Order statistics of a key's values.

use differential_dataflow::VecCollection;

use super::reduce::{Group, GroupKey, Memory, reduce_total};

/// The value at a share of a sorted list, by the nearest-rank method: the least value that at least the share of all
/// values does not exceed. `share_bp` in basis points, 1 to 10,000. None of an empty list.
pub fn nearest_rank(sorted: &[i64], share_bp: u32) -> Option<i64> {
    let n = sorted.len() as u64;
    let rank = (n * u64::from(share_bp.clamp(1, 10_000))).div_ceil(10_000);
    sorted.get(usize::try_from(rank).ok()?.checked_sub(1)?).copied()
}

/// For each key the percentiles of its numbers, in the order of `shares_bp`, and how many numbers there are. A number comes
/// with an id, so that equal ones count each.
///
/// Cost: a change of a key looks at its values once, O(n) of that key; what is said is one row. Memory: all values of a key.
/// For many values per key, put them into windows first.
pub fn percentiles<'s, K>(
    input: VecCollection<'s, u64, (K, (i64, u64)), i64>,
    shares_bp: &'static [u32],
    name: &str,
) -> VecCollection<'s, u64, (K, u64, Vec<i64>), i64>
where
    K: GroupKey,
{
    reduce_total(input, name, Memory::Keep, move |key: &K, group: Group<'_, (i64, u64)>, said| {
        let sorted: Vec<i64> = group.iter().map(|(value, _)| *value).collect();
        let of: Vec<i64> = shares_bp.iter().filter_map(|share| nearest_rank(&sorted, *share)).collect();
        said.push((key.clone(), sorted.len() as u64, of));
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    const SHARES: &[u32] = &[5_000, 9_500, 10_000];

    type Row = (u128, (i64, u64));

    fn view(rows: VecCollection<'_, u64, Row, i64>) -> VecCollection<'_, u64, (u128, u64, Vec<i64>), i64> {
        percentiles(rows, SHARES, "Test")
    }

    fn plain(rows: &[Row]) -> Vec<(u128, u64, Vec<i64>)> {
        let mut by_key: BTreeMap<u128, Vec<i64>> = BTreeMap::new();
        rows.iter().for_each(|(key, (value, _))| by_key.entry(*key).or_default().push(*value));
        let of = |(key, mut values): (u128, Vec<i64>)| {
            values.sort_unstable();
            // The definition, word by word.
            let at = |share: &u32| {
                let enough =
                    |v: &&i64| values.iter().filter(|w| w <= v).count() * 10_000 >= values.len() * *share as usize;
                *values.iter().find(enough).expect("the greatest is enough")
            };
            (key, values.len() as u64, SHARES.iter().map(at).collect())
        };
        by_key.into_iter().map(of).collect()
    }

    #[test]
    fn agrees_with_the_definition() {
        assert_eq!(nearest_rank(&[15, 20, 35, 40, 50], 3_000), Some(20));
        assert_eq!((nearest_rank(&[7], 1), nearest_rank(&[], 5_000)), (Some(7), None));
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Row> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(6) {
                    let at = dice.below(40);
                    match dice.chance(25) {
                        true => script.remove(&at),
                        false => script.put(at, (u128::from(dice.below(3)), (dice.below(20) as i64 - 10, at))),
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
