//! Attempts meet their team and its event's rules: one group per team gives its rows, solves and errors.

use std::borrow::Cow;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::AsCollection;
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, FirstSolve, View};
use gravity_events::body::{OrganizationRegistered, TeamRegistered};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use timely::dataflow::operators::core::OkErr;

use super::attempts::Attempt;
use super::facts::{Change, Correction, EventKey, Rows};
use super::gate::{Bucket, bucket_of};
use super::panel::Place;
use super::rules::{Rules, SharedRules};
use super::score::{Solve, Team, TeamScore, ViewScore};
use super::worth::{ProblemKey, Unvalued};
use crate::guard::guarded;
use crate::primitives::complete_times::Out;
use crate::primitives::extreme::least;
use crate::primitives::natural::NaturalId;
use crate::primitives::reduce::{Group, Memory, merge_difference, reduce_states};
use crate::watch;

/// What is known of one team, in an order that puts what there is one of first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Fact {
    Team(Box<(EventKey, TeamRegistered)>),
    Rules(SharedRules),
    Organization(Id),
    Selected(NaturalId),
    Correction(Correction),
    Place(Place),
    Attempt(Attempt),
}

/// What a team's group says now.
#[derive(Default)]
enum State {
    /// The team or its rules are unknown.
    #[default]
    Nothing,
    Scored(Member, TeamScore),
    Failed(Member, String),
}

#[derive(Clone)]
struct Member {
    event: EventKey,
    team: Id,
}

/// What else comes out of a team's group besides rows.
#[derive(Clone)]
enum Side {
    Solve(ProblemKey, Candidate),
    /// A solve that a board of points takes: of which team, and whether it counts for what the problem is worth.
    Valued(ProblemKey, u128, bool),
    Row(Unvalued),
    Error(EventKey, Id, String),
}

type TeamOut<'a> = Out<'a, Change, Side>;

/// The least one is first to solve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Candidate {
    contest_time_ms: i64,
    submission: NaturalId,
    team: Id,
}

pub(super) struct Scored<'s> {
    pub rows: Rows<'s, Change>,
    pub firsts: Rows<'s, Change>,
    pub errors: Rows<'s, (EventKey, Id, String)>,
    /// Rows that lack what their solves are worth.
    pub unvalued: Rows<'s, Unvalued>,
    /// The solves of those rows.
    pub solves: Rows<'s, (ProblemKey, u128, bool)>,
}

/// The bucket that each team is in, and its hash.
pub(super) fn buckets<'s>(teams: Rows<'s, ((EventKey, Id), TeamRegistered)>) -> Rows<'s, (EventKey, (Bucket, u128))> {
    teams.map(|((event, team), _)| {
        let team = event.hash_of(&team);
        let bucket = bucket_of(event.hash(), team);
        (event, (bucket, team))
    })
}

pub(super) fn teams<'s, F>(
    teams: Rows<'s, ((EventKey, Id), TeamRegistered)>,
    organizations: Rows<'s, ((EventKey, Id), OrganizationRegistered)>,
    buckets: Rows<'s, (Bucket, u128)>,
    rules: Rows<'s, (Bucket, SharedRules)>,
    facts: Rows<'s, (u128, Fact)>,
    score: F,
) -> Scored<'s>
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore + 'static,
{
    let rules = rules.join_map(buckets, |_, rules, team| (*team, Fact::Rules(rules.clone())));
    let organizations = teams
        .clone()
        .flat_map(|((event, team), t)| t.organization.map(|o| (event.hash_of(&team), event, o)))
        .map(|(team, event, organization)| ((event, organization), team))
        .join_map(organizations, |_, team, o| (*team, Fact::Organization(o.name.as_str().into())));
    let teams = teams
        .map(|((event, team), t)| (event.hash_of(&team), Fact::Team(Box::new((event, TeamRegistered { team, ..t })))));
    let facts = facts.concatenate([teams, rules, organizations]);
    let compute = move |_: &u128, group: Group<'_, Fact>| score_group(&score, group);
    let (rows, side) = reduce_states(facts, "Teams", Memory::Keep, compute, differ);
    let (solves, others) = side.inner.ok_err(|(said, time, diff)| match said {
        Side::Solve(key, candidate) => Ok(((key, candidate), time, diff)),
        other => Err((other, time, diff)),
    });
    let firsts = least(solves.container::<Vec<_>>().as_collection(), "FirstSolves").map(first_solve);
    let others = others.container::<Vec<_>>().as_collection();
    macro_rules! only {
        ($pattern:pat => $row:expr) => {
            others.clone().flat_map(|side| match side {
                $pattern => Some($row),
                _ => None,
            })
        };
    }
    Scored {
        rows,
        firsts,
        errors: only!(Side::Error(event, team, message) => (event, team, message)),
        unvalued: only!(Side::Row(row) => row),
        solves: only!(Side::Valued(key, team, counts) => (key, team, counts)),
    }
}

