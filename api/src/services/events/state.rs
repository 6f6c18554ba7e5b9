//! `POST /api/v1/events/{event}/state`: starts, freezes, thaws, extends, ends and finalises an event.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gravity_events::Body;
use gravity_events::body::{EventExtended, Moment};
use gravity_events::record::stable_hash128;
use gravity_events::time::{format_rfc3339_ms, rfc3339_option};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::own::Own;
use super::submissions::clash_problem;
use super::{header, time_ordered_id};
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::idempotency::{Begun, Stamp, key_of};
use crate::http::{Admin, Problem};
use crate::services::records::{RecordResult, Wait, WaitQuery};
use crate::serving::HeaderState;

const SOURCE: &str = "urn:gravity:event-state";

/// What is to happen to the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Contest time counts from `at`.
    Start,
    /// The public board is frozen from `at` on.
    Freeze,
    /// The freeze is lifted.
    Thaw,
    /// Its whole length is `duration_ms` from now on.
    Extend,
    /// It is over.
    End,
    /// Its results are final.
    Finalize,
    /// Its records are no longer needed: retention, where there is one, may drop them. Its boards stay.
    Seal,
    /// They are needed again, as far as they are there.
    Reopen,
}

/// A change of an event's state.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateRequest {
    /// What.
    pub action: Action,
    /// When (RFC 3339); now, when absent. Not for `extend`.
    #[serde(default, with = "rfc3339_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<i64>,
    /// `extend` only: the event's whole length.
    #[serde(default)]
    pub duration_ms: Option<i64>,
    /// `extend` only: why, for the change log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// That the state was changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StateChanged {
    /// The event.
    pub event: String,
    /// What was done.
    pub action: Action,
    /// As of when (RFC 3339).
    pub at: String,
    /// The id of its record.
    pub record: String,
    /// What became of its record.
    pub result: RecordResult,
}

/// Moves an event's state by appending the record that says so.
#[utoipa::path(post, path = "/api/v1/events/{event}/state", tag = "events", security(("token" = [])),
    params(("event" = String, Path, description = "Event"), WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body change the state once")),
    request_body = StateRequest,
    responses((status = 200, description = "With wait=visible: it is in force", body = StateChanged),
        (status = 202, description = "Durable", body = StateChanged),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "The event is not where this can happen to it, or the request is being carried out", body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _admin: Admin,
    ApiPath(event): ApiPath<String>,
    ApiQuery(query): ApiQuery<WaitQuery>,
    headers: HeaderMap,
    ApiJson { value: request, bytes }: ApiJson<StateRequest>,
) -> Result<Response, Problem> {
    let now_ms = (state.clock)();
    let head = header(&state, &event)?;
    let (scope, id) = match key_of(&headers)? {
        Some(key) => {
            let hash = stable_hash128(&[b"state", event.as_bytes(), key.as_bytes()]);
            (format!("state/{}/{event}/{key}", event.len()), format!("{hash:032x}"))
        }
        None => {
            let id = time_ordered_id(now_ms);
            (format!("state/new/{id}"), id)
        }
    };
    let ticket = match state.idempotency.begin(scope, &bytes, || Stamp { id, time_ms: now_ms }) {
        Ok(Begun::Before(answer)) => return Ok((StatusCode::ACCEPTED, Json(answer)).into_response()),
        Ok(Begun::New(ticket)) => ticket,
        Err(clash) => return Err(clash_problem(clash, "Idempotency-Key")),
    };
    let at_ms = request.at.unwrap_or(ticket.stamp().time_ms);
    let own = match own(&head, &request, at_ms, ticket.stamp()) {
        Ok(own) => own,
        Err(problem) => {
            ticket.forget();
            return Err(problem);
        }
    };
    let position = own.append(&state).await?;
    let changed = |result: RecordResult| StateChanged {
        event: event.clone(),
        action: request.action,
        at: format_rfc3339_ms(at_ms),
        record: own.record.id.to_string(),
        result,
    };
    ticket.done(serde_json::to_value(changed(RecordResult::stored(position, None))).expect("an answer is plain data"));
    let outcome = match query.wait {
        Some(Wait::Visible) => state.visibility.wait_shown(&[position], &[event.as_str().into()].into()).await.pop(),
        None => None,
    };
    let result = RecordResult::stored(position, outcome);
    let status = if result.status == "accepted" { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(changed(result))).into_response())
}

