//! Output rows of the boards pipeline: from views, to serving, to topics.

use std::collections::BTreeMap;

use differential_dataflow::{AsCollection, VecCollection};
use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::BoardChanged;
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch};
use gravity_events::{Body, Id, Record};
use gravity_ingest::log::Produce;
use gravity_operators::boards::facts::{BoardFacts, EventKey};
use gravity_operators::boards::icpc::icpc;
use timely::dataflow::operators::Concatenate;

use super::{Boards, Key, NAME, Value};
use crate::runtime::{Change, Committed};

/// Wires the views.
pub fn views<'s>(facts: BoardFacts<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
    let views = icpc(facts);
    let changes = views.changes.map(|((view, key), value)| (from_board_key(view, key), Value::Board(value)));
    let orphans = views.orphans.map(|(event, n)| (Key::Orphans(event), Value::Count(n)));
    let errors = views.errors.map(|(event, team, text)| (Key::Error(event, team), Value::Text(text)));
    let scope = changes.inner.scope();
    scope.concatenate([changes.inner, orphans.inner, errors.inner]).as_collection()
}

fn from_board_key(view: View, key: BoardKey) -> Key {
    match key {
        BoardKey::Header { tenant, event } => Key::Header(view, EventKey { tenant, event }),
        BoardKey::Row { tenant, event, team } => Key::Row(view, EventKey { tenant, event }, team),
        BoardKey::First { tenant, event, problem } => Key::First(view, EventKey { tenant, event }, problem),
    }
}

fn to_board_key(key: &Key) -> Option<(View, BoardKey)> {
    let parts = |e: &EventKey| (e.tenant.clone(), e.event.clone());
    Some(match key {
        Key::Header(view, e) => {
            let (tenant, event) = parts(e);
            (*view, BoardKey::Header { tenant, event })
        }
        Key::Row(view, e, team) => {
            let (tenant, event) = parts(e);
            (*view, BoardKey::Row { tenant, event, team: team.clone() })
        }
        Key::First(view, e, problem) => {
            let (tenant, event) = parts(e);
            (*view, BoardKey::First { tenant, event, problem: problem.clone() })
        }
        Key::Orphans(_) | Key::Error(..) => return None,
    })
}

/// What serving gets.
pub fn boards_epoch(epoch: &Committed<Boards>) -> BoardsEpoch {
    let mut changes = Vec::with_capacity(epoch.changes.len());
    let mut orphans = Vec::new();
    for Change { key, value } in &epoch.changes {
        match (key, value) {
            (Key::Orphans(e), value) => {
                let n = if let Some(Value::Count(n)) = value { *n } else { 0 };
                orphans.push((e.tenant.clone(), e.event.clone(), n));
            }
            (Key::Error(e, team), Some(Value::Text(text))) => {
                tracing::error!(event = %e.event, %team, error = %text, "a row could not be computed; the last good one stays");
            }
            (key, value) => {
                if let Some((view, key)) = to_board_key(key) {
                    changes.push(BoardChange { view, key, value: board_value(value) });
                }
            }
        }
    }
    let version = |(scope, version): &(super::Scope, u64)| BoardVersion {
        tenant: scope.event.tenant.clone(),
        event: scope.event.event.clone(),
        view: scope.view,
        division: scope.division.clone(),
        version: *version,
    };
    BoardsEpoch {
        epoch: epoch.epoch,
        now_ms: epoch.now_ms,
        changes,
        versions: epoch.versions.iter().map(version).collect(),
        orphans,
        bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
        refused: epoch.refused.clone(),
        snapshot: epoch.snapshot,
    }
}

fn board_value(value: &Option<Value>) -> Option<BoardValue> {
    match value {
        Some(Value::Board(v)) => Some(v.clone()),
        _ => None,
    }
}

/// The records of the board topics. Public ones are named by the board's version, never by the epoch, which would tell
/// of changes that the public must not see.
pub fn records(epoch: &Committed<Boards>) -> Vec<Produce> {
    let mut versions: BTreeMap<(&EventKey, View), Vec<(&Id, u64)>> = BTreeMap::new();
    for (scope, version) in &epoch.versions {
        versions.entry((&scope.event, scope.view)).or_default().push((&scope.division, *version));
    }
    let mut records = Vec::new();
    for change in &epoch.changes {
        let Some((view, key)) = to_board_key(&change.key) else { continue };
        let (tenant, event) = key.event();
        let (tenant, event) = (tenant.clone(), event.clone());
        let event_key = EventKey { tenant: tenant.clone(), event: event.clone() };
        let of_event = versions.get(&(&event_key, view)).map(Vec::as_slice).unwrap_or_default();
        let value = board_value(&change.value);
        let concerns = |division: &str| match &value {
            Some(BoardValue::Row(row)) => division == OVERALL || row.divisions.iter().any(|d| d == division),
            _ => true,
        };
        let told = of_event.iter().filter(|(d, _)| concerns(d)).map(|(d, v)| ((*d).clone(), *v)).collect();
        let overall = of_event.iter().find(|(d, _)| *d == OVERALL).map_or(0, |(_, v)| *v);
        let what = match &key {
            BoardKey::Header { .. } => "header".to_owned(),
            BoardKey::Row { team, .. } => format!("row/{team}"),
            BoardKey::First { problem, .. } => format!("first/{problem}"),
        };
        let record = Record {
            id: record_id(format!("{}/{}/{overall}/{what}", part(&event), view.name())),
            source: format!("pipeline:{NAME}").into(),
            tenant,
            event: Some(event),
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::BoardChanged(BoardChanged { view, key, value, versions: told }),
        };
        let value = gravity_events::codec::encode(&record).into();
        records.push(Produce { topic: record.body.topic(), key: record.key().into(), partition: None, value });
    }
    records
}

/// A name within an id whose parts are joined by `/`.
fn part(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// An id of a record may be 256 bytes; what names it may be longer.
fn record_id(name: String) -> Id {
    if name.len() <= gravity_events::id::MAX_ID_BYTES {
        return name.into();
    }
    format!("{:032x}", gravity_events::record::stable_hash128(&[name.as_bytes()])).into()
}
