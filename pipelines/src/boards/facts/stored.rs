//! How fold rows are stored, also by older builds.
//!
//! Fold keys are postcard of the enums here; values of reference data are the JSON of the record's body (few, and
//! readable for ever), those of submissions and judgements postcard of a struct. All are in the journal: variants and
//! fields are only ever added at the end.

use gravity_events::Id;
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Submission};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Key of the reference fold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum RefKey {
    Config(EventKey),
    Extension(EventKey),
    Moment(EventKey, MomentKind),
    Team(EventKey, Id),
    Group(EventKey, Id),
    Organization(EventKey, Id),
    Problem(EventKey, Id),
    JudgementType(EventKey, Id),
    Rejudging(EventKey, Id),
    Rubric(EventKey, Id, u64),
    Language(EventKey, Id),
    RejudgingReason(EventKey, Id),
    Quarantine(EventKey, Id),
}

/// What was said of a rejudging when it was decided.
#[derive(Serialize, Deserialize)]
pub(super) struct RejudgingReason {
    pub(super) state: RejudgingState,
    pub(super) reason: String,
}

impl RejudgingReason {
    /// Its name in the change log; none for what moves nothing.
    pub(super) fn kind(&self) -> Option<&'static str> {
        (self.state == RejudgingState::Applied).then_some("rejudged")
    }
}

/// Key of the fold of what teams and judges do besides submitting and judging.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum DeedKey {
    /// (event, submission)
    Selected(EventKey, Id),
    /// (event, team, hint)
    Hint(EventKey, Id, Id),
    /// (event, adjustment)
    Adjusted(EventKey, Id),
    /// (event, vote)
    Vote(EventKey, Id),
}

/// Value of that fold: the JSON of the record's body, with the record's time.
#[derive(Serialize, Deserialize)]
pub(super) struct Deed {
    pub(super) time_ms: Option<i64>,
    pub(super) body: String,
}

/// A submission as builds before languages stored it.
#[derive(Deserialize)]
struct SubmissionV1 {
    event: EventKey,
    submission: Id,
    team: Id,
    problem: Id,
    contest_time_ms: Option<i64>,
    time_ms: Option<i64>,
}

/// A judgement as builds before outcomes stored it.
#[derive(Deserialize)]
struct JudgementV1 {
    event: EventKey,
    judgement: Id,
    submission: Id,
    judgement_type: Option<Id>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    current: bool,
    rejudging: Option<Id>,
}

/// Decodes the newest shape, or else exactly an older one. Fields only come at the end, so that what an older build
/// stored is too short for the newer shape.
fn newest_or<T: DeserializeOwned, Old: DeserializeOwned>(value: &[u8], from_old: impl Fn(Old) -> T) -> Option<T> {
    let whole = |(old, rest): (Old, &[u8])| rest.is_empty().then_some(old);
    let old = || postcard::take_from_bytes::<Old>(value).ok().and_then(whole).map(from_old);
    let decoded = postcard::from_bytes(value).ok().or_else(old);
    if decoded.is_none() {
        tracing::error!(kind = std::any::type_name::<T>(), "a stored fact cannot be decoded: it does not count");
    }
    decoded
}

pub(super) fn submission_of(value: &[u8]) -> Option<Submission> {
    newest_or(value, |old: SubmissionV1| {
        let SubmissionV1 { event, submission, team, problem, contest_time_ms, time_ms } = old;
        Submission { event, submission, team, problem, contest_time_ms, time_ms, language: None }
    })
}

pub(super) fn judgement_of(value: &[u8]) -> Option<Judgement> {
    newest_or(value, |old: JudgementV1| {
        let JudgementV1 { event, judgement, submission, judgement_type, start_ms, end_ms, current, rejudging } = old;
        Judgement { event, judgement, submission, judgement_type, start_ms, end_ms, current, rejudging, outcome: None }
    })
}

/// Key of the folds of submissions and judgements.
#[derive(Serialize)]
pub(super) struct ObjectKey<'a>(pub(super) &'a EventKey, pub(super) &'a Id);

pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("fold keys and values are plain data")
}

#[cfg(test)]
mod tests {
    use gravity_events::body::TestGroup;
    use gravity_operators::boards::facts::Outcome;

    use super::*;

    /// The folds' encoding has no names: a shape that leaves fields out would come back as another.
    #[test]
    fn what_is_stored_comes_back_and_so_does_what_older_builds_stored() {
        let group = TestGroup { group: "g".into(), passed: 1, total: 2, points: None };
        let event = EventKey::new("t", "e");
        let judgement = Judgement {
            event: event.clone(),
            judgement: "j".into(),
            submission: "s".into(),
            judgement_type: Some("AC".into()),
            current: true,
            outcome: Outcome::of(&[group], &[("m".into(), -5)].into()),
            ..Judgement::default()
        };
        assert_eq!(judgement_of(&encode(&judgement)), Some(judgement.clone()));
        let submission = Submission { event, submission: "s".into(), language: Some("c".into()), ..Default::default() };
        assert_eq!(submission_of(&encode(&submission)), Some(submission.clone()));

        let (j, s) = (&judgement, &submission);
        let times = (j.start_ms, j.end_ms, j.current, &j.rejudging);
        let old = encode(&(&j.event, &j.judgement, &j.submission, &j.judgement_type, times));
        assert_eq!(judgement_of(&old), Some(Judgement { outcome: None, ..judgement.clone() }));
        let old = encode(&(&s.event, &s.submission, &s.team, &s.problem, s.contest_time_ms, s.time_ms));
        assert_eq!(submission_of(&old), Some(Submission { language: None, ..submission.clone() }));
        assert_eq!(judgement_of(b"nonsense"), None);
    }
}
