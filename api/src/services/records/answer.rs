//! What became of each record, as the caller reads it.

use axum::http::StatusCode;
use gravity_events::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{FieldError, Problem};
use crate::visibility::{Outcome, Unknown};

/// One result per record, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Results {
    /// The results.
    pub results: Vec<RecordResult>,
}

/// What became of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordResult {
    /// `accepted` (durable), `counted`, `duplicate`, `conflict` or `refused`.
    pub status: &'static str,
    /// Where it stands, unless it was refused before the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'static str>,
    /// Partition of the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Offset in the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Why it is `refused` or a `conflict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<RecordProblem>,
    /// What an `accepted` means here and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

/// Why a record did not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordProblem {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl RecordResult {
    /// Refused before it reached the log.
    pub(super) fn refused(problem: &Problem) -> RecordResult {
        let problem = RecordProblem {
            code: problem.code.to_string(),
            detail: problem.detail.clone(),
            errors: problem.errors.clone(),
        };
        RecordResult { status: "refused", problem: Some(problem), ..RecordResult::default() }
    }

    /// In the log; `outcome` where it was waited for.
    pub(crate) fn stored(position: Position, outcome: Option<Outcome>) -> RecordResult {
        let problem =
            |code: &str, detail: String| Some(RecordProblem { code: code.to_owned(), detail, errors: Vec::new() });
        let (status, problem, hint) = match outcome {
            None => ("accepted", None, None),
            Some(Outcome::Counted) => ("counted", None, None),
            Some(Outcome::Duplicate) => ("duplicate", None, None),
            Some(Outcome::Conflict { detail }) => ("conflict", problem("conflict", detail), None),
            Some(Outcome::Refused { code, detail }) => ("refused", problem(code, detail), None),
            Some(Outcome::Accepted(why)) => ("accepted", None, Some(hint_of(why))),
        };
        RecordResult {
            status,
            topic: Some(position.topic.name()),
            partition: Some(position.partition),
            offset: Some(position.offset),
            problem,
            hint,
        }
    }
}

fn hint_of(why: Unknown) -> &'static str {
    match why {
        Unknown::NotRead => "it is durable; no pipeline here reads its topic, so there is nothing to wait for",
        Unknown::Timeout => "it is durable and will be counted; its epoch has not committed within the wait",
        Unknown::Forgotten => {
            "it is durable and was read; what became of it is no longer remembered: see the dead letters"
        }
    }
}

/// The problem that answers a request of one record, where it did not count.
pub(super) fn single_problem(outcome: &Outcome, position: Position) -> Option<Problem> {
    let place = format!("{}/{}@{}", position.topic, position.partition, position.offset);
    match outcome {
        Outcome::Conflict { detail } => Some(
            Problem::new(StatusCode::CONFLICT, "conflict", format!("{detail} ({place})"))
                .field("id", "came before with other data")
                .hint("the first record counts; send a changed one under an id of its own"),
        ),
        Outcome::Refused { code, detail } => Some(
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, *code, format!("{detail} ({place})"))
                .hint("it is kept as a dead letter; once its cause is mended, it may be retried from there"),
        ),
        Outcome::Counted | Outcome::Duplicate | Outcome::Accepted(_) => None,
    }
}
