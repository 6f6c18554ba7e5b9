//! `POST /api/v1/events`: sets an event up from an event file.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gravity_events::board::View;
use gravity_events::codec;
use gravity_events::query::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

use super::file::{EventFile, EventFileError};
use crate::app::AppState;
use crate::http::extract::{ApiQuery, body_bytes, media_type, unsupported};
use crate::http::{Admin, Problem};
use crate::services::records::{Wait, WaitQuery, produce};
use crate::serving::ServeError;
use crate::visibility::Outcome;

/// What an event file came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Applied {
    /// The event.
    pub event: String,
    /// Its tenant.
    pub tenant: String,
    /// Records that the file makes.
    pub records: usize,
    /// With wait=visible: those that changed something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<usize>,
    /// With wait=visible: those that had been applied before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<usize>,
}

impl From<EventFileError> for Problem {
    fn from(error: EventFileError) -> Problem {
        match error {
            EventFileError::Syntax(_) => Problem::new(StatusCode::BAD_REQUEST, "syntax", error.to_string()),
            EventFileError::Field(misfit) => misfit.into(),
        }
    }
}

/// Sets an event up, or changes it. Applying the same file again changes nothing.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", security(("token" = [])), params(WaitQuery),
    request_body(content((serde_json::Value = "application/json"), (String = "application/toml")), description = "An event file"),
    responses((status = 200, description = "With wait=visible: it is in force", body = Applied),
        (status = 202, description = "Durable", body = Applied),
        (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, description = "The event's id is another tenant's", body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "A field is missing, unknown or wrong", body = Problem), (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _admin: Admin,
    ApiQuery(query): ApiQuery<WaitQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = media_type(request.headers());
    let is_toml = match kind.as_str() {
        "application/json" => false,
        "application/toml" => true,
        other => return Err(unsupported(other, "application/json or application/toml")),
    };
    let body = body_bytes(request.into_body()).await?;
    let file = if is_toml {
        let text = std::str::from_utf8(&body).map_err(|e| {
            Problem::new(StatusCode::BAD_REQUEST, "syntax", format!("the event file is not UTF-8: {e}"))
        })?;
        EventFile::from_toml(text)?
    } else {
        EventFile::from_json(&body)?
    };
    let event = &file.event;
    if state.boards.header(&event.id, View::Jury).is_some_and(|h| h.tenant != event.tenant) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "event_taken",
            format!("event `{}` belongs to another tenant", event.id),
        )
        .field("event.id", "is taken by another tenant")
        .hint("choose another id, or name the tenant that the event belongs to"));
    }
    let records = file.to_records();
    let bodies: Vec<_> = records.iter().map(|r| r.body.clone()).collect();
    // A rubric that is not sound would be kept, and never count.
    match state.boards.ask(move |queries| bodies.iter().try_for_each(|body| queries.check(body))).await {
        Err(ServeError::Computed(QueryError::Unavailable(_))) | Ok(()) => {}
        Err(other) => return Err(other.into()),
    }
    let records: Vec<_> = records.iter().map(|r| produce(r, codec::encode(r).into())).collect();
    let applied = Applied {
        event: event.id.to_string(),
        tenant: event.tenant.to_string(),
        records: records.len(),
        counted: None,
        unchanged: None,
    };
    let positions = state.append(records).await?;
    if query.wait != Some(Wait::Visible) {
        return Ok((StatusCode::ACCEPTED, Json(applied)).into_response());
    }
    let outcomes = state.visibility.wait_shown(&positions, &[event.id.clone()].into()).await;
    for outcome in &outcomes {
        if let Outcome::Conflict { detail } | Outcome::Refused { detail, .. } = outcome {
            let code = if let Outcome::Refused { code, .. } = outcome { code } else { "conflict" };
            return Err(Problem::new(StatusCode::CONFLICT, code, detail.as_str())
                .hint("records of the file were refused; the dead letters have them"));
        }
    }
    let of = |which: Outcome| outcomes.iter().filter(|o| **o == which).count();
    let (counted, unchanged) = (of(Outcome::Counted), of(Outcome::Duplicate));
    let status = if counted + unchanged == outcomes.len() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Applied { counted: Some(counted), unchanged: Some(unchanged), ..applied })).into_response())
}
