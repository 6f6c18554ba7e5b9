//! Token usage as others emit it, taken as it comes: what a client of OpenAI or Anthropic got as its answer, what LiteLLM calls
//! back with, and OpenTelemetry's GenAI metrics.
//!
//! Each becomes one `usage.tokens` record whose id is the one that the other side gave, so that sending it again counts once.

mod calls;
mod otlp;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gravity_events::body::UsageTokens;
use gravity_events::codec::MAX_INTEGER;
use gravity_events::id::id_problem;
use gravity_events::time::parse_rfc3339_ms;
use gravity_events::{Body, Id, Record, codec};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::extract::{ApiPath, ApiQuery, body_bytes, media_type, unsupported};
use crate::http::{Feeder, Problem};
use crate::services::records::{self, Results, Wait};

/// Who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// The answer of OpenAI's Chat Completions or Responses API, or of one that is like it.
    Openai,
    /// The answer of Anthropic's Messages API.
    Anthropic,
    /// The payload of LiteLLM's `generic_api` callback.
    Litellm,
}

impl Dialect {
    fn source(self) -> &'static str {
        match self {
            Dialect::Openai => "openai",
            Dialect::Anthropic => "anthropic",
            Dialect::Litellm => "litellm",
        }
    }
}

/// Who pays for it, and for what.
#[derive(Clone, Debug, Deserialize, IntoParams)]
pub struct UsageQuery {
    /// Who pays.
    #[param(value_type = String)]
    pub tenant: Id,
    /// For which event.
    #[param(value_type = Option<String>)]
    pub event: Option<Id>,
    /// Which team called.
    #[param(value_type = Option<String>)]
    pub team: Option<Id>,
    /// Which lab called.
    #[param(value_type = Option<String>)]
    pub lab: Option<Id>,
    /// When (RFC 3339), where the payload does not say; by default now. Say it where you may send the same again.
    pub time: Option<String>,
    /// `visible`: answer once it has counted.
    #[param(inline)]
    pub wait: Option<Wait>,
}

/// One call of a model, as its payload tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Call {
    id: String,
    model: String,
    /// Milliseconds since 1970.
    time_ms: Option<i64>,
    input_tokens: u64,
    output_tokens: u64,
    /// Of those read.
    cached_tokens: u64,
}

/// What cannot be used of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unusable {
    field: String,
    message: String,
}

impl Unusable {
    fn new(field: &str, message: impl Into<String>) -> Unusable {
        Unusable { field: field.to_owned(), message: message.into() }
    }
}

impl From<Unusable> for Problem {
    fn from(unusable: Unusable) -> Problem {
        Problem::invalid(&unusable.field, unusable.message)
    }
}

impl UsageQuery {
    fn check(&self) -> Result<Option<i64>, Problem> {
        let ids = [("event", &self.event), ("team", &self.team), ("lab", &self.lab)];
        let ids = ids.into_iter().filter_map(|(field, id)| Some((field, id.as_ref()?)));
        for (field, id) in ids.chain([("tenant", &self.tenant)]) {
            if let Some(problem) = id_problem(id) {
                return Err(Problem::invalid(field, problem));
            }
        }
        let time = self.time.as_deref().map(|at| {
            let expected = format!("is `{at}`, expected a time such as 2026-11-28T12:00:00Z");
            parse_rfc3339_ms(at).map_err(|_| Problem::invalid("time", expected))
        });
        time.transpose()
    }

    /// The record of a call. What payloads hold becomes what the codec takes, or is refused by it.
    fn record(&self, source: &str, call: Call, time_ms: i64) -> Result<(Record, Bytes), Problem> {
        for (field, id) in [("id", &call.id), ("model", &call.model)] {
            if let Some(problem) = id_problem(id) {
                return Err(Problem::invalid(field, problem));
            }
        }
        for (field, number) in [("input_tokens", call.input_tokens), ("output_tokens", call.output_tokens)] {
            if i64::try_from(number).map_or(true, |number| number > MAX_INTEGER) {
                return Err(Problem::invalid(field, format!("is more than {MAX_INTEGER}")));
            }
        }
        let body = UsageTokens {
            model: call.model.into(),
            input_tokens: call.input_tokens,
            output_tokens: call.output_tokens,
            cached_tokens: call.cached_tokens.min(call.input_tokens),
            team: self.team.clone(),
            lab: self.lab.clone(),
        };
        let record = Record {
            id: call.id.into(),
            source: source.into(),
            tenant: self.tenant.clone(),
            event: self.event.clone(),
            subject: None,
            time_ms: Some(call.time_ms.unwrap_or(time_ms)),
            backfill: false,
            body: Body::UsageTokens(body),
        };
        let bytes = Bytes::from(codec::encode(&record));
        Ok((record, bytes))
    }
}

