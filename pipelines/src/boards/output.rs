//! Output rows of the boards pipeline: from views, to serving, to topics.

use std::collections::BTreeMap;

use differential_dataflow::{AsCollection, VecCollection};
use gravity_events::board::{BoardKey, BoardValue, OVERALL, View};
use gravity_events::body::{BoardChanged, BoardNoted, Cause};
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch};
use gravity_events::{Body, Id, Record};
use gravity_ingest::log::Produce;
use gravity_operators::boards::facts::EventKey;
use gravity_operators::boards::view::BoardViews;
use timely::dataflow::operators::Concatenate;

use super::{Boards, Key, NAME, Value, facts};
use crate::runtime::row::{Stored, Unpack};
use crate::runtime::{Change, Committed};

/// The views as output rows.
pub fn views(views: BoardViews<'_>) -> VecCollection<'_, u64, (Key, Value), i64> {
    let changes = views.changes.map(|((view, key), value)| (from_board_key(view, key), Value::Board(value)));
    let orphans = views.orphans.map(|(event, n)| (Key::Orphans(event), Value::Count(n)));
    let errors = views.errors.map(|(event, team, text)| (Key::Error(event, team), Value::Text(text)));
    let gates = views.open.map(|event| (Key::Gate(event), Value::Count(1)));
    let scope = changes.inner.scope();
    scope.concatenate([changes.inner, orphans.inner, errors.inner, gates.inner]).as_collection()
}

fn from_board_key(view: View, key: BoardKey) -> Key {
    match key {
        BoardKey::Header { tenant, event } => Key::Header(view, EventKey { tenant, event }),
        BoardKey::Row { tenant, event, team } => Key::Row(view, EventKey { tenant, event }, team),
        BoardKey::First { tenant, event, problem } => Key::First(view, EventKey { tenant, event }, problem),
        BoardKey::Worth { tenant, event, problem } => Key::Worth(view, EventKey { tenant, event }, problem),
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
        Key::Worth(view, e, problem) => {
            let (tenant, event) = parts(e);
            (*view, BoardKey::Worth { tenant, event, problem: problem.clone() })
        }
        Key::Orphans(_) | Key::Error(..) | Key::Gate(_) => return None,
    })
}

/// A change as serving takes it.
pub fn to_change(((view, key), value): gravity_operators::boards::facts::Change) -> BoardChange {
    BoardChange { view, key, value: Some(value) }
}

/// Why boards moved in an epoch other than by submissions: a note for each event and view of which something changed.
pub fn notes(epoch: &Committed<Boards>) -> Vec<(EventKey, BoardNoted)> {
    if epoch.snapshot {
        return Vec::new();
    }
    let mut causes: BTreeMap<EventKey, Vec<Cause>> = BTreeMap::new();
    // Of an event whose gate closes: all since it opened. Of others: what this epoch has.
    let of_epoch = epoch.blocks.iter().map(|block| (None, block));
    let released = epoch.released.iter().flat_map(|r| r.blocks.iter().map(|block| (Some(r.group), block)));
    let is_released = |event: &EventKey| epoch.released.iter().map(|r| r.group).find(|group| *group == event.hash());
    for (group, block) in of_epoch.chain(released).filter(|(_, b)| facts::has_causes(b.fold)) {
        for (key, stored) in Unpack::new(&block.rows).flatten() {
            let Stored::Upsert { value, .. } = stored else { continue };
            if let Some((event, cause)) = facts::cause_of(block.fold, key, value.as_deref())
                && is_released(&event) == group
            {
                causes.entry(event).or_default().push(cause);
            }
        }
    }
    let mut notes = Vec::new();
    for (event, mut causes) in causes {
        causes.sort_by(|a, b| (&a.kind, &a.what, &a.why, &a.actor).cmp(&(&b.kind, &b.what, &b.why, &b.actor)));
        causes.dedup();
        if causes.iter().any(|c| c.kind == "configured") {
            // An event that is set up is one change, not one for each of its problems.
            causes.retain(|c| !matches!(c.kind.as_str(), "problem" | "judgement type"));
        }
        causes.truncate(CAUSES_MAX);
        for view in [View::Public, View::Jury] {
            let overall = |(scope, _): &&(super::Scope, u64)| {
                scope.event == event && scope.view == view && scope.division == OVERALL
            };
            let Some((_, version)) = epoch.versions.iter().find(overall) else { continue };
            let is_row = |c: &&Change<Key, Value>| matches!(&c.key, Key::Row(v, e, _) if *v == view && *e == event);
            let rows = epoch.shown_changes().filter(is_row).count() as u64;
            // What moved nothing that the public sees leaves no trace there. What did must be known to have moved it: that rows
            // moved for another reason at the same time tells nothing of an adjustment made in a freeze.
            let moved = || causes.len() == 1 && rows > others(epoch, &event);
            let told = |c: &&Cause| view == View::Jury || is_public(c) || moved();
            let causes: Vec<Cause> = causes.iter().filter(told).cloned().collect();
            if causes.is_empty() {
                continue;
            }
            notes.push((event.clone(), BoardNoted { view, version: *version, at: epoch.now_ms, causes, rows }));
        }
    }
    notes
}

