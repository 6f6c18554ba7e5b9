//! `POST /api/v1/events/{event}/preview`: what would move if some records came, without showing it to anyone; and
//! `.../rescore`, which lets them come.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gravity_events::board::View;
use gravity_events::query::Supposition;
use gravity_events::{Body, Id};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::own::Own;
use super::{header, time_ordered_id};
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::{Admin, Problem};
use crate::services::records::RecordResult;
use crate::serving::{Boards, RankedRow};

/// Teams that are listed with what moves; the numbers are of all.
const LISTED_MAX: usize = 1_000;
/// Records that may be supposed at once.
const RECORDS_MAX: usize = 10_000;

/// Records that are supposed to come.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// A rubric, problems, the event's configuration, `rejudging.applied`: whatever a record may say of the event.
    pub records: Vec<SupposedRecord>,
    /// Only the board of this division; all teams when absent.
    #[serde(default)]
    pub division: Option<String>,
}

/// One of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SupposedRecord {
    /// The record's type, such as `rubric.published`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data.
    #[schema(value_type = serde_json::Value)]
    pub data: Box<RawValue>,
}

/// What would move on the jury's board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Preview {
    /// The event.
    pub event: String,
    /// The division; empty for all.
    pub division: String,
    /// The version of the board that it is compared with.
    pub version: u64,
    /// Rows on the board.
    pub rows: usize,
    /// Rows of which anything would be another.
    pub rows_moved: usize,
    /// Rows whose score would be another.
    pub scores_moved: usize,
    /// Rows whose rank would be another.
    pub ranks_moved: usize,
    /// Teams that would gain, lose or change a medal.
    pub medals_moved: usize,
    /// Problems that would be first solved by another team.
    pub first_solves_moved: usize,
    /// Teams that would move, by the rank that they would have; 1,000 at most.
    pub teams: Vec<Move>,
}

/// How a team would move. Null: not on the board, or without a rank.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[allow(missing_docs)] // before and after of what the names say
pub struct Move {
    pub team: String,
    pub name: String,
    pub rank_before: Option<u32>,
    pub rank_after: Option<u32>,
    pub score_before: Option<i64>,
    pub score_after: Option<i64>,
    pub medal_before: Option<&'static str>,
    pub medal_after: Option<&'static str>,
}

/// Says what would move. Nothing is stored, and nobody else sees it.
#[utoipa::path(post, path = "/api/v1/events/{event}/preview", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "The event")), request_body = PreviewRequest,
    responses((status = 200, description = "What would move", body = Preview),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "A record cannot be", body = Problem), (status = 503, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _admin: Admin,
    ApiPath(event): ApiPath<String>,
    ApiJson { value: request, .. }: ApiJson<PreviewRequest>,
) -> Result<Response, Problem> {
    header(&state, &event)?;
    let records = bodies(&request)?;
    Ok(Json(preview(&state, &event, request.division.as_deref().unwrap_or_default(), records).await?).into_response())
}

/// What was put in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rescored {
    /// What it moved on the jury's board, as computed right before.
    pub preview: Preview,
    /// Records that were appended.
    pub records: Vec<RecordResult>,
}

/// Puts changed rules in force: the records are appended, all at once, and count from one epoch on.
#[utoipa::path(post, path = "/api/v1/events/{event}/rescore", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "The event")), request_body = PreviewRequest,
    responses((status = 200, description = "In force", body = Rescored), (status = 202, description = "Durable", body = Rescored),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "A record cannot be", body = Problem), (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn rescore(
    State(state): State<AppState>,
    _admin: Admin,
    ApiPath(event): ApiPath<String>,
    ApiJson { value: request, .. }: ApiJson<PreviewRequest>,
) -> Result<Response, Problem> {
    let head = header(&state, &event)?;
    let records = bodies(&request)?;
    let now_ms = (state.clock)();
    let mut own = Vec::with_capacity(records.len());
    for body in &records {
        // Another identity every time: rules may go back to what they were before.
        own.push(Own::new(&head, time_ordered_id(now_ms), SOURCE, now_ms, body.clone())?);
    }
    let preview = preview(&state, &event, request.division.as_deref().unwrap_or_default(), records).await?;
    let positions = state.append(own.iter().map(Own::produce).collect()).await?;
    let outcomes = state.visibility.wait_shown(&positions, &[event.as_str().into()].into()).await;
    let records: Vec<RecordResult> = positions
        .iter()
        .zip(outcomes)
        .map(|(position, outcome)| RecordResult::stored(*position, Some(outcome)))
        .collect();
    let status = if records.iter().any(|r| r.status == "accepted") { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(Rescored { preview, records })).into_response())
}

