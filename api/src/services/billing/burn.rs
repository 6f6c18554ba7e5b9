//! `GET /api/v1/billing/tenants/{tenant}/burn`: what a tenant uses and what it costs, and a live stream of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use gravity_events::Id;
use gravity_events::burn::MINUTE_MS;
use gravity_events::calendar::window_start;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use utoipa::{IntoParams, ToSchema};

use super::windows::{By, at, minute_of, zone_of};
use crate::app::AppState;
use crate::http::etag::conditional;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Principal, Problem};
use crate::serving::burn::{Answer, Burn, Group, Sum};

/// Rows of an answer at most.
const ROWS_MAX: usize = 100_000;
/// Minutes that a stream shows.
const RECENT_MINUTES: i64 = 60;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream tells at most so often: people read it.
const PACE: Duration = Duration::from_millis(250);

/// What burn is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct BurnQuery {
    /// How long windows are.
    #[serde(default)]
    pub by: By,
    /// Rows of their own for each of these.
    pub group: Option<GroupBy>,
    /// Usage from this minute on (RFC 3339).
    pub from: Option<String>,
    /// Usage before this minute (RFC 3339).
    pub to: Option<String>,
    /// The time zone of hours, days and months, such as `Europe/Berlin`; UTC by default.
    pub time_zone: Option<String>,
}

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// The event
    Event,
    /// The team: `event/team`
    Team,
    /// The lab
    Lab,
    /// The model or machine type
    Model,
}

impl From<GroupBy> for Group {
    fn from(group: GroupBy) -> Group {
        match group {
            GroupBy::Event => Group::Event,
            GroupBy::Team => Group::Team,
            GroupBy::Lab => Group::Lab,
            GroupBy::Model => Group::Item,
        }
    }
}

/// What a tenant uses.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BurnAnswer {
    /// Who pays.
    pub tenant: String,
    /// In which it pays (ISO 4217), where there are prices.
    pub currency: Option<String>,
    /// One more whenever something changes.
    pub version: u64,
    /// Of all rows.
    pub totals: Totals,
    /// By window, then group. Windows without usage are left out.
    pub rows: Vec<BurnRow>,
}

/// A window.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BurnRow {
    /// Its start (RFC 3339, in the time zone that was asked for); it ends where the next one begins.
    pub window_start: String,
    /// The event, team, lab or model, where rows are told apart by it; null: of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Option<String>>,
    /// What was used in it.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Usage and its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Records counted.
    pub records: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of the tokens read, those from a cache.
    pub cached_tokens: i64,
    /// Time that machines ran.
    pub duration_ms: i64,
    /// What it costs, in micro-units of the currency. Costs of rows add up exactly.
    pub cost_micro: i64,
    /// Records of which something has no price.
    pub unpriced_records: i64,
}

impl From<Sum> for Totals {
    fn from(sum: Sum) -> Totals {
        Totals {
            records: sum.usage.records,
            input_tokens: sum.usage.input_tokens,
            output_tokens: sum.usage.output_tokens,
            cached_tokens: sum.usage.cached_tokens,
            duration_ms: sum.usage.duration_ms,
            cost_micro: sum.cost_micro,
            unpriced_records: sum.unpriced_records,
        }
    }
}

/// What a tenant used and what it costs, in windows of time.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/burn", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays"), BurnQuery),
    responses((status = 200, body = BurnAnswer), (status = 304, description = "Nothing changed"), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, description = "No burn pipeline here", body = Problem),
        (status = 422, description = "More than 100,000 rows", body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
    ApiQuery(query): ApiQuery<BurnQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let burn = burn_of(&state)?;
    let zone = zone_of(query.time_zone.as_deref())?;
    let from = minute_of("from", query.from.as_deref())?.unwrap_or(i64::MIN);
    let to = minute_of("to", query.to.as_deref())?.unwrap_or(i64::MAX);
    let id = Id::from(tenant.as_str());
    let window = |minute| window_start(minute, query.by.into(), zone);
    let answer = burn.query(&id, from..to, query.group.map(Group::from), window, ROWS_MAX).ok_or_else(|| {
        let detail = format!("it would have more than {ROWS_MAX} rows");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_rows", detail)
            .hint("ask for longer windows (`by`), or for less time (`from`, `to`)")
    })?;
    // One tag for each question, since a client keeps an answer by its address.
    let tag = format!("\"{}\"", answer.version);
    Ok(conditional(&headers, &tag, "private, no-cache", || {
        Json(told(&tenant, answer, query.group, zone)).into_response()
    }))
}

