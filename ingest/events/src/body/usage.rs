//! What is used and billed.

use serde::{Deserialize, Serialize};

use crate::Id;

/// Tokens of one model call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTokens {
    /// The model.
    pub model: Id,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the tokens read, those served from a cache: never more than were read.
    #[serde(default)]
    pub cached_tokens: u64,
    /// The team that called, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// The lab that called, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<Id>,
}

/// A machine ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageVm {
    /// Machine type.
    pub machine: Id,
    /// For how long.
    pub duration_ms: u64,
    /// The team that it ran for, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// The lab that it belongs to, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<Id>,
}

/// A hint that is paid for was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageHint {
    /// The hint.
    pub hint: Id,
    /// The team that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// The lab that it was given in, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<Id>,
}
