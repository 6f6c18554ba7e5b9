//! What became of a record that was sent.

use serde::{Deserialize, Serialize};

/// The fate of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Durable; whether it counts is not known yet.
    Accepted,
    /// It counts.
    Counted,
    /// It was there already.
    Duplicate,
    /// Another record with its identity was there already.
    Conflict,
    /// It does not count; the problem says why.
    Refused,
}

/// What the server says of one record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// Its fate.
    pub status: Status,
    /// The topic it went to.
    #[serde(default)]
    pub topic: Option<String>,
    /// The partition.
    #[serde(default)]
    pub partition: Option<u32>,
    /// Its offset there.
    #[serde(default)]
    pub offset: Option<u64>,
    /// Why it does not count.
    #[serde(default)]
    pub problem: Option<Problem>,
}

/// RFC 9457 problem details, as far as clients use them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Stable code, such as `unknown_type`.
    #[serde(default)]
    pub code: Option<String>,
    /// What was wrong with this request.
    #[serde(default)]
    pub detail: Option<String>,
    /// What was wrong in general.
    #[serde(default)]
    pub title: Option<String>,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
}

/// The answer to a batch.
#[derive(Deserialize)]
pub(super) struct Results {
    pub results: Vec<Outcome>,
}
