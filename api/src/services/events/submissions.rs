//! `POST /api/v1/events/{event}/submissions`: a team hands something in.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gravity_events::board::{OVERALL, View};
use gravity_events::body::{SourcePublished, SubmissionReceived};
use gravity_events::codec::MAX_SOURCE_BYTES;
use gravity_events::record::stable_hash128;
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id, Position, Record};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::own::Own;
use super::{header, time_ordered_id, uuid_text};
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::idempotency::{Begun, Clash, Stamp, key_of};
use crate::http::problem::clip;
use crate::http::{Principal, Problem};
use crate::serving::{HeaderState, ServeError};

/// The source of these records.
const SOURCE: &str = "urn:gravity:submissions";

/// What is handed in.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmissionRequest {
    /// Who.
    #[schema(value_type = String)]
    pub team: Id,
    /// For which problem.
    #[schema(value_type = String)]
    pub problem: Id,
    /// In which language.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub language: Option<Id>,
    /// Its id, unique in the event; made up when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub submission: Option<Id>,
    /// Its text, all files one after the other, for the comparison with those of others.
    #[serde(default)]
    pub source: Option<String>,
}

/// That it was handed in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The event.
    pub event: String,
    /// The submission's id.
    pub submission: String,
    /// Its record's id.
    pub record: String,
    /// When it was handed in, by the server's clock (RFC 3339).
    pub time: String,
    /// Where its record stands.
    pub position: Place,
    /// Proof of id, position and time: a keyed BLAKE3 hash in hex, which the platform can check.
    pub receipt: String,
}

/// A place in the log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

/// Hands in a submission: stamps the time, checks event, team and problem, answers once it is durable.
#[utoipa::path(post, path = "/api/v1/events/{event}/submissions", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "Event"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body get the same receipt")),
    request_body = SubmissionRequest,
    responses((status = 201, body = Receipt), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, description = "Unknown event", body = Problem),
        (status = 409, description = "Not started, over, or the id is taken", body = Problem), (status = 415, body = Problem),
        (status = 422, description = "Unknown team or problem, a bad field, or the key came with another body", body = Problem),
        (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(event): ApiPath<String>,
    headers: HeaderMap,
    ApiJson { value: request, bytes }: ApiJson<SubmissionRequest>,
) -> Result<Response, Problem> {
    principal.require_submit(&event, &request.team)?;
    let now_ms = (state.clock)();
    let head = header(&state, &event)?;
    let key = key_of(&headers)?;
    // A request with neither key nor id of its own can never be recognised again.
    let (scope, clash_field) = match (&key, &request.submission) {
        (Some(key), _) => (scope("key", &event, key), "Idempotency-Key"),
        (None, Some(submission)) => (scope("submission", &event, submission), "submission"),
        (None, None) => (scope("new", &event, &time_ordered_id(now_ms)), "Idempotency-Key"),
    };
    let stamp = || {
        let id = match (&request.submission, &key) {
            (Some(given), _) => given.to_string(),
            // The same id also after a restart that forgot the key.
            (None, Some(key)) => uuid_text(stable_hash128(&[b"submission", event.as_bytes(), key.as_bytes()]), 8),
            (None, None) => time_ordered_id(now_ms),
        };
        Stamp { id, time_ms: now_ms }
    };
    let ticket = match state.idempotency.begin(scope, &bytes, stamp) {
        Ok(Begun::Before(answer)) => return Ok((StatusCode::CREATED, Json(answer)).into_response()),
        Ok(Begun::New(ticket)) => ticket,
        Err(clash) => return Err(clash_problem(clash, clash_field)),
    };
    let own = match check(&state, &head, &request, now_ms).and_then(|()| own(&head, &request, ticket.stamp())) {
        Ok(own) => own,
        Err(problem) => {
            ticket.forget();
            return Err(problem);
        }
    };
    let source = match source(&head, &request, ticket.stamp()) {
        Ok(source) => source,
        Err(problem) => {
            ticket.forget();
            return Err(problem);
        }
    };
    let position = own.append(&state).await?;
    if let Some(source) = source {
        source.append(&state).await?;
    }
    let receipt = receipt(&state, &event, &own.record, ticket.stamp(), position);
    let answer = serde_json::to_value(receipt).expect("a receipt is plain data");
    ticket.done(answer.clone());
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn scope(kind: &str, event: &str, key: &str) -> String {
    format!("submissions/{kind}/{}/{event}/{key}", event.len())
}

pub(super) fn clash_problem(clash: Clash, field: &str) -> Problem {
    match (clash, field) {
        (Clash::InFlight, _) => {
            Problem::new(StatusCode::CONFLICT, "in_flight", "the same request is being carried out")
                .field(field, "belongs to a request that is not answered yet")
                .retry_after(1)
        }
        (Clash::OtherBody, "submission") => Problem::new(
            StatusCode::CONFLICT,
            "submission_exists",
            "there is a submission with this id and other content",
        )
        .field("submission", "is taken")
        .hint("leave it out to have one made up"),
        (Clash::OtherBody, _) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", "the key came before with another body")
                .field(field, "came before with another body")
                .hint("use a new key for a new request")
        }
    }
}

