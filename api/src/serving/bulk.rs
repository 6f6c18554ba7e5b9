//! An event's boards built anew, where most of its rows change at once: sorted instead of moved one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::board::OVERALL;
use gravity_events::{Id, natural_cmp};

use super::row::{ByRank, Order, TeamRow};
use super::sorted::Sorted;
use super::state::{Counts, EventBoards};

/// Puts these rows in the place of all there are. `rows` are by team.
pub(super) fn fill(boards: &mut EventBoards, rows: Vec<Arc<TeamRow>>) {
    debug_assert!(rows.is_sorted_by(|a, b| natural_cmp(&a.team, &b.team).is_lt()), "by team, each once");
    boards.teams = Sorted::of(rows);
    rank(boards, counts);
}

/// Sorts the teams' rows anew on boards whose counts are right: at the same time on each side of an event, since all others
/// wait for it.
pub(super) fn rank_anew(sides: Vec<&mut EventBoards>) {
    let mut sides = sides.into_iter();
    let Some(first) = sides.next() else { return };
    std::thread::scope(|threads| {
        for side in sides {
            threads.spawn(|| rank(side, |_| None));
        }
        rank(first, |_| None);
    });
}

fn rank(boards: &mut EventBoards, counts: impl Fn(&[&Arc<TeamRow>]) -> Option<BTreeMap<Id, Counts>>) {
    let mut on: BTreeMap<Id, Vec<&Arc<TeamRow>>> = BTreeMap::new();
    // Boards that nobody is on any more are there all the same.
    on.extend(boards.boards.keys().map(|division| (division.clone(), Vec::new())));
    for row in boards.teams.iter_from(0) {
        for division in &row.row.divisions {
            match on.get_mut(division) {
                // Named twice, it is on it once.
                Some(rows) if rows.last().is_some_and(|last| Arc::ptr_eq(last, row)) => {}
                Some(rows) => rows.push(row),
                None => drop(on.insert(division.clone(), vec![row])),
            }
        }
    }
    on.insert(Id::const_new(OVERALL), boards.teams.iter_from(0).collect());
    for (division, rows) in on {
        let board = boards.boards.entry(division).or_default();
        if let Some(counts) = counts(&rows) {
            board.counts = Arc::new(counts);
        }
        board.rows = ranked(rows);
    }
}

fn ranked(rows: Vec<&Arc<TeamRow>>) -> Sorted<ByRank> {
    let mut by_rank: Vec<_> = rows.into_iter().map(|row| (row.row.rank_hint(), row)).collect();
    // The hint spares most comparisons a look at the rows.
    by_rank.sort_unstable_by(|(a, row_a), (b, row_b)| a.cmp(b).then_with(|| ByRank::order(row_a, row_b)));
    Sorted::of(by_rank.into_iter().map(|(_, row)| row.clone()).collect())
}

/// Rows that solved, and tried, each problem.
fn counts(rows: &[&Arc<TeamRow>]) -> Option<BTreeMap<Id, Counts>> {
    // Cells mostly stand in the order of the problems.
    let mut counts: Vec<(&Id, Counts)> = Vec::new();
    for row in rows {
        for (n, cell) in row.row.cells.iter().enumerate() {
            let known = counts.get(n).is_some_and(|(problem, _)| **problem == cell.problem);
            let at = if known { Some(n) } else { counts.iter().position(|(problem, _)| **problem == cell.problem) };
            let at = at.unwrap_or_else(|| {
                counts.push((&cell.problem, Counts::default()));
                counts.len() - 1
            });
            let count = &mut counts[at].1;
            count.tried += 1;
            count.solved += u32::from(cell.solved_min.is_some());
        }
    }
    Some(counts.into_iter().map(|(problem, count)| (problem.clone(), count)).collect())
}
