//! What the folds give to board views: the current facts of all events of all tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use gravity_events::board::{BoardKey, BoardValue, View};
use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered, TestGroup,
};
use gravity_events::{Id, record::stable_hash128};
use serde::{Deserialize, Serialize};

/// Which event, of which tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// Whose.
    pub tenant: Id,
    /// Which.
    pub event: Id,
}

impl EventKey {
    /// From the two names.
    pub fn new(tenant: impl Into<Id>, event: impl Into<Id>) -> Self {
        EventKey { tenant: tenant.into(), event: event.into() }
    }

    /// Stable hash of the event: the key of its rules.
    pub fn hash(&self) -> u128 {
        stable_hash128(&[self.tenant.as_bytes(), self.event.as_bytes()])
    }

    /// Stable hash of (tenant, event, `id`): the key of a team's or a submission's group.
    pub fn hash_of(&self, id: &Id) -> u128 {
        stable_hash128(&[self.tenant.as_bytes(), self.event.as_bytes(), id.as_bytes()])
    }
}

/// Moments of an event's life that boards follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MomentKind {
    /// `event.started`
    Started,
    /// `event.frozen`
    Frozen,
    /// `event.thawed`
    Thawed,
    /// `event.ended`
    Ended,
    /// `event.finalized`
    Finalized,
}

/// A submission as it is now. Withdrawn ones are not in the collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Submission {
    /// In which event.
    pub event: EventKey,
    /// Its id.
    pub submission: Id,
    /// Whose.
    pub team: Id,
    /// For which problem.
    pub problem: Id,
    /// Contest time, where it was given.
    pub contest_time_ms: Option<i64>,
    /// The record's time; stands in for a contest time that was not given.
    pub time_ms: Option<i64>,
    /// In which language.
    pub language: Option<Id>,
}

/// A judgement as it is now. Deleted ones are not in the collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Judgement {
    /// In which event.
    pub event: EventKey,
    /// Its id.
    pub judgement: Id,
    /// Of which submission.
    pub submission: Id,
    /// The verdict; none while judging goes on.
    pub judgement_type: Option<Id>,
    /// Contest time at which judging began.
    pub start_ms: Option<i64>,
    /// Contest time at which judging ended.
    pub end_ms: Option<i64>,
    /// False: replaced by another one.
    pub current: bool,
    /// Takes part only once this rejudging is applied.
    pub rejudging: Option<Id>,
    /// What was measured, where it was.
    pub outcome: Option<Arc<Outcome>>,
}

/// What an evaluator measured of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// By group of tests or subtask.
    pub groups: Vec<GroupResult>,
    /// By name.
    pub measures: BTreeMap<Id, i64>,
}

impl Outcome {
    /// Of a judgement; none where nothing was measured.
    pub fn of(groups: &[TestGroup], measures: &BTreeMap<Id, i64>) -> Option<Arc<Outcome>> {
        let any = !groups.is_empty() || !measures.is_empty();
        any.then(|| Arc::new(Outcome { groups: groups.iter().map(Into::into).collect(), measures: measures.clone() }))
    }
}

/// What came of a group of tests, or of a subtask. The record's own shape leaves fields out where they are empty, which
/// the folds' encoding cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupResult {
    /// Its id.
    pub group: Id,
    /// Tests passed.
    pub passed: u32,
    /// Tests in all.
    pub total: u32,
    /// Points, where the evaluator gives them.
    pub points: Option<i64>,
}

impl From<&TestGroup> for GroupResult {
    fn from(g: &TestGroup) -> Self {
        GroupResult { group: g.group.clone(), passed: g.passed, total: g.total, points: g.points }
    }
}

/// That a member of a panel finds one team better than another.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// In which event.
    pub event: EventKey,
    /// Id of the vote.
    pub vote: Id,
    /// The team that is better.
    pub team: Id,
    /// The other.
    pub over: Id,
    /// In which dimension.
    pub dimension: Option<Id>,
    /// When: milliseconds since 1970. None counts as in the freeze, where there is one.
    pub time_ms: Option<i64>,
}

/// What changes a team's score besides its submissions: a hint that it paid for, or the hand of a judge.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Correction {
    /// In which event.
    pub event: EventKey,
    /// Whose score.
    pub team: Id,
    /// Id of the hint or adjustment.
    pub id: Id,
    /// When: milliseconds since 1970. None counts as in the freeze, where there is one.
    pub time_ms: Option<i64>,
    /// Points to add.
    pub points: i64,
    /// Penalty minutes to add.
    pub penalty_min: i64,
    /// The public sees it at once, also in a freeze.
    pub visible_now: bool,
}

/// The text of a rubric: the canonical JSON of its record's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RubricText(pub Arc<str>);

/// What has become of a rejudging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RejudgingState {
    /// Under way: its judgements have no effect.
    Opened,
    /// Its judgements count.
    Applied,
    /// Its judgements never count.
    Cancelled,
}

/// A collection over epochs.
pub type Rows<'s, D> = VecCollection<'s, u64, D, i64>;

/// A row of a board view: what, and its value.
pub type Change = ((View, BoardKey), BoardValue);

/// The current facts. In every collection a key occurs at most once; deleted objects do not occur.
#[derive(Clone)]
pub struct BoardFacts<'s> {
    /// What events are. An event without a row here has no board.
    pub configs: Rows<'s, (EventKey, EventConfigured)>,
    /// Changed durations.
    pub extensions: Rows<'s, (EventKey, EventExtended)>,
    /// Moments of events' lives.
    pub moments: Rows<'s, ((EventKey, MomentKind), Moment)>,
    /// Teams by id.
    pub teams: Rows<'s, ((EventKey, Id), TeamRegistered)>,
    /// Groups by id.
    pub groups: Rows<'s, ((EventKey, Id), GroupRegistered)>,
    /// Organizations by id.
    pub organizations: Rows<'s, ((EventKey, Id), OrganizationRegistered)>,
    /// Problems by id.
    pub problems: Rows<'s, ((EventKey, Id), ProblemPublished)>,
    /// Judgement types by id.
    pub judgement_types: Rows<'s, ((EventKey, Id), JudgementTypePublished)>,
    /// Submissions.
    pub submissions: Rows<'s, Submission>,
    /// Judgements, those of rejudgings too.
    pub judgements: Rows<'s, Judgement>,
    /// Rejudgings by id.
    pub rejudgings: Rows<'s, ((EventKey, Id), RejudgingState)>,
    /// Rubrics by id and version.
    pub rubrics: Rows<'s, ((EventKey, Id, u64), RubricText)>,
    /// Submissions that their team chose: (event, submission), with the team.
    pub selections: Rows<'s, ((EventKey, Id), Id)>,
    /// Hints and adjustments.
    pub corrections: Rows<'s, Correction>,
    /// Votes of panels.
    pub votes: Rows<'s, Vote>,
    /// Operators that are not called, with the reason, by event.
    pub quarantines: Rows<'s, ((EventKey, Id), String)>,
}
