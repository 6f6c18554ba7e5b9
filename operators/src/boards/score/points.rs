//! What boards of points have in common: cells with scores, corrections, problems' weights.

use gravity_events::board::{BoardRow, Cell, Points};

use super::{Counted, Sight, Team};
use crate::boards::attempts::Attempt;
use crate::boards::facts::Outcome;
use crate::boards::rules::Effect;

/// Points that hints cost and judges gave or took.
pub(super) fn corrections(sight: Sight<'_>, team: Team<'_>) -> i64 {
    team.corrections.iter().filter(|c| sight.corrects(c)).fold(0, |sum, c| sum.saturating_add(c.points))
}

/// A submission that a view knows the outcome of.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub at_ms: i64,
    pub attempt: &'a Attempt,
    /// None: nothing was measured.
    pub outcome: Option<&'a Outcome>,
}

/// What is known of a team's submissions to one problem.
#[derive(Default)]
pub(super) struct Tries<'a> {
    /// By contest time.
    pub judged: Vec<Judged<'a>>,
    pub pending: u32,
    /// Of the first accepted one.
    pub solved_ms: Option<i64>,
}

/// A team's submissions by problem, in the problems' order.
pub(super) fn by_problem<'a>(sight: Sight<'a>, counted: &[Counted<'a>]) -> Vec<Tries<'a>> {
    let rules = sight.rules();
    let mut tries: Vec<Tries<'a>> = rules.header.problems.iter().map(|_| Tries::default()).collect();
    for (at_ms, attempt) in counted {
        let Some(place) = rules.place(attempt.problem) else { continue };
        let tries = &mut tries[place];
        let effect = sight.effect(*at_ms, attempt);
        match effect {
            Effect::Pending => tries.pending += 1,
            Effect::Nothing => {}
            Effect::Rejected | Effect::Accepted => {
                let outcome = sight.outcome(*at_ms, attempt);
                tries.judged.push(Judged { at_ms: *at_ms, attempt, outcome });
                if effect == Effect::Accepted {
                    tries.solved_ms.get_or_insert(*at_ms);
                }
            }
        }
    }
    tries
}

/// Adds up a row's points, problem by problem.
pub(super) struct Sum<'a> {
    sight: Sight<'a>,
    row: BoardRow,
    points: Points,
    last_ms: Option<i64>,
}

impl<'a> Sum<'a> {
    pub(super) fn new(sight: Sight<'a>, team: Team<'_>, row: BoardRow) -> Self {
        let points = Points { score: corrections(sight, team), ..Points::default() };
        Sum { sight, row, points, last_ms: None }
    }

    /// A problem's cell: its score, and when it came to it.
    pub(super) fn cell(&mut self, place: usize, tries: &Tries<'_>, scored: Option<(i64, i64)>) {
        let rules = self.sight.rules();
        if let Some((score, at_ms)) = scored {
            self.points.score = self.points.score.saturating_add(score.saturating_mul(rules.weight(place)));
            if score != 0 {
                self.last_ms = self.last_ms.max(Some(at_ms));
            }
        }
        self.row.solved += u32::from(tries.solved_ms.is_some());
        let judged = u32::try_from(tries.judged.len()).unwrap_or(u32::MAX);
        if judged > 0 || tries.pending > 0 {
            self.row.cells.push(Cell {
                problem: rules.header.problems[place].problem.clone(),
                judged,
                pending: tries.pending,
                solved_min: tries.solved_ms.map(|at_ms| at_ms / 60_000),
                score: scored.map(|(score, _)| score),
            });
        }
    }

    /// The score so far.
    pub(super) fn score(&self) -> i64 {
        self.points.score
    }

    /// The row, ranked by what `key` makes of it.
    pub(super) fn row(mut self, key: impl FnOnce(&mut Points)) -> BoardRow {
        key(&mut self.points);
        if let Some(at_ms) = self.last_ms {
            self.row.last_solved_min = at_ms / 60_000;
            let begin = self.sight.rules().begin_ms();
            self.row.last_scored_at_ms = begin.map_or(0, |begin| begin.saturating_add(at_ms));
        }
        self.row.points = Some(Box::new(self.points));
        self.row
    }
}
