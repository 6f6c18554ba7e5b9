//! One team's score, as a pure function (CLICS 2026-01, "Scoring Data Generation"; the freeze hides verdicts).

use gravity_events::board::{BoardRow, Cell, View};
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

/// An accepted submission that counts: the team's first on its problem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Solve {
    /// Who may know.
    pub view: View,
    /// Which problem.
    pub problem: Id,
    /// When.
    pub contest_time_ms: i64,
    /// By which submission.
    pub submission: NaturalId,
}

/// What a team contributes to its event's boards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamScore {
    /// Its row for everybody; none for a hidden team.
    pub public: Option<BoardRow>,
    /// Its row for judges; none for a team outside the main group.
    pub jury: Option<BoardRow>,
    /// Candidates for first to solve; none for a hidden team. By view, then place of the problem.
    pub solves: Vec<Solve>,
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
    let placed = |(at, a): &(i64, &Attempt)| rules.place(&a.problem).map(|place| (place, *at));

    let mut solves = Vec::new();
    let visible = (!hidden).then(|| {
        let mut tally = Tally::new(rules);
        for counted in &counted {
            let Some((place, at)) = placed(counted) else { continue };
            tally.add(place, at, VisibleAttempt::censor(rules, at, counted.1).effect(), &counted.1.submission);
        }
        tally.solves(View::Public, &mut solves);
        tally
    });
    let public = visible.as_ref().map(|tally| tally.row(team, hidden));
    // Where nothing is censored the views agree.
    let censored = rules.hidden_from_ms().is_some_and(|from| counted.last().is_some_and(|(at, _)| *at >= from));
    let jury = match (&public, visible) {
        (Some(row), Some(tally)) if !censored => {
            tally.solves(View::Jury, &mut solves);
            row.clone()
        }
        _ => {
            let mut tally = Tally::new(rules);
            for counted in &counted {
                let Some((place, at)) = placed(counted) else { continue };
                tally.add(place, at, TrueAttempt::of(rules, counted.1).effect(), &counted.1.submission);
            }
            if !hidden {
                tally.solves(View::Jury, &mut solves);
            }
            tally.row(team, hidden)
        }
    };
    TeamScore { public, jury: Some(jury), solves }
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
struct Work<'a> {
    judged: u32,
    pending: u32,
    rejected: u32,
    solved: Option<(i64, &'a str)>,
}

/// Work per problem, filled in the order of contest time.
struct Tally<'a> {
    rules: &'a Rules,
    work: SmallVec<[Work<'a>; 32]>,
}

impl<'a> Tally<'a> {
    fn new(rules: &'a Rules) -> Self {
        Tally { rules, work: SmallVec::from_elem(Work::default(), rules.header.problems.len()) }
    }

    fn add(&mut self, place: usize, at_ms: i64, effect: Effect, submission: &'a NaturalId) {
        let work = &mut self.work[place];
        match effect {
            Effect::Pending => work.pending += 1,
            _ if work.solved.is_some() => {}
            Effect::Nothing => {}
            Effect::Rejected => {
                work.judged += 1;
                work.rejected += 1;
            }
            Effect::Accepted => {
                work.judged += 1;
                work.solved = Some((at_ms, &submission.0));
            }
        }
    }

    fn solves(&self, view: View, into: &mut Vec<Solve>) {
        for (work, problem) in self.work.iter().zip(&self.rules.header.problems) {
            let Some((contest_time_ms, submission)) = work.solved else {
                continue;
            };
            into.push(Solve { view, problem: problem.problem.clone(), contest_time_ms, submission: submission.into() });
        }
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
            let solved_min = work.solved.map(|(at_ms, _)| at_ms / 60_000);
            if let (Some((at_ms, _)), Some(minute)) = (work.solved, solved_min) {
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
