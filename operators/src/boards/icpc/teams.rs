//! Attempts meet their team and its event's rules: one group per team gives its rows, solves and errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::{AsCollection, Hashable};
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, FirstSolve, View};
use gravity_events::body::{OrganizationRegistered, TeamRegistered};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use timely::dataflow::operators::core::OkErr;

use super::attempts::Attempt;
use super::rules::{Rules, SharedRules};
use super::score::{Solve, Team, TeamScore, ViewScore};
use crate::boards::facts::{Change, EventKey, Rows};
use crate::primitives::complete_times::Out;
use crate::primitives::extreme::least;
use crate::primitives::natural::NaturalId;
use crate::primitives::reduce::{Group, GroupKey, Memory, merge_difference, reduce_states};

/// Parts of an event between which its teams are spread for the join with its rules.
const BUCKETS: u8 = 64;

/// What is known of one team, in an order that puts what there is one of first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Fact {
    Team(Box<(EventKey, TeamRegistered)>),
    Rules(SharedRules),
    Organization(Id),
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
    Solve(FirstKey, Candidate),
    Error(EventKey, Id, String),
}

type TeamOut<'a> = Out<'a, Change, Side>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct FirstKey {
    view: View,
    problem: Id,
    event: EventKey,
}

impl GroupKey for FirstKey {
    fn route(&self) -> u64 {
        self.hashed()
    }
}

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
}

pub(super) fn teams<'s, F>(
    teams: Rows<'s, ((EventKey, Id), TeamRegistered)>,
    organizations: Rows<'s, ((EventKey, Id), OrganizationRegistered)>,
    rules: Rows<'s, (EventKey, SharedRules)>,
    attempts: Rows<'s, (u128, Fact)>,
    score: F,
) -> Scored<'s>
where
    F: Fn(&Rules, Team<'_>, &[&Attempt]) -> TeamScore + 'static,
{
    let buckets = teams.clone().map(|((event, team), _)| {
        let team = event.hash_of(&team);
        ((event.hash(), (team % u128::from(BUCKETS)) as u8), team)
    });
    let rules = rules
        .flat_map(|(event, rules)| {
            let event = event.hash();
            (0..BUCKETS).map(move |bucket| ((event, bucket), rules.clone()))
        })
        .join_map(buckets, |_, rules, team| (*team, Fact::Rules(rules.clone())));
    let organizations = teams
        .clone()
        .flat_map(|((event, team), t)| t.organization.map(|o| (event.hash_of(&team), event, o)))
        .map(|(team, event, organization)| ((event, organization), team))
        .join_map(organizations, |_, team, o| (*team, Fact::Organization(o.name.as_str().into())));
    let teams = teams
        .map(|((event, team), t)| (event.hash_of(&team), Fact::Team(Box::new((event, TeamRegistered { team, ..t })))));
    let facts = attempts.concatenate([teams, rules, organizations]);
    let compute = move |_: &u128, group: Group<'_, Fact>| score_group(&score, group);
    let (rows, side) = reduce_states(facts, "IcpcTeams", Memory::Keep, compute, differ);
    let (solves, errors) = side.inner.ok_err(|(said, time, diff)| match said {
        Side::Solve(key, candidate) => Ok(((key, candidate), time, diff)),
        Side::Error(event, team, message) => Err(((event, team, message), time, diff)),
    });
    let firsts = least(solves.container::<Vec<_>>().as_collection(), "IcpcFirstSolves").map(first_solve);
    Scored { rows, firsts, errors: errors.container::<Vec<_>>().as_collection() }
}

fn first_solve((FirstKey { view, problem, event }, c): (FirstKey, Candidate)) -> Change {
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
    for fact in group.iter() {
        match fact {
            Fact::Team(t) => team = Some(&**t),
            Fact::Rules(r) => rules = Some(r),
            Fact::Organization(name) => organization = Some(name.as_str()),
            Fact::Attempt(attempt) => attempts.push(attempt),
        }
    }
    let (Some((event, registered)), Some(rules)) = (team, rules) else {
        return State::Nothing;
    };
    let team = Team { registered, organization };
    let member = Member { event: event.clone(), team: registered.team.clone() };
    match catch_unwind(AssertUnwindSafe(|| score(rules, team, &attempts))) {
        Ok(score) => State::Scored(member, score),
        Err(panic) => State::Failed(member, message_of(&*panic)),
    }
}

impl State {
    fn member(&self) -> Option<&Member> {
        match self {
            State::Nothing => None,
            State::Scored(member, _) | State::Failed(member, _) => Some(member),
        }
    }

    fn message(&self) -> Option<&String> {
        match self {
            State::Failed(_, message) => Some(message),
            _ => None,
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
            let error = |m: &String| Side::Error(member.event.clone(), member.team.clone(), m.clone());
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
    let (old_solves, new_solves) =
        (old.as_ref().map_or(&[][..], |s| &s.solves), new.as_ref().map_or(&[][..], |s| &s.solves));
    merge_difference(old_solves, new_solves, &mut |solve: Solve, diff| {
        for view in views {
            let (view, problem, event) = (*view, solve.problem.clone(), member.event.clone());
            let (submission, team) = (solve.submission.clone(), member.team.clone());
            let candidate = Candidate { contest_time_ms: solve.contest_time_ms, submission, team };
            (out.side)(Side::Solve(FirstKey { view, problem, event }, candidate), diff);
        }
    });
    if old.as_ref().map(|s| &s.row) == new.as_ref().map(|s| &s.row) {
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

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the scoring function panicked without a message").to_owned()
}
