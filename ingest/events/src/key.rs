//! The key of a record on its topic: what it is partitioned and compacted by.

use std::fmt::Write;

use crate::board::BoardKey;
use crate::{Body, Record};

/// Stands for a part that there is none of. A part whose text is just this is escaped, so the two never meet.
const NONE: &str = "-";

impl Record {
    /// The key on the record's topic: the tenant, then parts by topic, percent-encoded and joined by `/`.
    ///
    /// | topic | parts after the tenant |
    /// |---|---|
    /// | reference | scope (the event, or `-` for what is the tenant's), kind of object, its id, its version if versions are kept side by side |
    /// | submissions, scores | event, team |
    /// | judgements | event, judgement or rejudging |
    /// | usage, alerts | subject or `-` |
    /// | telemetry, labs | lab |
    /// | changes | event; `-` for what is a tenant's |
    /// | boards | event, team (`-` for what is no team's); an epoch's marker: pipeline |
    /// | burn | meter, minute since 1970 |
    /// | analytics | meter, minute since 1970; or event, view |
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(48);
        encode_part(&mut key, &self.tenant);
        let event = self.event.as_deref();
        match &self.body {
            Body::EventConfigured(_)
            | Body::EventStarted(_)
            | Body::EventExtended(_)
            | Body::EventFrozen(_)
            | Body::EventThawed(_)
            | Body::EventEnded(_)
            | Body::EventFinalized(_)
            | Body::EventSealed(_)
            | Body::EventReopened(_) => join(&mut key, [event, Some(self.body.kind()), event]),
            Body::TeamRegistered(b) => join(&mut key, [event, Some("team"), Some(&b.team)]),
            Body::GroupRegistered(b) => join(&mut key, [event, Some("group"), Some(&b.group)]),
            Body::OrganizationRegistered(b) => join(&mut key, [event, Some("organization"), Some(&b.organization)]),
            Body::ProblemPublished(b) => join(&mut key, [event, Some("problem"), Some(&b.problem)]),
            Body::LanguagePublished(b) => join(&mut key, [event, Some("language"), Some(&b.language)]),
            Body::JudgementTypePublished(b) => {
                join(&mut key, [event, Some("judgement_type"), Some(&b.judgement_type)]);
            }
            Body::RubricPublished(b) => {
                join(&mut key, [event, Some("rubric"), Some(&b.rubric), Some(&b.version.to_string())]);
            }
            Body::OperatorQuarantined(b) => join(&mut key, [event, Some("operator"), Some(&b.operator)]),
            Body::PricePublished(b) => {
                join(&mut key, [event, Some("price"), Some(&b.price_list), Some(&b.version.to_string())]);
            }
            // A budget is a tenant's or, where the record names an event, that event's.
            Body::BudgetSet(b) => join(&mut key, [event, Some("budget"), Some(&b.budget)]),
            Body::MeterDefined(b) => join(&mut key, [None, Some("meter"), Some(&b.meter)]),
            Body::SubmissionReceived(b) => join(&mut key, [event, Some(&b.team)]),
            Body::SubmissionSelected(b) => join(&mut key, [event, Some(&b.team)]),
            Body::SubmissionWithdrawn(b) => join(&mut key, [event, Some(&b.team)]),
            Body::HintRevealed(b) => join(&mut key, [event, Some(&b.team)]),
            Body::VoteRecorded(b) => join(&mut key, [event, Some(&b.team)]),
            Body::BoardAdjusted(b) => join(&mut key, [event, Some(&b.team)]),
            Body::SourcePublished(b) => join(&mut key, [event, Some(b.problem.as_str())]),
            Body::TemplatePublished(b) => join(&mut key, [event, Some(b.problem.as_str())]),
            Body::SimilarityChanged(b) => join(&mut key, [event, Some(b.problem.as_str())]),
            Body::BoardNoted(_) => join(&mut key, [event]),
            Body::BurnAdjusted(_) => join(&mut key, [None]),
            Body::ScoreReady(b) => join(&mut key, [event, Some(&b.team)]),
            Body::JudgementRecorded(b) => join(&mut key, [event, Some(&b.judgement)]),
            Body::RejudgingOpened(b) => join(&mut key, [event, Some(&b.rejudging)]),
            Body::RejudgingApplied(b) => join(&mut key, [event, Some(&b.rejudging)]),
            Body::RejudgingCancelled(b) => join(&mut key, [event, Some(&b.rejudging)]),
            Body::UsageTokens(_) | Body::UsageVm(_) | Body::UsageHint(_) => join(&mut key, [self.subject.as_deref()]),
            Body::AlertRaised(_) | Body::AlertCleared(_) | Body::BudgetAlert(_) => {
                join(&mut key, [self.subject.as_deref()]);
            }
            Body::LabTelemetry(b) => join(&mut key, [Some(b.lab.as_str())]),
            Body::LabProvisionRequested(b) => join(&mut key, [Some(b.lab.as_str())]),
            Body::LabStepStarted(b) | Body::LabStepSucceeded(b) | Body::LabStepFailed(b) => {
                join(&mut key, [Some(b.lab.as_str())]);
            }
            Body::LabReady(b) | Body::LabFailed(b) | Body::LabReleased(b) => join(&mut key, [Some(b.lab.as_str())]),
            Body::BoardChanged(b) => match &b.key {
                BoardKey::Row { team, .. } => join(&mut key, [event, Some(team)]),
                BoardKey::Header { .. } | BoardKey::First { .. } | BoardKey::Worth { .. } => {
                    join(&mut key, [event, None])
                }
            },
            Body::RecordRefused(b) => {
                join(&mut key, [Some(b.topic.as_str()), Some(&b.partition.to_string()), Some(&b.offset.to_string())]);
            }
            Body::EpochAccepted(b) => join(&mut key, [Some(b.pipeline.as_str())]),
            Body::EpochClosed(b) => join(&mut key, [Some(b.pipeline.as_str())]),
            Body::MeterChanged(b) => {
                join(&mut key, [Some(b.meter.as_str()), Some(&b.window_start.div_euclid(60_000).to_string())]);
            }
            Body::AnalyticsChanged(b) => join(&mut key, [event, Some(b.view.as_str())]),
            Body::BurnChanged(b) => {
                join(&mut key, [Some(b.meter.as_str()), Some(&b.window_start.div_euclid(60_000).to_string())]);
            }
        }
        key
    }
}

