//! Submissions meet their judgements: one group per submission gives its attempt with the current verdict.

use std::sync::Arc;

use differential_dataflow::AsCollection;
use gravity_events::Id;
use gravity_events::body::EventConfigured;
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::core::OkErr;

use super::facts::{EventKey, Judgement, Outcome, RejudgingState, Rows, Submission};
use super::gate::{Bucket, Ruling, bucket_of};
use crate::primitives::complete_times::Out;
use crate::primitives::id_hash::IdHash;
use crate::primitives::natural::NaturalId;
use crate::primitives::reduce::{Group, Memory, reduce_states, reduce_total};

/// When something was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum When {
    /// Contest time, milliseconds.
    Contest(i64),
    /// Milliseconds since 1970; the contest time follows from the event's start.
    Clock(i64),
    /// Nobody said: never counts.
    Unknown,
}

/// A submission with its current verdict. Attempts sort by contest time, then natural id, where contest times are
/// given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was handed in.
    pub when: When,
    /// Its id.
    pub submission: NaturalId,
    /// For which problem.
    pub problem: IdHash,
    /// The current judgement's type; none: pending.
    pub verdict: Option<IdHash>,
    /// What the current judgement measured.
    pub outcome: Option<Arc<Outcome>>,
}

/// What is known of one submission. The derived order puts the submission first and the current judgement last: of
/// those that take part, the greatest (start, end, id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact {
    Submission {
        team: u128,
        when: When,
        submission: NaturalId,
        problem: IdHash,
    },
    Judgement {
        /// Completed, current, and of no rejudging or of an applied one.
        takes_part: bool,
        start_ms: i64,
        end_ms: i64,
        judgement: NaturalId,
        /// Some for those that take part.
        verdict: Option<IdHash>,
        outcome: Option<Arc<Outcome>>,
        event: EventKey,
        /// One of a rejudging comes twice: once to be counted as an orphan, once to take part.
        counts_as_orphan: bool,
    },
}

/// What a submission's group says.
#[derive(Default, PartialEq)]
enum State {
    #[default]
    Nothing,
    /// With the hash of its team.
    Attempt(u128, Attempt),
    /// So many judgements whose submission is unknown.
    Orphans(EventKey, i64),
}

/// What [`attempts`] gives: attempts, as `wrap` makes them, by the hash of their team; and how many judgements of
/// unknown submissions an event has (none: no row).
pub type Attempts<'s, W> = (Rows<'s, (u128, W)>, Rows<'s, (EventKey, i64)>);

/// The rejudgings of an event that are applied, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Applied(Arc<[Id]>);

impl Ruling for Applied {}

/// The applied rejudgings of every configured event, also where there are none.
pub fn applied<'s>(
    configs: Rows<'s, (EventKey, EventConfigured)>,
    rejudgings: Rows<'s, ((EventKey, Id), RejudgingState)>,
) -> Rows<'s, (EventKey, Applied)> {
    let applied = rejudgings
        .filter(|(_, state)| *state == RejudgingState::Applied)
        .map(|((event, rejudging), _)| (event, Some(rejudging)));
    reduce_total(
        configs.map(|(event, _)| (event, None)).concat(applied),
        "Applied",
        Memory::Keep,
        |event: &EventKey, group, out| {
            // The configuration sorts first.
            if group.iter().next().is_some_and(Option::is_none) {
                out.push((event.clone(), Applied(group.iter().flatten().cloned().collect())));
            }
        },
    )
}

