//! Points for each solved challenge. What a challenge is worth depends on all teams that solved it and is added by
//! [`worth`](crate::boards::worth).

use std::sync::Arc;

use gravity_events::board::{BoardRow, Points};

use super::points::corrections;
use super::tally::Tally;
use super::{Counted, Sight, Team, ViewScore};

/// None: a team without a solve is not listed, unless the event says so.
pub(super) fn score(sight: Sight<'_>, team: Team<'_>, mut row: BoardRow, counted: &[Counted<'_>]) -> Option<ViewScore> {
    let tally = Tally::of(sight, counted);
    if tally.solves.is_empty() && !sight.rules().board.list_all {
        return None;
    }
    tally.fill(&mut row);
    row.points = Some(Box::new(Points { score: corrections(sight, team), ..Points::default() }));
    Some(ViewScore { row: Arc::new(row), solves: tally.solves, lacks_worth: true, faults: Vec::new() })
}

/// The row with what its solved problems are worth. Order: score descending, then who got there first.
pub fn with_worth(row: &BoardRow, worth: impl Fn(&str) -> i64) -> BoardRow {
    let mut row = row.clone();
    let mut points = row.points.take().unwrap_or_default();
    for cell in &mut row.cells {
        cell.score = cell.solved_min.map(|_| worth(&cell.problem));
        points.score = points.score.saturating_add(cell.score.unwrap_or(0));
    }
    points.rank_key = vec![points.score.saturating_neg(), row.last_scored_at_ms];
    row.points = Some(points);
    row
}
