//! One team's score, as a pure function (CLICS 2026-01, "Scoring Data Generation"; the freeze hides verdicts).

use std::rc::Rc;

use gravity_events::board::{BoardRow, Cell};
use gravity_events::body::TeamRegistered;
use gravity_events::{Id, natural_cmp};
use smallvec::SmallVec;

use super::attempts::{Attempt, When};
use super::rules::{Effect, Rules};
use super::visible::{TrueAttempt, VisibleAttempt};
use crate::primitives::natural::NaturalId;

/// A team as the scoring sees it.
#[derive(Clone, Copy, Debug)]
pub struct Team<'a> {
    /// Its registration.
    pub registered: &'a TeamRegistered,
    /// Its organization's name, where the organization is known.
    pub organization: Option<&'a str>,
}

/// An accepted submission that counts: the team's first on its problem. Solves sort by contest time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Solve {
    /// When.
    pub contest_time_ms: i64,
    /// By which submission.
    pub submission: NaturalId,
    /// Which problem.
    pub problem: Id,
}

/// What a team contributes to one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewScore {
    /// Its row.
    pub row: BoardRow,
    /// Its candidates for first to solve, sorted; none for a hidden team.
    pub solves: Vec<Solve>,
}

/// What a team contributes to its event's boards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamScore {
    /// For everybody; none for a hidden team.
    pub public: Option<Rc<ViewScore>>,
    /// For judges; none for a team outside the main group. The same allocation where the views agree.
    pub jury: Option<Rc<ViewScore>>,
}

impl TeamScore {
    /// Whether both views are known to be the same without looking into them.
    pub fn views_agree(&self) -> bool {
        match (&self.public, &self.jury) {
            (Some(public), Some(jury)) => Rc::ptr_eq(public, jury),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Scores a team from its attempts, in any order; in the order of [`Attempt`] it is fastest. Attempts at unknown
/// problems, without a known time, or outside the contest count for nothing.
pub fn score_team(rules: &Rules, team: Team<'_>, attempts: &[&Attempt]) -> TeamScore {
    let registered = team.registered;
    if rules.main_group.as_ref().is_some_and(|main| !registered.groups.contains(main)) {
        return TeamScore::default();
    }
    let hidden = registered.hidden || registered.groups.iter().any(|g| rules.hides(g) == Some(true));

    let mut counted: SmallVec<[(i64, &Attempt); 32]> = SmallVec::new();
    counted.extend(attempts.iter().filter_map(|a| contest_time(rules, a.when).map(|at| (at, *a))));
    if !counted.is_sorted_by(|a, b| (a.0, &a.1.submission) <= (b.0, &b.1.submission)) {
        counted.sort_by(|a, b| (a.0, &a.1.submission).cmp(&(b.0, &b.1.submission)));
    }
    let public = (!hidden).then(|| {
        let effects = counted.iter().map(|(at, a)| (*at, *a, VisibleAttempt::censor(rules, *at, a).effect()));
        Rc::new(Tally::of(rules, effects).score(team, hidden))
    });
    let censored = rules.hidden_from_ms().is_some_and(|from| counted.last().is_some_and(|(at, _)| *at >= from));
    let jury = match &public {
        // Nothing was taken away: the views agree.
        Some(score) if !censored => score.clone(),
        _ => {
            let effects = counted.iter().map(|(at, a)| (*at, *a, TrueAttempt::of(rules, a).effect()));
            Rc::new(Tally::of(rules, effects).score(team, hidden))
        }
    };
    TeamScore { public, jury: Some(jury) }
}

/// The contest time of an attempt that counts.
fn contest_time(rules: &Rules, when: When) -> Option<i64> {
    let at = match when {
        When::Contest(ms) => ms,
        When::Clock(ms) => ms.saturating_sub(rules.begin_ms()?),
        When::Unknown => return None,
    };
    rules.in_contest(at).then_some(at)
}

#[derive(Clone, Copy, Default)]
struct Work {
    judged: u32,
    pending: u32,
    rejected: u32,
    solved_ms: Option<i64>,
}

/// Work per problem.
struct Tally<'a> {
    rules: &'a Rules,
    work: SmallVec<[Work; 32]>,
    solves: Vec<Solve>,
}

impl<'a> Tally<'a> {
    /// Of attempts in the order of contest time, with what a view knows of their effects.
    fn of<'b>(rules: &'a Rules, attempts: impl Iterator<Item = (i64, &'b Attempt, Effect)>) -> Self {
        let problems = &rules.header.problems;
        let mut work: SmallVec<[Work; 32]> = SmallVec::from_elem(Work::default(), problems.len());
        let mut solves = Vec::with_capacity(problems.len());
        for (at_ms, attempt, effect) in attempts {
            let Some(place) = rules.place(attempt.problem) else {
                continue;
            };
            let work = &mut work[place];
            match effect {
                Effect::Pending => work.pending += 1,
                _ if work.solved_ms.is_some() => {}
                Effect::Nothing => {}
                Effect::Rejected => {
                    work.judged += 1;
                    work.rejected += 1;
                }
                Effect::Accepted => {
                    work.judged += 1;
                    work.solved_ms = Some(at_ms);
                    let (submission, problem) = (attempt.submission.clone(), problems[place].problem.clone());
                    solves.push(Solve { contest_time_ms: at_ms, submission, problem });
                }
            }
        }
        Tally { rules, work, solves }
    }

    fn score(self, team: Team<'_>, hidden: bool) -> ViewScore {
        let row = self.row(team, hidden);
        ViewScore { row, solves: if hidden { Vec::new() } else { self.solves } }
    }

    fn row(&self, team: Team<'_>, hidden: bool) -> BoardRow {
        let registered = team.registered;
        let mut divisions: Vec<Id> =
            registered.groups.iter().filter(|g| self.rules.hides(g) == Some(false)).cloned().collect();
        divisions.sort_by(|a, b| natural_cmp(a, b));
        divisions.dedup();
        let shown = registered.display_name.as_deref().filter(|name| !name.is_empty());
        let mut row = BoardRow {
            name: shown.unwrap_or(&registered.name).to_owned(),
            organization: team.organization.map(str::to_owned),
            divisions,
            hidden,
            ..BoardRow::default()
        };
        row.cells.reserve_exact(self.work.iter().filter(|w| w.judged + w.pending > 0).count());
        let mut last_ms = None;
        for (work, problem) in self.work.iter().zip(&self.rules.header.problems) {
            let solved_min = work.solved_ms.map(|at_ms| at_ms / 60_000);
            if let (Some(at_ms), Some(minute)) = (work.solved_ms, solved_min) {
                row.solved += 1;
                let penalty = i64::from(work.rejected).saturating_mul(self.rules.header.penalty_min);
                row.penalty = row.penalty.saturating_add(minute).saturating_add(penalty);
                last_ms = last_ms.max(Some(at_ms));
            }
            if work.judged + work.pending > 0 {
                let problem = problem.problem.clone();
                row.cells.push(Cell { problem, judged: work.judged, pending: work.pending, solved_min });
            }
        }
        if let Some(at_ms) = last_ms {
            row.last_solved_min = at_ms / 60_000;
            row.last_scored_at_ms = self.rules.begin_ms().map_or(0, |begin| begin.saturating_add(at_ms));
        }
        row
    }
}
