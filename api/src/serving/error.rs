//! Why the serving index does not answer.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gravity_events::query::QueryError;

use crate::http::Problem;

/// Why a question about a board has no answer. [`ServeError::hint`] says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// No such event, or none that this viewer may know of.
    #[error("there is no event `{event}`")]
    UnknownEvent {
        /// The event asked for.
        event: String,
    },
    /// The event has no such division.
    #[error("event `{event}` has no division `{division}`")]
    UnknownDivision {
        /// The event.
        event: String,
        /// The division asked for.
        division: String,
    },
    /// The team is not on this board.
    #[error("team `{team}` is not on this board")]
    UnknownTeam {
        /// The team asked for.
        team: String,
    },
    /// The version was shown once and is no longer kept.
    #[error("version {version} of this board is no longer kept; the oldest kept one is {oldest}")]
    VersionGone {
        /// The version asked for.
        version: u64,
        /// The oldest that still answers.
        oldest: u64,
    },
    /// The version has not come yet.
    #[error("version {version} of this board does not exist yet; the newest is {newest}")]
    VersionNotYet {
        /// The version asked for.
        version: u64,
        /// The newest.
        newest: u64,
    },
    /// The cursor was not given out by this server for this board.
    #[error("the cursor {problem}")]
    BadCursor {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A query parameter is not what it should be.
    #[error("`{field}` {problem}")]
    BadQuery {
        /// Which parameter.
        field: &'static str,
        /// What was found and expected.
        problem: String,
    },
    /// The jury's view was asked for without the right to see it.
    #[error("the jury view needs a token that may see it")]
    JuryOnly,
    /// What was asked for has to be computed, and cannot be.
    #[error(transparent)]
    Computed(#[from] QueryError),
    /// As many callers wait for a computation as may.
    #[error("too many questions that need computing are waiting")]
    Busy,
    /// As many streams are open as may be.
    #[error("{open} streams are open, which is as many as this server takes")]
    TooManySubscribers {
        /// Open streams.
        open: usize,
    },
}

impl ServeError {
    /// A stable code for problem details.
    pub fn code(&self) -> &'static str {
        match self {
            ServeError::UnknownEvent { .. } => "unknown_event",
            ServeError::UnknownDivision { .. } => "unknown_division",
            ServeError::UnknownTeam { .. } => "unknown_team",
            ServeError::VersionGone { .. } => "version_gone",
            ServeError::VersionNotYet { .. } => "version_not_yet",
            ServeError::BadCursor { .. } => "bad_cursor",
            ServeError::BadQuery { .. } => "bad_query",
            ServeError::JuryOnly => "jury_only",
            ServeError::Computed(QueryError::UnknownEvent(_)) => "unknown_event",
            ServeError::Computed(QueryError::UnknownSubmission { .. }) => "unknown_submission",
            ServeError::Computed(QueryError::Supposed { .. }) => "invalid",
            ServeError::Computed(QueryError::NoStart(_)) => "no_start",
            ServeError::Computed(QueryError::Unresolvable { .. }) => "unresolvable",
            ServeError::Computed(QueryError::Unavailable(_)) => "unavailable",
            ServeError::Busy => "busy",
            ServeError::TooManySubscribers { .. } => "too_many_subscribers",
        }
    }

    /// The HTTP status it answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            ServeError::UnknownEvent { .. }
            | ServeError::UnknownDivision { .. }
            | ServeError::UnknownTeam { .. }
            | ServeError::VersionNotYet { .. } => StatusCode::NOT_FOUND,
            ServeError::VersionGone { .. } => StatusCode::GONE,
            ServeError::BadCursor { .. } | ServeError::BadQuery { .. } => StatusCode::BAD_REQUEST,
            ServeError::JuryOnly => StatusCode::UNAUTHORIZED,
            ServeError::Computed(QueryError::UnknownEvent(_) | QueryError::UnknownSubmission { .. }) => {
                StatusCode::NOT_FOUND
            }
            ServeError::Computed(QueryError::Supposed { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            ServeError::Computed(QueryError::NoStart(_) | QueryError::Unresolvable { .. }) => StatusCode::CONFLICT,
            ServeError::Computed(QueryError::Unavailable(_))
            | ServeError::Busy
            | ServeError::TooManySubscribers { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            ServeError::UnknownEvent { .. } => "GET /api/v1/events lists the events",
            ServeError::UnknownDivision { .. } => "the board lists the event's divisions in `divisions`",
            ServeError::UnknownTeam { .. } => "the board lists its teams; leave `division` out for all of them",
            ServeError::VersionGone { .. } => "leave `at` and `cursor` out to get the newest version",
            ServeError::VersionNotYet { .. } => "leave `at` out to get the newest version",
            ServeError::BadCursor { .. } => "start again without `cursor`",
            ServeError::BadQuery { .. } => "correct the parameter",
            ServeError::JuryOnly => "send `Authorization: Bearer ...`, or ask for view=public",
            ServeError::Computed(QueryError::UnknownEvent(_)) => "GET /api/v1/events lists the events",
            ServeError::Computed(QueryError::UnknownSubmission { .. }) => "check the submission's id",
            ServeError::Computed(QueryError::Supposed { .. }) => {
                "correct the field; docs/operators.md lists operators and parameters"
            }
            ServeError::Computed(QueryError::NoStart(_)) => {
                "ask for an instant once the event has begun, or give a version"
            }
            ServeError::Computed(QueryError::Unresolvable { .. }) => {
                "see the reason; judge what is left, then ask again"
            }
            ServeError::Computed(QueryError::Unavailable(_)) | ServeError::Busy => "try again later",
            ServeError::TooManySubscribers { .. } => "try again later, or poll the board with If-None-Match",
        }
    }
}

impl From<ServeError> for Problem {
    fn from(error: ServeError) -> Problem {
        let problem = match &error {
            ServeError::Computed(QueryError::Supposed { field, problem }) => Problem::invalid(field, problem.as_str()),
            ServeError::UnknownEvent { event } => Problem::unknown_event(event),
            _ => Problem::new(error.status(), error.code(), error.to_string()).hint(error.hint()),
        };
        match error {
            ServeError::TooManySubscribers { .. } => problem.retry_after(10),
            ServeError::Busy | ServeError::Computed(QueryError::Unavailable(_)) => problem.retry_after(2),
            _ => problem,
        }
    }
}

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
