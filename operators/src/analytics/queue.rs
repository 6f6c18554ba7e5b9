//! How long teams wait for their verdicts.

use gravity_events::analytics::{Minutes, ViewKey, ViewRow, ViewSpec};
use gravity_events::burn::MINUTE_MS;

use super::judged::Verdict;
use super::{Inputs, key_at};
use crate::boards::facts::Rows;
use crate::primitives::percentile::nearest_rank;
use crate::primitives::reduce::{Group, Memory, reduce_total};
use crate::primitives::windows::tumbling;

pub const SPEC: ViewSpec = ViewSpec {
    name: "queue",
    about: "Time from handing in to the verdict, by the minute of handing in",
    minutes: Minutes::Contest,
    by: None,
    team: None,
    numbers: &[
        ("judged", "Submissions that have a verdict"),
        ("waiting", "Submissions that have none"),
        ("wait_p50_ms", "Half of those judged waited no longer (nearest rank)"),
        ("wait_p95_ms", "95 % waited no longer"),
        ("wait_p99_ms", "99 % waited no longer"),
    ],
};

const SHARES_BP: [u32; 3] = [5_000, 9_500, 9_900];

pub fn rows<'s>(inputs: &Inputs<'s>) -> Rows<'s, (ViewKey, ViewRow)> {
    // What is told apart by: has it no verdict, how long did it wait where that is known, which is it.
    let each = inputs.judged.clone().flat_map(|judged| {
        let minute_ms = tumbling(judged.at_ms?, MINUTE_MS).from_ms;
        let waits = judged.verdict == Verdict::Pending;
        Some((key_at(&SPEC, judged.event, minute_ms), (waits, judged.waited_ms, judged.submission)))
    });
    let of_minute = |key: &ViewKey, group: Group<'_, (bool, Option<i64>, gravity_events::Id)>, said: &mut Vec<_>| {
        let waiting = group.iter().filter(|(waits, ..)| *waits).count() as i64;
        let judged = group.iter().count() as i64 - waiting;
        // In order: what has no verdict comes last.
        let waited: Vec<i64> = group.iter().filter(|(waits, ..)| !waits).filter_map(|(_, ms, _)| *ms).collect();
        let mut numbers = vec![Some(judged), Some(waiting)];
        numbers.extend(SHARES_BP.iter().map(|share| nearest_rank(&waited, *share)));
        said.push((key.clone(), ViewRow { numbers, team: None }));
    };
    reduce_total(each, "Queue", Memory::Keep, of_minute)
}
