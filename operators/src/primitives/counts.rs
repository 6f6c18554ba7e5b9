//! How often values are there: what a group of updates adds up to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Counts one more or less; what is not there is not kept.
pub(crate) fn add<T: Ord>(counts: &mut BTreeMap<T, i64>, of: T, diff: i64) {
    match counts.entry(of) {
        Entry::Vacant(vacant) => {
            vacant.insert(diff);
        }
        Entry::Occupied(mut count) => {
            *count.get_mut() += diff;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