/// Whether the event takes submissions now, from this team, for this problem.
fn check(state: &AppState, head: &HeaderState, request: &SubmissionRequest, now_ms: i64) -> Result<(), Problem> {
    let h = &head.header;
    let conflict = |code: &'static str, detail: String| Problem::new(StatusCode::CONFLICT, code, detail);
    let started_at_ms = h.started_at_ms.filter(|at| *at <= now_ms).ok_or_else(|| {
        let planned =
            h.started_at_ms.or(h.start_at_ms).map(|at| format!("; it is to start at {}", format_rfc3339_ms(at)));
        conflict("event_not_started", format!("event `{}` has not started{}", head.event, planned.unwrap_or_default()))
    })?;
    let ends_at_ms = h.duration_ms.map(|d| started_at_ms.saturating_add(d));
    if let Some(at) =
        [h.ended_at_ms, ends_at_ms, h.finalized_at_ms].into_iter().flatten().min().filter(|at| *at <= now_ms)
    {
        return Err(conflict("event_ended", format!("event `{}` ended at {}", head.event, format_rfc3339_ms(at))));
    }
    if !h.problems.iter().any(|p| p.problem == request.problem) {
        let known: Vec<&str> = h.problems.iter().map(|p| p.problem.as_str()).take(30).collect();
        let shown = clip(&request.problem, 80);
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown_problem",
            format!("event `{}` has no problem `{shown}`", head.event),
        )
        .field("problem", "is not a problem of the event")
        .hint(format!("its problems are {}", known.join(", "))));
    }
    match state.boards.team(&head.event, View::Jury, OVERALL, &request.team) {
        Ok(_) => Ok(()),
        Err(ServeError::UnknownTeam { .. }) => {
            let shown = clip(&request.team, 80);
            Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_team",
                format!("event `{}` has no team `{shown}`", head.event),
            )
            .field("team", "is not a team of the event"))
        }
        Err(error) => Err(error.into()),
    }
}

fn own(head: &HeaderState, request: &SubmissionRequest, stamp: &Stamp) -> Result<Own, Problem> {
    // The record's identity is the submission's: whatever else fails, an id is handed in once.
    let hash = stable_hash128(&[b"submission", head.event.as_bytes(), stamp.id.as_bytes()]);
    let body = SubmissionReceived {
        submission: stamp.id.as_str().into(),
        team: request.team.clone(),
        problem: request.problem.clone(),
        language: request.language.clone(),
        contest_time_ms: None,
        revision: 0,
    };
    Own::new(head, format!("{hash:032x}"), SOURCE, stamp.time_ms, Body::SubmissionReceived(body))
}

/// The record of the text. Its identity is the submission's, too.
fn source(head: &HeaderState, request: &SubmissionRequest, stamp: &Stamp) -> Result<Option<Own>, Problem> {
    let Some(text) = &request.source else { return Ok(None) };
    if text.len() > MAX_SOURCE_BYTES {
        return Err(Problem::invalid(
            "source",
            format!("has {} bytes; at most {MAX_SOURCE_BYTES} are taken", text.len()),
        ));
    }
    let hash = stable_hash128(&[b"source", head.event.as_bytes(), stamp.id.as_bytes()]);
    let body = SourcePublished {
        submission: stamp.id.as_str().into(),
        team: request.team.clone(),
        problem: request.problem.clone(),
        language: request.language.clone().unwrap_or_else(|| "unknown".into()),
        text: text.clone(),
    };
    Own::new(head, format!("{hash:032x}"), SOURCE, stamp.time_ms, Body::SourcePublished(body)).map(Some)
}

fn receipt(state: &AppState, event: &str, record: &Record, stamp: &Stamp, position: Position) -> Receipt {
    let mut hasher = blake3::Hasher::new_keyed(&state.receipt_key);
    let place = format!("{}/{}/{}", position.topic, position.partition, position.offset);
    for part in [event, &stamp.id, &record.id, &place, &stamp.time_ms.to_string()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    Receipt {
        event: event.to_owned(),
        submission: stamp.id.clone(),
        record: record.id.to_string(),
        time: format_rfc3339_ms(stamp.time_ms),
        position: Place {
            topic: position.topic.name().to_owned(),
            partition: position.partition,
            offset: position.offset,
        },
        receipt: hasher.finalize().to_hex().to_string(),
    }
}
