//! Every record type: its name, topic, fields and key.
//!
//! A new type is one struct and one line in [`bodies!`]. Fields with a default may be absent. `deleted: true` in
//! reference data takes the object away; its revision stays, so that an older state cannot bring it back.

mod event;
mod lab;
mod out;
mod reference;
mod submission;
mod usage;

pub use event::*;
pub use lab::*;
pub use out::*;
pub use reference::*;
pub use submission::*;
pub use usage::*;

use serde_json::value::RawValue;

use crate::{DecodeError, Topic};

macro_rules! bodies {
    ($($variant:ident = $name:literal, $topic:ident, $scope:ident;)*) => {
        /// The typed data of a record; the variant is its `type`.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // documented at the structs
        pub enum Body { $($variant($variant),)* }

        impl Body {
            /// Every record type, in the order of this file.
            pub const KINDS: &'static [&'static str] = &[$($name,)*];

            /// The CloudEvents `type`.
            pub fn kind(&self) -> &'static str {
                match self { $(Body::$variant(_) => $name,)* }
            }

            /// The topic that this type belongs to.
            pub fn topic(&self) -> Topic {
                match self { $(Body::$variant(_) => Topic::$topic,)* }
            }

            /// Whether the record must name its event.
            pub fn needs_event(&self) -> bool {
                match self { $(Body::$variant(_) => matches!(Scope::$scope, Scope::Event),)* }
            }

            /// Decodes the `data` of a record of type `kind`. Errors name the field as `data.<field>`.
            pub fn decode(kind: &str, data: &RawValue) -> Result<Body, DecodeError> {
                match kind {
                    $($name => crate::codec::decode_data::<$variant>(data).map(Body::$variant),)*
                    _ => Err(DecodeError::UnknownType { kind: kind.chars().take(80).collect(), nearest: crate::codec::nearest(kind, Body::KINDS) }),
                }
            }

            /// The `data` of the record as JSON.
            pub fn encode(&self) -> serde_json::Result<String> {
                match self { $(Body::$variant(b) => serde_json::to_string(b),)* }
            }
        }
    };
}

enum Scope {
    Event,
    Tenant,
}

bodies! {
    EventConfigured = "event.configured", Reference, Event;
    EventStarted = "event.started", Reference, Event;
    EventExtended = "event.extended", Reference, Event;
    EventFrozen = "event.frozen", Reference, Event;
    EventThawed = "event.thawed", Reference, Event;
    EventEnded = "event.ended", Reference, Event;
    EventFinalized = "event.finalized", Reference, Event;
    EventSealed = "event.sealed", Reference, Event;
    EventReopened = "event.reopened", Reference, Event;
    TeamRegistered = "team.registered", Reference, Event;
    GroupRegistered = "group.registered", Reference, Event;
    OrganizationRegistered = "organization.registered", Reference, Event;
    ProblemPublished = "problem.published", Reference, Event;
    LanguagePublished = "language.published", Reference, Event;
    JudgementTypePublished = "judgement_type.published", Reference, Event;
    RubricPublished = "rubric.published", Reference, Event;
    PricePublished = "price.published", Reference, Tenant;
    BudgetSet = "budget.set", Reference, Tenant;
    SubmissionReceived = "submission.received", Submissions, Event;
    SubmissionSelected = "submission.selected", Submissions, Event;
    SubmissionWithdrawn = "submission.withdrawn", Submissions, Event;
    HintRevealed = "hint.revealed", Submissions, Event;
    VoteRecorded = "vote.recorded", Submissions, Event;
    BoardAdjusted = "board.adjusted", Submissions, Event;
    JudgementRecorded = "judgement.recorded", Judgements, Event;
    RejudgingOpened = "rejudging.opened", Judgements, Event;
    RejudgingApplied = "rejudging.applied", Judgements, Event;
    RejudgingCancelled = "rejudging.cancelled", Judgements, Event;
    UsageTokens = "usage.tokens", Usage, Tenant;
    UsageVm = "usage.vm", Usage, Tenant;
    LabTelemetry = "lab.telemetry", Telemetry, Tenant;
    LabProvisionRequested = "lab.provision.requested", Labs, Tenant;
    LabStepStarted = "lab.step.started", Labs, Tenant;
    LabStepSucceeded = "lab.step.succeeded", Labs, Tenant;
    LabStepFailed = "lab.step.failed", Labs, Tenant;
    LabReady = "lab.ready", Labs, Tenant;
    LabFailed = "lab.failed", Labs, Tenant;
    LabReleased = "lab.released", Labs, Tenant;
    ScoreReady = "score.ready", Scores, Event;
    BoardChanged = "board.changed", BoardsPublic, Event;
    EpochClosed = "epoch.closed", BoardsPublic, Tenant;
    BurnChanged = "burn.changed", Burn, Tenant;
    AlertRaised = "alert.raised", Alerts, Tenant;
    AlertCleared = "alert.cleared", Alerts, Tenant;
    BudgetAlert = "budget.alert", Alerts, Tenant;
}
