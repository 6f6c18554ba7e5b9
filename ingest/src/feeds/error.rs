//! Why a line of a feed could not be used.

use gravity_events::DecodeError;

/// What is wrong with one line, or with one object in it. Nothing else is lost with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Not UTF-8.
    #[error("line {line}: not UTF-8; a feed is one JSON object per line in UTF-8")]
    NotText {
        /// Number of the line, from 1.
        line: u64,
    },
    /// Longer than a line may be.
    #[error("line {line}: {bytes} bytes; at most {limit} are read: split the collection into single objects")]
    TooLong {
        /// Number of the line, from 1.
        line: u64,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Not JSON.
    #[error("line {line}: not JSON ({problem}); expected one JSON object per line")]
    NotJson {
        /// Number of the line, from 1.
        line: u64,
        /// What the parser says.
        problem: String,
    },
    /// JSON, but not a feed's event.
    #[error("line {line}: {problem}")]
    NotAnEvent {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// An object that lacks something or holds something unreadable.
    #[error("line {line}: {kind} `{id}`: `{field}` {problem}")]
    Object {
        /// Number of the line, from 1.
        line: u64,
        /// Kind of the object, as the feed names it.
        kind: &'static str,
        /// Its id, empty where it has none.
        id: String,
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Not a record.
    #[error("line {line}: {error}")]
    Record {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
}

impl FeedError {
    /// Number of the line, from 1.
    pub fn line(&self) -> u64 {
        match self {
            FeedError::NotText { line }
            | FeedError::TooLong { line, .. }
            | FeedError::NotJson { line, .. }
            | FeedError::NotAnEvent { line, .. }
            | FeedError::Object { line, .. }
            | FeedError::Record { line, .. } => *line,
        }
    }

    /// A stable code for counters.
    pub fn code(&self) -> &'static str {
        match self {
            FeedError::NotText { .. } => "not_text",
            FeedError::TooLong { .. } => "too_long",
            FeedError::NotJson { .. } => "not_json",
            FeedError::NotAnEvent { .. } => "not_an_event",
            FeedError::Object { .. } => "bad_object",
            FeedError::Record { error, .. } => error.code(),
        }
    }
}
