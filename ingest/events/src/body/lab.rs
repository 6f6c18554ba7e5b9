//! Labs: machines and exercises of a participant, and what they report.

use serde::{Deserialize, Serialize};

use crate::Id;

/// A measurement of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabTelemetry {
    /// The lab.
    pub lab: Id,
    /// What is measured.
    pub metric: Id,
    /// The value. Detectors compute on it; no score does.
    pub value: f64,
}

/// Somebody asks for a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabProvisionRequested {
    /// Its id.
    pub lab: Id,
    /// From which template.
    pub template: Id,
    /// For which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
}

/// A step of provisioning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabStep {
    /// The lab.
    pub lab: Id,
    /// The step's name.
    pub step: Id,
    /// From 1.
    #[serde(default = "first")]
    pub attempt: u32,
    /// What went wrong, in `lab.step.failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn first() -> u32 {
    1
}

/// A step began.
pub type LabStepStarted = LabStep;
/// A step is done.
pub type LabStepSucceeded = LabStep;
/// A step failed.
pub type LabStepFailed = LabStep;

/// The state of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// The lab.
    pub lab: Id,
    /// Why, where it failed or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// It can be used.
pub type LabReady = LabState;
/// It will never be ready.
pub type LabFailed = LabState;
/// Nothing of it is left.
pub type LabReleased = LabState;
