//! Records of the boards pipeline as fold rows, and fold rows as the facts that views take.

mod stored;

use differential_dataflow::{AsCollection, ExchangeData};
use gravity_events::body::*;
use gravity_events::{Body, Id, Record};
use gravity_operators::boards::fact::Fact;
use gravity_operators::boards::facts::{
    BoardFacts, Correction, EventKey, Judgement, MomentKind, Outcome, RejudgingState, Rows, RubricText, Submission,
    Vote,
};
use serde::de::DeserializeOwned;
use timely::dataflow::operators::vec::Map;

use self::stored::{Deed, DeedKey, ObjectKey, RefKey, RejudgingReason, encode, judgement_of, submission_of};
use crate::runtime::{Facts, Folds};

/// Number of folds.
pub const FOLDS: u8 = 4;
const REFERENCE: u8 = 0;
const SUBMISSIONS: u8 = 1;
const JUDGEMENTS: u8 = 2;
const DEEDS: u8 = 3;

/// What a record changes.
pub fn collect(record: &Record, out: &mut Facts) {
    let Some(event) = record.event.clone() else { return };
    let key = EventKey { tenant: record.tenant.clone(), event };
    let mut put = |ref_key: RefKey, revision: u64, value: Option<String>| {
        out.upsert(REFERENCE, encode(&ref_key), revision, value.map(String::into_bytes));
    };
    let json = || record.body.encode().ok();
    let kept = |deleted: bool| if deleted { None } else { json() };
    let moment = |m: &Moment| if m.at.is_some() { json() } else { None };
    match &record.body {
        Body::EventConfigured(_) => put(RefKey::Config(key), 0, json()),
        Body::EventExtended(e) => put(RefKey::Extension(key), 0, e.duration_ms.and_then(|_| json())),
        Body::EventStarted(m) => put(RefKey::Moment(key, MomentKind::Started), 0, moment(m)),
        Body::EventFrozen(m) => put(RefKey::Moment(key, MomentKind::Frozen), 0, moment(m)),
        Body::EventThawed(m) => put(RefKey::Moment(key, MomentKind::Thawed), 0, moment(m)),
        Body::EventEnded(m) => put(RefKey::Moment(key, MomentKind::Ended), 0, moment(m)),
        Body::EventFinalized(m) => put(RefKey::Moment(key, MomentKind::Finalized), 0, moment(m)),
        Body::TeamRegistered(t) => put(RefKey::Team(key, t.team.clone()), t.revision, kept(t.deleted)),
        Body::GroupRegistered(g) => put(RefKey::Group(key, g.group.clone()), g.revision, kept(g.deleted)),
        Body::OrganizationRegistered(o) => {
            put(RefKey::Organization(key, o.organization.clone()), o.revision, kept(o.deleted))
        }
        Body::ProblemPublished(p) => put(RefKey::Problem(key, p.problem.clone()), p.revision, kept(p.deleted)),
        Body::JudgementTypePublished(t) => {
            put(RefKey::JudgementType(key, t.judgement_type.clone()), t.revision, kept(t.deleted))
        }
        Body::RejudgingOpened(r) => put_rejudging(&mut put, key, &r.rejudging, RejudgingState::Opened),
        Body::RejudgingApplied(r) => {
            let reason = RejudgingReason { state: RejudgingState::Applied, reason: r.reason.clone() };
            let at = RefKey::RejudgingReason(key.clone(), r.rejudging.clone());
            put(at, 1, serde_json::to_string(&reason).ok());
            put_rejudging(&mut put, key, &r.rejudging, RejudgingState::Applied);
        }
        Body::RejudgingCancelled(r) => put_rejudging(&mut put, key, &r.rejudging, RejudgingState::Cancelled),
        Body::SubmissionReceived(s) => {
            let at = encode(&ObjectKey(&key, &s.submission));
            let value = Submission {
                event: key,
                submission: s.submission.clone(),
                team: s.team.clone(),
                problem: s.problem.clone(),
                contest_time_ms: s.contest_time_ms,
                time_ms: record.time_ms,
                language: s.language.clone(),
            };
            out.upsert(SUBMISSIONS, at, s.revision, Some(encode(&value)));
        }
        Body::SubmissionWithdrawn(s) => {
            out.upsert(SUBMISSIONS, encode(&ObjectKey(&key, &s.submission)), s.revision, None)
        }
        Body::JudgementRecorded(j) => {
            let at = encode(&ObjectKey(&key, &j.judgement));
            let value = Judgement {
                event: key,
                judgement: j.judgement.clone(),
                submission: j.submission.clone(),
                judgement_type: j.judgement_type.clone(),
                start_ms: j.start_contest_time_ms,
                end_ms: j.end_contest_time_ms,
                current: j.current.unwrap_or(true),
                rejudging: j.rejudging.clone(),
                outcome: Outcome::of(&j.groups, &j.measures),
            };
            out.upsert(JUDGEMENTS, at, j.revision, (!j.deleted).then(|| encode(&value)));
        }
        Body::RubricPublished(r) => put(RefKey::Rubric(key, r.rubric.clone(), r.version), 0, json()),
        Body::OperatorQuarantined(q) => put(RefKey::Quarantine(key, q.operator.clone()), q.revision, kept(q.released)),
        Body::LanguagePublished(l) => put(RefKey::Language(key, l.language.clone()), l.revision, kept(l.deleted)),
        Body::SubmissionSelected(s) => {
            deed(DeedKey::Selected(key, s.submission.clone()), s.selected.then(json).flatten(), record, out)
        }
        Body::HintRevealed(h) => deed(DeedKey::Hint(key, h.team.clone(), h.hint.clone()), json(), record, out),
        Body::BoardAdjusted(a) => deed(DeedKey::Adjusted(key, a.adjustment.clone()), json(), record, out),
        Body::VoteRecorded(v) => deed(DeedKey::Vote(key, v.vote.clone()), json(), record, out),
        // Other records on these topics change no board.
        _ => {}
    }
}

