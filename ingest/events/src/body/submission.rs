//! What teams hand in, and what evaluators say of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Id;

/// A team handed something in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubmissionReceived {
    /// Its id, unique in the event.
    pub submission: Id,
    /// Who.
    pub team: Id,
    /// For which problem.
    pub problem: Id,
    /// In which language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Id>,
    /// Contest time; absent: the record's `time` less the event's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest_time_ms: Option<i64>,
    /// The highest revision is the current state; equal ones go by place in the log.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A team chose which of its submissions counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionSelected {
    /// The chosen one.
    pub submission: Id,
    /// Whose it is.
    pub team: Id,
    /// False takes the choice back.
    #[serde(default = "yes")]
    pub selected: bool,
}

fn yes() -> bool {
    true
}

/// A submission is taken back: it counts for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubmissionWithdrawn {
    /// Which.
    pub submission: Id,
    /// Whose it is, so that both records go to one partition.
    pub team: Id,
    /// See [`SubmissionReceived::revision`].
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// A team paid for a hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintRevealed {
    /// The hint.
    pub hint: Id,
    /// Who.
    pub team: Id,
    /// For which problem.
    pub problem: Id,
    /// Points that it costs.
    pub cost: i64,
}

/// A panel member compared two teams' work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRecorded {
    /// Id of the vote.
    pub vote: Id,
    /// The voter's pseudonym.
    pub voter: Id,
    /// The team that is better.
    pub team: Id,
    /// The team that it was compared with.
    pub over: Id,
    /// The dimension voted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Id>,
}

/// Judges change a team's points or penalty by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardAdjusted {
    /// Id of the adjustment.
    pub adjustment: Id,
    /// Whose row.
    pub team: Id,
    /// On one problem only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Id>,
    /// Points to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Penalty minutes to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<i64>,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub actor: Id,
    /// When the public sees it.
    #[serde(default)]
    pub visible: Visible,
}

/// When the public sees an adjustment made in a freeze.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visible {
    /// At once.
    Now,
    /// With the thaw.
    #[default]
    Thaw,
}

/// What came of a group of tests, or of a subtask.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TestGroup {
    /// Its id, unique in the judgement.
    pub group: Id,
    /// Tests passed.
    pub passed: u32,
    /// Tests in all.
    pub total: u32,
    /// Points, where the evaluator gives them (IOI boards).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

/// An evaluator's word on a submission, in one of its revisions. Which judgement of a submission is current: not
/// deleted, not `current: false`, completed, greatest (start, end, id); an unfinished one takes no verdict away.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JudgementRecorded {
    /// Its id, unique in the event.
    pub judgement: Id,
    /// Of which submission. May be unknown as yet.
    pub submission: Id,
    /// The verdict; absent while judging goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement_type: Option<Id>,
    /// Contest time at which judging began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_contest_time_ms: Option<i64>,
    /// Contest time at which judging ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_contest_time_ms: Option<i64>,
    /// False: another judgement of the submission has replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
    /// The highest revision is the current state; equal ones go by place in the log.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// Has no effect until this rejudging is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejudging: Option<Id>,
    /// What came of its tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::objects::list")]
    pub groups: Vec<TestGroup>,
    /// What else was measured, each by its name with its unit last: `latency_p95_us`, `coverage_bp`, `findings_high`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measures: BTreeMap<Id, i64>,
}

/// A rejudging began.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RejudgingOpened {
    /// Its id.
    pub rejudging: Id,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Only submissions to this problem are judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Id>,
    /// Only these are judged again; empty: all, or all to the problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submissions: Vec<Id>,
}

/// All judgements of the rejudging take effect at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RejudgingApplied {
    /// Its id.
    pub rejudging: Id,
    /// Why, for the change log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The judgements of the rejudging never take effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RejudgingCancelled {
    /// Its id.
    pub rejudging: Id,
}