fn join<const N: usize>(key: &mut String, parts: [Option<&str>; N]) {
    for part in parts {
        key.push('/');
        match part {
            Some(part) => encode_part(key, part),
            None => key.push_str(NONE),
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn encode_part(key: &mut String, part: &str) {
    if part == NONE {
        key.push_str("%2D");
        return;
    }
    for b in part.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            key.push(char::from(b));
        } else {
            write!(key, "%{b:02X}").expect("a String takes all of it");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::codec::decode;

    fn key(kind: &str, attributes: &str, data: &str) -> String {
        let json = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"{kind}","tenant":"ac/me"{attributes},"data":{data}}}"#
        );
        decode(json.as_bytes()).expect(&json).key()
    }

    #[test]
    fn keys_by_topic() {
        let event = r#","event":"é 1""#;
        for (kind, attributes, data, expected) in [
            ("event.started", event, r#"{"at":null}"#, "ac%2Fme/%C3%A9%201/event.started/%C3%A9%201"),
            ("team.registered", event, r#"{"team":"t%"}"#, "ac%2Fme/%C3%A9%201/team/t%25"),
            (
                "rubric.published",
                event,
                r#"{"rubric":"r","version":3,"dimensions":[]}"#,
                "ac%2Fme/%C3%A9%201/rubric/r/3",
            ),
            (
                "price.published",
                "",
                r#"{"price_list":"p","version":12,"currency":"EUR","prices":[]}"#,
                "ac%2Fme/-/price/p/12",
            ),
            ("budget.set", "", r#"{"budget":"b","limit_micro":1,"currency":"EUR"}"#, "ac%2Fme/-/budget/b"),
            ("budget.set", event, r#"{"budget":"b","limit_micro":1,"currency":"EUR"}"#, "ac%2Fme/%C3%A9%201/budget/b"),
            ("meter.defined", event, r#"{"meter":"m","of":"usage.vm","aggregation":"count"}"#, "ac%2Fme/-/meter/m"),
            ("submission.received", event, r#"{"submission":"s","team":"t","problem":"p"}"#, "ac%2Fme/%C3%A9%201/t"),
            ("judgement.recorded", event, r#"{"judgement":"j","submission":"s"}"#, "ac%2Fme/%C3%A9%201/j"),
            ("rejudging.applied", event, r#"{"rejudging":"r"}"#, "ac%2Fme/%C3%A9%201/r"),
            ("usage.vm", r#","time":"2026-01-01T00:00:00Z""#, r#"{"machine":"m","duration_ms":1}"#, "ac%2Fme/-"),
            ("usage.hint", r#","time":"2026-01-01T00:00:00Z""#, r#"{"hint":"h"}"#, "ac%2Fme/-"),
            (
                "usage.vm",
                r#","subject":"-","time":"2026-01-01T00:00:00Z""#,
                r#"{"machine":"m","duration_ms":1}"#,
                "ac%2Fme/%2D",
            ),
            ("lab.ready", "", r#"{"lab":"l~1"}"#, "ac%2Fme/l~1"),
            ("lab.telemetry", "", r#"{"lab":"l","metric":"cpu","value":0.5}"#, "ac%2Fme/l"),
            ("epoch.closed", "", r#"{"pipeline":"boards","epoch":1,"records":2}"#, "ac%2Fme/boards"),
        ] {
            assert_eq!(key(kind, attributes, data), expected);
        }
    }

    #[test]
    fn a_team_and_its_submissions_share_a_partition() {
        let event = r#","event":"e""#;
        let received = key("submission.received", event, r#"{"submission":"s","team":"t","problem":"p"}"#);
        let withdrawn = key("submission.withdrawn", event, r#"{"submission":"s","team":"t"}"#);
        assert_eq!(received, withdrawn);
    }
}