/// Joins submissions with their current judgements. `apply` spreads applied rejudgings over the buckets of the judgements
/// that it is given.
pub fn attempts<'s, W: Clone + 'static>(
    submissions: Rows<'s, Submission>,
    judgements: Rows<'s, Judgement>,
    apply: impl FnOnce(Rows<'s, (EventKey, Bucket)>) -> Rows<'s, (Bucket, Applied)>,
    wrap: fn(Attempt) -> W,
) -> Attempts<'s, W> {
    let submissions = submissions.map(|s| (s.event.hash_of(&s.submission), submission_fact(s)));
    let (ordinary, of_rejudgings) = judgements.inner.ok_err(|(j, time, diff)| match j.rejudging {
        None => Ok((judgement_fact(j, true, true), time, diff)),
        Some(_) => Err((j, time, diff)),
    });
    let ordinary = ordinary.container::<Vec<_>>().as_collection();
    let of_rejudgings = of_rejudgings.container::<Vec<_>>().as_collection();
    let waiting = of_rejudgings.clone().map(|j| judgement_fact(j, false, true));
    let bucket = |j: &Judgement| bucket_of(j.event.hash(), j.event.hash_of(&j.submission));
    let applied = apply(of_rejudgings.clone().map(move |j| (j.event.clone(), bucket(&j))));
    let applied = applied.flat_map(|(bucket, Applied(all))| Vec::from_iter(all.iter().map(|r| (bucket, r.clone()))));
    let applied = of_rejudgings
        .flat_map(move |j| j.rejudging.clone().map(|r| ((bucket(&j), r), j)))
        .semijoin(applied)
        .map(|(_, j)| judgement_fact(j, true, false));

    let facts = submissions.concatenate([ordinary, waiting, applied]);
    let compute = |_: &u128, group: Group<'_, Fact>| current_verdict(group);
    let differ = move |old: State, new: &State, out: Out<'_, (u128, W), (EventKey, i64)>| {
        if old == *new {
            return;
        }
        for (state, diff) in [(&old, -1), (new, 1)] {
            match state {
                State::Attempt(team, attempt) => (out.main)((*team, wrap(attempt.clone())), diff),
                State::Orphans(event, n) => (out.side)((event.clone(), *n), diff),
                State::Nothing => {}
            }
        }
    };
    let (attempts, orphans) = reduce_states(facts, "Attempts", Memory::Recompute, compute, differ);
    (attempts, orphans.explode(|(event, n)| Some((event, n))).count_core::<i64>())
}

/// A submission with its current verdict, and the id of the judgement that says so. `judgements` are all those of it,
/// in any order; `is_applied` says of a rejudging whether its judgements count.
pub fn attempt(
    submission: Submission,
    judgements: Vec<Judgement>,
    is_applied: &dyn Fn(&Id) -> bool,
) -> (Attempt, Option<Id>) {
    let counts = |j: &Judgement| j.rejudging.as_ref().is_none_or(is_applied);
    let mut facts: Vec<(Fact, i64)> = judgements
        .into_iter()
        .map(|j| {
            let may_take_part = counts(&j);
            (judgement_fact(j, may_take_part, true).1, 1)
        })
        .collect();
    let judged = facts.iter().max().and_then(|(fact, _)| match fact {
        Fact::Judgement { takes_part: true, judgement, .. } => Some(judgement.0.clone()),
        _ => None,
    });
    facts.push((submission_fact(submission), 1));
    facts.sort();
    match current_verdict(Group::new(&facts)) {
        State::Attempt(_, attempt) => (attempt, judged),
        State::Nothing | State::Orphans(..) => unreachable!("a group with a submission gives its attempt"),
    }
}

fn submission_fact(s: Submission) -> Fact {
    let when = match (s.contest_time_ms, s.time_ms) {
        (Some(ms), _) => When::Contest(ms),
        (None, Some(ms)) => When::Clock(ms),
        (None, None) => When::Unknown,
    };
    let (team, problem) = (s.event.hash_of(&s.team), IdHash::from(&s.problem));
    Fact::Submission { team, when, submission: NaturalId(s.submission), problem }
}

fn judgement_fact(j: Judgement, may_take_part: bool, counts_as_orphan: bool) -> (u128, Fact) {
    let submission = j.event.hash_of(&j.submission);
    let verdict = j.judgement_type.filter(|_| may_take_part && j.current).map(|v| IdHash::from(&v));
    let outcome = j.outcome.filter(|_| verdict.is_some());
    let fact = Fact::Judgement {
        takes_part: verdict.is_some(),
        start_ms: j.start_ms.or(j.end_ms).unwrap_or(0),
        end_ms: j.end_ms.unwrap_or(0),
        judgement: NaturalId(j.judgement),
        verdict,
        outcome,
        event: j.event,
        counts_as_orphan,
    };
    (submission, fact)
}

fn current_verdict(group: Group<'_, Fact>) -> State {
    match group.iter().next() {
        Some(Fact::Submission { team, when, submission, problem }) => {
            let (verdict, outcome) = match group.iter().next_back() {
                Some(Fact::Judgement { verdict, outcome, .. }) => (*verdict, outcome.clone()),
                _ => (None, None),
            };
            let attempt = Attempt { when: *when, submission: submission.clone(), problem: *problem, verdict, outcome };
            State::Attempt(*team, attempt)
        }
        Some(Fact::Judgement { event, .. }) => {
            let orphan = |f: &&Fact| matches!(f, Fact::Judgement { counts_as_orphan: true, .. });
            State::Orphans(event.clone(), group.iter().filter(orphan).count() as i64)
        }
        None => State::Nothing,
    }
}
