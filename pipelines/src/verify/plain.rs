//! The latest state of every object, kept in one plain map, as the facts that the plain boards are computed from.

use std::collections::BTreeMap;

use gravity_events::board::{BoardKey, BoardValue};
use gravity_events::body::*;
use gravity_events::canonical::canonical;
use gravity_events::{Body, Position};
use gravity_operators::boards::fact::{Fact, FactKey};
use gravity_operators::boards::facts::{
    Correction, EventKey, Judgement, MomentKind, Outcome, RejudgingState, RubricText, Submission, Vote,
};
use gravity_operators::plain;

use super::replay::Counted;
use super::{Board, Boards};

/// Computes every board.
pub fn boards(records: &[Counted]) -> Boards {
    let mut boards = Boards::new();
    for ((view, key), value) in plain::boards(&facts(records)).changes {
        let (_, event) = key.event();
        let board: &mut Board = boards.entry((event.clone(), view)).or_default();
        match (key, value) {
            (BoardKey::Header { .. }, BoardValue::Header(header)) => board.header = Some((*header).clone()),
            (BoardKey::Row { team, .. }, BoardValue::Row(row)) => drop(board.rows.insert(team, (*row).clone())),
            (BoardKey::First { problem, .. }, BoardValue::First(first)) => {
                board.firsts.insert(problem, (*first).clone());
            }
            (BoardKey::Worth { problem, .. }, BoardValue::Worth(worth)) => {
                board.worths.insert(problem, (*worth).clone());
            }
            _ => {}
        }
    }
    boards
}

/// An object's state: the highest revision, then the latest place in the log. None: deleted.
type Latest = BTreeMap<FactKey, (u64, Position, Option<Fact>)>;

/// What a record says: the object's state, its revision, and whether the object is gone.
fn fact_of(counted: &Counted) -> Option<(Fact, u64, bool)> {
    let record = &counted.record;
    let event = EventKey { tenant: record.tenant.clone(), event: record.event.clone()? };
    let moment = |kind, m: &Moment| Some((Fact::Moment(event.clone(), kind, m.clone()), 0, m.at.is_none()));
    let rejudging = |id: &gravity_events::Id, state: RejudgingState| {
        // What is decided stays decided, even when the opening comes late.
        let decided = u64::from(state != RejudgingState::Opened);
        Some((Fact::Rejudging(event.clone(), id.clone(), state), decided, false))
    };
    match record.body.clone() {
        Body::EventConfigured(c) => Some((Fact::Config(event, c), 0, false)),
        Body::EventExtended(x) => {
            let none = x.duration_ms.is_none();
            Some((Fact::Extension(event, x), 0, none))
        }
        Body::EventStarted(m) => moment(MomentKind::Started, &m),
        Body::EventFrozen(m) => moment(MomentKind::Frozen, &m),
        Body::EventThawed(m) => moment(MomentKind::Thawed, &m),
        Body::EventEnded(m) => moment(MomentKind::Ended, &m),
        Body::EventFinalized(m) => moment(MomentKind::Finalized, &m),
        Body::TeamRegistered(t) => {
            let (revision, deleted) = (t.revision, t.deleted);
            Some((Fact::Team(event, t), revision, deleted))
        }
        Body::GroupRegistered(g) => {
            let (revision, deleted) = (g.revision, g.deleted);
            Some((Fact::Group(event, g), revision, deleted))
        }
        Body::OrganizationRegistered(o) => {
            let (revision, deleted) = (o.revision, o.deleted);
            Some((Fact::Organization(event, o), revision, deleted))
        }
        Body::ProblemPublished(p) => {
            let (revision, deleted) = (p.revision, p.deleted);
            Some((Fact::Problem(event, p), revision, deleted))
        }
        Body::JudgementTypePublished(t) => {
            let (revision, deleted) = (t.revision, t.deleted);
            Some((Fact::JudgementType(event, t), revision, deleted))
        }
        Body::RubricPublished(r) => {
            let text = serde_json::to_string(&r).ok()?;
            let text = canonical(&text).ok()?.into_owned();
            Some((Fact::Rubric(event, r.rubric, r.version, RubricText(text.into())), 0, false))
        }
        Body::OperatorQuarantined(q) => Some((Fact::Quarantine(event, q.operator, q.reason), q.revision, q.released)),
        Body::RejudgingOpened(r) => rejudging(&r.rejudging, RejudgingState::Opened),
        Body::RejudgingApplied(r) => rejudging(&r.rejudging, RejudgingState::Applied),
        Body::RejudgingCancelled(r) => rejudging(&r.rejudging, RejudgingState::Cancelled),
        Body::SubmissionReceived(s) => {
            let fact = Submission {
                event,
                submission: s.submission,
                team: s.team,
                problem: s.problem,
                contest_time_ms: s.contest_time_ms,
                time_ms: record.time_ms,
                language: s.language,
            };
            Some((Fact::Submission(fact), s.revision, false))
        }
        Body::SubmissionWithdrawn(s) => {
            let fact = Submission { event, submission: s.submission, ..Submission::default() };
            Some((Fact::Submission(fact), s.revision, true))
        }
        Body::JudgementRecorded(j) => {
            let fact = Judgement {
                event,
                judgement: j.judgement,
                submission: j.submission,
                judgement_type: j.judgement_type,
                start_ms: j.start_contest_time_ms,
                end_ms: j.end_contest_time_ms,
                current: j.current != Some(false),
                rejudging: j.rejudging,
                outcome: Outcome::of(&j.groups, &j.measures),
            };
            Some((Fact::Judgement(fact), j.revision, j.deleted))
        }
        Body::SubmissionSelected(s) => Some((Fact::Selection(event, s.submission, s.team), 0, !s.selected)),
        Body::HintRevealed(h) => {
            let points = h.cost.saturating_neg();
            let fact =
                Correction { event, team: h.team, id: h.hint, time_ms: record.time_ms, points, ..Default::default() };
            Some((Fact::Correction(fact), 0, false))
        }
        Body::BoardAdjusted(a) => {
            let fact = Correction {
                event,
                team: a.team,
                id: a.adjustment,
                time_ms: record.time_ms,
                points: a.points.unwrap_or(0),
                penalty_min: a.penalty.unwrap_or(0),
                visible_now: a.visible == Visible::Now,
            };
            Some((Fact::Correction(fact), 0, false))
        }
        Body::VoteRecorded(v) => {
            let (team, over, dimension) = (v.team, v.over, v.dimension);
            let fact = Vote { event, vote: v.vote, team, over, dimension, time_ms: record.time_ms };
            Some((Fact::Vote(fact), 0, false))
        }
        _ => None,
    }
}

/// The current facts of all records, which are in log order.
fn facts(records: &[Counted]) -> Vec<Fact> {
    let mut latest = Latest::new();
    for counted in records {
        let Some((fact, revision, gone)) = fact_of(counted) else { continue };
        let mut key = fact.key();
        // Hints and adjustments are both corrections, but not the same objects; an adjustment may move to another team.
        match &counted.record.body {
            Body::HintRevealed(_) => key.0 = u8::MAX,
            Body::BoardAdjusted(a) => (key.0, key.2) = (u8::MAX - 1, a.adjustment.clone()),
            _ => {}
        }
        let at = counted.position;
        let newer = latest.get(&key).is_none_or(|(r, p, _)| (revision, at) > (*r, *p));
        if newer {
            latest.insert(key, (revision, at, (!gone).then_some(fact)));
        }
    }
    latest.into_values().filter_map(|(_, _, fact)| fact).collect()
}
