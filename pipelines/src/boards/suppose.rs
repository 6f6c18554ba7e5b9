//! Boards computed from an event's facts at once, under a supposition: the views of the pipeline on a dataflow of one
//! thread and one epoch, beside the pipeline, of which they touch nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gravity_events::body::Moment;
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch};
use gravity_events::query::{Instant, QueryError, Supposition};
use gravity_events::{Body, Record};
use gravity_operators::boards::fact::{Fact, board_facts};
use gravity_operators::boards::facts::{EventKey, MomentKind};
use gravity_operators::boards::view::boards;
use gravity_operators::scoring::rubric::Rubric;
use timely::dataflow::operators::vec::ToStream;

use super::facts;
use super::output::to_change;
use super::store::EventRows;
use crate::runtime::{Facts, worker};

/// Whether a record could be as it is: what the codec does not check.
pub fn check(body: &Body) -> Result<(), QueryError> {
    match body {
        Body::RubricPublished(rubric) => Rubric::new(rubric)
            .map(drop)
            .map_err(|fault| QueryError::Supposed { field: fault.field, problem: fault.problem }),
        _ => Ok(()),
    }
}

/// The facts of an event under a supposition.
pub fn suppose(rows: &EventRows, suppose: &Supposition) -> Result<Vec<Fact>, QueryError> {
    let mut supposed: HashMap<(u8, Vec<u8>), Option<Vec<u8>>> = HashMap::new();
    for body in &suppose.records {
        check(body)?;
        let record = Record {
            id: "supposed".into(),
            source: "supposed".into(),
            tenant: rows.event.tenant.clone(),
            event: Some(rows.event.event.clone()),
            subject: None,
            time_ms: Some(rows.now_ms),
            backfill: true,
            body: body.clone(),
        };
        let mut changes = Facts::supposed();
        facts::collect(&record, &mut changes);
        for (fold, key, value) in changes.upserts() {
            supposed.insert((fold, key.to_vec()), value.map(<[u8]>::to_vec));
        }
    }
    let mut all: Vec<Fact> = Vec::with_capacity(rows.rows.len());
    for (fold, key, value, _) in rows.live() {
        if supposed.is_empty() || !supposed.contains_key(&(fold, key.to_vec())) {
            all.extend(facts::fact_of(fold, key, value));
        }
    }
    for ((fold, key), value) in &supposed {
        all.extend(value.as_ref().and_then(|value| facts::fact_of(*fold, key, value)));
    }
    match suppose.until {
        Some(until) => cut(all, until, &rows.event),
        None => Ok(all),
    }
}

/// When an event began, or is planned to.
fn begin_ms(all: &[Fact]) -> Option<i64> {
    let started = all.iter().find_map(|fact| match fact {
        Fact::Moment(_, MomentKind::Started, Moment { at, .. }) => *at,
        _ => None,
    });
    started.or_else(|| all.iter().find_map(|fact| if let Fact::Config(_, c) = fact { c.start_at } else { None }))
}

/// Only what had happened by an instant, by the times in the records. What has no time stays.
fn cut(mut all: Vec<Fact>, until: Instant, event: &EventKey) -> Result<Vec<Fact>, QueryError> {
    let begin_ms = begin_ms(&all);
    let no_start = || QueryError::NoStart(event.event.clone());
    let contest_ms = match until {
        Instant::Contest(ms) => ms,
        Instant::Clock(ms) => ms.saturating_sub(begin_ms.ok_or_else(no_start)?),
    };
    let clock_ms = begin_ms.map(|begin| begin.saturating_add(contest_ms));
    let by_clock = |at_ms: Option<i64>| match (at_ms, clock_ms) {
        (Some(at), Some(until)) => at <= until,
        _ => true,
    };
    all.retain(|fact| match fact {
        Fact::Submission(s) => match (s.contest_time_ms, s.time_ms) {
            (Some(ms), _) => ms <= contest_ms,
            (None, at) => by_clock(at),
        },
        Fact::Judgement(j) => j.end_ms.or(j.start_ms).is_none_or(|ms| ms <= contest_ms),
        Fact::Moment(_, _, m) => by_clock(m.at),
        Fact::Correction(c) => by_clock(c.time_ms),
        _ => true,
    });
    Ok(all)
}

/// The boards that these facts make, as a snapshot.
pub fn compute(rows: &EventRows, all: Vec<Fact>) -> Result<BoardsEpoch, QueryError> {
    let said: Arc<Mutex<Vec<BoardChange>>> = Arc::default();
    let (of_worker, all) = (said.clone(), Mutex::new(Some(all)));
    let guards = timely::execute(worker::config(1), move |worker| {
        let all = all.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let said = of_worker.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            let rows = all.into_iter().map(|fact| (fact, 0, 1)).to_stream(scope);
            let views = boards(board_facts(differential_dataflow::AsCollection::as_collection(rows)));
            views.changes.inspect(move |(change, _, diff)| {
                debug_assert_eq!(*diff, 1, "in a single epoch nothing is taken back");
                said.lock().unwrap_or_else(PoisonError::into_inner).push(to_change(change.clone()));
            });
        });
    })
    .map_err(QueryError::Unavailable)?;
    for ended in guards.join() {
        ended.map_err(QueryError::Unavailable)?;
    }
    let mut changes = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
    changes.sort_by(|a, b| (a.view, &a.key).cmp(&(b.view, &b.key)));
    let version = |(scope, version): &(super::Scope, u64)| BoardVersion {
        tenant: scope.event.tenant.clone(),
        event: scope.event.event.clone(),
        view: scope.view,
        division: scope.division.clone(),
        version: *version,
    };
    Ok(BoardsEpoch {
        epoch: rows.epoch,
        now_ms: rows.now_ms,
        changes,
        versions: rows.versions.iter().map(version).collect(),
        snapshot: true,
        ..BoardsEpoch::default()
    })
}
