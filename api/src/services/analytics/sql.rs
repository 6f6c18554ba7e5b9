//! `POST /api/v1/analytics/sql`: a question over the lake and the live tables, within limits.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use gravity_storage::sql::{Answer, Encoder, Format, Scope, SqlError};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::http::extract::ApiJson;
use crate::http::{Principal, Problem, Tokens};

/// Bytes of an answer that are held back, so that what fails before is a problem with its status; the rest is streamed.
const HELD_BYTES: usize = 4 << 20;

/// A question.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement that reads, such as `select count(*) from lake.usage`.
    pub query: String,
}

/// Answers a question. Of an analyst of one tenant: from that tenant's rows alone.
#[utoipa::path(post, path = "/api/v1/analytics/sql", tag = "analytics", security(("token" = [])), request_body = SqlRequest,
    responses((status = 200, description = "Rows: JSON, or by `Accept` text/csv or application/vnd.apache.arrow.stream",
            content_type = "application/json", body = Vec<Object>),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No SQL here", body = Problem), (status = 413, description = "The answer has too many rows; of one that has begun, the body ends early", body = Problem),
        (status = 415, body = Problem), (status = 422, description = "The query is wrong, or needs too much", body = Problem),
        (status = 429, description = "Others are being answered", body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    ApiJson { value: request, .. }: ApiJson<SqlRequest>,
) -> Result<Response, Problem> {
    let scope = scope_of(&principal)?;
    let engine = state
        .sql
        .clone()
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_sql", "this process answers no SQL"))?;
    let format = wanted(&headers);
    let answer = engine.query(&scope, &request.query).await.map_err(problem)?;
    let encoder = Encoder::new(format, &answer.schema()).map_err(failed)?;
    let mut answering = Answering { answer, encoder: Some(encoder) };
    let (mut begun, mut bytes) = (Vec::new(), 0);
    while bytes < HELD_BYTES {
        let Some(part) = answering.next().await? else { break };
        bytes += part.len();
        begun.push(Ok(part));
    }
    // What fails from here on ends the body before its end, which every client notices.
    let rest = futures::stream::try_unfold(answering, |mut answering| async {
        let part = answering.next().await.map_err(|problem| std::io::Error::other(problem.detail))?;
        Ok::<_, std::io::Error>(part.map(|part| (part, answering)))
    });
    let body = Body::from_stream(futures::stream::iter(begun).chain(rest));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, body).into_response())
}

/// An answer on its way.
struct Answering {
    answer: Answer,
    /// None: all is said.
    encoder: Option<Encoder>,
}

impl Answering {
    /// The next bytes; None: that was all.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        if let Some(batch) = self.answer.next().await {
            return encoder.rows(&batch.map_err(problem)?).map(Some).map_err(failed);
        }
        self.encoder.take().map(Encoder::end).transpose().map_err(failed)
    }
}

fn failed(error: impl ToString) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "sql_failed", error.to_string())
}

/// Whose rows the holder of a token sees, or why they see none: for protocols other than HTTP.
pub fn scope_of_token(tokens: &Tokens, token: &[u8]) -> Result<Scope, String> {
    let principal = tokens.holder(token).map_err(|refused| refused.to_string())?;
    scope_of(&principal).map_err(|problem| problem.detail)
}

/// Whose rows a caller sees.
pub(crate) fn scope_of(principal: &Principal) -> Result<Scope, Problem> {
    match &principal.tenant {
        Some(tenant) => principal.require_tenant(tenant).map(|()| Scope::Tenant(tenant.clone())),
        None => principal.require_read(None).map(|()| Scope::All),
    }
}

fn wanted(headers: &HeaderMap) -> Format {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match accept {
        accept if accept.contains("arrow") => Format::Arrow,
        accept if accept.contains("csv") => Format::Csv,
        _ => Format::Json,
    }
}

fn too_long(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "answer_too_long", detail)
        .hint("ask for less: aggregate, or end the query with LIMIT")
}

fn problem(error: SqlError) -> Problem {
    let detail = error.to_string();
    match error {
        SqlError::Query(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_query", detail)
            .hint("tables: `show tables` says information_schema.tables; only statements that read are answered"),
        SqlError::Memory { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_large", detail)
            .hint("filter by day or event first, or aggregate"),
        SqlError::Time { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_long", detail)
            .hint("filter by day or event first, or aggregate"),
        SqlError::Rows { .. } => too_long(detail),
        SqlError::Busy { .. } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).hint("try again in a moment")
        }
        SqlError::Failed(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "sql_failed", detail),
    }
}
