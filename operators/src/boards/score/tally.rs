//! Solves and tries per problem: what ICPC and CTF boards count.

use gravity_events::board::{BoardRow, Cell};
use smallvec::SmallVec;

use super::{Counted, Sight, Solve};
use crate::boards::rules::{Effect, Rules};

#[derive(Clone, Copy, Default)]
struct Work {
    judged: u32,
    pending: u32,
    rejected: u32,
    solved_ms: Option<i64>,
}

/// A team's work per problem, as a view knows it.
pub(super) struct Tally<'a> {
    rules: &'a Rules,
    work: SmallVec<[Work; 32]>,
    /// The first accepted submission per problem, by contest time.
    pub(super) solves: Vec<Solve>,
}

impl<'a> Tally<'a> {
    /// Of attempts in the order of contest time.
    pub(super) fn of(sight: Sight<'a>, attempts: &[Counted<'_>]) -> Self {
        let rules = sight.rules();
        let problems = &rules.header.problems;
        let mut work: SmallVec<[Work; 32]> = SmallVec::from_elem(Work::default(), problems.len());
        let mut solves = Vec::with_capacity(problems.len());
        for (at_ms, attempt) in attempts {
            let Some(place) = rules.place(attempt.problem) else {
                continue;
            };
            let work = &mut work[place];
            match sight.effect(*at_ms, attempt) {
                Effect::Pending => work.pending += 1,
                _ if work.solved_ms.is_some() => {}
                Effect::Nothing => {}
                Effect::Rejected => {
                    work.judged += 1;
                    work.rejected += 1;
                }
                Effect::Accepted => {
                    work.judged += 1;
                    work.solved_ms = Some(*at_ms);
                    let (submission, problem) = (attempt.submission.clone(), problems[place].problem.clone());
                    solves.push(Solve { contest_time_ms: *at_ms, submission, problem });
                }
            }
        }
        Tally { rules, work, solves }
    }

    /// Penalty minutes of the solved problems: when, and for each rejected submission before.
    pub(super) fn penalty_min(&self) -> i64 {
        let solved = self.work.iter().filter_map(|work| Some((work.solved_ms? / 60_000, work.rejected)));
        solved.fold(0, |sum, (minute, rejected)| {
            let penalty = i64::from(rejected).saturating_mul(self.rules.header.penalty_min);
            sum.saturating_add(minute).saturating_add(penalty)
        })
    }

    /// Puts cells, the number of solved problems and the last solve into a row.
    pub(super) fn fill(&self, row: &mut BoardRow) {
        row.cells.reserve_exact(self.work.iter().filter(|w| w.judged + w.pending > 0).count());
        let mut last_ms = None;
        for (work, problem) in self.work.iter().zip(&self.rules.header.problems) {
            row.solved += u32::from(work.solved_ms.is_some());
            last_ms = last_ms.max(work.solved_ms);
            if work.judged + work.pending > 0 {
                let (problem, solved_min) = (problem.problem.clone(), work.solved_ms.map(|at_ms| at_ms / 60_000));
                let Work { judged, pending, .. } = *work;
                row.cells.push(Cell { problem, judged, pending, solved_min, score: None });
            }
        }
        if let Some(at_ms) = last_ms {
            row.last_solved_min = at_ms / 60_000;
            row.last_scored_at_ms = self.rules.begin_ms().map_or(0, |begin| begin.saturating_add(at_ms));
        }
    }
}
