//! Windows of time: half-open spans that times are put into. By the times in the records, never by a clock.

use differential_dataflow::VecCollection;
use serde::{Deserialize, Serialize};

use super::reduce::{Group, GroupKey, Memory, reduce_total};

/// A span of time: from `from_ms` until before `to_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Its first millisecond.
    pub from_ms: i64,
    /// The first one after it.
    pub to_ms: i64,
}

/// The tumbling window of a time: windows of `size_ms` that follow each other without a gap, one of which begins at 0.
pub fn tumbling(at_ms: i64, size_ms: i64) -> Window {
    let size_ms = size_ms.max(1);
    let from_ms = at_ms.div_euclid(size_ms).saturating_mul(size_ms);
    Window { from_ms, to_ms: from_ms.saturating_add(size_ms) }
}

/// The sliding windows that hold a time: windows of `size_ms`, one beginning every `step_ms`. Size by step of them: a row
/// is copied into each.
pub fn sliding(at_ms: i64, size_ms: i64, step_ms: i64) -> impl Iterator<Item = Window> {
    let (size_ms, step_ms) = (size_ms.max(1), step_ms.max(1));
    let last = tumbling(at_ms, step_ms).from_ms;
    let starts = std::iter::successors(Some(last), move |from| from.checked_sub(step_ms));
    starts
        .take_while(move |from| at_ms < from.saturating_add(size_ms))
        .map(move |from_ms| Window { from_ms, to_ms: from_ms.saturating_add(size_ms) })
}

/// A stretch of activity of a key, with how many times are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The first time.
    pub first_ms: i64,
    /// The last time.
    pub last_ms: i64,
    /// Times in it.
    pub count: u64,
}

/// The sessions of each key: times of which no two neighbours are `gap_ms` or more apart. A time comes with an id, so that
/// equal ones count each. A late time may join two sessions, one that is taken back may part them.
///
/// Cost: a change of a key looks at its times once, O(n) of that key; only sessions that changed are said. Memory: all times
/// of a key.
pub fn sessions<'s, K>(
    input: VecCollection<'s, u64, (K, (i64, u64)), i64>,
    gap_ms: i64,
    name: &str,
) -> VecCollection<'s, u64, (K, Session), i64>
where
    K: GroupKey,
{
    reduce_total(input, name, Memory::Keep, move |key: &K, group: Group<'_, (i64, u64)>, said| {
        let mut open: Option<Session> = None;
        for (at_ms, _) in group.iter() {
            match &mut open {
                Some(session) if at_ms.saturating_sub(session.last_ms) < gap_ms => {
                    session.last_ms = *at_ms;
                    session.count += 1;
                }
                _ => {
                    let next = Session { first_ms: *at_ms, last_ms: *at_ms, count: 1 };
                    said.extend(open.replace(next).map(|session| (key.clone(), session)));
                }
            }
        }
        said.extend(open.map(|session| (key.clone(), session)));
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::harness::dice::Dice;
    use crate::harness::oracle::agree;
    use crate::harness::script::Script;

    #[test]
    fn windows_hold_their_times() {
        assert_eq!(tumbling(-1, 60), Window { from_ms: -60, to_ms: 0 });
        assert_eq!(tumbling(60, 60), Window { from_ms: 60, to_ms: 120 });
        let of = |at| sliding(at, 30, 10).map(|w| w.from_ms).collect::<Vec<_>>();
        assert_eq!((of(25), of(30), of(-1)), (vec![20, 10, 0], vec![30, 20, 10], vec![-10, -20, -30]));
        assert_eq!(sliding(5, 10, 30).count(), 1);
        assert_eq!(sliding(15, 10, 30).count(), 0, "between two windows");
        for at in [i64::MIN, i64::MAX] {
            let _ = (tumbling(at, i64::MAX), sliding(at, 10, 3).count());
        }
    }

    type Row = (u128, (i64, u64));

    fn view(rows: VecCollection<'_, u64, Row, i64>) -> VecCollection<'_, u64, (u128, Session), i64> {
        sessions(rows, 10, "Test")
    }

    fn plain(rows: &[Row]) -> Vec<(u128, Session)> {
        let mut by_key: BTreeMap<u128, Vec<i64>> = BTreeMap::new();
        rows.iter().for_each(|(key, (at, _))| by_key.entry(*key).or_default().push(*at));
        let mut said = Vec::new();
        for (key, mut times) in by_key {
            times.sort_unstable();
            let apart = |pair: &[i64]| pair[1] - pair[0] >= 10;
            let cuts: Vec<usize> = times.windows(2).enumerate().filter(|(_, p)| apart(p)).map(|(n, _)| n + 1).collect();
            let edges: Vec<usize> = [0].into_iter().chain(cuts).chain([times.len()]).collect();
            for pair in edges.windows(2) {
                let of = &times[pair[0]..pair[1]];
                let session = Session { first_ms: of[0], last_ms: of[of.len() - 1], count: of.len() as u64 };
                said.push((key, session));
            }
        }
        said
    }

    #[test]
    fn sessions_agree_with_cutting_at_gaps() {
        for seed in 0..5 {
            let mut dice = Dice::new(seed);
            let mut script: Script<u64, Row> = Script::default();
            for _ in 0..40 {
                for _ in 0..dice.below(5) {
                    let at = dice.below(30);
                    match dice.chance(25) {
                        true => script.remove(&at),
                        false => script.put(at, (u128::from(dice.below(2)), (dice.below(120) as i64, at))),
                    };
                }
                script.end_epoch();
            }
            assert!(agree(script.epochs(), view, plain).iter().flatten().count() > 50);
        }
    }
}