fn deed(key: DeedKey, body: Option<String>, record: &Record, out: &mut Facts) {
    let value = body.map(|body| encode(&Deed { time_ms: record.time_ms, body }));
    out.upsert(DEEDS, encode(&key), 0, value);
}

/// What a row of the deeds' fold says.
fn deed_of(key: &[u8], value: &[u8]) -> Option<Fact> {
    let Deed { time_ms, body } = postcard::from_bytes(value).ok()?;
    Some(match postcard::from_bytes(key).ok()? {
        DeedKey::Selected(event, submission) => {
            let selected: SubmissionSelected = serde_json::from_str(&body).ok()?;
            Fact::Selection(event, submission, selected.team)
        }
        DeedKey::Hint(event, team, hint) => {
            let revealed: HintRevealed = serde_json::from_str(&body).ok()?;
            let points = revealed.cost.saturating_neg();
            Fact::Correction(Correction { event, team, id: hint, time_ms, points, ..Correction::default() })
        }
        DeedKey::Adjusted(event, id) => {
            let by: BoardAdjusted = serde_json::from_str(&body).ok()?;
            Fact::Correction(Correction {
                event,
                team: by.team,
                id,
                time_ms,
                points: by.points.unwrap_or(0),
                penalty_min: by.penalty.unwrap_or(0),
                visible_now: by.visible == Visible::Now,
            })
        }
        DeedKey::Vote(event, vote) => {
            let by: VoteRecorded = serde_json::from_str(&body).ok()?;
            Fact::Vote(Vote { event, vote, team: by.team, over: by.over, dimension: by.dimension, time_ms })
        }
    })
}

/// A decided rejudging stays decided, even when its opening comes late: deciding has the higher revision.
fn put_rejudging(put: &mut impl FnMut(RefKey, u64, Option<String>), key: EventKey, id: &Id, state: RejudgingState) {
    let revision = u64::from(state != RejudgingState::Opened);
    put(RefKey::Rejudging(key, id.clone()), revision, serde_json::to_string(&state).ok());
}

