//! One metric on two splits: everybody sees the best public score until the thaw, then the best private score of the
//! submissions that the team selected. Ties go to the earliest.

use std::cmp::Reverse;
use std::sync::Arc;

use gravity_events::board::BoardRow;

use super::points::{Judged, Sum, by_problem};
use super::{Counted, Sight, Team, ViewScore};
use crate::boards::visible::PRIVATE_SPLIT;

/// The measure that everybody sees.
const PUBLIC_SPLIT: &str = "public";

/// How many selected submissions count where the event does not say.
const SELECTED_MAX: u32 = 2;

pub(super) fn score(sight: Sight<'_>, team: Team<'_>, row: BoardRow, counted: &[Counted<'_>]) -> ViewScore {
    let board = &sight.rules().board;
    let mut sum = Sum::new(sight, team, row);
    let (mut missing, mut last_ms) = (0, None);
    for (place, tries) in by_problem(sight, counted).iter().enumerate() {
        let best = best(&tries.judged, PUBLIC_SPLIT, board.lower_is_better);
        let scored = if sight.private() {
            let judges = finals(&tries.judged, team, board.selected_max.unwrap_or(SELECTED_MAX), board.lower_is_better);
            self::best(&judges, PRIVATE_SPLIT, board.lower_is_better)
        } else {
            best
        };
        missing += i64::from(scored.is_none());
        last_ms = last_ms.max(scored.map(|(_, at_ms)| at_ms));
        sum.cell(place, tries, scored);
    }
    let score = sum.score();
    let score = if board.lower_is_better { score } else { score.saturating_neg() };
    let row = sum.row(|points| points.rank_key = vec![missing, score, last_ms.unwrap_or(0)]);
    ViewScore { row: Arc::new(row), solves: Vec::new(), lacks_worth: false, faults: Vec::new() }
}

fn measured(j: &Judged<'_>, split: &str) -> Option<i64> {
    j.outcome?.measures.get(split).copied()
}

/// The best value of a split, and when it was first reached.
fn best(judged: &[Judged<'_>], split: &str, lower_is_better: bool) -> Option<(i64, i64)> {
    let scored = judged.iter().filter_map(|j| Some((measured(j, split)?, j.at_ms)));
    let better = |a: i64, b: i64| if lower_is_better { a < b } else { a > b };
    scored.reduce(|best, next| if better(next.0, best.0) { next } else { best })
}

/// The submissions that count in the end: the last ones selected, or, where the team selected fewer, those with the best
/// public scores besides.
fn finals<'a>(judged: &[Judged<'a>], team: Team<'_>, most: u32, lower_is_better: bool) -> Vec<Judged<'a>> {
    let selected = |j: &Judged<'_>| team.selected.contains(&&j.attempt.submission);
    let most = most as usize;
    let mut finals: Vec<Judged<'a>> = judged.iter().rev().filter(|j| selected(j)).take(most).copied().collect();
    let mut others: Vec<Judged<'a>> = judged.iter().filter(|j| !selected(j)).copied().collect();
    others.sort_by_key(|j| {
        let value = measured(j, PUBLIC_SPLIT);
        let sign = |v: i64| if lower_is_better { v } else { v.saturating_neg() };
        (value.is_none(), value.map(sign), j.at_ms)
    });
    finals.extend(others.into_iter().take(most.saturating_sub(finals.len())));
    finals.sort_by_key(|j| (j.at_ms, Reverse(j.attempt.submission.clone())));
    finals
}