/// How many rows of an event may have moved by submissions and judgements in an epoch; where its gate closes, since that
/// opened. Each moves one team's, but where all rows may follow from one.
fn others(epoch: &Committed<Boards>, event: &EventKey) -> u64 {
    let released = epoch.released.iter().find(|r| r.group == event.hash());
    let blocks = released.map_or(&epoch.blocks, |r| &r.blocks);
    let rows = blocks.iter().flat_map(|b| Unpack::new(&b.rows).flatten().map(|(key, _)| (b.fold, key)));
    let is_worth = |c: &Change<Key, Value>| matches!(&c.key, Key::Worth(_, e, _) if e == event);
    let (mut others, mut moves_all) = (0, false);
    for (fold, key) in rows.filter(|(fold, key)| facts::event_of(*fold, key).as_ref() == Some(event)) {
        others += u64::from(!facts::has_causes(fold));
        moves_all |= facts::is_vote(fold, key);
    }
    // One solve changes what a challenge is worth, and so the rows of all who solved it.
    moves_all |= others > 0 && epoch.shown_changes().any(is_worth);
    if moves_all { u64::MAX } else { others }
}

/// Causes of one note; the setting up of an event has thousands.
const CAUSES_MAX: usize = 100;

/// Whether everybody is told of it, also where it moved no row.
fn is_public(cause: &Cause) -> bool {
    !matches!(cause.kind.as_str(), "adjusted" | "rejudged")
}

