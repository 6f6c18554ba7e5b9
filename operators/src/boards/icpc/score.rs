//! One team's score, as a pure function (CLICS 2026-01, "Scoring Data Generation"; the freeze hides verdicts).

use std::rc::Rc;
use std::sync::Arc;

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
    pub row: Arc<BoardRow>,
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
        let row = Arc::new(self.row(team, hidden));
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

#[cfg(test)]
mod tests {
    use gravity_events::body::{EventConfigured, GroupRegistered, Moment, ProblemPublished};

    use super::*;
    use crate::boards::facts::MomentKind;
    use crate::harness::dice::Dice;
    use crate::primitives::id_hash::IdHash;

    const MINUTE: i64 = 60_000;

    /// Five hours, the last one frozen, two problems; `h` hides its teams.
    fn rules(thawed: bool) -> Rules {
        let config = EventConfigured {
            start_at: Some(1_000),
            duration_ms: Some(300 * MINUTE),
            freeze_duration_ms: Some(60 * MINUTE),
            main_group: Some("m".into()),
            ..Default::default()
        };
        let problem = |p: &str| ProblemPublished { problem: p.into(), label: p.into(), ..Default::default() };
        let group = GroupRegistered { group: "h".into(), hidden: true, ..Default::default() };
        let thaw = Moment { at: Some(0), contest_time_ms: None };
        let moment = |kind| (thawed && kind == MomentKind::Thawed).then(|| thaw.clone());
        Rules::new(&config, None, moment, vec![&problem("P"), &problem("Q")], &[], vec![&group])
    }

    fn team(groups: &[&str]) -> TeamRegistered {
        let groups = groups.iter().map(|g| Id::from(*g)).collect();
        TeamRegistered { team: "a".into(), name: "A".into(), groups, ..Default::default() }
    }

    fn attempt(submission: &str, problem: &str, minute: i64, verdict: &str) -> Attempt {
        let verdict = (!verdict.is_empty()).then(|| IdHash::of(verdict));
        let (when, problem) = (When::Contest(minute * MINUTE), IdHash::of(problem));
        Attempt { when, submission: submission.into(), problem, verdict }
    }

    fn score(thawed: bool, groups: &[&str], attempts: &[Attempt]) -> TeamScore {
        let (registered, attempts) = (&team(groups), attempts.iter().collect::<Vec<_>>());
        score_team(&rules(thawed), Team { registered, organization: None }, &attempts)
    }

    #[test]
    fn views_share_a_score_until_something_is_hidden() {
        let mut attempts = vec![attempt("1", "P", 5, "WA"), attempt("2", "P", 9, "AC"), attempt("3", "P", 10, "")];
        let before = score(false, &["m"], &attempts);
        assert!(before.views_agree());
        let row = &before.jury.as_ref().expect("it is on the board").row;
        assert_eq!(
            (row.solved, row.penalty, row.last_solved_min, row.last_scored_at_ms),
            (1, 29, 9, 1_000 + 9 * MINUTE)
        );
        assert_eq!(row.cells, [Cell { problem: "P".into(), judged: 2, pending: 1, solved_min: Some(9) }]);

        attempts.push(attempt("4", "Q", 240, "AC"));
        let frozen = score(false, &["m"], &attempts);
        let solved = |score: &Option<Rc<ViewScore>>| score.as_ref().map(|s| (s.row.solved, s.solves.len()));
        assert!(!frozen.views_agree());
        assert_eq!((solved(&frozen.public), solved(&frozen.jury)), (Some((1, 1)), Some((2, 2))));
        let thawed = score(true, &["m"], &attempts);
        assert_eq!((solved(&thawed.public), thawed.views_agree()), (Some((2, 2)), true));
    }

    #[test]
    fn hidden_teams_have_no_public_score_and_no_solves() {
        let hidden = score(false, &["m", "h"], &[attempt("1", "P", 5, "AC")]);
        let jury = hidden.jury.as_ref().expect("judges see it");
        assert_eq!((&hidden.public, jury.row.hidden, jury.row.solved, jury.solves.len()), (&None, true, 1, 0));
        assert_eq!(score(false, &["h"], &[]), TeamScore::default(), "outside the main group");
    }

    #[test]
    fn the_order_of_attempts_does_not_matter() {
        let mut dice = Dice::new(7);
        for _ in 0..50 {
            let mut attempts: Vec<Attempt> = (0..12)
                .map(|n| {
                    let (problem, verdict) = (*dice.pick(&["P", "Q", "?"]), *dice.pick(&["AC", "WA", "CE", "JE", ""]));
                    attempt(&n.to_string(), problem, dice.below(10) as i64 * 31, verdict)
                })
                .collect();
            attempts.sort();
            let sorted = score(false, &["m"], &attempts);
            for at in (1..attempts.len()).rev() {
                attempts.swap(at, dice.below(at as u64 + 1) as usize);
            }
            assert_eq!(score(false, &["m"], &attempts), sorted);
        }
    }

    #[test]
    fn a_hidden_verdict_changes_no_public_score() {
        let public = |verdict| score(false, &["m"], &[attempt("1", "P", 240, verdict)]).public;
        for verdict in ["AC", "WA", "CE", "JE"] {
            assert_eq!(public(verdict), public(""), "{verdict}");
        }
    }
}
