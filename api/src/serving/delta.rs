//! Frames of a board's stream (Server-Sent Events): snapshots, and deltas between any two versions.

use std::collections::HashMap;

use gravity_events::Id;
use serde::Serialize;

use super::json::{BoardJson, MetaJson, RowJson, encode, shown_epoch};
use super::row::{RankedRow, TeamRow};
use super::state::BoardState;

#[derive(Serialize)]
struct DeltaJson<'a> {
    version: u64,
    base: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    meta: MetaJson<'a>,
    total_rows: usize,
    /// Rows of the window that are new in it or have other content.
    rows: Vec<RowJson<'a>>,
    /// The whole window as (team, rank), if that is another than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<(&'a Id, Option<u32>)>>,
}

/// One message of the stream. JSON has no line breaks, so that one `data:` line holds it.
pub(super) fn frame(version: u64, event: &str, json: &[u8]) -> Vec<u8> {
    let mut frame = format!("id: {version}\nevent: {event}\ndata: ").into_bytes();
    frame.extend_from_slice(json);
    frame.extend_from_slice(b"\n\n");
    frame
}

/// The first rows of a board.
pub(super) fn snapshot(state: &BoardState, limit: usize) -> Vec<u8> {
    frame(state.version, "snapshot", &encode(&BoardJson::of(state, 0, &state.window(0, limit), None)))
}

/// What turns the first rows of one state into those of another.
pub(super) fn delta(base: &BoardState, new: &BoardState, limit: usize) -> Vec<u8> {
    let (before, now) = (base.window(0, limit), new.window(0, limit));
    let known: HashMap<&Id, &TeamRow> = before.iter().map(|r| (&r.row.team, &*r.row)).collect();
    let changed = |r: &&RankedRow| !known.get(&r.row.team).is_some_and(|row| row.same_content(&r.row));
    let order = |window| -> Vec<(&Id, Option<u32>)> {
        let window: &[RankedRow] = window;
        window.iter().map(|r| (&r.row.team, r.rank)).collect()
    };
    let (order_before, order_now) = (order(&before), order(&now));
    let json = DeltaJson {
        version: new.version,
        base: base.version,
        epoch: shown_epoch(new),
        meta: MetaJson::between(base, new),
        total_rows: new.rows.len(),
        rows: now.iter().filter(changed).map(RowJson::of).collect(),
        order: (order_before != order_now).then_some(order_now),
    };
    frame(new.version, "delta", &encode(&json))
}
