//! `GET /api/v1/billing/tenants/{tenant}/adjustments`: what prices that came later made of usage that had been charged.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::Id;
use gravity_events::body::BurnAdjusted;
use gravity_events::time::format_rfc3339_ms;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::burn::burn_of;
use crate::app::AppState;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::{Principal, Problem};

/// Rows of an answer at most.
const ROWS_MAX: usize = 1_000;

/// How many.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct AdjustmentsQuery {
    /// The latest so many; 100 by default, 1,000 at most.
    pub limit: Option<usize>,
}

/// What late prices changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdjustmentsAnswer {
    /// Who pays.
    pub tenant: String,
    /// In which it pays (ISO 4217), where there are prices.
    pub currency: Option<String>,
    /// The latest first.
    pub adjustments: Vec<AdjustmentRow>,
}

/// What prices made of one item's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdjustmentRow {
    /// When the prices came (RFC 3339).
    pub at: String,
    /// Start of the month (RFC 3339, UTC).
    pub month: String,
    /// `model`, `machine` or `hint`.
    pub kind: String,
    /// Which.
    pub item: String,
    /// The lists that came or changed.
    pub prices: Vec<AdjustmentPrices>,
    /// Records whose minute costs otherwise.
    pub records: i64,
    /// What those minutes cost, in micro-units.
    pub before_micro: i64,
    /// What they cost since.
    pub after_micro: i64,
    /// The difference: what the tenant owes more, or less.
    pub difference_micro: i64,
}

/// A version of a price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdjustmentPrices {
    /// The list.
    pub price_list: String,
    /// Its version.
    pub version: u64,
    /// The event that it is for, where it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// What prices that came later made of usage that had been charged by others, or by none: an entry per item and month.
#[utoipa::path(get, path = "/api/v1/billing/tenants/{tenant}/adjustments", tag = "billing", security(("token" = [])),
    params(("tenant" = String, Path, description = "Who pays"), AdjustmentsQuery),
    responses((status = 200, body = AdjustmentsAnswer), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No burn here", body = Problem),
        (status = 503, description = "The log does not answer", body = Problem)))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    ApiPath(tenant): ApiPath<String>,
    ApiQuery(query): ApiQuery<AdjustmentsQuery>,
) -> Result<Response, Problem> {
    principal.require_tenant(&tenant)?;
    let limit = query.limit.unwrap_or(100).min(ROWS_MAX);
    let (burn, log, id) = (burn_of(&state)?, state.log.clone(), Id::from(tenant.as_str()));
    let currency = burn.currency(&id);
    let read = tokio::task::spawn_blocking(move || burn.adjustments.latest(&*log, &id, limit));
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "adjustments cannot be read");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log_away", "the log does not answer")
            .hint("try again in a moment")
    };
    let adjusted = read.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    let adjustments = adjusted.into_iter().map(row).collect();
    let answer = AdjustmentsAnswer { tenant, currency: currency.map(|id| id.to_string()), adjustments };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(answer)).into_response())
}

fn row(adjusted: BurnAdjusted) -> AdjustmentRow {
    let prices = adjusted.prices.into_iter().map(|prices| AdjustmentPrices {
        price_list: prices.price_list.to_string(),
        version: prices.version,
        event: prices.event.map(|event| event.to_string()),
    });
    AdjustmentRow {
        at: format_rfc3339_ms(adjusted.at),
        month: format_rfc3339_ms(adjusted.month),
        kind: adjusted.kind.to_string(),
        item: adjusted.item.to_string(),
        prices: prices.collect(),
        records: adjusted.records,
        before_micro: adjusted.before_micro,
        after_micro: adjusted.after_micro,
        difference_micro: adjusted.after_micro.saturating_sub(adjusted.before_micro),
    }
}
