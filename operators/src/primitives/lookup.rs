//! Rows with the value of their key.

use std::collections::{BTreeMap, HashMap};

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Exchange;

use super::complete_times::{Out, complete_times};
use super::counts::add;
use super::held::Held;
use super::reduce::GroupKey;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact<R, V> {
    Row(R),
    Value(V),
}

struct Group<R, V> {
    rows: BTreeMap<R, i64>,
    /// Of a key that has several, the least counts.
    values: BTreeMap<V, i64>,
}

/// A row of a key with the key's value.
pub type Found<K, R, V> = (K, R, Option<V>);

/// Each row with the value that its key has; none where it has none. Of several values of a key the least counts.
///
/// Cost: a change of a row looks at that row, O(log n); a change of a value says all rows of its key again. Memory: all rows
/// and values.
pub fn lookup<'s, K: GroupKey, R: ExchangeData, V: ExchangeData>(
    rows: VecCollection<'s, u64, (K, R), i64>,
    values: VecCollection<'s, u64, (K, V), i64>,
    name: &str,
) -> VecCollection<'s, u64, Found<K, R, V>, i64> {
    let rows = rows.map(|(key, row)| (key, Fact::Row(row)));
    let values = values.map(|(key, value)| (key, Fact::Value(value)));
    let mut groups: HashMap<K, Group<R, V>, FixedState> = HashMap::default();
    let mut held = Held::by(name);
    let mut held_rows = 0_usize;
    let by_key = Exchange::new(|((key, _), _, _): &((K, Fact<R, V>), u64, i64)| key.route());
    let step = move |_, updates: &mut dyn Iterator<Item = ((K, Fact<R, V>), i64)>, out: Out<'_, Found<K, R, V>, ()>| {
        // Values first, so that a row that comes with its value is said once.
        let mut of_rows: BTreeMap<K, BTreeMap<R, i64>> = BTreeMap::new();
        let mut of_values: BTreeMap<K, Vec<(V, i64)>> = BTreeMap::new();
        for ((key, fact), diff) in updates {
            match fact {
                Fact::Row(row) => *of_rows.entry(key).or_default().entry(row).or_default() += diff,
                Fact::Value(value) => of_values.entry(key).or_default().push((value, diff)),
            }
        }
        for (key, changes) in of_values {
            let group = groups.entry(key.clone()).or_default();
            let old = group.value().cloned();
            changes.into_iter().for_each(|(value, diff)| add(&mut group.values, value, diff));
            let new = group.value().cloned();
            if old != new {
                for (row, n) in &group.rows {
                    (out.main)((key.clone(), row.clone(), old.clone()), -n);
                    (out.main)((key.clone(), row.clone(), new.clone()), *n);
                }
            }
            if group.rows.is_empty() && group.values.is_empty() {
                groups.remove(&key);
            }
        }
        for (key, rows) in of_rows {
            let group = groups.entry(key.clone()).or_default();
            let before = group.rows.len();
            let value = group.value().cloned();
            for (row, diff) in rows.into_iter().filter(|(_, diff)| *diff != 0) {
                add(&mut group.rows, row.clone(), diff);
                (out.main)((key.clone(), row, value.clone()), diff);
            }
            held_rows = held_rows + group.rows.len() - before;
            if group.rows.is_empty() && group.values.is_empty() {
                groups.remove(&key);
            }
        }
        held.set(held_rows);
    };
    complete_times(rows.concat(values).inner, by_key, name, step).0.as_collection()
}

impl<R, V> Default for Group<R, V> {
    fn default() -> Self {
        Group { rows: BTreeMap::new(), values: BTreeMap::new() }
    }
}

impl<R, V> Group<R, V> {
    fn value(&self) -> Option<&V> {
        self.values.iter().find(|(_, n)| **n > 0).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    /// Is it a row, of which key, and what.
    type Given = (bool, u128, u64);

    fn view(given: VecCollection<'_, u64, Given, i64>) -> VecCollection<'_, u64, (u128, u64, Option<u64>), i64> {
        fn of(given: VecCollection<'_, u64, Given, i64>, row: bool) -> VecCollection<'_, u64, (u128, u64), i64> {
            given.filter(move |(is_row, ..)| *is_row == row).map(|(_, key, what)| (key, what))
        }
        lookup(of(given.clone(), true), of(given, false), "Test")
    }

    fn plain(given: &[Given]) -> Vec<(u128, u64, Option<u64>)> {
        let value = |of: u128| given.iter().filter(|(row, key, _)| !row && *key == of).map(|(.., what)| *what).min();
        given.iter().filter(|(row, ..)| *row).map(|(_, key, what)| (*key, *what, value(*key))).collect()
    }

    #[test]
    fn agrees_with_looking_up() {
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Given> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(6) {
                    let at = dice.below(40);
                    match dice.chance(25) {
                        true => script.remove(&at),
                        false => script.put(at, (!at.is_multiple_of(4), u128::from(dice.below(4)), at)),
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