/// Whether the event is where this can happen to it. A state may be said again, to correct its time.
fn may(head: &HeaderState, request: &StateRequest, at_ms: i64) -> Result<(), Problem> {
    let h = &head.header;
    let refuse = |code: &'static str, why: &str, hint: &str| {
        Err(Problem::new(StatusCode::CONFLICT, code, format!("event `{}` {why}", head.event)).hint(hint.to_owned()))
    };
    let freezes_at_ms = h.started_at_ms.zip(h.freeze_ms).map(|(start, freeze)| start.saturating_add(freeze));
    match request.action {
        Action::Finalize if h.started_at_ms.is_some() && h.ended_at_ms.is_none() => {
            refuse("event_not_ended", "has not ended", "end it first: {\"action\":\"end\"}")
        }
        Action::Finalize | Action::Thaw if h.finalized_at_ms.is_some() => Ok(()),
        Action::Seal if h.finalized_at_ms.is_none() => {
            refuse("event_not_final", "is not final", "finalize it first: {\"action\":\"finalize\"}")
        }
        Action::Seal | Action::Reopen => Ok(()),
        _ if h.finalized_at_ms.is_some() => refuse(
            "event_finalized",
            "is final",
            "what is final is corrected by judgements and `thaw`, not by its course",
        ),
        Action::Start | Action::Freeze if h.ended_at_ms.is_some() => {
            refuse("event_ended", "has ended", "say `extend` before its end; what is over does not begin again")
        }
        Action::Start if h.started_at_ms.is_some() && request.at.is_none() => {
            refuse("event_started", "has started", "to move its start, say `at`")
        }
        Action::Freeze if h.thawed_at_ms.is_some() => refuse(
            "event_thawed",
            "was thawed, and what was shown cannot be hidden again",
            "thaw only when all may be seen",
        ),
        Action::Thaw if h.thawed_at_ms.is_none() && freezes_at_ms.is_none_or(|freeze| at_ms < freeze) => {
            refuse("event_not_frozen", "is not frozen", "a thaw counts for good: say it once the freeze has begun")
        }
        _ => Ok(()),
    }
}

fn own(head: &HeaderState, request: &StateRequest, at_ms: i64, stamp: &Stamp) -> Result<Own, Problem> {
    let h = &head.header;
    let started = || {
        h.started_at_ms.ok_or_else(|| {
            Problem::new(StatusCode::CONFLICT, "event_not_started", format!("event `{}` has not started", head.event))
                .hint("start it first: {\"action\":\"start\"}")
        })
    };
    let after_start = || {
        let started_at_ms = started()?;
        if at_ms < started_at_ms {
            return Err(Problem::invalid(
                "at",
                format!("is before the event's start, {}", format_rfc3339_ms(started_at_ms)),
            ));
        }
        Ok(at_ms - started_at_ms)
    };
    let only_extend = |field: &str, given: bool| {
        if given && request.action != Action::Extend {
            Err(Problem::invalid(field, "is for `extend` only"))
        } else {
            Ok(())
        }
    };
    only_extend("duration_ms", request.duration_ms.is_some())?;
    only_extend("reason", request.reason.is_some())?;
    may(head, request, at_ms)?;
    let moment = Moment { at: Some(at_ms), contest_time_ms: None };
    let body = match request.action {
        Action::Start => Body::EventStarted(moment),
        Action::Freeze => Body::EventFrozen(Moment { contest_time_ms: Some(after_start()?), ..moment }),
        Action::Thaw => Body::EventThawed(moment),
        Action::End => {
            after_start()?;
            Body::EventEnded(moment)
        }
        Action::Finalize => {
            after_start()?;
            Body::EventFinalized(moment)
        }
        Action::Seal => Body::EventSealed(moment),
        Action::Reopen => Body::EventReopened(moment),
        Action::Extend => {
            if request.at.is_some() {
                return Err(Problem::invalid("at", "is not for `extend`, which counts at once"));
            }
            let duration_ms = request.duration_ms.ok_or_else(|| {
                Problem::invalid("duration_ms", "is missing: `extend` sets the event's whole length in milliseconds")
            })?;
            if duration_ms <= 0 {
                return Err(Problem::invalid(
                    "duration_ms",
                    format!("is {duration_ms}; a length above 0 was expected"),
                ));
            }
            Body::EventExtended(EventExtended { duration_ms: Some(duration_ms), reason: request.reason.clone() })
        }
    };
    Own::new(head, stamp.id.clone(), SOURCE, stamp.time_ms, body)
}
