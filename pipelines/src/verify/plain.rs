//! The latest state of every object, kept in plain maps.

use std::collections::BTreeMap;

use gravity_events::body::*;
use gravity_events::{Body, Id, Position};

use super::replay::Counted;

/// An object with the (revision, place) of its latest state; None: deleted.
type Latest<T> = BTreeMap<Id, (u64, Position, Option<T>)>;

/// A submission with the record's time.
pub type Submitted = (SubmissionReceived, Option<i64>);

/// Everything known of one event of one tenant.
#[derive(Default)]
pub struct Event {
    pub config: Option<EventConfigured>,
    pub duration: Option<i64>,
    pub moments: BTreeMap<&'static str, Moment>,
    pub teams: Latest<TeamRegistered>,
    pub groups: Latest<GroupRegistered>,
    pub organizations: Latest<OrganizationRegistered>,
    pub problems: Latest<ProblemPublished>,
    pub types: Latest<JudgementTypePublished>,
    pub submissions: Latest<Submitted>,
    pub judgements: Latest<JudgementRecorded>,
    pub applied: BTreeMap<Id, bool>,
}

fn put<T>(map: &mut Latest<T>, id: &Id, revision: u64, at: Position, value: Option<T>) {
    let newer = map.get(id).is_none_or(|(r, p, _)| (revision, at) > (*r, *p));
    if newer {
        map.insert(id.clone(), (revision, at, value));
    }
}

/// The live objects of a map.
pub fn live<T>(map: &Latest<T>) -> impl Iterator<Item = (&Id, &T)> {
    map.iter().filter_map(|(id, (_, _, v))| v.as_ref().map(|v| (id, v)))
}

/// Folds records, in log order, into the state of every (tenant, event).
pub fn fold(records: &[Counted]) -> BTreeMap<(Id, Id), Event> {
    let mut events: BTreeMap<(Id, Id), Event> = BTreeMap::new();
    for Counted { position, record } in records {
        let Some(event) = record.event.clone() else { continue };
        let e = events.entry((record.tenant.clone(), event)).or_default();
        let at = *position;
        match record.body.clone() {
            Body::EventConfigured(c) => e.config = Some(c),
            Body::EventExtended(x) => e.duration = x.duration_ms,
            Body::EventStarted(m) => _ = e.moments.insert("started", m),
            Body::EventFrozen(m) => _ = e.moments.insert("frozen", m),
            Body::EventThawed(m) => _ = e.moments.insert("thawed", m),
            Body::EventEnded(m) => _ = e.moments.insert("ended", m),
            Body::EventFinalized(m) => _ = e.moments.insert("finalized", m),
            Body::TeamRegistered(t) => put(&mut e.teams, &t.team.clone(), t.revision, at, (!t.deleted).then_some(t)),
            Body::GroupRegistered(g) => put(&mut e.groups, &g.group.clone(), g.revision, at, (!g.deleted).then_some(g)),
            Body::OrganizationRegistered(o) => {
                put(&mut e.organizations, &o.organization.clone(), o.revision, at, (!o.deleted).then_some(o))
            }
            Body::ProblemPublished(p) => {
                put(&mut e.problems, &p.problem.clone(), p.revision, at, (!p.deleted).then_some(p))
            }
            Body::JudgementTypePublished(t) => {
                put(&mut e.types, &t.judgement_type.clone(), t.revision, at, (!t.deleted).then_some(t))
            }
            Body::SubmissionReceived(s) => {
                put(&mut e.submissions, &s.submission.clone(), s.revision, at, Some((s, record.time_ms)))
            }
            Body::SubmissionWithdrawn(s) => put(&mut e.submissions, &s.submission, s.revision, at, None),
            Body::JudgementRecorded(j) => {
                put(&mut e.judgements, &j.judgement.clone(), j.revision, at, (!j.deleted).then_some(j))
            }
            Body::RejudgingApplied(r) => _ = e.applied.insert(r.rejudging, true),
            Body::RejudgingCancelled(r) => _ = e.applied.insert(r.rejudging, false),
            _ => {}
        }
    }
    events
}
