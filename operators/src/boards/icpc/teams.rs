//! Attempts meet their team and its event's rules: one group per team gives its rows, solves and errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use differential_dataflow::{AsCollection, Hashable};
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardRow, BoardValue, FirstSolve, View};
use gravity_events::body::{OrganizationRegistered, TeamRegistered};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use timely::dataflow::operators::core::OkErr;

use super::attempts::Attempt;
use super::rules::{Rules, SharedRules};
use super::score::{Team, TeamScore};
use crate::boards::facts::{Change, EventKey, Rows};
use crate::primitives::extreme::least;
use crate::primitives::natural::NaturalId;
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_total};

/// Parts of an event between which its teams are spread for the join with its rules.
const BUCKETS: u8 = 64;

/// What is known of one team, in an order that puts what there is one of first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact {
    Team(Box<(EventKey, TeamRegistered)>),
    Rules(SharedRules),
    Organization(Id),
    Attempt(Attempt),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Row(View, EventKey, Id, BoardRow),
    Solve(FirstKey, Candidate),
    Error(EventKey, Id, String),
}

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

#[expect(clippy::result_large_err, reason = "one of two outputs, not an error")]
pub(super) fn teams<'s, F>(
    teams: Rows<'s, ((EventKey, Id), TeamRegistered)>,
    organizations: Rows<'s, ((EventKey, Id), OrganizationRegistered)>,
    rules: Rows<'s, (EventKey, SharedRules)>,
    attempts: Rows<'s, (u128, Attempt)>,
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
    let attempts = attempts.map(|(team, attempt)| (team, Fact::Attempt(attempt)));

    let facts = attempts.concatenate([teams, rules, organizations]);
    let said = reduce_total(facts, "IcpcTeams", Memory::Keep, move |_, group, said| score_group(&score, group, said));
    let (rows, others) = said.inner.ok_err(|(said, time, diff)| match said {
        Said::Row(view, EventKey { tenant, event }, team, row) => {
            Ok((((view, BoardKey::Row { tenant, event, team }), BoardValue::Row(row)), time, diff))
        }
        other => Err((other, time, diff)),
    });
    let (solves, errors) = others.container::<Vec<_>>().ok_err(|(said, time, diff)| match said {
        Said::Solve(key, candidate) => Ok(((key, candidate), time, diff)),
        Said::Error(event, team, message) => Err((Some((event, team, message)), time, diff)),
        Said::Row(..) => Err((None, time, diff)),
    });
    let firsts = least(solves.container::<Vec<_>>().as_collection(), "IcpcFirstSolves").map(first_solve);
    Scored {
        rows: rows.container::<Vec<_>>().as_collection(),
        firsts,
        errors: errors.container::<Vec<_>>().as_collection().flat_map(|error| error),
    }
}

fn first_solve((FirstKey { view, problem, event }, c): (FirstKey, Candidate)) -> Change {
    let key = BoardKey::First { tenant: event.tenant, event: event.event, problem };
    let (team, submission) = (c.team, c.submission.0);
    ((view, key), BoardValue::First(FirstSolve { team, submission, contest_time_ms: c.contest_time_ms }))
}

fn score_group<F>(score: &F, group: Group<'_, Fact>, said: &mut Vec<Said>)
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
        return;
    };
    let team = Team { registered, organization };
    let id = &registered.team;
    match catch_unwind(AssertUnwindSafe(|| score(rules, team, &attempts))) {
        Ok(score) => {
            said.reserve_exact(2 + score.solves.len());
            let row = |view, row| Said::Row(view, event.clone(), id.clone(), row);
            said.extend(score.public.map(|r| row(View::Public, r)));
            said.extend(score.jury.map(|r| row(View::Jury, r)));
            said.extend(score.solves.into_iter().map(|s| {
                let candidate =
                    Candidate { contest_time_ms: s.contest_time_ms, submission: s.submission, team: id.clone() };
                Said::Solve(FirstKey { view: s.view, problem: s.problem, event: event.clone() }, candidate)
            }));
        }
        Err(panic) => said.push(Said::Error(event.clone(), id.clone(), message_of(&*panic))),
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the scoring function panicked without a message").to_owned()
}