fn first_solve((ProblemKey { view, problem, event }, c): (ProblemKey, Candidate)) -> Change {
    let key = BoardKey::First { tenant: event.tenant, event: event.event, problem };
    let (team, submission) = (c.team, c.submission.0);
    ((view, key), BoardValue::First(Arc::new(FirstSolve { team, submission, contest_time_ms: c.contest_time_ms })))
}

fn score_group<F>(score: &F, group: Group<'_, Fact>) -> State
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore,
{
    let (mut team, mut rules, mut organization) = (None, None, None);
    let mut attempts: SmallVec<[&Attempt; 32]> = SmallVec::new();
    let (mut selected, mut corrections, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for fact in group.iter() {
        match fact {
            Fact::Team(t) => team = Some(&**t),
            Fact::Rules(r) => rules = Some(r),
            Fact::Organization(name) => organization = Some(name.as_str()),
            Fact::Selected(submission) => selected.push(submission),
            Fact::Correction(correction) => corrections.push(correction),
            Fact::Place(place) => places.push(place),
            Fact::Attempt(attempt) => attempts.push(attempt),
        }
    }
    let (Some((event, registered)), Some(rules)) = (team, rules) else {
        return State::Nothing;
    };
    fetch(&attempts);
    let team = Team { registered, organization, selected: &selected, corrections: &corrections, places: &places };
    let member = Member { event: event.clone(), team: registered.team.clone() };
    watch::team(&member.event, &member.team);
    match guarded(|| score(rules, team, &attempts)) {
        Ok(score) => State::Scored(member, score),
        Err(message) => State::Failed(member, message),
    }
}

/// Looks at all that attempts point to, before anything is computed from it. Outcomes lie anywhere in the heap, and where
/// a change of the rules comes by each of 25,000 teams, most time goes into waiting for them. Loads that do not depend on
/// each other are waited for together.
fn fetch(attempts: &[&Attempt]) {
    let outcomes = || attempts.iter().filter_map(|attempt| attempt.outcome.as_deref());
    black_box(outcomes().fold(0, |all, o| all ^ o.groups.len() ^ o.measures.len()));
    black_box(outcomes().fold(0, |all, o| all ^ o.groups.first().map_or(0, |g| g.total)));
    black_box(outcomes().fold(0, |all, o| all ^ o.measures.values().next().map_or(0, |value| *value)));
}

impl State {
    fn member(&self) -> Option<&Member> {
        match self {
            State::Nothing => None,
            State::Scored(member, _) | State::Failed(member, _) => Some(member),
        }
    }

    /// What went wrong: a team has one error at most.
    fn message(&self) -> Option<Cow<'_, str>> {
        match self {
            State::Nothing => None,
            State::Failed(_, message) => Some(Cow::Borrowed(message)),
            State::Scored(_, score) => score.fault_text().map(Cow::Owned),
        }
    }

    fn score(&self) -> Option<&TeamScore> {
        match self {
            State::Scored(_, score) => Some(score),
            _ => None,
        }
    }
}

/// What the boards lose with the old state and get with the new one.
fn differ(old: State, new: &State, out: TeamOut<'_>) {
    let Some(member) = new.member().or(old.member()).cloned() else {
        return;
    };
    if old.message() != new.message() {
        for (state, diff) in [(&old, -1), (new, 1)] {
            let error = |m: Cow<'_, str>| Side::Error(member.event.clone(), member.team.clone(), m.into_owned());
            state.message().into_iter().for_each(|m| (out.side)(error(m), diff));
        }
    }
    let old = match old {
        State::Scored(_, score) => score,
        _ => TeamScore::default(),
    };
    let new = new.score().cloned().unwrap_or_default();
    if old.views_agree() && new.views_agree() {
        drop((old.public, new.public));
        differ_in(&[View::Public, View::Jury], &member, old.jury, new.jury, out);
    } else {
        let again = Out { main: &mut *out.main, side: &mut *out.side };
        differ_in(&[View::Public], &member, old.public, new.public, again);
        differ_in(&[View::Jury], &member, old.jury, new.jury, out);
    }
}

fn differ_in(
    views: &[View],
    member: &Member,
    old: Option<Rc<ViewScore>>,
    new: Option<Rc<ViewScore>>,
    out: TeamOut<'_>,
) {
    fn solves(score: Option<&Rc<ViewScore>>, firsts: bool) -> &[Solve] {
        score.filter(|s| !firsts || !s.row.unranked()).map_or(&[][..], |s| &s.solves)
    }
    let (old_solves, new_solves) = (solves(old.as_ref(), true), solves(new.as_ref(), true));
    merge_difference(old_solves, new_solves, &mut |solve: Solve, diff| {
        for view in views {
            let (view, problem, event) = (*view, solve.problem.clone(), member.event.clone());
            let (submission, team) = (solve.submission.clone(), member.team.clone());
            let candidate = Candidate { contest_time_ms: solve.contest_time_ms, submission, team };
            (out.side)(Side::Solve(ProblemKey { view, problem, event }, candidate), diff);
        }
    });
    let kept = old.as_ref().map(|s| (&s.row, s.lacks_worth)) == new.as_ref().map(|s| (&s.row, s.lacks_worth));
    if [&old, &new].into_iter().flatten().any(|s| s.lacks_worth) {
        differ_in_worth(views, member, &old, &new, kept, out);
        return;
    }
    if kept {
        return;
    }
    for (score, diff) in [(&old, -1), (&new, 1)] {
        let Some(score) = score else { continue };
        for view in views {
            let EventKey { tenant, event } = member.event.clone();
            let key = BoardKey::Row { tenant, event, team: member.team.clone() };
            (out.main)(((*view, key), BoardValue::Row(score.row.clone())), diff);
        }
    }
}

/// The same for rows that lack what their solves are worth.
fn differ_in_worth(
    views: &[View],
    member: &Member,
    old: &Option<Rc<ViewScore>>,
    new: &Option<Rc<ViewScore>>,
    row_kept: bool,
    out: TeamOut<'_>,
) {
    let team = member.event.hash_of(&member.team);
    fn valued(score: &Option<Rc<ViewScore>>) -> Vec<(Id, bool)> {
        let score = score.as_ref().filter(|s| s.lacks_worth);
        let solve = |s: &Solve, counts| (s.problem.clone(), counts);
        let mut solves: Vec<_> =
            score.iter().flat_map(|s| s.solves.iter().map(|solve_| solve(solve_, !s.row.unranked()))).collect();
        solves.sort();
        solves
    }
    merge_difference(&valued(old), &valued(new), &mut |(problem, counts): (Id, bool), diff| {
        for view in views {
            let key = ProblemKey { view: *view, problem: problem.clone(), event: member.event.clone() };
            (out.side)(Side::Valued(key, team, counts), diff);
        }
    });
    if row_kept {
        return;
    }
    for (score, diff) in [(old, -1), (new, 1)] {
        let Some(score) = score else { continue };
        for view in views {
            let (event, team, row) = (member.event.clone(), member.team.clone(), score.row.clone());
            if score.lacks_worth {
                (out.side)(Side::Row(Unvalued { view: *view, event, team, row }), diff);
            } else {
                let key = BoardKey::Row { tenant: event.tenant, event: event.event, team };
                (out.main)(((*view, key), BoardValue::Row(row)), diff);
            }
        }
    }
}
