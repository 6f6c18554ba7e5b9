//! Every record type: its name, topic, fields and key.
//!
//! A new type is one struct and one line in [`bodies!`]. Fields with a default may be absent. `deleted: true` in
//! reference data takes the object away; its revision stays, so that an older state cannot bring it back.

mod check;
mod event;
mod lab;
mod meter;
mod objects;
mod out;
mod reference;
mod source;
mod submission;
mod usage;

pub use event::*;
pub use lab::*;
pub use meter::*;
pub use out::*;
pub use reference::*;
pub use source::*;
pub use submission::*;
pub use usage::*;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::board::View;
use crate::codec::{explain, nearest};
use crate::{DecodeError, Topic};
use check::Check;

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
                match self {
                    // What judges see must never be on the public topic.
                    Body::BoardChanged(b) if b.view == View::Jury => Topic::BoardsJury,
                    $(Body::$variant(_) => Topic::$topic,)*
                }
            }

            /// Whether the record must name its event.
            pub fn needs_event(&self) -> bool {
                match self { $(Body::$variant(_) => matches!(Scope::$scope, Scope::Event),)* }
            }

            /// Whether records of this type must say when it was: usage belongs to the minute of its time.
            pub fn needs_time(&self) -> bool {
                self.topic() == Topic::Usage
            }

            /// Decodes and checks the `data` of a record of type `kind`. Errors name the field as `data.<field>`.
            pub fn decode(kind: &str, data: &RawValue) -> Result<Body, DecodeError> {
                Body::decode_text(kind, data.get())
            }

            /// As [`Body::decode`], from one JSON value without space around it.
            pub(crate) fn decode_text(kind: &str, data: &str) -> Result<Body, DecodeError> {
                match kind {
                    $($name => read::<$variant>(data).map(Body::$variant),)*
                    _ => Err(DecodeError::UnknownType {
                        kind: kind.chars().take(80).collect(),
                        nearest: nearest(kind, Body::KINDS.iter().copied()),
                    }),
                }
            }

            /// Checks ids, sizes and ranges, as decoding does; for a body that was built rather than decoded.
            pub fn validate(&self) -> Result<(), DecodeError> {
                match self { $(Body::$variant(b) => b.check(),)* }.map_err(|fault| fault.at("data").into_error())
            }

            /// The `data` of the record as JSON.
            pub fn encode(&self) -> serde_json::Result<String> {
                match self { $(Body::$variant(b) => serde_json::to_string(b),)* }
            }

            /// Appends the `data` of the record as JSON.
            pub(crate) fn encode_to(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
                match self { $(Body::$variant(b) => serde_json::to_writer(out, b),)* }
            }
        }
    };
}

fn read<'a, T: Deserialize<'a> + Check>(data: &'a str) -> Result<T, DecodeError> {
    if !data.starts_with('{') {
        // Serde would take the fields of a struct from a list, by position.
        return Err(DecodeError::Invalid { field: "data".into(), problem: "is no object".into() });
    }
    let body: T = serde_json::from_str(data).map_err(|_| explain::<T>(data))?;
    body.check().map_err(|fault| fault.at("data").into_error())?;
    Ok(body)
}

/// `skip_serializing_if` of flags.
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// `skip_serializing_if` of revisions.
fn is_zero(number: &u64) -> bool {
    *number == 0
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
    OperatorQuarantined = "operator.quarantined", Reference, Event;
    PricePublished = "price.published", Reference, Tenant;
    BudgetSet = "budget.set", Reference, Tenant;
    MeterDefined = "meter.defined", Reference, Tenant;
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
    UsageHint = "usage.hint", Usage, Tenant;
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
    RecordRefused = "record.refused", DeadLetter, Tenant;
    BoardNoted = "board.noted", Changes, Event;
    BurnAdjusted = "burn.adjusted", Changes, Tenant;
    SourcePublished = "source.published", Sources, Event;
    TemplatePublished = "template.published", Sources, Event;
    SimilarityChanged = "similarity.changed", Similarities, Event;
    EpochAccepted = "epoch.accepted", Accepted, Tenant;
    MeterChanged = "meter.changed", Analytics, Tenant;
    AnalyticsChanged = "analytics.changed", Analytics, Event;
}
