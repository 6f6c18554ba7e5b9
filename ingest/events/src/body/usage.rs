//! What is used and billed.

use serde::{Deserialize, Serialize};

use crate::Id;

/// Tokens of one model call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTokens {
    /// The model.
    pub model: Id,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the tokens read, those served from a cache.
    #[serde(default)]
    pub cached_tokens: u64,
}

/// A machine ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageVm {
    /// Machine type.
    pub machine: Id,
    /// For how long.
    pub duration_ms: u64,
}
