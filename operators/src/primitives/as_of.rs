//! Rows with the version of reference data that was in force at their time.

use differential_dataflow::{ExchangeData, VecCollection};
use serde::{Deserialize, Serialize};

use super::reduce::{Group, GroupKey, Memory, reduce_total};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact<R, V> {
    /// In force from this time on.
    Version(i64, V),
    /// At this time.
    Row(i64, R),
}

/// Each row with the version of its key that was in force at its time: of those from that time or before the latest one,
/// of equal times the greatest. Rows before the first version have none. A late version moves the rows after it, and only
/// those are said again.
///
/// Cost: a change of a key looks at its rows and versions once, O(n) of that key. Memory: all of them. Rows that share few
/// keys are put into windows first, with the versions that touch each window.
pub fn as_of<'s, K, R, V>(
    rows: VecCollection<'s, u64, (K, i64, R), i64>,
    versions: VecCollection<'s, u64, (K, i64, V), i64>,
    name: &str,
) -> VecCollection<'s, u64, (K, i64, R, Option<V>), i64>
where
    K: GroupKey,
    R: ExchangeData,
    V: ExchangeData,
{
    let rows = rows.map(|(key, at_ms, row)| (key, Fact::Row(at_ms, row)));
    let versions = versions.map(|(key, from_ms, version)| (key, Fact::Version(from_ms, version)));
    reduce_total(rows.concat(versions), name, Memory::Keep, |key: &K, group: Group<'_, Fact<R, V>>, said| {
        let mut versions: Vec<(i64, &V)> = Vec::new();
        // Versions come first, in order; rows after them, in order.
        let mut next = 0;
        for fact in group.iter() {
            match fact {
                Fact::Version(from_ms, version) => versions.push((*from_ms, version)),
                Fact::Row(at_ms, row) => {
                    while versions.get(next).is_some_and(|(from_ms, _)| from_ms <= at_ms) {
                        next += 1;
                    }
                    let version = next.checked_sub(1).map(|at| versions[at].1.clone());
                    said.push((key.clone(), *at_ms, row.clone(), version));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    type Given = (u128, bool, i64, u64);
    type Said = (u128, i64, u64, Option<u64>);

    fn view(rows: VecCollection<'_, u64, Given, i64>) -> VecCollection<'_, u64, Said, i64> {
        let of = |wanted: bool| {
            rows.clone().filter(move |(_, is_row, ..)| *is_row == wanted).map(|(key, _, at, value)| (key, at, value))
        };
        as_of(of(true), of(false), "Test")
    }

    fn plain(facts: &[Given]) -> Vec<Said> {
        let in_force = |key: u128, at: i64| {
            let versions = facts.iter().filter(|(k, is_row, from, _)| !is_row && *k == key && *from <= at);
            versions.max_by_key(|(_, _, from, value)| (*from, *value)).map(|(.., value)| *value)
        };
        let rows = facts.iter().filter(|(_, is_row, ..)| *is_row);
        rows.map(|(key, _, at, value)| (*key, *at, *value, in_force(*key, *at))).collect()
    }

    #[test]
    fn agrees_with_looking_for_each_row() {
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Given> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(6) {
                    let at = dice.below(40);
                    match dice.chance(25) {
                        true => script.remove(&at),
                        false => {
                            let given = (u128::from(dice.below(2)), dice.chance(70), dice.below(20) as i64, at);
                            script.put(at, given)
                        }
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
