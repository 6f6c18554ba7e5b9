//! The operator's routes: status, verification, dead letters.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery, body_bytes, from_json};
use crate::http::{Admin, Principal, Problem};
use crate::operations::{DeadLetter, OperationError, Retried, Status};

/// Dead letters of a page when none are asked for.
const LIMIT_DEFAULT: usize = 100;
/// Most dead letters of a page, and of one retry.
const LIMIT_MAX: usize = 1_000;

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Problem {
        match &error {
            OperationError::UnknownEvent(event) => Problem::unknown_event(event),
            OperationError::Invalid { field, problem } => Problem::invalid(field, problem.as_str()),
            OperationError::Unavailable(_) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()).retry_after(5)
            }
            OperationError::Failed(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string()),
        }
    }
}

/// Roles, pipelines, epochs, lag per partition, time to drain.
#[utoipa::path(get, path = "/api/v1/ops/status", tag = "operations", security(("token" = [])),
    responses((status = 200, body = Status), (status = 401, body = Problem)))]
pub async fn status(State(state): State<AppState>, principal: Principal) -> Result<Json<Status>, Problem> {
    principal.require_read(None)?;
    Ok(Json(state.operations.status().await))
}

/// Where a verification is asked for; it may take longer than any other request.
pub const VERIFY_PATH: &str = "/api/v1/ops/verify";

/// What to verify.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// One event; everything, when absent.
    #[serde(default)]
    pub event: Option<String>,
}

/// Recomputes boards from the log by a second implementation, at a bound epoch, and says what differs or was not covered.
#[utoipa::path(post, path = "/api/v1/ops/verify", tag = "operations", security(("token" = [])),
    request_body(content = VerifyRequest, description = "May be empty"),
    responses((status = 200, description = "The report", body = serde_json::Value), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn verify(
    State(state): State<AppState>,
    _admin: Admin,
    request: Request,
) -> Result<Json<serde_json::Value>, Problem> {
    let body = body_bytes(request.into_body()).await?;
    let request = if body.is_empty() { VerifyRequest::default() } else { from_json::<VerifyRequest>(&body)? };
    Ok(Json(state.operations.verify(request.event).await?))
}

/// Parameters of the list of dead letters.
#[derive(Clone, Debug, Deserialize, IntoParams)]
pub struct DeadLetterQuery {
    /// At most this many, 100 by default, 1,000 at most.
    pub limit: Option<usize>,
    /// Only those after this id.
    pub after: Option<String>,
}

/// A page of dead letters.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetters {
    /// Without their bytes.
    pub dead_letters: Vec<DeadLetter>,
    /// Give it as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What was refused, and why.
#[utoipa::path(get, path = "/api/v1/ops/deadletters", tag = "operations", security(("token" = [])), params(DeadLetterQuery),
    responses((status = 200, body = DeadLetters), (status = 400, body = Problem), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn dead_letters(
    State(state): State<AppState>,
    principal: Principal,
    ApiQuery(query): ApiQuery<DeadLetterQuery>,
) -> Result<Json<DeadLetters>, Problem> {
    principal.require_read(None)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 {
        return Err(Problem::invalid("limit", "is 0; 1 or more was expected"));
    }
    let limit = limit.min(LIMIT_MAX);
    let dead_letters = state.operations.dead_letters(limit, query.after).await?;
    let next = dead_letters.last().filter(|_| dead_letters.len() == limit).map(|d| d.id.clone());
    Ok(Json(DeadLetters { dead_letters, next }))
}

/// One dead letter, with its bytes.
#[utoipa::path(get, path = "/api/v1/ops/deadletters/{id}", tag = "operations", security(("token" = [])),
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = DeadLetter), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn dead_letter(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<DeadLetter>, Problem> {
    principal.require_read(None)?;
    let found = state.operations.dead_letter(id).await?;
    found.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "unknown_dead_letter", "there is no such dead letter")
            .hint("GET /api/v1/ops/deadletters lists them")
    })
}

/// What to append again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Ids of dead letters, 1 to 1,000.
    pub ids: Vec<String>,
}

/// What became of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RetryResults {
    /// One per id, in order.
    pub results: Vec<Retried>,
}

/// Appends dead letters again, once their cause is mended.
#[utoipa::path(post, path = "/api/v1/ops/deadletters/retry", tag = "operations", security(("token" = [])), request_body = RetryRequest,
    responses((status = 200, body = RetryResults), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
pub async fn retry(
    State(state): State<AppState>,
    _admin: Admin,
    ApiJson { value: request, .. }: ApiJson<RetryRequest>,
) -> Result<Json<RetryResults>, Problem> {
    if request.ids.is_empty() || request.ids.len() > LIMIT_MAX {
        return Err(Problem::invalid("ids", format!("has {} ids; 1 to {LIMIT_MAX} were expected", request.ids.len())));
    }
    Ok(Json(RetryResults { results: state.operations.retry(request.ids).await? }))
}