fn told(tenant: &str, answer: Answer, group: Option<GroupBy>, zone: Tz) -> BurnAnswer {
    let row = |(start, of, sum): (i64, Option<Id>, Sum)| BurnRow {
        window_start: at(start, zone),
        group: group.map(|_| of.map(|id| id.to_string())),
        totals: sum.into(),
    };
    BurnAnswer {
        tenant: tenant.to_owned(),
        currency: answer.currency.map(|currency| currency.to_string()),
        version: answer.version,
        totals: answer.totals.into(),
        rows: answer.rows.into_iter().map(row).collect(),
    }
}

/// What a stream tells, whenever something changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BurnNews {
    /// Who pays.
    pub tenant: String,
    /// In which it pays, where there are prices.
    pub currency: Option<String>,
    /// As in the answer of the other route.
    pub version: u64,
    /// Of all time.
    pub totals: Totals,
    /// Of the last hour by this server's clock: what an hour costs at this pace.
    pub last_hour: Totals,
    /// The last hour, by minute.
    pub minutes: Vec<BurnRow>,
}

/// A tenant's burn, live: Server-Sent Events `burn` with the totals and the last hour, at once and after every change.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/burn/stream", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays")),
    responses((status = 200, description = "Events with data of this form", content_type = "text/event-stream", body = BurnNews),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, description = "No burn pipeline here", body = Problem)))]
pub async fn stream(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let burn = burn_of(&state)?;
    let news = burn.watch(&tenant.as_str().into());
    let watching = Watching { state, burn, tenant, news, told: None, heartbeat_at: Instant::now() + HEARTBEAT };
    let frames = futures::stream::unfold(watching, |mut watching| async move {
        let frame = watching.next().await?;
        Some((Ok::<_, Infallible>(frame), watching))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        // Proxies that buffer would hold frames back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

struct Watching {
    state: AppState,
    burn: Arc<Burn>,
    tenant: String,
    news: tokio::sync::watch::Receiver<u64>,
    /// The version that was told last, and when.
    told: Option<(u64, Instant)>,
    heartbeat_at: Instant,
}

impl Watching {
    /// The next frame; None: the server stops.
    async fn next(&mut self) -> Option<String> {
        loop {
            let version = *self.news.borrow_and_update();
            match self.told {
                Some((told, _)) if told == version => {}
                Some((_, at)) if at.elapsed() < PACE => sleep_until(at + PACE).await,
                _ => {
                    self.told = Some((version, Instant::now()));
                    return Some(self.frame());
                }
            }
            if self.told.is_some_and(|(told, _)| told != *self.news.borrow()) {
                continue;
            }
            tokio::select! {
                () = self.state.shutdown.cancelled() => return None,
                () = sleep_until(self.heartbeat_at) => {
                    self.heartbeat_at = Instant::now() + HEARTBEAT;
                    return Some(": hb\n\n".to_owned());
                }
                changed = self.news.changed() => changed.ok()?,
            }
        }
    }

    fn frame(&self) -> String {
        let tenant = Id::from(self.tenant.as_str());
        let now = (self.state.clock)().div_euclid(MINUTE_MS);
        let all = self.burn.query(&tenant, i64::MIN..i64::MAX, None, |_| 0, 1).unwrap_or_default();
        let recent = now - RECENT_MINUTES + 1..i64::MAX;
        let last_hour = self.burn.query(&tenant, recent, None, |minute| minute, ROWS_MAX).unwrap_or_default();
        let last_hour = told(&self.tenant, last_hour, None, Tz::UTC);
        let news = BurnNews {
            tenant: self.tenant.clone(),
            currency: all.currency.map(|currency| currency.to_string()),
            version: all.version,
            totals: all.totals.into(),
            last_hour: last_hour.totals,
            minutes: last_hour.rows,
        };
        let data = serde_json::to_string(&news).expect("plain data can be written");
        format!("id: {}\nevent: burn\ndata: {data}\n\n", all.version)
    }
}

pub(super) fn burn_of(state: &AppState) -> Result<Arc<Burn>, Problem> {
    state.burn.clone().ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_burn", "this process has no burn pipeline")
            .hint("start it with the role `burn`")
    })
}
