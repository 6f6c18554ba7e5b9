//! Submissions with what became of them.

use gravity_events::Id;
use gravity_events::record::stable_hash128;
use serde::{Deserialize, Serialize};

use crate::boards::attempts::attempt;
use crate::boards::facts::{BoardFacts, EventKey, Judgement, MomentKind, RejudgingState, Rows, Submission};
use crate::primitives::extreme::least;
use crate::primitives::lookup::lookup;
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_total};

/// What a submission's current judgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// There is none yet.
    Pending,
    /// The problem is not solved.
    Rejected,
    /// It is.
    Solved,
}

/// A submission with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Judged {
    /// In which event.
    pub event: EventKey,
    /// Its id.
    pub submission: Id,
    /// Whose.
    pub team: Id,
    /// For which problem.
    pub problem: Id,
    /// In which language.
    pub language: Option<Id>,
    /// Contest time; None: nobody said, and the event's start is not known either.
    pub at_ms: Option<i64>,
    /// What became of it.
    pub verdict: Verdict,
    /// From handing in to the end of the current judgement, where both are known.
    pub waited_ms: Option<i64>,
}

/// An event and an id in it.
impl GroupKey for (EventKey, Id) {
    fn route(&self) -> u64 {
        stable_hash128(&[self.0.tenant.as_bytes(), self.0.event.as_bytes(), self.1.as_bytes()]) as u64
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact {
    Submission(Submission),
    Judgement(Judgement),
}

/// A submission, before it is known what its judgement's type means.
type Typed = (Judged, Option<Id>);

/// Every submission with its current judgement, by the rule of [`crate::boards::attempts`].
pub fn judged<'s>(facts: &BoardFacts<'s>) -> Rows<'s, Judged> {
    let submissions = with_contest_times(facts);
    let of_rejudgings = facts.judgements.clone().flat_map(|j| {
        let rejudging = j.rejudging.clone()?;
        Some(((j.event.clone(), rejudging), j))
    });
    let applied = lookup(of_rejudgings, facts.rejudgings.clone(), "JudgedRejudgings")
        .flat_map(|(_, j, state)| (state == Some(RejudgingState::Applied)).then_some(j));
    let judgements = facts.judgements.clone().filter(|j| j.rejudging.is_none()).concat(applied);
    let each = submissions
        .map(|s| (s.event.hash_of(&s.submission), Fact::Submission(s)))
        .concat(judgements.map(|j| (j.event.hash_of(&j.submission), Fact::Judgement(j))));
    let typed = reduce_total(each, "Judged", Memory::Recompute, |_: &u128, group: Group<'_, Fact>, said| {
        said.extend(current(group));
    });
    let pending = typed.clone().flat_map(|(judged, judgement_type)| judgement_type.is_none().then_some(judged));
    let typed = typed.flat_map(|(judged, judgement_type)| Some(((judged.event.clone(), judgement_type?), judged)));
    let meanings = facts.judgement_types.clone().map(|(key, of)| (key, of.solved == Some(true)));
    let decided = lookup(typed, meanings, "JudgedTypes").map(|(_, judged, solves)| {
        let verdict = if solves == Some(true) { Verdict::Solved } else { Verdict::Rejected };
        Judged { verdict, ..judged }
    });
    pending.concat(decided)
}

/// Submissions whose contest time was not given get it from the event's start.
fn with_contest_times<'s>(facts: &BoardFacts<'s>) -> Rows<'s, Submission> {
    let told = facts.submissions.clone().filter(|s| s.contest_time_ms.is_some());
    let untold = facts.submissions.clone().filter(|s| s.contest_time_ms.is_none()).map(|s| (s.event.clone(), s));
    // When it started, or else when it is to start.
    let started = facts.moments.clone().flat_map(|((event, kind), moment)| {
        (kind == MomentKind::Started).then_some(())?;
        Some((event, (0_u8, moment.at?)))
    });
    let planned = facts.configs.clone().flat_map(|(event, config)| Some((event, (1_u8, config.start_at?))));
    let starts = least(started.concat(planned), "Starts").map(|(event, (_, start_ms))| (event, start_ms));
    let found = lookup(untold, starts, "JudgedStarts").map(|(_, s, start_ms)| {
        let contest_time_ms = s.time_ms.zip(start_ms).map(|(at_ms, start_ms)| at_ms.saturating_sub(start_ms));
        Submission { contest_time_ms, ..s }
    });
    told.concat(found)
}

fn current(group: Group<'_, Fact>) -> Option<Typed> {
    let Some(Fact::Submission(submission)) = group.iter().next() else { return None };
    let judgements = group.iter().filter_map(|fact| match fact {
        Fact::Judgement(judgement) => Some(judgement),
        Fact::Submission(_) => None,
    });
    let (_, counts) = attempt(submission.clone(), judgements.clone().cloned().collect(), &|_| true);
    let counts = judgements.clone().find(|j| Some(&j.judgement) == counts.as_ref());
    let s = submission;
    let ended_ms = counts.and_then(|j| j.end_ms);
    let judged = Judged {
        event: s.event.clone(),
        submission: s.submission.clone(),
        team: s.team.clone(),
        problem: s.problem.clone(),
        language: s.language.clone(),
        at_ms: s.contest_time_ms,
        verdict: Verdict::Pending,
        waited_ms: ended_ms.zip(s.contest_time_ms).map(|(end_ms, at_ms)| end_ms.saturating_sub(at_ms).max(0)),
    };
    Some((judged, counts.and_then(|j| j.judgement_type.clone())))
}
