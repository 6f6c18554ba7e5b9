//! Holds a view against a plain function of the current facts.

use std::collections::BTreeMap;

use differential_dataflow::{ExchangeData, VecCollection};

use super::run::{Epoch, Run};

/// What is there after each epoch. Panics where a count is neither 0 nor 1: neither facts nor views have such rows.
pub fn accumulate<D: Ord + Clone + std::fmt::Debug>(epochs: &[Epoch<D>]) -> Vec<Vec<D>> {
    let mut counts: BTreeMap<D, i64> = BTreeMap::new();
    let after = epochs.iter().enumerate().map(|(epoch, updates)| {
        for (row, diff) in updates {
            *counts.entry(row.clone()).or_default() += diff;
        }
        counts.retain(|_, n| *n != 0);
        if let Some((row, n)) = counts.iter().find(|(_, n)| **n != 1) {
            panic!("after epoch {epoch} this row is there {n} times: {row:?}");
        }
        counts.keys().cloned().collect()
    });
    after.collect()
}

/// Drives `view` with `script` over 1, 2 and 3 workers and with several epochs under way. Panics unless after every
/// epoch its rows are those of `oracle` for the facts as they are then, and each epoch's changes are always the same.
/// Returns the changes.
pub fn agree<I, O, F>(script: &[Epoch<I>], view: F, oracle: impl Fn(&[I]) -> Vec<O>) -> Vec<Epoch<O>>
where
    I: ExchangeData + Sync,
    O: ExchangeData,
    F: for<'s> Fn(VecCollection<'s, u64, I, i64>) -> VecCollection<'s, u64, O, i64> + Clone + Send + Sync + 'static,
{
    let changes = Run::workers(1).drive(script, view.clone());
    for (epoch, (facts, rows)) in accumulate(script).iter().zip(accumulate(&changes)).enumerate() {
        let mut expected = oracle(facts);
        expected.sort();
        let missing = expected.iter().find(|row| rows.binary_search(row).is_err());
        let extra = rows.iter().find(|row| expected.binary_search(row).is_err());
        if missing.is_some() || extra.is_some() || rows.len() != expected.len() {
            panic!("after epoch {epoch}:\n  the oracle has {missing:#?}\n  the view has {extra:#?}");
        }
    }
    for run in [Run { workers: 2, in_flight: 7 }, Run { workers: 3, in_flight: 2 }] {
        let again = run.drive(script, view.clone());
        for (epoch, (a, b)) in changes.iter().zip(&again).enumerate() {
            assert_eq!(a, b, "epoch {epoch} differs with {run:?}");
        }
    }
    changes
}