/// Takes what a call of a model used, as the model's provider or LiteLLM tells it: one payload, or an array of them. Answers as
/// `POST /api/v1/records` does to a batch. Calls that used nothing (LiteLLM's failures) are left out.
#[utoipa::path(post, path = "/api/v1/billing/usage/{dialect}", tag = "billing", security(("token" = [])),
    params(("dialect" = Dialect, Path, description = "Who wrote it"), UsageQuery),
    request_body(content = serde_json::Value, description = "The payload as it came"),
    responses((status = 200, description = "With wait=visible", body = Results), (status = 202, description = "Durable", body = Results),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "Something is missing in the query", body = Problem), (status = 503, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _feeder: Feeder,
    ApiPath(dialect): ApiPath<Dialect>,
    ApiQuery(query): ApiQuery<UsageQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let time_ms = query.check()?.unwrap_or_else(|| (state.clock)());
    let kind = media_type(request.headers());
    if kind != "application/json" {
        return Err(unsupported(&kind, "application/json"));
    }
    let body = body_bytes(request.into_body()).await?;
    let (bytes, bulk) = (body.len(), state.bulk.clone());
    let work = async move {
        let value: Value = serde_json::from_slice(&body).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "syntax", format!("the body is no JSON: {error}"))
        })?;
        let payloads = match value {
            Value::Array(payloads) => payloads,
            one => vec![one],
        };
        let read = |payload: &Value| match calls::read(dialect, payload) {
            Ok(None) => None,
            Ok(Some(call)) => Some(query.record(dialect.source(), call, time_ms)),
            Err(unusable) => Some(Err(unusable.into())),
        };
        let records = payloads.iter().filter_map(read).collect();
        records::take(&state, records, query.wait).await
    };
    bulk.run(bytes, work).await
}

/// Takes OpenTelemetry's `gen_ai.client.token.usage` by OTLP/HTTP, as protobuf or JSON: point an exporter's metrics endpoint here,
/// with delta temporality. Other metrics are passed over.
#[utoipa::path(post, path = "/api/v1/billing/otlp/v1/metrics", tag = "billing", security(("token" = [])), params(UsageQuery),
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses((status = 200, description = "An ExportMetricsServiceResponse"), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "Cumulative sums, or something is missing in the query", body = Problem), (status = 503, body = Problem)))]
pub async fn post_otlp(
    State(state): State<AppState>,
    _feeder: Feeder,
    ApiQuery(query): ApiQuery<UsageQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let time_ms = query.check()?.unwrap_or_else(|| (state.clock)());
    let kind = media_type(request.headers());
    let body = body_bytes(request.into_body()).await?;
    let (bytes, bulk) = (body.len(), state.bulk.clone());
    let work = async move {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "syntax", detail);
        let export = match kind.as_str() {
            "application/x-protobuf" => otlp::of_protobuf(&body).map_err(bad)?,
            "application/json" => otlp::of_json(&body).map_err(bad)?,
            other => return Err(unsupported(other, "application/x-protobuf or application/json")),
        };
        let calls = otlp::calls(&export)?;
        let records: Vec<_> = calls.into_iter().map(|call| query.record("otel", call, time_ms)).collect();
        if let Some(Err(problem)) = records.iter().find(|record| record.is_err()) {
            return Err(problem.clone());
        }
        records::take(&state, records, query.wait).await?;
        // The response of the protocol; empty is all that a success says.
        Ok(match kind.as_str() {
            "application/json" => axum::Json(serde_json::json!({})).into_response(),
            _ => ([(axum::http::header::CONTENT_TYPE, "application/x-protobuf")], Vec::<u8>::new()).into_response(),
        })
    };
    bulk.run(bytes, work).await
}