const SOURCE: &str = "urn:gravity:rescore";

async fn preview(state: &AppState, event: &str, division: &str, records: Vec<Body>) -> Result<Preview, Problem> {
    let event_id = Id::from(event);
    let before = state.boards.supposed(&event_id, Supposition::default()).await?;
    let after = state.boards.supposed(&event_id, Supposition { records, until: None }).await?;
    compare(&before, &after, event, division)
}

fn bodies(request: &PreviewRequest) -> Result<Vec<Body>, Problem> {
    if request.records.len() > RECORDS_MAX {
        let message = format!("has {} records; at most {RECORDS_MAX} are supposed at once", request.records.len());
        return Err(Problem::invalid("records", message));
    }
    let mut records = Vec::with_capacity(request.records.len());
    for (n, record) in request.records.iter().enumerate() {
        let body = Body::decode(&record.kind, &record.data).map_err(|e| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.code(), format!("`records[{n}]`: {e}"))
                .field(format!("records[{n}]"), e.to_string())
        })?;
        records.push(body);
    }
    Ok(records)
}

/// What differs between two boards of an event, as judges see them.
pub fn compare(before: &Boards, after: &Boards, event: &str, division: &str) -> Result<Preview, Problem> {
    let (version, old_header, old) = before.rows(event, View::Jury, division)?;
    let (_, new_header, new) = after.rows(event, View::Jury, division)?;
    let mut preview = Preview {
        event: event.to_owned(),
        division: division.to_owned(),
        version,
        rows: new.len().max(old.len()),
        ..Preview::default()
    };
    let winner =
        |firsts: &BTreeMap<Id, gravity_events::board::FirstSolve>, p: &Id| firsts.get(p).map(|f| f.team.clone());
    let problems =
        old_header.firsts.keys().chain(new_header.firsts.keys().filter(|p| !old_header.firsts.contains_key(*p)));
    preview.first_solves_moved =
        problems.filter(|p| winner(&old_header.firsts, p) != winner(&new_header.firsts, p)).count();
    let by_team: BTreeMap<&Id, &RankedRow> = old.iter().map(|r| (&r.row.team, r)).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut moves = Vec::new();
    for row in &new {
        seen.insert(&row.row.team);
        moves.push((by_team.get(&row.row.team).copied(), Some(row)));
    }
    moves.extend(old.iter().filter(|r| !seen.contains(&r.row.team)).map(|r| (Some(r), None)));
    for (old, new) in moves {
        let Some(moved) = moved(old, new) else { continue };
        preview.rows_moved += 1;
        preview.scores_moved += usize::from(moved.score_before != moved.score_after);
        preview.ranks_moved += usize::from(moved.rank_before != moved.rank_after);
        preview.medals_moved += usize::from(moved.medal_before != moved.medal_after);
        if preview.teams.len() < LISTED_MAX {
            preview.teams.push(moved);
        }
    }
    Ok(preview)
}

fn moved(old: Option<&RankedRow>, new: Option<&RankedRow>) -> Option<Move> {
    let rank = |r: Option<&RankedRow>| r.and_then(|r| r.rank);
    let same = old
        .zip(new)
        .is_some_and(|(o, n)| o.rank == n.rank && (&o.row.row, &o.row.firsts) == (&n.row.row, &n.row.firsts));
    let any = new.or(old).filter(|_| !same)?;
    let score = |r: Option<&RankedRow>| r.map(|r| r.row.row.score());
    Some(Move {
        team: any.row.team.to_string(),
        name: any.row.row.name.clone(),
        rank_before: rank(old),
        rank_after: rank(new),
        score_before: score(old),
        score_after: score(new),
        medal_before: rank(old).and_then(medal),
        medal_after: rank(new).and_then(medal),
    })
}

/// The medal of a rank: four of each (ICPC World Finals).
pub fn medal(rank: u32) -> Option<&'static str> {
    match rank {
        1..=4 => Some("gold"),
        5..=8 => Some("silver"),
        9..=12 => Some("bronze"),
        _ => None,
    }
}