/// What serving gets.
pub fn boards_epoch(epoch: &Committed<Boards>) -> BoardsEpoch {
    let mut changes = Vec::with_capacity(epoch.changes.len());
    let (mut orphans, mut gates) = (Vec::new(), Vec::new());
    for Change { key, value } in &epoch.changes {
        match (key, value) {
            (Key::Orphans(e), value) => {
                let n = if let Some(Value::Count(n)) = value { *n } else { 0 };
                orphans.push((e.tenant.clone(), e.event.clone(), n));
            }
            (Key::Gate(event), value) => gates.push((event.event.clone(), value.is_some())),
            (Key::Error(e, team), Some(Value::Text(text))) => {
                tracing::error!(event = %e.event, %team, error = %text, "an operator failed; the row is what the other submissions give");
            }
            (key, value) => {
                changes.extend(to_board_key(key).map(|(view, key)| BoardChange {
                    view,
                    key,
                    value: board_value(value),
                }));
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
        staged: epoch.staged.iter().filter_map(board_change).collect(),
        gates,
        versions: epoch.versions.iter().map(version).collect(),
        orphans,
        bound: epoch.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
        refused: epoch.refused.clone(),
        notes: notes(epoch).into_iter().map(|(event, note)| (event.event, note)).collect(),
        snapshot: epoch.snapshot,
    }
}

fn board_change(change: &Change<Key, Value>) -> Option<BoardChange> {
    to_board_key(&change.key).map(|(view, key)| BoardChange { view, key, value: board_value(&change.value) })
}

fn board_value(value: &Option<Value>) -> Option<BoardValue> {
    match value {
        Some(Value::Board(v)) => Some(v.clone()),
        _ => None,
    }
}

/// The records of the board topics. Public ones are named by the board's version, never by the epoch, which would tell
/// of changes that the public must not see. Each tells the versions of the boards it is on; one of a board that a row has
/// only left is told by the first record of its event.
pub fn records(epoch: &Committed<Boards>) -> Vec<Produce> {
    let mut versions: BTreeMap<(&EventKey, View), Vec<Version<'_>>> = BTreeMap::new();
    for (scope, version) in &epoch.versions {
        let version = Version { division: &scope.division, version: *version, told: false };
        versions.entry((&scope.event, scope.view)).or_default().push(version);
    }
    let shown = epoch.shown_in_order();
    for change in &shown {
        if let Some((event, view)) = change.key.board() {
            let of_event = versions.get_mut(&(event, view)).into_iter().flatten();
            of_event.filter(|v| concerns(&change.value, v.division)).for_each(|v| v.told = true);
        }
    }
    let mut records = Vec::with_capacity(shown.len());
    for change in shown {
        let (Some((event_key, view)), Some((_, key))) = (change.key.board(), to_board_key(&change.key)) else {
            continue;
        };
        // Rows that were staged and are what they were move no version.
        let Some(versions) = versions.get_mut(&(event_key, view)) else { continue };
        let mut overall = 0;
        let mut told = Vec::new();
        for v in versions {
            if v.division == OVERALL {
                overall = v.version;
            }
            if !std::mem::replace(&mut v.told, true) || concerns(&change.value, v.division) {
                told.push((v.division.clone(), v.version));
            }
        }
        let what = match &key {
            BoardKey::Header { .. } => "header".to_owned(),
            BoardKey::Row { team, .. } => format!("row/{team}"),
            BoardKey::First { problem, .. } => format!("first/{problem}"),
            BoardKey::Worth { problem, .. } => format!("worth/{problem}"),
        };
        let record = Record {
            id: record_id(format!("{}/{}/{overall}/{what}", part(&event_key.event), view.name())),
            source: format!("pipeline:{NAME}").into(),
            tenant: event_key.tenant.clone(),
            event: Some(event_key.event.clone()),
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::BoardChanged(BoardChanged { view, key, value: board_value(&change.value), versions: told }),
        };
        records.push((&record).into());
    }
    for (event, note) in notes(epoch) {
        let record = Record {
            id: record_id(format!("{}/{}/{}/note", part(&event.event), note.view.name(), note.version)),
            source: format!("pipeline:{NAME}").into(),
            tenant: event.tenant,
            event: Some(event.event),
            subject: None,
            time_ms: None,
            backfill: false,
            body: Body::BoardNoted(note),
        };
        records.push((&record).into());
    }
    records
}

/// A version that moved, and whether a record tells it.
struct Version<'a> {
    division: &'a Id,
    version: u64,
    told: bool,
}

/// Whether a changed row is on the board of a division. Whatever else changes is on all of them.
fn concerns(value: &Option<Value>, division: &str) -> bool {
    match value {
        Some(Value::Board(BoardValue::Row(row))) => division == OVERALL || row.divisions.iter().any(|d| d == division),
        _ => true,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gravity_events::board::BoardRow;

    use super::super::Scope;
    use super::*;

    fn told(records: &[Produce]) -> Vec<Vec<(Id, u64)>> {
        let versions = |r: &Produce| match gravity_events::codec::decode(&r.value).unwrap().body {
            Body::BoardChanged(b) => b.versions,
            other => panic!("{other:?}"),
        };
        records.iter().map(versions).collect()
    }

    #[test]
    fn every_version_that_moved_is_told_also_of_a_division_that_was_left() {
        let event = EventKey::new("t", "e");
        let row = |team: &str, division: &str| Change {
            key: Key::Row(View::Public, event.clone(), team.into()),
            value: Some(Value::Board(BoardValue::Row(Arc::new(BoardRow {
                divisions: vec![division.into()],
                ..BoardRow::default()
            })))),
        };
        let version = |division: &str, version| {
            (Scope { event: event.clone(), view: View::Public, division: division.into() }, version)
        };
        let epoch = Committed {
            epoch: 9,
            now_ms: 0,
            bound: vec![],
            changes: vec![row("x", "a"), row("y", "b")],
            staged: vec![],
            released: vec![],
            versions: vec![version(OVERALL, 7), version("a", 3), version("b", 4), version("left", 5)],
            refused: vec![],
            blocks: vec![],
            snapshot: false,
        };
        let v = |division: &str, version| (Id::from(division), version);
        let expected = [vec![v(OVERALL, 7), v("a", 3), v("left", 5)], vec![v(OVERALL, 7), v("b", 4)]];
        assert_eq!(told(&records(&epoch)), expected);
    }
}