/// The event that a fold key is about.
pub fn event_of(fold: u8, key: &[u8]) -> Option<EventKey> {
    let rest = match fold {
        SUBMISSIONS | JUDGEMENTS => key,
        // Keys that are enums begin with the variant.
        _ => postcard::take_from_bytes::<u32>(key).ok()?.1,
    };
    Some(postcard::take_from_bytes(rest).ok()?.0)
}

/// Whether a fold key is that of a vote, which moves the places of many teams.
pub fn is_vote(fold: u8, key: &[u8]) -> bool {
    fold == DEEDS && matches!(postcard::from_bytes(key), Ok(DeedKey::Vote(..)))
}

/// Whether a fold key is that of an event's configuration.
pub fn is_config(fold: u8, key: &[u8]) -> bool {
    fold == REFERENCE && matches!(postcard::from_bytes(key), Ok(RefKey::Config(_)))
}

/// What a fold row says to boards; none where it says nothing, or is of another build.
pub fn fact_of(fold: u8, key: &[u8], value: &[u8]) -> Option<Fact> {
    fn json<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
        serde_json::from_slice(value).ok()
    }
    Some(match fold {
        SUBMISSIONS => Fact::Submission(submission_of(value)?),
        JUDGEMENTS => Fact::Judgement(judgement_of(value)?),
        DEEDS => deed_of(key, value)?,
        _ => match postcard::from_bytes(key).ok()? {
            RefKey::Config(e) => Fact::Config(e, json(value)?),
            RefKey::Extension(e) => Fact::Extension(e, json(value)?),
            RefKey::Moment(e, kind) => Fact::Moment(e, kind, json(value)?),
            RefKey::Team(e, team) => Fact::Team(e, TeamRegistered { team, ..json(value)? }),
            RefKey::Group(e, group) => Fact::Group(e, GroupRegistered { group, ..json(value)? }),
            RefKey::Organization(e, organization) => {
                Fact::Organization(e, OrganizationRegistered { organization, ..json(value)? })
            }
            RefKey::Problem(e, problem) => Fact::Problem(e, ProblemPublished { problem, ..json(value)? }),
            RefKey::JudgementType(e, judgement_type) => {
                Fact::JudgementType(e, JudgementTypePublished { judgement_type, ..json(value)? })
            }
            RefKey::Rejudging(e, r) => Fact::Rejudging(e, r, json(value)?),
            RefKey::Rubric(e, r, version) => {
                Fact::Rubric(e, r, version, RubricText(String::from_utf8(value.to_vec()).ok()?.into()))
            }
            RefKey::Quarantine(e, operator) => {
                Fact::Quarantine(e, operator, json::<OperatorQuarantined>(value)?.reason)
            }
            RefKey::Language(..) | RefKey::RejudgingReason(..) => return None,
        },
    })
}

/// The Contest API's collection and the id of the object that a fold key is of.
pub fn collection_of(fold: u8, key: &[u8]) -> Option<(&'static str, Id)> {
    let of_fold = |name| Some((name, postcard::from_bytes::<(EventKey, Id)>(key).ok()?.1));
    match fold {
        SUBMISSIONS => of_fold("submissions"),
        JUDGEMENTS => of_fold("judgements"),
        REFERENCE => Some(match postcard::from_bytes(key).ok()? {
            RefKey::Team(_, id) => ("teams", id),
            RefKey::Group(_, id) => ("groups", id),
            RefKey::Organization(_, id) => ("organizations", id),
            RefKey::Problem(_, id) => ("problems", id),
            RefKey::JudgementType(_, id) => ("judgement-types", id),
            RefKey::Language(_, id) => ("languages", id),
            _ => return None,
        }),
        _ => None,
    }
}

/// Whether a change of this row may show or hide other objects.
pub fn decides_visibility(fold: u8, key: &[u8]) -> bool {
    let decides = |key: RefKey| {
        matches!(
            key,
            RefKey::Config(_)
                | RefKey::Extension(_)
                | RefKey::Moment(..)
                | RefKey::Team(..)
                | RefKey::Group(..)
                | RefKey::Rejudging(..)
        )
    };
    fold == REFERENCE && postcard::from_bytes(key).is_ok_and(decides)
}

