//! Why a record was refused.

/// Why bytes are not a record. Says which field, what was found, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than a record may be.
    #[error("the record has {bytes} bytes; at most {limit} are accepted: split it or store the payload elsewhere")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not JSON, or not UTF-8, or not an object.
    #[error("not a JSON object in UTF-8: {0}")]
    Syntax(String),
    /// A required attribute or field is absent.
    #[error("`{field}` is missing")]
    Missing {
        /// Path of the field, e.g. `tenant` or `data.team`.
        field: String,
    },
    /// A field holds something else than it should.
    #[error("`{field}` {problem}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// `type` is none that the platform knows.
    #[error("`type` is `{kind}`, which is not a record type{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownType {
        /// The type given.
        kind: String,
        /// The most similar known type.
        nearest: Option<&'static str>,
    },
}

impl DecodeError {
    /// A stable code for counters, problem details and dead letters.
    pub fn code(&self) -> &'static str {
        match self {
            DecodeError::TooLarge { .. } => "too_large",
            DecodeError::Syntax(_) => "syntax",
            DecodeError::Missing { .. } => "missing",
            DecodeError::Invalid { .. } => "invalid",
            DecodeError::UnknownType { .. } => "unknown_type",
        }
    }

    /// The field at fault, where there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            DecodeError::Missing { field } | DecodeError::Invalid { field, .. } => Some(field),
            DecodeError::UnknownType { .. } => Some("type"),
            _ => None,
        }
    }
}

impl From<crate::scan::JsonError> for DecodeError {
    fn from(error: crate::scan::JsonError) -> Self {
        DecodeError::Syntax(error.to_string())
    }
}
