//! `POST /api/v1/records`: CloudEvents by HTTP, in structured, batched and binary mode.

mod answer;
mod modes;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gravity_events::{Position, Record};
use gravity_ingest::log::Produce;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::AppState;
use crate::http::extract::{ApiQuery, body_bytes, unsupported};
use crate::http::{Feeder, Problem};
use crate::metrics;
use crate::visibility::Outcome;

pub use answer::{RecordProblem, RecordResult, Results};
use modes::{Item, Mode};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until the records' epochs have committed, 30 s at most.
    Visible,
}

/// Parameters of routes that append.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
pub struct WaitQuery {
    /// `visible`: answer once the records' epochs have committed, with what became of them.
    #[param(inline)]
    pub wait: Option<Wait>,
}

/// A batch that may not come now is told so after this time.
const REFUSED_AFTER: Duration = Duration::from_millis(250);

/// A record as it goes on its topic.
pub(crate) fn produce(record: &Record, value: Bytes) -> Produce {
    Produce { topic: record.body.topic(), key: Bytes::from(record.key()), partition: None, value }
}

/// Appends CloudEvents. A record by itself (`application/cloudevents+json`, `application/json`, or attributes in
/// `ce-*` headers) is answered as one; a batch (`application/cloudevents-batch+json`) with one result per record, in
/// order, whatever became of the others.
#[utoipa::path(post, path = "/api/v1/records", tag = "records", security(("token" = [])), params(WaitQuery),
    request_body(content(
        (serde_json::Value = "application/cloudevents+json"),
        (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
        (serde_json::Value = "application/json")), description = "A CloudEvent, a batch of them, or (binary mode) the data alone"),
    responses(
        (status = 200, description = "With wait=visible: the fate of every record is known", body = Results),
        (status = 202, description = "Durable", body = Results),
        (status = 400, description = "The record, or the batch as a whole, cannot be read", body = Problem),
        (status = 401, body = Problem),
        (status = 409, description = "One record, wait=visible: its identity came before with other data", body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, description = "One record, wait=visible: the pipeline refused it", body = Problem),
        (status = 429, description = "Too many records of this tenant wait to be counted", body = Problem),
        (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn post(
    State(state): State<AppState>,
    _feeder: Feeder,
    ApiQuery(query): ApiQuery<WaitQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let mode = Mode::of(&headers)?;
    let body = body_bytes(body).await?;
    let (bytes, bulk) = (body.len(), state.bulk.clone());
    let work = async move {
        let items = mode.read(&headers, &body)?;
        if mode != Mode::Batched
            && let [Item::Bad(problem)] = items.as_slice()
        {
            return Err(problem.clone());
        }
        append(&state, mode, &items, query.wait).await
    };
    bulk.run(bytes, work).await
}

/// Appends records of a route of another form, as a batch; those that could not be made are answered as refused.
pub(crate) async fn take(
    state: &AppState,
    records: Vec<Result<(Record, Bytes), Problem>>,
    wait: Option<Wait>,
) -> Result<Response, Problem> {
    let item = |record| match record {
        Ok((record, value)) => Item::Good { record: Box::new(record), value },
        Err(problem) => Item::Bad(problem),
    };
    let items: Vec<Item> = records.into_iter().map(item).collect();
    append(state, Mode::Batched, &items, wait).await
}

async fn append(state: &AppState, mode: Mode, items: &[Item], wait: Option<Wait>) -> Result<Response, Problem> {
    let good: Vec<Produce> = items.iter().filter_map(Item::produce).collect();
    let asked = state.visibility.ask(items.iter().filter_map(Item::tenant).zip(good.iter().map(|record| record.topic)));
    if let Err(problem) = asked {
        // Reading what is then refused costs as much as taking it: who does not wait as told is made to.
        tokio::time::sleep(REFUSED_AFTER).await;
        return Err(problem);
    }
    let positions = state.append(good).await?;
    state.visibility.brought(items.iter().filter_map(Item::tenant).zip(positions.iter().copied()));
    let mut positions = positions.into_iter();
    let stored: Vec<Option<Position>> =
        items.iter().map(|item| if item.is_good() { positions.next() } else { None }).collect();
    let outcomes = match wait {
        Some(Wait::Visible) => {
            let placed: Vec<Position> = stored.iter().flatten().copied().collect();
            let events = items.iter().filter_map(Item::event).cloned().collect();
            let outcomes = state.visibility.wait_shown(&placed, &events).await;
            if let Some(visibility) = &state.prices_visibility {
                let of_prices = items.iter().zip(&stored).filter(|(item, _)| item.is_of_prices());
                let of_prices: Vec<Position> = of_prices.filter_map(|(_, position)| *position).collect();
                visibility.wait(&of_prices).await;
            }
            Some(outcomes)
        }
        None => None,
    };
    answer(mode, items, &stored, outcomes)
}

fn answer(
    mode: Mode,
    items: &[Item],
    stored: &[Option<Position>],
    outcomes: Option<Vec<Outcome>>,
) -> Result<Response, Problem> {
    let waited = outcomes.is_some();
    let mut outcomes = outcomes.unwrap_or_default().into_iter();
    let mut all_known = waited;
    let mut results = Vec::with_capacity(items.len());
    for (item, position) in items.iter().zip(stored) {
        results.push(match (item, position) {
            (Item::Bad(problem), _) => {
                metrics::RECORDS.with_label_values(&["none", "refused"]).inc();
                RecordResult::refused(problem)
            }
            (Item::Good { .. }, Some(position)) => {
                let outcome = outcomes.next();
                all_known &= !matches!(outcome, Some(Outcome::Accepted(_)));
                if mode != Mode::Batched
                    && let Some(problem) = outcome.as_ref().and_then(|o| answer::single_problem(o, *position))
                {
                    return Err(problem);
                }
                RecordResult::stored(*position, outcome)
            }
            (Item::Good { .. }, None) => {
                return Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "log_failed",
                    "the log returned too few positions",
                ));
            }
        });
    }
    let status = if all_known { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, axum::Json(Results { results })).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 415 for a body that is no CloudEvent.
fn no_cloudevent(found: &str) -> Problem {
    unsupported(
        found,
        "application/cloudevents+json, application/cloudevents-batch+json, application/json, or binary mode with ce-* headers and JSON data",
    )
}