/// The object that a fold row is the state of, as a record's body; none for what is not one of the Contest API's.
pub fn object_of(fold: u8, key: &[u8], value: &[u8]) -> Option<(Body, Option<i64>)> {
    fn json<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
        serde_json::from_slice(value).ok()
    }
    let body = match fold {
        SUBMISSIONS => {
            let s = submission_of(value)?;
            let body = SubmissionReceived {
                submission: s.submission,
                team: s.team,
                problem: s.problem,
                language: s.language,
                contest_time_ms: s.contest_time_ms,
                revision: 0,
            };
            return Some((Body::SubmissionReceived(body), s.time_ms));
        }
        JUDGEMENTS => {
            let j = judgement_of(value)?;
            Body::JudgementRecorded(JudgementRecorded {
                judgement: j.judgement,
                submission: j.submission,
                judgement_type: j.judgement_type,
                start_contest_time_ms: j.start_ms,
                end_contest_time_ms: j.end_ms,
                current: Some(j.current),
                rejudging: j.rejudging,
                ..JudgementRecorded::default()
            })
        }
        REFERENCE => match postcard::from_bytes(key).ok()? {
            RefKey::Config(_) => Body::EventConfigured(json(value)?),
            RefKey::Extension(_) => Body::EventExtended(json(value)?),
            RefKey::Moment(_, kind) => {
                let moment = json(value)?;
                match kind {
                    MomentKind::Started => Body::EventStarted(moment),
                    MomentKind::Frozen => Body::EventFrozen(moment),
                    MomentKind::Thawed => Body::EventThawed(moment),
                    MomentKind::Ended => Body::EventEnded(moment),
                    MomentKind::Finalized => Body::EventFinalized(moment),
                }
            }
            RefKey::Team(..) => Body::TeamRegistered(json(value)?),
            RefKey::Group(..) => Body::GroupRegistered(json(value)?),
            RefKey::Organization(..) => Body::OrganizationRegistered(json(value)?),
            RefKey::Problem(..) => Body::ProblemPublished(json(value)?),
            RefKey::JudgementType(..) => Body::JudgementTypePublished(json(value)?),
            RefKey::Language(..) => Body::LanguagePublished(json(value)?),
            RefKey::Rubric(..) => Body::RubricPublished(json(value)?),
            RefKey::Rejudging(..) | RefKey::RejudgingReason(..) | RefKey::Quarantine(..) => return None,
        },
        _ => return None,
    };
    Some((body, None))
}

/// Whether rows of this fold may tell the change log something.
pub fn has_causes(fold: u8) -> bool {
    matches!(fold, REFERENCE | DEEDS)
}

