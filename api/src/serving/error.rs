//! Why the serving index does not answer.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

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
            ServeError::TooManySubscribers { .. } => StatusCode::SERVICE_UNAVAILABLE,
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
            ServeError::TooManySubscribers { .. } => "try again later, or poll the board with If-None-Match",
        }
    }
}

/// A problem object of RFC 9457. The error itself is in the response's extensions, so that a layer further out can
/// write it again with what only that layer knows, such as the request's id.
impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.to_string(),
            "hint": self.hint(),
        });
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        let headers = response.headers_mut();
        match &self {
            ServeError::JuryOnly => {
                headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            }
            ServeError::TooManySubscribers { .. } => {
                headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}
