//! Partial points by subtask (IOI): the sum over subtasks of the best submission for each, or the best submission as a
//! whole. Only points count; equal teams share a rank.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::board::BoardRow;
use gravity_events::body::Subtasks;

use super::points::{Judged, Sum, by_problem};
use super::{Counted, Sight, Team, ViewScore};
use crate::boards::facts::GroupResult;

pub(super) fn score(sight: Sight<'_>, team: Team<'_>, row: BoardRow, counted: &[Counted<'_>]) -> ViewScore {
    let mut sum = Sum::new(sight, team, row);
    for (place, tries) in by_problem(sight, counted).iter().enumerate() {
        let scored = match sight.rules().board.subtasks {
            Subtasks::Each => by_subtask(&tries.judged),
            Subtasks::Whole => as_a_whole(&tries.judged),
        };
        sum.cell(place, tries, scored);
    }
    let row = sum.row(|points| points.rank_key = vec![points.score.saturating_neg()]);
    ViewScore { row: Arc::new(row), solves: Vec::new(), lacks_worth: false, faults: Vec::new() }
}

/// Points of a subtask: as the evaluator says, or one for each test that passed.
fn points(group: &GroupResult) -> i64 {
    group.points.unwrap_or(i64::from(group.passed))
}

/// The score, and when it was reached.
fn by_subtask(judged: &[Judged<'_>]) -> Option<(i64, i64)> {
    let mut best: BTreeMap<&str, i64> = BTreeMap::new();
    let mut reached_ms = judged.first()?.at_ms;
    for j in judged {
        for group in j.outcome.iter().flat_map(|o| &o.groups) {
            let (points, best) = (points(group), best.entry(&group.group).or_insert(0));
            if points > *best {
                *best = points;
                reached_ms = j.at_ms;
            }
        }
    }
    Some((best.values().fold(0, |sum, points| sum.saturating_add(*points)), reached_ms))
}

fn as_a_whole(judged: &[Judged<'_>]) -> Option<(i64, i64)> {
    let total = |j: &Judged<'_>| {
        let groups = j.outcome.iter().flat_map(|o| &o.groups);
        groups.fold(0_i64, |sum, group| sum.saturating_add(points(group)))
    };
    let scored = judged.iter().map(|j| (total(j), j.at_ms));
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best })
}