/// What a changed fold row tells the change log: what moves boards besides submissions and their verdicts.
pub fn cause_of(fold: u8, key: &[u8], value: Option<&[u8]>) -> Option<(EventKey, Cause)> {
    fn json<T: DeserializeOwned>(value: Option<&[u8]>) -> Option<T> {
        serde_json::from_slice(value?).ok()
    }
    let cause = |kind: &'static str, what: Option<Id>, why: Option<String>, actor: Option<Id>| {
        let why = why.filter(|why| !why.is_empty());
        Cause { kind: Id::const_new(kind), what, why, actor }
    };
    let plain = |kind: &'static str, what: Id| cause(kind, Some(what), None, None);
    match fold {
        REFERENCE => Some(match postcard::from_bytes(key).ok()? {
            RefKey::Config(e) => (e, cause("configured", None, None, None)),
            RefKey::Extension(e) => {
                let why = json::<EventExtended>(value).and_then(|x| x.reason);
                (e, cause("extended", None, why, None))
            }
            RefKey::Moment(e, kind) => {
                let kind = match (kind, value.is_some()) {
                    (MomentKind::Started, _) => "started",
                    (MomentKind::Frozen, true) => "frozen",
                    (MomentKind::Frozen, false) => "unfrozen",
                    (MomentKind::Thawed, true) => "thawed",
                    (MomentKind::Thawed, false) => "hidden again",
                    (MomentKind::Ended, _) => "ended",
                    (MomentKind::Finalized, _) => "finalized",
                };
                (e, cause(kind, None, None, None))
            }
            RefKey::Problem(e, problem) => (e, plain("problem", problem)),
            RefKey::JudgementType(e, judgement_type) => (e, plain("judgement type", judgement_type)),
            RefKey::Rubric(e, rubric, version) => (e, plain("rescored", format!("{rubric} version {version}").into())),
            RefKey::Quarantine(e, operator) => {
                let why = json::<OperatorQuarantined>(value).map(|q| q.reason);
                let kind = if why.is_some() { "quarantined" } else { "released" };
                (e, cause(kind, Some(operator), why, None))
            }
            RefKey::RejudgingReason(e, rejudging) => {
                let reason: RejudgingReason = json(value)?;
                (e, cause(reason.kind()?, Some(rejudging), Some(reason.reason), None))
            }
            _ => return None,
        }),
        DEEDS => Some(match postcard::from_bytes(key).ok()? {
            DeedKey::Adjusted(e, _) => {
                let Deed { body, .. } = postcard::from_bytes(value?).ok()?;
                let by: BoardAdjusted = serde_json::from_str(&body).ok()?;
                (e, cause("adjusted", Some(by.team), Some(by.reason), Some(by.actor)))
            }
            _ => return None,
        }),
        _ => None,
    }
}

/// Takes the folds as typed collections.
pub fn collections<'s>(folds: &mut Folds<'s>) -> BoardFacts<'s> {
    let reference = folds.upsert(REFERENCE, |key, value| {
        Some((postcard::from_bytes::<RefKey>(key).ok()?, String::from_utf8(value.to_vec()).ok()?))
    });
    fn pick<'s, K: ExchangeData, V: ExchangeData + DeserializeOwned>(
        reference: &Rows<'s, (RefKey, String)>,
        key: impl Fn(RefKey) -> Option<K> + 'static,
    ) -> Rows<'s, (K, V)> {
        let pick = move |((k, v), time, diff): ((RefKey, String), u64, i64)| {
            Some(((key(k)?, serde_json::from_str(&v).ok()?), time, diff))
        };
        reference.inner.clone().flat_map(pick).as_collection()
    }
    macro_rules! objects {
        ($variant:ident) => {
            pick(&reference, |k| match k {
                RefKey::$variant(event, id) => Some((event, id)),
                _ => None,
            })
        };
    }
    macro_rules! single {
        ($variant:ident) => {
            pick(&reference, |k| match k {
                RefKey::$variant(event) => Some(event),
                _ => None,
            })
        };
    }
    let deeds = folds.upsert(DEEDS, deed_of);
    let rubrics = reference.clone().flat_map(|(key, text)| match key {
        RefKey::Rubric(event, rubric, version) => Some(((event, rubric, version), RubricText(text.into()))),
        _ => None,
    });
    BoardFacts {
        configs: single!(Config),
        extensions: single!(Extension),
        moments: objects!(Moment),
        teams: objects!(Team),
        groups: objects!(Group),
        organizations: objects!(Organization),
        problems: objects!(Problem),
        judgement_types: objects!(JudgementType),
        rejudgings: objects!(Rejudging),
        submissions: folds.upsert(SUBMISSIONS, |_, value| submission_of(value)),
        judgements: folds.upsert(JUDGEMENTS, |_, value| judgement_of(value)),
        rubrics,
        quarantines: objects!(Quarantine).map(|(key, said): (_, OperatorQuarantined)| (key, said.reason)),
        selections: deeds.clone().flat_map(|fact| match fact {
            Fact::Selection(event, submission, team) => Some(((event, submission), team)),
            _ => None,
        }),
        votes: deeds.clone().flat_map(|fact| match fact {
            Fact::Vote(vote) => Some(vote),
            _ => None,
        }),
        corrections: deeds.flat_map(|fact| match fact {
            Fact::Correction(correction) => Some(correction),
            _ => None,
        }),
    }
}
