//! `POST /api/v1/auth/tokens`: the administrator gives out tokens.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::Id;
use gravity_events::board::{OVERALL, View};
use gravity_events::time::format_rfc3339_ms;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::http::extract::ApiJson;
use crate::http::{Admin, Principal, Problem, Role};

const DAYS_DEFAULT: u64 = 7;
const DAYS_MAX: u64 = 400;
const DAY_S: u64 = 86_400;

/// For whom.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What its holder may do.
    pub role: Role,
    /// Of a team, and of an analyst who may see this event only.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub event: Option<Id>,
    /// Of an analyst who may see what this tenant uses and pays.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<Id>,
    /// Which team.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub team: Option<Id>,
    /// How long it is good, 7 by default, 400 at most.
    #[serde(default)]
    pub days: Option<u64>,
}

/// A token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenIssued {
    /// To be sent as `Authorization: Bearer TOKEN`.
    pub token: String,
    /// Until then (RFC 3339).
    pub expires_at: String,
}

/// A token for a feed, an analyst, a team or another administrator. It is kept nowhere and cannot be taken back: it ends when
/// it expires.
#[utoipa::path(post, path = "/api/v1/auth/tokens", tag = "auth", security(("token" = [])), request_body = TokenRequest,
    responses((status = 201, body = TokenIssued), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "Unknown event", body = Problem), (status = 415, body = Problem),
        (status = 422, description = "Unknown team, or a role with fields that are not its own", body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _admin: Admin,
    ApiJson { value: request, .. }: ApiJson<TokenRequest>,
) -> Result<Response, Problem> {
    check(&state, &request)?;
    let days = request.days.unwrap_or(DAYS_DEFAULT);
    if days == 0 || days > DAYS_MAX {
        return Err(Problem::invalid("days", format!("is {days}; 1 to {DAYS_MAX} were expected")));
    }
    let now_s = u64::try_from((state.clock)() / 1_000).unwrap_or(0);
    let until_s = now_s + days * DAY_S;
    let to = Principal { role: request.role, event: request.event, tenant: request.tenant, team: request.team };
    let issued = TokenIssued {
        token: state.tokens.issue(&to, now_s, until_s),
        expires_at: format_rfc3339_ms(i64::try_from(until_s * 1_000).unwrap_or(i64::MAX)),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(issued)).into_response())
}

/// Whether the fields are those of the role, and name what there is.
fn check(state: &AppState, request: &TokenRequest) -> Result<(), Problem> {
    let role = request.role.name();
    match (request.role, &request.event, &request.team) {
        (Role::Admin | Role::Feed, Some(_), _) => {
            return Err(Problem::invalid("event", format!("is not for the role {role}")));
        }
        (Role::Team, None, _) => return Err(Problem::invalid("event", "is missing: a team is one of an event")),
        (Role::Team, _, None) => return Err(Problem::invalid("team", "is missing: whose token it is")),
        (Role::Admin | Role::Feed | Role::Analyst, _, Some(_)) => {
            return Err(Problem::invalid("team", format!("is not for the role {role}")));
        }
        _ => {}
    }
    match (request.role, &request.tenant, &request.event) {
        (_, None, _) | (Role::Analyst, Some(_), None) => {}
        (Role::Analyst, Some(_), Some(_)) => {
            return Err(Problem::invalid("tenant", "is given beside `event`: an analyst is of one or of the other"));
        }
        _ => return Err(Problem::invalid("tenant", format!("is not for the role {role}"))),
    }
    let Some(event) = &request.event else { return Ok(()) };
    state.boards.header(event, View::Jury).ok_or_else(|| Problem::unknown_event(event))?;
    let Some(team) = &request.team else { return Ok(()) };
    match state.boards.team(event, View::Jury, OVERALL, team) {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::invalid("team", "is not a team of the event")),
    }
}
