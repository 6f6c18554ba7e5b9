//! Questions about boards that are answered by computing: what a board was, or would be.

use std::sync::Arc;

use crate::board::Cell;
use crate::body::Body;
use crate::publish::BoardsEpoch;
use crate::{Id, Position, Topic};

/// A point of an event's time, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instant {
    /// Contest time, milliseconds since the start.
    Contest(i64),
    /// Milliseconds since 1970.
    Clock(i64),
}

/// What a board is computed for: today's facts, but for what is said here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supposition {
    /// Only what had happened by then, by the times in the records.
    pub until: Option<Instant>,
    /// As if these records had come: a rubric, a problem, an event's configuration, `rejudging.applied`, ...
    pub records: Vec<Body>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing is known of the event.
    #[error("there is no event `{0}`")]
    UnknownEvent(Id),
    /// Nothing is known of the submission.
    #[error("event `{event}` has no submission `{submission}`")]
    UnknownSubmission {
        /// The event.
        event: Id,
        /// The submission asked for.
        submission: Id,
    },
    /// A supposed record cannot be.
    #[error("`{field}` {problem}")]
    Supposed {
        /// The field at fault.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The instant cannot be placed: the event has no start.
    #[error("event `{0}` has not begun and has no planned start, so that no instant of it can be told")]
    NoStart(Id),
    /// The event's board cannot be revealed step by step.
    #[error("event `{event}` cannot be resolved: {why}")]
    Unresolvable {
        /// The event.
        event: Id,
        /// Why not.
        why: String,
    },
    /// The pipeline is not running.
    #[error("the boards pipeline does not answer: {0}")]
    Unavailable(String),
}

/// An object of an event as it is now, as the record that would say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub body: Body,
    /// The time of its record.
    pub time_ms: Option<i64>,
    /// The record that said so last.
    pub position: Position,
}

/// The objects of an event at one epoch, and what tells one state of them from another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The epoch.
    pub epoch: u64,
    /// Those that the caller may know, by kind, then id.
    pub objects: Vec<Object>,
    /// Objects that are gone: collection of the Contest API, id, and the record that said so. Without judgements for the
    /// public, which may not know of all.
    pub gone: Vec<(&'static str, Id, Position)>,
    /// First offset of each input partition that is not in it.
    pub bound: Vec<(Topic, u32, u64)>,
    /// The last record that may have changed what is visible: of the event's state, its teams, groups and rejudgings.
    pub visibility: Vec<Position>,
}

/// Who asks about a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Anybody: what the public board tells, without the steps.
    Everybody,
    /// A team. Of its own submissions it sees the verdict also in a freeze, and each step; never what the event keeps to
    /// its end, such as a private split.
    Team(Id),
    /// A judge: everything.
    Jury,
}

/// How a submission came to its score.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ScoreExplained {
    /// The event.
    pub event: Id,
    /// The submission.
    pub submission: Id,
    /// Whose.
    pub team: Id,
    /// To which problem.
    pub problem: Id,
    /// Contest time; none when it cannot be told.
    pub contest_time_ms: Option<i64>,
    /// `pending`, `hidden`, `counts` or `does_not_count`, with the reason in `why`.
    pub state: &'static str,
    /// In words.
    pub why: String,
    /// The current judgement, where it may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Id>,
    /// Its verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Id>,
    /// Rubric boards: the rubric and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rubric: Option<(Id, u64)>,
    /// In the board's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// By dimension.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<DimensionExplained>,
}

/// How a dimension came to its score.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct DimensionExplained {
    /// The dimension.
    pub dimension: Id,
    /// Its weight in basis points.
    pub weight_bp: u32,
    /// The operator.
    pub operator: Id,
    /// Basis points; none: pending.
    pub score_bp: Option<i64>,
    /// Step by step.
    pub steps: Vec<String>,
}

/// The ceremony that reveals a frozen board.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Resolution {
    /// The event.
    pub event: Id,
    /// Teams in the order of the frozen board.
    pub start: Vec<Id>,
    /// What is revealed, in order.
    pub steps: Vec<ResolutionStep>,
    /// Teams in the order of the jury's board.
    pub end: Vec<Id>,
}

/// One cell revealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ResolutionStep {
    /// Whose.
    pub team: Id,
    /// Of which problem; none: what judges added or took by hand.
    pub problem: Option<Id>,
    /// Whether the problem is solved.
    pub solved: bool,
    /// The cell as it is now.
    pub cell: Option<Cell>,
    /// The team's place before, from 1 on.
    pub from: usize,
    /// Its place now.
    pub to: usize,
    /// Its score now.
    pub score: i64,
    /// Its penalty now.
    pub penalty: i64,
}

/// Answers questions from the facts of one event at a committed epoch. Calls may take long (a second for 25,000 teams):
/// not for a thread that serves others.
pub trait BoardQueries: Send + Sync {
    /// All boards of an event under a supposition, as one snapshot.
    fn boards(&self, event: &Id, suppose: &Supposition) -> Result<BoardsEpoch, QueryError>;

    /// How a submission came to its score; with `public` only what everybody may know.
    fn explain(&self, event: &Id, submission: &Id, asker: &Asker) -> Result<ScoreExplained, QueryError>;

    /// The steps that reveal an event's frozen board. `name_key` gives names their place among equal rows.
    fn resolve(&self, event: &Id, name_key: &dyn Fn(&str) -> Arc<[u8]>) -> Result<Resolution, QueryError>;

    /// Whether a record could be as it is, beyond what the codec checks: rubrics must be sound.
    fn check(&self, body: &Body) -> Result<(), QueryError>;

    /// The objects of an event, by kind, then id; with `public` only what everybody may know.
    fn objects(&self, event: &Id, public: bool) -> Result<Objects, QueryError>;
}
