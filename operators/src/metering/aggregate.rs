//! Numbers of windows, kept while what they are made of comes and goes.

use std::collections::{BTreeMap, HashMap};

use differential_dataflow::{AsCollection, VecCollection};
use foldhash::fast::FixedState;
use gravity_events::Id;
use gravity_events::analytics::{MeterValue, MeterWindow};
use gravity_events::body::Aggregation;
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Exchange;

use crate::primitives::complete_times::{Out, complete_times};
use crate::primitives::counts::add;
use crate::primitives::held::Held;
use crate::primitives::reduce::GroupKey;

/// A window, and what becomes of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Which.
    pub window: MeterWindow,
    /// What becomes of them.
    pub aggregation: Aggregation,
}

impl GroupKey for Window {
    fn route(&self) -> u64 {
        let MeterWindow { tenant, meter, start_ms, group, end_ms: _ } = &self.window;
        let start = start_ms.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![tenant.as_bytes(), meter.as_bytes(), &start];
        parts.extend(group.iter().map(|(_, of)| of.as_ref().map_or(&[][..], |of| of.as_bytes())));
        stable_hash128(&parts) as u64
    }
}

/// What a cell of usage gives to a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Given {
    /// A sum, a count, the least, the greatest or the latest number.
    pub number: i64,
    /// When the latest one was, and which record said it.
    pub latest_at: (i64, u64),
    /// What is counted where different ones are.
    pub of: Option<Id>,
    /// Records.
    pub records: i64,
}

/// What is kept of a window.
#[derive(Default)]
struct State {
    /// What was given, less what was taken back: at 0 the window is no more.
    cells: i64,
    records: i128,
    sum: i128,
    /// By number, or by time and number: only for those that need it.
    numbers: BTreeMap<((i64, u64), i64), i64>,
    different: BTreeMap<Id, i64>,
}

impl State {
    fn take(&mut self, aggregation: Aggregation, given: Given, diff: i64) {
        self.cells += diff;
        self.records += i128::from(given.records) * i128::from(diff);
        match aggregation {
            Aggregation::Sum | Aggregation::Count | Aggregation::Avg => {
                self.sum += i128::from(given.number) * i128::from(diff);
            }
            Aggregation::Min | Aggregation::Max | Aggregation::Latest => {
                add(&mut self.numbers, (given.latest_at, given.number), diff);
            }
            Aggregation::UniqueCount => given.of.into_iter().for_each(|of| add(&mut self.different, of, diff)),
        }
    }

    fn told(&self, aggregation: Aggregation) -> Option<MeterValue> {
        let clamped = |n: i128| i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX });
        let first = || self.numbers.first_key_value().map_or(0, |((_, number), _)| *number);
        let last = || self.numbers.last_key_value().map_or(0, |((_, number), _)| *number);
        (self.cells > 0).then(|| MeterValue {
            value: match aggregation {
                Aggregation::Sum | Aggregation::Count | Aggregation::Avg => clamped(self.sum),
                Aggregation::Min => first(),
                Aggregation::Max | Aggregation::Latest => last(),
                Aggregation::UniqueCount => self.different.len() as i64,
            },
            records: clamped(self.records),
        })
    }
}

/// What each window comes to.
///
/// Cost: O(log n) of the window's different numbers per change.
pub fn aggregate(
    given: VecCollection<'_, u64, (Window, Given), i64>,
) -> VecCollection<'_, u64, (MeterWindow, MeterValue), i64> {
    let mut windows: HashMap<Window, State, FixedState> = HashMap::default();
    let mut held = Held::by("Aggregate");
    let by_window = Exchange::new(|((window, _), _, _): &((Window, Given), u64, i64)| window.route());
    let step = move |_, updates: &mut dyn Iterator<Item = ((Window, Given), i64)>, out: Out<'_, _, ()>| {
        let mut changed: BTreeMap<Window, BTreeMap<Given, i64>> = BTreeMap::new();
        for ((window, given), diff) in updates {
            add(changed.entry(window).or_default(), given, diff);
        }
        for (window, changes) in changed.into_iter().filter(|(_, changes)| !changes.is_empty()) {
            let aggregation = window.aggregation;
            let state = windows.entry(window.clone()).or_default();
            let old = state.told(aggregation);
            changes.into_iter().for_each(|(given, diff)| state.take(aggregation, given, diff));
            let new = state.told(aggregation);
            if state.cells == 0 {
                windows.remove(&window);
            }
            if old != new {
                old.into_iter().for_each(|old| (out.main)((window.window.clone(), old), -1));
                new.into_iter().for_each(|new| (out.main)((window.window.clone(), new), 1));
            }
        }
        held.set(windows.len());
    };
    complete_times(given.inner, by_window, "Aggregate", step).0.as_collection()
}
