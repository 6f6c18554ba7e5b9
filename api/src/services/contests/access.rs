//! `access` and `account` of a contest: what whoever asks may see, and who that is.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::board::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::question::Question;
use crate::app::AppState;
use crate::http::extract::ApiPath;
use crate::http::{Principal, Problem, Role};

/// What may be seen: of each endpoint, the properties that objects may have.
const ENDPOINTS: [(&str, &[&str]); 12] = [
    (
        "contest",
        &[
            "id",
            "name",
            "formal_name",
            "start_time",
            "duration",
            "scoreboard_freeze_duration",
            "scoreboard_type",
            "penalty_time",
        ],
    ),
    ("state", &["started", "frozen", "ended", "thawed", "finalized", "end_of_updates"]),
    ("problems", &["id", "label", "name", "ordinal", "rgb"]),
    ("groups", &["id", "name", HIDDEN]),
    ("organizations", &["id", "name", "formal_name", "country"]),
    ("teams", &["id", "name", "display_name", "organization_id", "group_ids", HIDDEN]),
    ("languages", &["id", "name"]),
    ("judgement-types", &["id", "name", "solved", "penalty"]),
    ("submissions", &["id", "team_id", "problem_id", "language_id", "time", "contest_time"]),
    (
        "judgements",
        &[
            "id",
            "submission_id",
            "judgement_type_id",
            "current",
            "start_time",
            "start_contest_time",
            "end_time",
            "end_contest_time",
        ],
    ),
    ("scoreboard", &["state", "rows"]),
    ("awards", &["id", "citation", "team_ids"]),
];

/// What the public is not shown has this property; so it never sees it.
const HIDDEN: &str = "hidden";

/// What whoever asks may see of a contest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Access {
    /// What may be changed through this interface: nothing.
    pub capabilities: Vec<&'static str>,
    /// What may be seen.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint that may be seen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoint {
    /// Its name.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// Properties that its objects may have.
    pub properties: Vec<&'static str>,
}

/// What whoever asks may see of a contest.
#[utoipa::path(get, path = "/api/contests/{event}/access", tag = "contests", params(("event" = String, Path, description = "Contest"), super::ContestQuery),
    responses((status = 200, body = Access), (status = 304), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn access(question: Question) -> Result<Response, Problem> {
    question.header()?;
    let may_see = |property: &&'static str| *property != HIDDEN || question.view() == View::Jury;
    let endpoint = |(name, properties): &(&'static str, &[&'static str])| Endpoint {
        name,
        properties: properties.iter().copied().filter(may_see).collect(),
    };
    Ok(question.answer(&Access { capabilities: Vec::new(), endpoints: ENDPOINTS.iter().map(endpoint).collect() }))
}

/// Who asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Account {
    /// Id.
    pub id: String,
    /// Name.
    pub username: String,
    /// `admin`, `analyst` or `team`.
    #[serde(rename = "type")]
    pub role: &'static str,
    /// The team, of a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
}

/// Who asks. 404 for a token that says nothing about this contest.
#[utoipa::path(get, path = "/api/contests/{event}/account", tag = "contests", security(("token" = [])), params(("event" = String, Path, description = "Contest")),
    responses((status = 200, body = Account), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn account(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(event): ApiPath<String>,
) -> Result<Response, Problem> {
    let head = state.boards.header(&event, View::Public).ok_or_else(|| Problem::unknown_event(&event))?;
    let is_here = principal.event.as_ref().is_none_or(|of| *of == head.event);
    if !is_here || principal.role == Role::Feed {
        let problem = Problem::new(StatusCode::NOT_FOUND, "no_account", "the token is nobody's in this contest");
        return Err(problem.hint("ask an administrator for one: `gravity token`"));
    }
    let role = principal.role.name();
    let name = principal.team.as_deref().unwrap_or(role).to_owned();
    let account = Account { id: name.clone(), username: name, role, team_id: principal.team.map(|t| t.to_string()) };
    Ok(([(header::CACHE_CONTROL, "private, no-cache")], Json(account)).into_response())
}
